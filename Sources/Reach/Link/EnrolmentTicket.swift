import Basics

/// What an enrolment line carries besides the address: `aw1.<fingerprint>.<token>`.
public struct EnrolmentTicket: Sendable {
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
    guard parts.count == 3, parts[0] == EnrolmentTicket.prefix, parts[1].count == 64, !parts[2].isEmpty else {
      throw AWError(
        .enrolmentInvalid, "The enrolment ticket is not complete.",
        next: "Copy the whole line that 'aw host enroll' printed.")
    }
    fingerprint = parts[1]
    token = Secret(parts[2])
  }

  /// The text for the enrolment line. Treat it as a secret until it is used.
  public var text: Secret { token.withText { Secret("\(EnrolmentTicket.prefix).\(fingerprint).\($0)") } }
}
