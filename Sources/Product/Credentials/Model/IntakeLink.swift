import Basics
import Fleet

public typealias IntakeLinkID = ID<IntakeLink>

/// A one-time link by which a customer gives a credential. The link's own secret is shown once and kept nowhere: the
/// database has its hash.
public struct IntakeLink: Sendable, Equatable {
  public let id: IntakeLinkID
  public let org: OrgID
  public let surface: CredentialSurface
  /// Of what is asked for. One that needs a gate needs it again when the value comes.
  public var kind = CredentialClass.fixture
  /// What the customer reads before anything is typed: who asks, and what for.
  public let from: String
  public let purpose: String
  /// As evidence names whoever asked.
  public let askedBy: String
  public let askedAt: Timestamp
  public let expiresAt: Timestamp
  /// When a newer one was made for the same credential.
  public let replacedAt: Timestamp?
  public let use: Use?

  /// That a value came by it.
  public struct Use: Sendable, Equatable {
    public let at: Timestamp
    /// The version of the credential that it became.
    public let version: Int
    /// SHA-256 of what was sent, sealed as it was: the same once more is a browser that asks again.
    let envelope: String
  }
}

/// What becomes of a link that somebody presents: a pure decision.
enum IntakeDecision: Equatable {
  case usable
  /// Exactly what was sent before, once more: nothing happens, and it is answered the same.
  case repeated
  /// It was used, so whoever presents it now is a second one: an incident.
  case reused
  case replaced
  case expired

  /// - Parameter envelope: the hash of what is sent; nil when somebody only looks.
  static func decide(_ link: IntakeLink, envelope: String?, at now: Timestamp) -> IntakeDecision {
    if let use = link.use { return envelope == use.envelope ? .repeated : .reused }
    if link.replacedAt != nil { return .replaced }
    return now >= link.expiresAt ? .expired : .usable
  }

  /// Nil when nothing is wrong.
  ///
  /// - Parameter from: who can make another one.
  func refusal(from: String) -> AWError? {
    switch self {
    case .usable, .repeated: nil
    case .reused:
      AWError(
        .intakeReused,
        "This link was used already, and it works once. What it brought is frozen until somebody looked.",
        next: "If it was not you who used it, tell \(from) now, and replace the value where you got it. "
          + "Ask for a new link in any case.")
    case .replaced:
      AWError(
        .intakeReplaced, "A newer link was made for this credential, so this one does not work any more.",
        next: "Use the newer one, or ask \(from) for it.")
    case .expired:
      AWError(
        .intakeExpired, "This link was not used in time, so it does not work any more. Nothing was kept.",
        next: "Ask \(from) for a new one.")
    }
  }

  /// What a link asks for is not allowed any more.
  ///
  /// - Parameter code: why: that of the gate's refusal.
  static func closed(_ link: IntakeLink, _ code: ErrorCode) -> AWError {
    AWError(
      code, "\(link.from) may not ask for the \(link.surface.title) by this link any more. Nothing was kept.",
      next: "Ask \(link.from) for a new link.")
  }

  static var unknown: AWError {
    AWError(
      .intakeUnknown, "This link is not one of this deployment.",
      next: "Check that all of it was copied. If it was, ask whoever sent it for another.")
  }
}

/// What keeps a version of a credential from being relied on, until an operator lifts it or another value is set.
public struct CredentialFreeze: Sendable, Equatable {
  public let version: Int
  /// A code of `docs/errors.md`.
  public let code: String
  public let link: IntakeLinkID
  public let at: Timestamp
}
