import Basics
import Evidence
import Store

/// A request as it is shown.
public struct ApprovalView: Codable, Sendable, Equatable {
  public let approval: Approval
  public let state: ApprovalState
  /// Roles for which nobody has spoken.
  public let missing: [Slug]
}

/// Rules, answers and emergencies: who needs whom.
public struct ApprovalService: Sendable {
  let acts: Acts
  let store: Store
  let approvals: Approvals
  let clock: WallClock
  /// Told in the transaction that opens an emergency or ends it by a review.
  let told: @Sendable (Emergency, Timestamp, Transaction) throws -> Void
  /// Told after each change.
  let changed: @Sendable () -> Void

  public init(
    acts: Acts, store: Store, approvals: Approvals, clock: WallClock,
    told: @escaping @Sendable (Emergency, Timestamp, Transaction) throws -> Void = { _, _, _ in },
    changed: @escaping @Sendable () -> Void = {}
  ) {
    (self.acts, self.store, self.approvals, self.clock) = (acts, store, approvals, clock)
    (self.told, self.changed) = (told, changed)
  }

  /// The kinds that a rule can be made for.
  public var kinds: [String] { approvals.kinds.map(\.id).sorted() }

  // MARK: - Rules

  public func rules() async throws -> [ApprovalRule] { try await store.read { try ApprovalRecords.rules(in: $0) } }

  /// Makes a rule, or puts it in the place of the one there; which then has to let that happen.
  ///
  /// - Throws: `usage` for a kind, role or time that cannot be; what `Acts.perform` throws.
  public func set(_ rule: ApprovalRule, as actor: Actor, dryRun: Bool = false) async throws {
    try check(rule)
    let act = Act(
      .approvalManage, kind: .approvalRuleSet, subject: Approvals.subject(ofRule: rule.kind),
      details: [
        "kind": .string(rule.kind), "minutes": .integer(Int64(rule.minutes)),
        "separateExecutor": .bool(rule.separateExecutor), "roles": try JSONValue(encoding: rule.roles),
      ])
    try await acts.perform(act, as: actor, dryRun: dryRun) { [changed] tx, context in
      for name in rule.roles.flatMap(\.people) {
        guard try AccessRecords.find(named: name, in: tx)?.state == .active else {
          throw AWError(
            .usage, "There is no active operator '\(name)', so nobody could approve for the role.",
            next: "See 'aw operator list'.")
        }
      }
      try ApprovalRecords.save(rule, in: tx)
      context.afterCommit(changed)
    }
  }

  /// - Throws: `notFound`; what `Acts.perform` throws.
  public func removeRule(_ kind: String, as actor: Actor, dryRun: Bool = false) async throws {
    let act = Act(
      .approvalManage, kind: .approvalRuleRemoved, subject: Approvals.subject(ofRule: kind),
      details: ["kind": .string(kind)])
    try await acts.perform(act, as: actor, dryRun: dryRun) { [changed] tx, context in
      guard try ApprovalRecords.rule(kind, in: tx) != nil else {
        throw AWError(.notFound, "There is no rule for \(kind.quoted).", next: "See 'aw approval rule list'.")
      }
      try ApprovalRecords.removeRule(kind, in: tx)
      context.afterCommit(changed)
    }
  }

  private func check(_ rule: ApprovalRule) throws {
    guard kinds.contains(rule.kind) else {
      throw AWError(
        .usage, "No rule can be made for acts of the kind \(rule.kind.quoted).",
        next: "Take one of \(kinds.joined(separator: ", ")).")
    }
    let names = Set(rule.roles.map(\.name))
    guard ApprovalLimits.minutes.contains(rule.minutes), !rule.roles.isEmpty,
      rule.roles.count <= ApprovalLimits.rolesMax, names.count == rule.roles.count,
      rule.roles.allSatisfy({ $0.people.count <= ApprovalLimits.peopleMax })
    else {
      throw AWError(
        .usage, "This rule cannot be.",
        next: """
          Give 1 to \(ApprovalLimits.rolesMax) roles of different names, up to \(ApprovalLimits.peopleMax) people \
          each, and \(ApprovalLimits.minutes.lowerBound) to \(ApprovalLimits.minutes.upperBound) minutes.
          """)
    }
  }

  // MARK: - Requests

  /// The newest, those that wait and those that are over.
  public func list() async throws -> [ApprovalView] {
    let now = clock.now
    return try await store.read { tx in
      let decision = try approvals.decision(in: tx)
      return try ApprovalRecords.approvals(in: tx).map { try view($0, decision, at: now, in: tx) }
    }
  }

  /// The newest, each with why this actor's approval of it would not be taken; nil when it would.
  public func list(asSeenBy actor: Actor) async throws -> [(view: ApprovalView, problem: ApprovalProblem?)] {
    let now = clock.now
    return try await store.read { tx in
      let vote = try AccessRecords.person(behind: actor, in: tx).map {
        ApprovalVote(account: $0, at: now, approves: true)
      }
      let decision = try approvals.decision(in: tx)
      return try ApprovalRecords.approvals(in: tx).map { approval in
        let rule = try answered(approval, in: tx)
        // Nobody has no role.
        let problem = vote.map { decision.problem(voting: $0, on: approval, under: rule) } ?? .noRole
        return (try view(approval, decision, at: now, in: tx), problem)
      }
    }
  }

  /// - Throws: `approvalUnknown`.
  public func show(_ id: ApprovalID) async throws -> ApprovalView {
    let now = clock.now
    return try await store.read { tx in
      guard let approval = try ApprovalRecords.approval(id, in: tx) else { throw ApprovalErrors.unknown(id) }
      return try view(approval, try approvals.decision(in: tx), at: now, in: tx)
    }
  }

  /// Takes somebody's word about a request. One refusal ends it.
  ///
  /// - Throws: `approvalUnknown`, `approvalSelfGiven`, `approvalExpired`, `approvalUsed`, `approvalDenied`,
  ///   `forbidden` for whoever has no role in it, `conflict` for a second word.
  public func answer(
    _ id: ApprovalID, approves: Bool, note: String?, as actor: Actor, dryRun: Bool = false
  ) async throws -> ApprovalView {
    let note = try note.map(Self.text)
    let act = Act(
      .approvalGive, kind: approves ? .approvalGiven : .approvalRefused,
      subject: EvidenceSubject(type: "approval", id: id.text))
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [changed] tx, context in
      guard var approval = try ApprovalRecords.approval(id, in: tx) else { throw ApprovalErrors.unknown(id) }
      guard let account = try AccessRecords.person(behind: actor, in: tx) else {
        throw Acts.Refusal(ApprovalErrors.noPerson(approval.act.kind))
      }
      let vote = ApprovalVote(account: account, at: context.at, approves: approves, note: note)
      let rule = try answered(approval, in: tx)
      let decision = try approvals.decision(in: tx)
      if let problem = decision.problem(voting: vote, on: approval, under: rule) {
        throw Acts.Refusal(ApprovalErrors.refusal(problem, id, approval.act.kind))
      }
      approval.votes.append(vote)
      try ApprovalRecords.save(approval, in: tx)
      context.org = approval.act.org
      context.record("kind", .string(approval.act.kind))
      context.record("digest", .string(approval.digest))
      if let note { context.record("note", .string(note)) }
      context.afterCommit(changed)
      return try view(approval, decision, at: context.at, in: tx)
    }
  }

  private func view(
    _ approval: Approval, _ decision: ApprovalDecision, at now: Timestamp, in tx: Transaction
  ) throws -> ApprovalView {
    let rule = try rule(of: approval, in: tx)
    return ApprovalView(
      approval: approval, state: decision.state(of: approval, under: rule, at: now),
      missing: rule.map { decision.missing(of: approval, under: $0) } ?? [])
  }

  /// Without its rule nobody is asked any more, and a word about it does no harm.
  private func answered(_ approval: Approval, in tx: Transaction) throws -> ApprovalRule {
    try rule(of: approval, in: tx)
      ?? ApprovalRule(
        kind: approval.act.kind, roles: [], minutes: ApprovalLimits.minutesDefault, separateExecutor: false)
  }

  /// As it is now. What changes a rule is under that rule.
  private func rule(of approval: Approval, in tx: Transaction) throws -> ApprovalRule? {
    let prefix = "approval-rule/"
    let kind = approval.act.subject.flatMap { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
    return try ApprovalRecords.rule(kind ?? approval.act.kind, in: tx)
  }

  // MARK: - Emergencies

  public func emergencies() async throws -> [Emergency] {
    try await store.read { try ApprovalRecords.emergencies(in: $0) }
  }

  /// The newest, each with whether this actor is another person than the one who opened it.
  public func emergencies(asSeenBy actor: Actor) async throws -> [(emergency: Emergency, isAnothers: Bool)] {
    try await store.read { [approvals] tx in
      let account = try AccessRecords.person(behind: actor, in: tx)
      return try ApprovalRecords.emergencies(in: tx).map { emergency in
        (emergency, account.map { !approvals.isSamePerson($0, emergency.account) } ?? false)
      }
    }
  }

  /// Lets whoever asks do alone, for a while, what needs two people.
  ///
  /// - Throws: `usage`; `conflict` when an earlier one of the same person is not reviewed; `approvalNoPerson`.
  public func open(reason: String, minutes: Int, as actor: Actor, dryRun: Bool = false) async throws -> Emergency {
    let reason = try Self.text(reason)
    guard ApprovalLimits.emergencyMinutes.contains(minutes) else {
      throw AWError(
        .usage, "An emergency does not last \(minutes) minutes.",
        next: "Give 1 to \(ApprovalLimits.emergencyMinutes.upperBound).")
    }
    let act = Act(.emergencyOpen, kind: .emergencyOpened, details: ["reason": .string(reason)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [approvals, told, changed] tx, context in
      guard let account = try AccessRecords.person(behind: actor, in: tx) else {
        throw Acts.Refusal(ApprovalErrors.noPerson(EvidenceKind.emergencyOpened.id))
      }
      let unreviewed = try ApprovalRecords.unreviewed(in: tx)
      if let former = unreviewed.first(where: { approvals.isSamePerson($0.account, account) }) {
        throw Acts.Refusal(
          AWError(
            .conflict, "Your emergency \(former.id) is not reviewed, so you cannot open another.",
            next: "Let another person review it: 'aw emergency review \(former.id)'."))
      }
      let emergency = Emergency(
        id: .make(at: context.at), account: account, reason: reason, at: context.at, minutes: minutes)
      try ApprovalRecords.save(emergency, in: tx)
      try told(emergency, context.at, tx)
      context.subject = emergency.subject
      context.record("until", .string(emergency.until.description))
      context.afterCommit(changed)
      return emergency
    }
  }

  /// Another person says what is to be said of an emergency. It ends by that if it lasts.
  ///
  /// - Throws: `notFound`, `conflict` when it was reviewed, `approvalSelfGiven` for the same person.
  public func review(
    _ id: EmergencyID, note: String, as actor: Actor, dryRun: Bool = false
  ) async throws -> Emergency {
    let note = try Self.text(note)
    let act = Act(
      .approvalGive, kind: .emergencyReviewed, subject: EvidenceSubject(type: "emergency", id: id.text),
      details: ["note": .string(note)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [approvals, told, changed] tx, context in
      guard var emergency = try ApprovalRecords.emergency(id, in: tx) else {
        throw AWError(.notFound, "There is no emergency \(id).", next: "See 'aw emergency list'.")
      }
      guard let account = try AccessRecords.person(behind: actor, in: tx) else {
        throw Acts.Refusal(ApprovalErrors.noPerson(act.kind.id))
      }
      if approvals.isSamePerson(account, emergency.account) {
        throw Acts.Refusal(
          AWError(
            .approvalSelfGiven, "Whoever opened an emergency does not review it, by any account.",
            next: "Let somebody else do it."))
      }
      guard emergency.reviewedAt == nil else {
        throw AWError(.conflict, "The emergency was reviewed already.", next: "See 'aw emergency list'.")
      }
      (emergency.reviewedAt, emergency.reviewer, emergency.note) = (context.at, account, note)
      try ApprovalRecords.save(emergency, in: tx)
      try told(emergency, context.at, tx)
      context.afterCommit(changed)
      return emergency
    }
  }

  private static func text(_ text: String) throws -> String {
    guard !text.isEmpty, text.count <= ApprovalLimits.textCharactersMax else {
      throw AWError(
        .usage, "A reason or note is missing, or too long.",
        next: "Write 1 to \(ApprovalLimits.textCharactersMax) characters.")
    }
    return text
  }
}
