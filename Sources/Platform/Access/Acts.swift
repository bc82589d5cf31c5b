import Basics
import Evidence
import Logging
import Store

extension EvidenceKind {
  static let actRefused = EvidenceKind("act.refused")
}

/// The one place where acts are authorised, carried out and recorded.
///
/// An act is one transaction: authorise, guardrails, the body changes state, the evidence is appended, the approval of
/// others is used up if a rule asks for it, commit, actions after the commit. If any part fails nothing has changed.
/// There is no act without evidence.
public struct Acts: Sendable {
  private let store: Store
  private let evidence: EvidenceLog
  private let guardrails: [Guardrail]
  private let approvals: Approvals?
  private let clock: WallClock
  private let logger: Logger

  /// - Parameter approvals: what asks for other people; nil asks for nobody.
  public init(
    store: Store, evidence: EvidenceLog, guardrails: [Guardrail], approvals: Approvals? = nil, clock: WallClock,
    logger: Logger
  ) {
    self.store = store
    self.evidence = evidence
    self.guardrails = guardrails
    self.approvals = approvals
    self.clock = clock
    self.logger = logger
  }

  /// Performs an act.
  ///
  /// - Parameters:
  ///   - dryRun: does everything, the evidence included, and then rolls back: what it returns is what would have been.
  ///   - body: changes state in the transaction it is given; what it throws undoes the act and reaches the caller.
  /// - Throws: `forbidden` when the policy or the body refuses, what a guardrail returns, and the error of a `Refusal`
  ///   (all are recorded, unless it is a dry run); `evidenceUnwritable` when the record could not be made; what the
  ///   body or the store throws.
  @discardableResult
  public func perform<Value: Sendable>(
    _ act: Act, as actor: Actor, dryRun: Bool = false,
    _ body: @escaping @Sendable (Transaction, inout ActContext) throws -> Value
  ) async throws -> Value {
    let (now, named) = (clock.now, Approvals.named)
    let fresh = ActContext(id: .make(at: now), at: now)
    do {
      return try await store.write { tx in
        try authorise(act, actor, at: now, in: tx)
        // Asked before the body, which may change the rule.
        let rule = try approvals?.rule(for: act, in: tx)
        var context = fresh
        let value = try body(tx, &context)
        try record(act, actor, context, in: tx)
        if let rule { try consent(to: act, actor, context, rule, named, in: tx) }
        context.afterCommitActions.forEach(tx.afterCommit)
        if dryRun { throw Rehearsed(value: value) }
        return value
      }
    } catch let rehearsed as Rehearsed<Value> {
      return rehearsed.value
    } catch let refused as Refused {
      if dryRun { throw refused.error }
      throw await recorded(refused, act, actor, fresh)
    } catch let wanting as Approvals.Wanting {
      if dryRun { throw ApprovalErrors.required(wanting, nil) }
      throw await asked(wanting, act, actor, fresh)
    } catch let refusal as Refusal {
      if dryRun { throw refusal.error }
      throw await recorded(Refused(error: refusal.error, by: "rule"), act, actor, fresh)
    } catch let error as AWError where error.code == .forbidden && !dryRun {
      // A body can refuse too, by what only it can see, such as whose token it is.
      throw await recorded(Refused(error: error, by: "rule"), act, actor, fresh)
    }
  }

  /// Checks a permission for something that changes nothing, in the transaction that reads.
  ///
  /// - Throws: `forbidden`. Refused reading is not recorded: it changed nothing and can be repeated at any rate.
  public func authorise(_ permission: Permission, as actor: Actor, in tx: Transaction) throws {
    do {
      try authorise(permission, actor, at: clock.now, in: tx)
    } catch let refused as Refused {
      throw refused.error
    }
  }

  // MARK: - Inside the transaction

  private func authorise(_ act: Act, _ actor: Actor, at now: Timestamp, in tx: Transaction) throws {
    if let permission = act.permission { try authorise(permission, actor, at: now, in: tx) }
    for guardrail in guardrails {
      if let error = try guardrail(act, now, tx) { throw Refused(error: error, by: "guardrail") }
    }
  }

  private func authorise(_ permission: Permission, _ actor: Actor, at now: Timestamp, in tx: Transaction) throws {
    let standing = try AccessRecords.standing(of: actor, at: now, in: tx)
    guard case .refused(let reason) = Policy.decide(standing, permission) else { return }
    let error = AWError(
      .forbidden, "This is not allowed: \(permission.rawValue). \(reason)",
      next: "Ask an owner of this deployment to do it, or to give you the role that can.")
    throw Refused(error: error, by: "policy")
  }

  /// Holds the act, as it was carried out, against the rule that asks for another person.
  private func consent(
    to act: Act, _ actor: Actor, _ context: ActContext, _ rule: ApprovalRule, _ named: ApprovalID?,
    in tx: Transaction
  ) throws {
    let subject = act.subject ?? context.subject
    let exact = ApprovedAct(
      kind: act.kind.id, subject: subject.map { "\($0.type)/\($0.id)" }, org: act.org ?? context.org,
      details: act.details)
    do {
      guard let used = try approvals?.consent(to: exact, by: actor, under: rule, naming: named, at: context.at, in: tx)
      else { return }
      let entry = EvidenceEntry(
        kind: used.kind, at: context.at, actor: actor.text, subject: used.subject, org: exact.org,
        act: context.id.text, data: used.data)
      try append(entry, secrets: .refuse, in: tx)
    } catch let error as AWError where error.code.id.hasPrefix("approval.") {
      throw Refused(error: error, by: "approval")
    }
  }

  private func record(_ act: Act, _ actor: Actor, _ context: ActContext, in tx: Transaction) throws {
    let details = act.details.objectValue ?? ["details": act.details]
    let entry = EvidenceEntry(
      kind: act.kind, at: context.at, actor: actor.text, subject: context.subject ?? act.subject,
      org: context.org ?? act.org, act: context.id.text, data: .object(details.merging(context.data) { $1 }))
    try append(entry, redactable: context.redactable, secrets: .refuse, in: tx)
  }

  private func append(
    _ entry: EvidenceEntry, redactable: [Redactable] = [], secrets: SecretStance = .withhold, in tx: Transaction
  ) throws {
    do {
      try evidence.append(entry, redactable: redactable, secrets: secrets, in: tx)
    } catch let error as AWError where error.code == .evidenceSecret {
      throw Refused(error: error, by: "hygiene")
    } catch {
      throw AWError(
        .evidenceUnwritable, "The act was not carried out, because the record of it could not be written.",
        next: "Look in the log of the control plane for what is wrong with the evidence log, then try again.",
        cause: error)
    }
  }

  // MARK: - Refusals

  /// Leaves a request for approval in the place of an act, and returns the error that names it.
  private func asked(
    _ wanting: Approvals.Wanting, _ act: Act, _ actor: Actor, _ context: ActContext
  ) async -> AWError {
    guard let approvals else { return ApprovalErrors.required(wanting, nil) }
    do {
      let approval = try await store.write { tx in
        let (approval, isNew) = try approvals.request(wanting, at: context.at, in: tx)
        if isNew {
          let entry = EvidenceEntry(
            kind: .approvalRequested, at: context.at, actor: actor.text, subject: approval.subject,
            org: wanting.act.org, act: context.id.text,
            data: [
              "kind": .string(wanting.act.kind), "digest": .string(approval.digest),
              "requester": .string(approval.requester.text), "expires": .string(approval.expiresAt.description),
            ])
          try append(entry, in: tx)
        }
        return approval
      }
      let refused = Refused(error: ApprovalErrors.required(wanting, approval.id), by: "approval")
      return await recorded(refused, act, actor, context)
    } catch {
      return AWError.wrapping(error, doing: "Leaving a request for approval")
    }
  }

  /// Records a refusal and returns the error for the caller. The refusal stands when the record fails.
  private func recorded(_ refused: Refused, _ act: Act, _ actor: Actor, _ context: ActContext) async -> AWError {
    var data: [String: JSONValue] = [
      "kind": .string(act.kind.id), "code": .string(refused.error.code.id), "by": .string(refused.by),
      "reason": .string(refused.error.message),
    ]
    if let permission = act.permission { data["permission"] = .string(permission.rawValue) }
    let entry = EvidenceEntry(
      kind: .actRefused, at: context.at, actor: actor.text, subject: act.subject, org: act.org, act: context.id.text,
      data: .object(data))
    do {
      try await store.write { tx in try append(entry, in: tx) }
      return refused.error
    } catch {
      let cause = AWError.wrapping(error, doing: "Recording a refused act")
      logger.error("A refused act could not be recorded", metadata: ["error": "\(cause.chain)"])
      return AWError(refused.error.code, refused.error.message, next: refused.error.next, cause: cause)
    }
  }

  /// What a body throws when a rule that only it can see refuses the act: it is recorded, and the error reaches the
  /// caller.
  public struct Refusal: Error {
    let error: AWError

    public init(_ error: AWError) { self.error = error }
  }

  /// Rolls a dry run back and carries what it returned.
  private struct Rehearsed<Value: Sendable>: Error { let value: Value }

  private struct Refused: Error {
    let error: AWError
    /// `policy`, `guardrail`, `approval`, `rule` or `hygiene`.
    let by: String
  }
}
