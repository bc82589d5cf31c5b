import Basics
import Foundation
import Link
import Logging
import NIOCore

/// Makes this machine a Host: redeems a one-time token for a certificate.
public struct Enrolment: Sendable {
  /// What an enrolment line carries besides the address: `aw1.<fingerprint>.<token>`.
  public struct Ticket: Sendable {
    static let prefix = "aw1"
    public let fingerprint: String
    public let token: Secret

    public init(fingerprint: String, token: Secret) {
      self.fingerprint = fingerprint
      self.token = token
    }

    /// - Throws: `enrolmentInvalid` when the text is no ticket.
    public init(_ text: String) throws {
      let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 3, parts[0] == Ticket.prefix, parts[1].count == 64, !parts[2].isEmpty else {
        throw AWError(
          .enrolmentInvalid, "The enrolment ticket is not complete.",
          next: "Copy the whole line that 'aw host enroll' printed.")
      }
      fingerprint = parts[1]
      token = Secret(parts[2])
    }

    /// The text for the enrolment line. Treat it as a secret until it is used.
    public var text: Secret { token.withText { Secret("\(Ticket.prefix).\(fingerprint).\($0)") } }
  }

  public static func enrol(
    directory: String, address: String, port: Int, ticket: Ticket, program: String, clock: WallClock = .system,
    logger: Logger
  ) async throws -> HostState {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let key = HostKey()
    let tls = try LinkTLS.connector(
      identity: nil, trust: .fingerprint(ticket.fingerprint), now: { clock.now })
    let dialer = Dialer(address: address, port: port, liveness: .init(), logger: logger)
    let channel = try await dialer.enrolment(tls)
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
