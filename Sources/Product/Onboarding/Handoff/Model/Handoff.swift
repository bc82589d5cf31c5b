import Basics
import Evidence

/// What an Org is handed: the checklist over one verified desired state, what stays to be done, and who signs. It holds
/// no secret: only what the API shows too.
public struct Handoff: Codable, Sendable, Equatable {
  public struct Signer: Codable, Sendable, Equatable {
    public let role: HandoffRole
    public let name: String
    /// As `aw handoff keygen` prints it.
    public let key: String
  }

  /// The evidence log when the document was made: who has a copy of the log finds the same root at that size.
  public struct Log: Codable, Sendable, Equatable {
    public let size: Int64
    public let root: String
  }

  public let org: Slug
  public let contactName: String
  public let contactEmail: String
  public let instance: Slug
  /// The digest of the desired state that was verified.
  public let desired: String
  public let baseline: String
  public let at: Timestamp
  public let log: Log
  public let lines: [HandoffLine]
  public let duties: [HandoffDuty]
  /// What the operator still sees of the Org after the handoff.
  public let operatorSees: [String]
  public let signers: [Signer]

  static let predicateType = "urn:aw:handoff:v1"

  /// The document that is signed: an in-toto statement about the desired state.
  var statement: Statement {
    get throws {
      Statement(
        subject: [.init(name: "aw/orgs/\(org)/instances/\(instance)", sha256: desired.trimmingSHA256)],
        predicateType: Self.predicateType, predicate: try JSONValue(encoding: self))
    }
  }

  /// How long a credential is used before it is to be rotated: a quarter, because nobody has said otherwise.
  static let rotateAfter = Duration.seconds(90 * 86_400)

  static func duties(_ credentials: [CredentialFact], _ choice: BaselineChoice, at now: Timestamp) -> [HandoffDuty] {
    credentials.map {
      HandoffDuty(what: "Rotate the \($0.title)", who: .contact, due: now.advanced(by: rotateAfter))
    }
      + choice.exceptions.map {
        HandoffDuty(
          what: "End the exception for \($0.key), for which \($0.owner) answers", who: .operator, due: $0.until)
      } + [
        HandoffDuty(what: "Look through the devices linked to the Org's accounts", who: .contact, due: nil),
        HandoffDuty(what: "Tell the operator when the contact is somebody else", who: .contact, due: nil),
        HandoffDuty(what: "Validate the credentials again before 30 days are over", who: .operator, due: nil),
      ]
  }

  /// Follows from how AW is made, not from what somebody promises.
  static let operatorSees = [
    "The Instance's status, version, configuration and log lines.",
    "Metadata of credentials: surface, version, keyed fingerprint, when and by what they were used; no value.",
    "Whoever administers the Host can read the Instance's data, its conversations included.",
    "Whoever administers a vault can read the values in it.",
    "The record of every act, with the actor.",
  ]
}

extension String {
  fileprivate var trimmingSHA256: String { String(trimmingPrefix("sha256:")) }
}
