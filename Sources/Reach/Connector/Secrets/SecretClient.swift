import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import SecretExec

/// How many requests of one Instance are under way.
final class Load: Sendable {
  private let count = NIOLockedValueBox(0)

  /// - Returns: whether there is room for it. It is counted either way.
  func enter() -> Bool {
    count.withLockedValue { count in
      count += 1
      return count <= SecretLimits.requestsPerInstanceMax
    }
  }

  func leave() { count.withLockedValue { $0 -= 1 } }
}

/// One connection to the socket of an Instance: a request in, a reply out.
struct SecretClient: Sendable {
  let broker: SecretBroker
  let instance: InstanceID
  let org: Slug
  /// Who may ask.
  let user: UInt32
  let logger: Logger

  func serve(_ client: NIOAsyncChannel<ByteBuffer, ByteBuffer>, isBusy: Bool) async {
    do {
      try await client.executeThenClose { inbound, outbound in
        let reply = try await reply(to: inbound, from: try await Self.peer(of: client.channel), isBusy: isBusy)
        try await outbound.write(ByteBuffer(bytes: reply))
      }
    } catch {
      logger.debug("a request for secrets ended early", metadata: ["instance": "\(instance)", "reason": "\(error)"])
    }
  }

  private func reply(
    to inbound: NIOAsyncChannelInboundStream<ByteBuffer>, from peer: UInt32, isBusy: Bool
  ) async throws -> [UInt8] {
    guard peer == user else {
      logger.warning(
        "a stranger asked for secrets", metadata: ["instance": "\(instance)", "user": "\(peer)", "expected": "\(user)"])
      return Self.refused("The user \(peer) may not ask for this Instance's secrets.")
    }
    guard !isBusy else {
      return Self.refused("More than \(SecretLimits.requestsPerInstanceMax) requests of this Instance are under way.")
    }
    let received = try await Deadline.run(SecretLimits.requestWithin) {
      var bytes: [UInt8] = []
      for try await part in inbound {
        bytes += part.readableBytesView
        if bytes.count > SecretLimits.requestBytesMax { break }
      }
      return bytes
    }
    guard let received else { return Self.refused("The request did not end within 3 s.") }
    switch SecretExchange.read(received) {
    case .refused(let why): return Self.refused(why)
    case .ids(let ids):
      return [SecretExec.Mark.answered]
        + SecretExchange.reply(ids, await broker.resolve(ids, for: instance, of: org)) + [UInt8(ascii: "\n")]
    }
  }

  private static func refused(_ why: String) -> [UInt8] { [SecretExec.Mark.refused] + Array(why.utf8) }

  /// The user at the other end, as the kernel says.
  private static func peer(of channel: any Channel) async throws -> UInt32 {
    guard let options = channel as? any SocketOptionProvider else {
      throw AWError(.runtimeFailed, "The kernel does not say who asks.", next: "Update the Connector.")
    }
    let peer: PeerCredentials = try await options.unsafeGetSocketOption(
      level: .socket, name: .init(rawValue: CInt(SO_PEERCRED))
    ).get()
    return peer.user
  }
}

/// Linux's `struct ucred`, which the C library names for GNU programs only.
private struct PeerCredentials: Sendable {
  let process: Int32
  let user: UInt32
  let group: UInt32
}
