import Basics
import Link

/// The line that makes a machine a Host.
public struct EnrolmentLine: Sendable {
  /// `address:port` of the AW Gateway, as the machine reaches it.
  public let gateway: String
  /// The SHA-256 of the authority's certificate, which the machine pins.
  public let fingerprint: String

  public init(gateway: String, fingerprint: String) {
    self.gateway = gateway
    self.fingerprint = fingerprint
  }

  /// To be pasted into a shell. The ticket comes by standard input and `echo` is the shell's own, so that it stands in
  /// the arguments of no process.
  ///
  /// - Parameter replacing: the machine may have an identity already, which it is to give up.
  public func text(_ token: Secret, replacing: Bool = false) -> Secret {
    EnrolmentTicket(fingerprint: fingerprint, token: token).text.withText {
      Secret("echo \($0) | aw connect --enrol \(gateway)\(replacing ? " --replace" : "")")
    }
  }
}
