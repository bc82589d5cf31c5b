import Basics
import Evidence
import Store

/// Something an actor asks for that changes state: what it needs, and what the evidence says of it.
public struct Act: Sendable {
  /// Nil only for what people do about their own account, where the proof (a link, a password) is the permission.
  let permission: Permission?
  public let kind: EvidenceKind
  public let subject: EvidenceSubject?
  /// The Org it is about, by id.
  public let org: String?
  /// An object. It goes into the evidence, so it never holds a secret.
  public let details: JSONValue
  /// What it reaches beyond a synthetic fleet; empty for nearly all.
  public let scopes: Set<ActScope>
  /// Whether it names a signed gate for exactly this. Nobody gets through by that: the body checks the gate.
  public let namesGate: Bool

  public init(
    _ permission: Permission, kind: EvidenceKind, subject: EvidenceSubject? = nil, org: String? = nil,
    details: JSONValue = [:], scopes: Set<ActScope> = [], namesGate: Bool = false
  ) {
    self.init(needs: permission, kind, subject, org, details, scopes, namesGate)
  }

  /// An act about the actor's own account. Its body must check the proof inside the transaction.
  static func ownAccount(_ kind: EvidenceKind, subject: EvidenceSubject? = nil) -> Act {
    Act(needs: nil, kind, subject, nil, [:], [], false)
  }

  private init(
    needs permission: Permission?, _ kind: EvidenceKind, _ subject: EvidenceSubject?, _ org: String?,
    _ details: JSONValue, _ scopes: Set<ActScope>, _ namesGate: Bool
  ) {
    self.permission = permission
    self.kind = kind
    self.subject = subject
    self.org = org
    self.details = details
    self.scopes = scopes
    self.namesGate = namesGate
  }
}

public typealias ActID = ID<Act>

/// What the body of an act can add while it runs.
public struct ActContext: Sendable {
  /// Ties together the evidence of one act, and the operation it starts.
  public let id: ActID
  /// The one time of the act: use it for everything the body writes.
  public let at: Timestamp
  /// Set it when only the body knows, as for something that is being made.
  public var subject: EvidenceSubject?
  public var org: String?
  /// Fields of the evidence that may have to be erased one day.
  public var redactable: [Redactable] = []
  private(set) var data: [String: JSONValue] = [:]
  private(set) var afterCommitActions: [@Sendable () -> Void] = []

  init(id: ActID, at: Timestamp) {
    self.id = id
    self.at = at
  }

  /// Adds a member to the data of the evidence; the last value of a name counts. Never a secret.
  public mutating func record(_ name: String, _ value: JSONValue) { data[name] = value }

  /// Registers something to do after the commit, in order; dropped on rollback and in a dry run.
  public mutating func afterCommit(_ action: @escaping @Sendable () -> Void) { afterCommitActions.append(action) }
}

/// A rule beyond the roles, for the whole deployment, such as "only synthetic Orgs", asked in the transaction of the
/// act. Nil lets the act pass.
public typealias Guardrail = @Sendable (Act, Timestamp, Transaction) throws -> AWError?
