import Basics
import Foundation
import Link
import Logging
import NIOCore

/// Makes this machine a Host: redeems a one-time token for a certificate.
public struct Enrolment: Sendable {
  public static func enrol(
    directory: String, address: String, port: Int, ticket: EnrolmentTicket, program: String,
    proxies: ProxyChoice = .none, clock: WallClock = .system, logger: Logger
  ) async throws -> HostState {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let key = HostKey()
    let tls = try LinkTLS.connector(
      identity: nil, trust: .fingerprint(ticket.fingerprint), now: { clock.now })
    let dialer = Dialer(
      endpoint: .init(address: address, port: port), proxy: proxies.proxy(to: address), liveness: .init(), clock: clock,
      logger: logger)
    let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    do {
      channel = try await dialer.enrolment(tls)
    } catch let failure as DialFailure {
      throw failure.explained
    }
    let request = EnrolmentRequest(
      token: ticket.token.withText { $0 }, signingRequest: try key.signingRequest, program: program, clock: clock.now,
      machine: ProcessInfo.processInfo.hostName)
    let reply = try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(try LinkCodec.encode(request))
      var messages = inbound.makeAsyncIterator()
      return try await messages.next()
    }
    guard let reply else {
      throw AWError(
        .linkLost, "The AW Gateway closed the connection before it answered.",
        next: "Try again; the token is still good unless its 15 minutes are over.")
    }
    switch try LinkCodec.decode(EnrolmentReply.self, from: reply) {
    case .granted(let grant):
      return try HostState.make(in: directory, grant: grant, key: key, address: address, port: port)
    case .refused(let refused):
      throw AWError(ErrorCode.named(refused.code), refused.message, next: refused.next)
    }
  }
}
