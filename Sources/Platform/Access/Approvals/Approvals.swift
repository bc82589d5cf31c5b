import Basics
import Evidence
import Store

extension EvidenceKind {
  public static let approvalRuleSet = EvidenceKind("approval.rule-set")
  public static let approvalRuleRemoved = EvidenceKind("approval.rule-removed")
  public static let approvalRequested = EvidenceKind("approval.requested")
  public static let approvalGiven = EvidenceKind("approval.given")
  public static let approvalRefused = EvidenceKind("approval.refused")
  public static let approvalUsed = EvidenceKind("approval.used")
  public static let emergencyOpened = EvidenceKind("emergency.opened")
  public static let emergencyUsed = EvidenceKind("emergency.used")
  public static let emergencyReviewed = EvidenceKind("emergency.reviewed")
}

/// Holds acts against the rules that ask for another person, for `Acts`.
public struct Approvals: Sendable {
  /// The approval that whoever asks for an act names with it.
  @TaskLocal public static var named: ApprovalID?

  /// The kinds of acts that a rule can be made for: closed, so that no rule names what never happens.
  public let kinds: [EvidenceKind]
  private let person: @Sendable (Slug) -> String

  /// - Parameter person: the person behind a login name.
  public init(kinds: [EvidenceKind], person: @escaping @Sendable (Slug) -> String = { $0.text }) {
    (self.kinds, self.person) = (kinds, person)
  }

  func decision(in tx: Transaction) throws -> ApprovalDecision {
    let active = Set(try AccessRecords.operators(in: tx).filter { $0.state == .active }.map(\.name))
    return ApprovalDecision(person: person, counts: { active.contains($0) })
  }

  func isSamePerson(_ one: Slug, _ other: Slug) -> Bool { person(one) == person(other) }

  static func subject(ofRule kind: String) -> EvidenceSubject { EvidenceSubject(type: "approval-rule", id: kind) }

  /// The rule that an act falls under. A rule binds the acts that change it, too: nobody takes it away alone.
  func rule(for act: Act, in tx: Transaction) throws -> ApprovalRule? {
    let isAboutRule = act.kind == .approvalRuleSet || act.kind == .approvalRuleRemoved
    guard isAboutRule || kinds.contains(act.kind) else { return nil }
    return try ApprovalRecords.rule(isAboutRule ? act.subject?.id ?? "" : act.kind.id, in: tx)
  }

  /// Uses the approval that is named, or the one that whoever acts asked for and got, or their emergency.
  ///
  /// - Returns: the evidence of that, to be appended with the act's.
  /// - Throws: `Wanting`; `approvalNoPerson` for nobody; what is wrong with the approval that is named.
  func consent(
    to act: ApprovedAct, by actor: Actor, under rule: ApprovalRule, naming named: ApprovalID?, at now: Timestamp,
    in tx: Transaction
  ) throws -> (kind: EvidenceKind, subject: EvidenceSubject, data: JSONValue) {
    guard let account = try AccessRecords.person(behind: actor, in: tx) else { throw ApprovalErrors.noPerson(act.kind) }
    let named = try named ?? given(for: act, to: account, under: rule, at: now, in: tx)
    let emergency = try ApprovalRecords.unreviewed(in: tx).first { $0.covers(account, at: now) }
    if named == nil, var emergency {
      emergency.acts.append(act.digest)
      try ApprovalRecords.save(emergency, in: tx)
      return (.emergencyUsed, emergency.subject, ["kind": .string(act.kind), "digest": .string(act.digest)])
    }
    guard let named else { throw Wanting(act: act, account: account, rule: rule) }
    guard var approval = try ApprovalRecords.approval(named, in: tx) else { throw ApprovalErrors.unknown(named) }
    if let problem = try decision(in: tx).problem(with: approval, for: act, by: account, under: rule, at: now) {
      throw ApprovalErrors.refusal(problem, named, act.kind)
    }
    (approval.usedAt, approval.usedBy) = (now, account)
    try ApprovalRecords.save(approval, in: tx)
    let approvers = approval.votes.filter(\.approves).map { JSONValue.string($0.account.text) }
    return (
      .approvalUsed, approval.subject,
      [
        "kind": .string(act.kind), "digest": .string(act.digest), "requester": .string(approval.requester.text),
        "approvers": .array(approvers),
      ]
    )
  }

  /// A page has no place for the id of an approval: to ask again for exactly the same act is enough.
  private func given(
    for act: ApprovedAct, to account: Slug, under rule: ApprovalRule, at now: Timestamp, in tx: Transaction
  ) throws -> ApprovalID? {
    let decision = try decision(in: tx)
    return try ApprovalRecords.open(act.digest, at: now, in: tx).first { approval in
      isSamePerson(approval.requester, account)
        && decision.problem(with: approval, for: act, by: account, under: rule, at: now) == nil
    }?.id
  }

  /// What is thrown when nothing is named: it undoes the act, and a request is left in its place.
  struct Wanting: Error {
    let act: ApprovedAct
    let account: Slug
    let rule: ApprovalRule
  }

  /// The request that waits for an act, or a new one.
  ///
  /// - Throws: `tooLarge` when too many wait.
  func request(_ wanting: Wanting, at now: Timestamp, in tx: Transaction) throws -> (approval: Approval, isNew: Bool) {
    let open = try ApprovalRecords.open(wanting.act.digest, at: now, in: tx)
    if let present = open.first(where: { isSamePerson($0.requester, wanting.account) }) { return (present, false) }
    guard try ApprovalRecords.waiting(at: now, in: tx) < ApprovalLimits.waitingMax else {
      throw AWError(
        .tooLarge, "\(ApprovalLimits.waitingMax) requests for approval wait already.",
        next: "Answer some of them: 'aw approval list'.")
    }
    let approval = Approval(
      id: .make(at: now), act: wanting.act, requester: wanting.account, at: now, minutes: wanting.rule.minutes)
    try ApprovalRecords.save(approval, in: tx)
    return (approval, true)
  }
}

extension Approval {
  var subject: EvidenceSubject { EvidenceSubject(type: "approval", id: id.text) }
}

extension Emergency {
  var subject: EvidenceSubject { EvidenceSubject(type: "emergency", id: id.text) }
}

enum ApprovalErrors {
  static func noPerson(_ kind: String) -> AWError {
    AWError(
      .approvalNoPerson, "This needs two people, and whoever asks is nobody: \(kind).",
      next: "Use an API token of your own, not the control plane's socket.")
  }

  static func unknown(_ id: ApprovalID) -> AWError {
    AWError(.approvalUnknown, "There is no request for approval \(id).", next: "See 'aw approval list'.")
  }

  /// - Parameter id: of the request that was left; nil in a dry run, which leaves none.
  static func required(_ wanting: Approvals.Wanting, _ id: ApprovalID?) -> AWError {
    let roles = wanting.rule.roles.map { role in
      role.people.isEmpty ? role.name.text : "\(role.name) (\(role.people.map(\.text).joined(separator: ", ")))"
    }
    let next =
      id.map { "Once 'aw approval approve \($0)' was done by each role, ask again with --approval \($0)." }
      ?? "Without --dry-run this leaves a request that they can approve."
    return AWError(
      .approvalRequired,
      "This needs the approval of \(roles.joined(separator: " and ")): the rule for \(wanting.rule.kind) says so.",
      next: next)
  }

  static func refusal(_ problem: ApprovalProblem, _ id: ApprovalID, _ kind: String) -> AWError {
    let again = "Ask again without --approval: that leaves a new request."
    switch problem {
    case .stale:
      return AWError(.approvalStale, "The approval \(id) is about another act than this one.", next: again)
    case .used: return AWError(.approvalUsed, "The approval \(id) was used before.", next: again)
    case .expired: return AWError(.approvalExpired, "The approval \(id) is over.", next: again)
    case .refused(let account):
      return AWError(.approvalDenied, "The request \(id) was refused by '\(account)'.", next: "See 'aw approval show'.")
    case .selfGiven:
      return AWError(
        .approvalSelfGiven, "Whoever asks for \(kind) or carries it out does not approve it, by any account.",
        next: "Let somebody else do it.")
    case .sameExecutor:
      return AWError(
        .approvalSelfGiven, "The rule for \(kind) says that whoever asked does not carry it out.",
        next: "Let a third person do it, naming --approval \(id).")
    case .missing(let roles):
      return AWError(
        .approvalRequired,
        "Nobody has approved \(id) for \(roles.map(\.text).joined(separator: " and ")) yet.",
        next: "Let somebody of each role run 'aw approval approve \(id)'.")
    case .spoken: return AWError(.conflict, "This person has answered \(id) already.", next: "See 'aw approval show'.")
    case .noRole:
      return AWError(
        .forbidden, "The rule for \(kind) names no role that is yours.", next: "Let somebody of its roles answer.")
    }
  }
}
