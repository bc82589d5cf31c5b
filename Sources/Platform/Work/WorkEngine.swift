import Basics
import Logging
import ServiceLifecycle
import Store
import Synchronization

/// Carries out durable operations: picks up where a crashed control plane stopped, one transaction per step.
public final class WorkEngine: Service {
  /// Writes what happened into the evidence, inside the step's own transaction.
  public typealias Journal = @Sendable (WorkOperation, WorkEvent, Transaction) throws -> Void

  public enum WorkEvent: Sendable, Equatable {
    case stepDone(String, JSONValue)
    case stepFailed(String, AWError)
    case stepUndone(String)
    case succeeded
    case failed
  }

  /// Whether an operation is for this engine: of several control planes on one database, one carries it out. Asked in
  /// the transaction that reads or writes it.
  public typealias Owns = @Sendable (WorkOperation, Transaction) throws -> Bool

  /// How often it looks for operations that others queued, or that fell to it.
  static let lookEvery = Duration.seconds(1)

  private let store: Store
  private let plans: [String: OperationPlan]
  private let clock: WallClock
  private let logger: Logger
  private let journal: Journal
  private let changed: @Sendable (WorkOperation) -> Void
  private let owns: Owns
  private let timer: any Clock<Duration>
  private let underWay = Mutex<Set<OperationID>>([])
  private let nudges: AsyncStream<OperationID>
  private let nudge: AsyncStream<OperationID>.Continuation

  /// - Parameter changed: told after every commit, for live pages.
  public init(
    store: Store, plans: [OperationPlan], clock: WallClock, logger: Logger,
    timer: any Clock<Duration> = ContinuousClock(), owns: @escaping Owns = { _, _ in true },
    journal: @escaping Journal, changed: @escaping @Sendable (WorkOperation) -> Void
  ) {
    self.store = store
    self.plans = Dictionary(plans.map { ($0.kind, $0) }) { first, _ in first }
    self.clock = clock
    self.logger = logger
    self.journal = journal
    self.changed = changed
    self.owns = owns
    self.timer = timer
    (nudges, nudge) = AsyncStream.makeStream()
  }

  /// Queues an operation inside the act's own transaction; it starts once that commits.
  ///
  /// - Throws: `operationRunning` when the subject has one already.
  public func enqueue(
    _ kind: String, subject: String, actor: String, input: JSONValue, in tx: Transaction
  ) throws -> WorkOperation {
    guard let plan = plans[kind] else {
      throw AWError(.internalFailure, "There is no plan for '\(kind)'.", next: "This is a defect in AW: report it.")
    }
    guard try !WorkRecords.isBusy(subject, in: tx) else {
      throw WorkRecords.busy
    }
    let now = clock.now
    let operation = WorkOperation(
      id: .make(at: now), kind: kind, subject: subject, actor: actor, input: input, createdAt: now, updatedAt: now,
      progress: OperationProgress(steps: plan.steps.map(\.name)))
    try WorkRecords.insert(operation, in: tx)
    tx.afterCommit { [nudge] in nudge.yield(operation.id) }
    return operation
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.lookAgainAndAgain() }
        for await id in self.nudges {
          guard self.underWay.withLock({ $0.insert(id).inserted }) else { continue }
          group.addTask {
            await self.carryOut(id)
            self.underWay.withLock { _ = $0.remove(id) }
          }
        }
        group.cancelAll()
      }
    }
  }

  /// Finds what an earlier process left, what another control plane queued, and what fell to this one.
  private func lookAgainAndAgain() async {
    repeat {
      do {
        let unfinished = try await store.read { [owns] tx in
          try WorkRecords.unfinished(in: tx).filter { try owns($0, tx) }
        }
        let known = underWay.withLock { $0 }
        for operation in unfinished where !known.contains(operation.id) {
          logger.notice(
            "an operation is taken up", metadata: ["operation": "\(operation.id)", "kind": "\(operation.kind)"])
          nudge.yield(operation.id)
        }
      } catch {
        logger.error("the operations could not be read", metadata: ["error": "\(error)"])
      }
    } while (try? await timer.sleep(for: Self.lookEvery)) != nil
  }

  /// Another control plane carries the operation out from here on.
  private struct NotOurs: Error {}

  private func carryOut(_ id: OperationID) async {
    var failures = 0
    while !Task.isCancelled {
      do {
        let found = try await store.read { [owns] tx in
          try WorkRecords.find(id, in: tx).flatMap { try owns($0, tx) ? $0 : nil }
        }
        guard var operation = found, let plan = plans[operation.kind] else { return }
        while !operation.isFinished, !Task.isCancelled { try await advance(&operation, plan) }
        return
      } catch is NotOurs {
        return
      } catch {
        // The database could not take the step's result. The step is idempotent: it is tried again.
        failures += 1
        logger.error("an operation cannot be recorded", metadata: ["operation": "\(id)", "error": "\(error)"])
        try? await Task.sleep(for: .milliseconds(min(30_000, 250 << min(failures, 7))))
      }
    }
  }

  private func advance(_ operation: inout WorkOperation, _ plan: OperationPlan) async throws {
    switch operation.progress.next {
    case .finished: return
    case .run(let index): try await run(plan.steps[index], index, &operation)
    case .undo(let index): try await undo(plan.steps[index], index, &operation)
    }
  }

  private func run(_ step: OperationPlan.Step, _ index: Int, _ operation: inout WorkOperation) async throws {
    let started = clock.now
    operation.progress.began(index, at: started)
    try await save(&operation, nil)
    do {
      let detail = try await attempt(step, index, &operation, until: started.advanced(by: step.deadline))
      operation.progress.finished(index, detail: detail, at: clock.now)
      try await save(&operation, .stepDone(step.name, detail))
    } catch let error as StepFailure {
      operation.progress.failed(index, error.error, at: clock.now)
      logger.notice("a step failed", metadata: ["step": "\(step.name)", "reason": "\(error.error.chain)"])
      try await save(&operation, .stepFailed(step.name, error.error))
    }
  }

  private struct StepFailure: Error { let error: AWError }

  /// Runs a step, again and again while its error can mend itself and its deadline allows.
  private func attempt(
    _ step: OperationPlan.Step, _ index: Int, _ operation: inout WorkOperation, until deadline: Timestamp
  ) async throws -> JSONValue {
    var pause = Duration.milliseconds(100)
    while true {
      do {
        return try await step.run(operation)
      } catch {
        // A shutdown leaves the step running: the next start takes it up.
        try Task.checkCancellation()
        let error = AWError.wrapping(error, doing: "The step '\(step.name)'")
        guard step.retries(error), clock.now < deadline else { throw StepFailure(error: error) }
        if operation.progress.steps[index].waitingFor != error.message {
          operation.progress.waits(index, for: error.message)
          try await save(&operation, nil)
        }
        try await Task.sleep(for: pause)
        try await checkOwner(of: operation)
        pause = min(pause * 2, .seconds(2))
      }
    }
  }

  /// Undoing never gives up: what was half-made must not stay. It waits up to a minute between tries.
  private func undo(_ step: OperationPlan.Step, _ index: Int, _ operation: inout WorkOperation) async throws {
    var pause = Duration.milliseconds(250)
    while true {
      do {
        try await step.undo?(operation)
        break
      } catch {
        try Task.checkCancellation()
        let error = AWError.wrapping(error, doing: "Undoing the step '\(step.name)'")
        operation.progress.waits(index, for: error.message)
        logger.notice("an undo is tried again", metadata: ["step": "\(step.name)", "reason": "\(error.chain)"])
        try await save(&operation, nil)
        try await Task.sleep(for: pause)
        try await checkOwner(of: operation)
        pause = min(pause * 2, .seconds(60))
      }
    }
    operation.progress.undone(index)
    try await save(&operation, .stepUndone(step.name))
  }

  private func checkOwner(of operation: WorkOperation) async throws {
    let isOurs = try await store.read { [owns] in try owns(operation, $0) }
    guard isOurs else { throw NotOurs() }
  }

  private func save(_ operation: inout WorkOperation, _ event: WorkEvent?) async throws {
    operation.updatedAt = clock.now
    let snapshot = operation
    try await store.write { [journal, changed, owns] tx in
      guard try owns(snapshot, tx) else { throw NotOurs() }
      try WorkRecords.update(snapshot, in: tx)
      if let event { try journal(snapshot, event, tx) }
      switch snapshot.progress.state {
      case .succeeded: try journal(snapshot, .succeeded, tx)
      case .failed: try journal(snapshot, .failed, tx)
      case .running, .undoing: break
      }
      tx.afterCommit { changed(snapshot) }
    }
  }
}
