import Basics
import Synchronization

/// The parts of opening a Gateway WebSocket, in their order. Which there are depends on the way to it.
public enum OpeningPart: String, Codable, CodingKeyRepresentable, Sendable, CaseIterable {
  /// Connecting to the edge of a public hostname.
  case tcp
  /// The handshake there.
  case tls
  /// A stream of the Host's link, or of a forward: what it runs over was opened long before.
  case stream
  /// The HTTP upgrade to a WebSocket.
  case upgrade
  /// From the Gateway's challenge to its hello-ok.
  case greeting
}

/// How long the parts of opening one Gateway WebSocket took, as whoever does each of them notes it.
///
/// The parts lie in several rooms, and none passes the others' measures on: so this is found through the task.
public final class OpeningTimes: Sendable {
  @TaskLocal private static var current: OpeningTimes?

  private let parts = Mutex<[OpeningPart: Duration]>([:])

  public init() {}

  /// What was noted. Parts that failed are not among them: how long a failure takes is no latency.
  public var noted: [OpeningPart: Duration] { parts.withLock { $0 } }

  /// Everything that `body` does is noted here.
  public func during<Value>(_ body: () async throws -> Value) async rethrows -> Value {
    try await Self.$current.withValue(self, operation: body)
  }

  /// Does a part, and notes how long it took if anybody wants to know. Done again, the newest counts.
  public static func measure<Value>(_ part: OpeningPart, _ body: () async throws -> Value) async rethrows -> Value {
    let started = ContinuousClock.now
    let value = try await body()
    current?.parts.withLock { $0[part] = ContinuousClock.now - started }
    return value
  }
}
