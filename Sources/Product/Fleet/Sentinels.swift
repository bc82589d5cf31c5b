import Basics
import Gateway
import Logging

/// A place outside that the control plane reaches as long as its own network works: a name or address, and a port.
public struct Anchor: Sendable, Equatable {
  public let host: String
  public let port: Int

  public init(host: String, port: Int) { (self.host, self.port) = (host, port) }

  /// One that fails may be its own fault, so there are two at least.
  public static let fewest = 2
}

/// What the watch dials to learn whether it can trust what it misses: the AW Gateway, as a Connector would, and the
/// anchors outside, by their names. What is missed while that fails is no Host's fault.
struct Sentinels: Sendable {
  static let deadline = Duration.seconds(2)

  let gateway: AWGateway
  let anchors: [Anchor]
  let logger: Logger

  func look(for conscience: Conscience) async {
    async let reached = reachedAnchors()
    do {
      try await gateway.dialItself(within: Self.deadline)
      conscience.noteSentinel(true)
    } catch {
      logger.warning("the AW Gateway cannot be dialled from here", metadata: ["error": "\(error)"])
      conscience.noteSentinel(false)
    }
    conscience.noteAnchors(reached: Self.isMost(await reached, of: anchors.count))
  }

  /// Half of them is not most; nil when there are none.
  static func isMost(_ reached: Int, of all: Int) -> Bool? { all == 0 ? nil : reached * 2 > all }

  private func reachedAnchors() async -> Int {
    await withTaskGroup(of: Bool.self) { group in
      for anchor in anchors {
        group.addTask {
          do {
            try await AWGateway.dial(anchor.host, port: anchor.port, within: Self.deadline)
            return true
          } catch {
            logger.info(
              "an anchor cannot be dialled", metadata: ["anchor": "\(anchor.host):\(anchor.port)", "error": "\(error)"])
            return false
          }
        }
      }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
  }
}
