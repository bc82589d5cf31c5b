import Basics
import Evidence
import Logging
import Store

extension EvidenceKind {
  static let actRefused = EvidenceKind("act.refused")
}

/// The one place where acts are authorised, carried out and recorded.
///
/// An act is one transaction: authorise, guardrails, the body changes state, the evidence is appended, commit, actions
/// after the commit. If any part fails nothing has changed. There is no act without evidence.
public struct Acts: Sendable {
  private let store: Store
  private let evidence: EvidenceLog
  private let guardrails: [Guardrail]
  private let clock: WallClock
  private let logger: Logger

  public init(store: Store, evidence: EvidenceLog, guardrails: [Guardrail], clock: WallClock, logger: Logger) {
    self.store = store
    self.evidence = evidence
    self.guardrails = guardrails
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
    let now = clock.now
    let fresh = ActContext(id: .make(at: now), at: now)
    do {
      return try await store.write { tx in
        try authorise(act, actor, at: now, in: tx)
        var context = fresh
        let value = try body(tx, &context)
        try record(act, actor, context, in: tx)
        context.afterCommitActions.forEach(tx.afterCommit)
        if dryRun { throw Rehearsed(value: value) }
        return value
      }
    } catch let rehearsed as Rehearsed<Value> {
      return rehearsed.value
    } catch let refused as Refused {
      if dryRun { throw refused.error }
      throw await recorded(refused, act, actor, fresh)
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

  private func record(_ act: Act, _ actor: Actor, _ context: ActContext, in tx: Transaction) throws {
    let details = act.details.objectValue ?? ["details": act.details]
    let entry = EvidenceEntry(
      kind: act.kind, at: context.at, actor: actor.text, subject: context.subject ?? act.subject,
      org: context.org ?? act.org, act: context.id.text, data: .object(details.merging(context.data) { $1 }))
    try append(entry, redactable: context.redactable, in: tx)
  }

  private func append(_ entry: EvidenceEntry, redactable: [Redactable] = [], in tx: Transaction) throws {
    do {
      try evidence.append(entry, redactable: redactable, in: tx)
    } catch {
      throw AWError(
        .evidenceUnwritable, "The act was not carried out, because the record of it could not be written.",
        next: "Look in the log of the control plane for what is wrong with the evidence log, then try again.",
        cause: error)
    }
  }

  // MARK: - Refusals

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
    /// `policy`, `guardrail` or `rule`.
    let by: String
  }
}
