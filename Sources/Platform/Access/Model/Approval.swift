import Basics
import Crypto
import Evidence

public typealias ApprovalID = ID<Approval>

/// Which acts need another person's word, and whose.
public struct ApprovalRule: Codable, Sendable, Equatable {
  /// The evidence kind of the acts.
  public var kind: String
  /// Each of them has to be filled, by a person of its own.
  public var roles: [ApprovalRole]
  /// How long a request may be answered and used.
  public var minutes: Int
  /// Whether whoever asked may not carry the act out either.
  public var separateExecutor: Bool

  public init(kind: String, roles: [ApprovalRole], minutes: Int, separateExecutor: Bool) {
    (self.kind, self.roles, self.minutes, self.separateExecutor) = (kind, roles, minutes, separateExecutor)
  }
}

/// A part that one approver has to fill.
public struct ApprovalRole: Codable, Sendable, Equatable {
  public var name: Slug
  /// Login names; without any, everybody who may approve at all.
  public var people: [Slug]

  public init(name: Slug, people: [Slug]) { (self.name, self.people) = (name, people) }
}

/// Exactly what is approved. An act that differs in anything is another one.
public struct ApprovedAct: Codable, Sendable, Equatable {
  public let kind: String
  /// `type/id`.
  public let subject: String?
  /// By id.
  public let org: String?
  public let details: JSONValue

  public init(kind: String, subject: String?, org: String?, details: JSONValue) {
    (self.kind, self.subject, self.org, self.details) = (kind, subject, org, details)
  }

  /// SHA-256 of the canonical JSON (RFC 8785), as `sha256:…`.
  public var digest: String {
    let document: JSONValue = [
      "kind": .string(kind), "subject": subject.map { .string($0) } ?? .null, "org": org.map { .string($0) } ?? .null,
      "details": details,
    ]
    return "sha256:" + Hex.encode(Array(SHA256.hash(data: Array(document.canonical.utf8))))
  }
}

/// What one person said of a request.
public struct ApprovalVote: Codable, Sendable, Equatable {
  /// The login name.
  public let account: Slug
  public let at: Timestamp
  public let approves: Bool
  public let note: String?

  public init(account: Slug, at: Timestamp, approves: Bool, note: String? = nil) {
    (self.account, self.at, self.approves, self.note) = (account, at, approves, note)
  }
}

/// A request for the word of others, with what they said.
public struct Approval: Codable, Sendable, Equatable {
  public let id: ApprovalID
  public let act: ApprovedAct
  public let digest: String
  /// The login name of whoever asked.
  public let requester: Slug
  public let requestedAt: Timestamp
  public let expiresAt: Timestamp
  public var votes: [ApprovalVote]
  public var usedAt: Timestamp?
  public var usedBy: Slug?

  public init(id: ApprovalID, act: ApprovedAct, requester: Slug, at now: Timestamp, minutes: Int) {
    (self.id, self.act, self.requester, digest) = (id, act, requester, act.digest)
    (requestedAt, expiresAt) = (now, now.advanced(by: .seconds(Int64(minutes) * 60)))
    votes = []
  }
}

/// How a request stands.
public enum ApprovalState: String, Codable, Sendable, CaseIterable {
  case pending, approved, refused, expired, used
}

/// Why an approval does not let an act pass, or a word does not count.
public enum ApprovalProblem: Error, Sendable, Equatable {
  /// It is about another act.
  case stale
  case used
  case expired
  case refused(by: Slug)
  /// Whoever approves is whoever asked or acts, by this or another account.
  case selfGiven
  /// Whoever asked may not carry it out.
  case sameExecutor
  /// Nobody has spoken for these roles.
  case missing([Slug])
  /// This person has spoken already.
  case spoken
  /// None of the rule's roles is this person's.
  case noRole
}

/// Decides about approvals: pure.
public struct ApprovalDecision: Sendable {
  /// The person behind a login name: two accounts can be one person's.
  let person: @Sendable (Slug) -> String
  /// Whether an account is in use; the word of one that is suspended counts no more.
  let counts: @Sendable (Slug) -> Bool

  public init(
    person: @escaping @Sendable (Slug) -> String = { $0.text },
    counts: @escaping @Sendable (Slug) -> Bool = { _ in true }
  ) {
    (self.person, self.counts) = (person, counts)
  }

  /// Whether an approval lets `act` be carried out by `executor` now; nil lets it.
  ///
  /// - Parameter rule: as it is now, not as it was when somebody asked.
  public func problem(
    with approval: Approval, for act: ApprovedAct, by executor: Slug, under rule: ApprovalRule, at now: Timestamp
  ) -> ApprovalProblem? {
    if approval.digest != act.digest || approval.act.digest != approval.digest { return .stale }
    if let problem = closed(approval, at: now) { return problem }
    if rule.separateExecutor, person(executor) == person(approval.requester) { return .sameExecutor }
    let missing = missing(of: approval, under: rule, executor: executor)
    if missing.isEmpty { return nil }
    let gaveItself = approval.votes.contains { $0.approves && person($0.account) == person(executor) }
    return gaveItself ? .selfGiven : .missing(missing)
  }

  /// Whether somebody's word can be taken; nil when it can.
  public func problem(
    voting vote: ApprovalVote, on approval: Approval, under rule: ApprovalRule
  ) -> ApprovalProblem? {
    if let problem = closed(approval, at: vote.at) { return problem }
    if person(vote.account) == person(approval.requester) {
      // Whoever asked may take it back.
      return vote.approves ? .selfGiven : nil
    }
    if approval.votes.contains(where: { person($0.account) == person(vote.account) }) { return .spoken }
    return rule.roles.contains { fills($0, vote.account) } ? nil : .noRole
  }

  public func state(of approval: Approval, under rule: ApprovalRule?, at now: Timestamp) -> ApprovalState {
    switch closed(approval, at: now) {
    case .used: .used
    case .refused: .refused
    case .expired: .expired
    default: rule.map { missing(of: approval, under: $0).isEmpty } ?? true ? .approved : .pending
    }
  }

  /// The roles for which nobody independent has spoken. One person fills one role.
  public func missing(of approval: Approval, under rule: ApprovalRule, executor: Slug? = nil) -> [Slug] {
    let parties = Set([approval.requester, executor].compactMap { $0.map(person) })
    var accounts: [String: Slug] = [:]
    for vote in approval.votes where vote.approves && counts(vote.account) {
      let person = person(vote.account)
      if !parties.contains(person) { accounts[person] = vote.account }
    }
    return unfilled(rule.roles, by: accounts.sorted { $0.key < $1.key }.map(\.value))
  }

  private func closed(_ approval: Approval, at now: Timestamp) -> ApprovalProblem? {
    if approval.usedAt != nil { return .used }
    if let refusal = approval.votes.first(where: { !$0.approves }) { return .refused(by: refusal.account) }
    return now >= approval.expiresAt ? .expired : nil
  }

  private func fills(_ role: ApprovalRole, _ account: Slug) -> Bool {
    role.people.isEmpty || role.people.contains { person($0) == person(account) }
  }

  /// Gives people to roles, one each, so that as many as can be are filled (augmenting paths).
  private func unfilled(_ roles: [ApprovalRole], by people: [Slug]) -> [Slug] {
    var holder: [Int?] = people.map { _ in nil }
    func seat(_ role: Int, _ tried: inout Set<Int>) -> Bool {
      for (index, account) in people.enumerated() where fills(roles[role], account) && tried.insert(index).inserted {
        if holder[index].map({ seat($0, &tried) }) ?? true {
          holder[index] = role
          return true
        }
      }
      return false
    }
    return roles.indices.filter { role in
      var tried: Set<Int> = []
      return !seat(role, &tried)
    }.map { roles[$0].name }
  }
}

/// The limits of approvals and of emergencies.
public enum ApprovalLimits {
  /// A rule lets requests live at least and at most so long.
  public static let minutes = 5...10_080
  public static let minutesDefault = 1_440
  public static let rolesMax = 8
  public static let peopleMax = 32
  /// Requests that wait at one time.
  public static let waitingMax = 500
  /// Requests that are listed: the newest.
  public static let listedMax = 200
  public static let textCharactersMax = 1_000
  /// An emergency lasts so long at most.
  public static let emergencyMinutes = 1...60
}
