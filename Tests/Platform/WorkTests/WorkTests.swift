import Basics
import Foundation
import Logging
import Store
import Synchronization
import Testing

@testable import Work

@Suite("The saga as a value")
struct OperationProgressTests {
  let now = Timestamp(millisecondsSince1970: 1)
  let error = AWError(.runtimeFailed, "It broke.", next: "Mend it.")

  @Test("steps run in order to success")
  func success() {
    var progress = OperationProgress(steps: ["a", "b"])
    #expect(progress.next == .run(0))
    progress.began(0, at: now)
    progress.finished(0, detail: "x", at: now)
    #expect(progress.next == .run(1))
    progress.began(1, at: now)
    progress.finished(1, detail: .null, at: now)
    #expect(progress.state == .succeeded)
    #expect(progress.next == .finished)
  }

  @Test("a failure at any step undoes every step that began, in reverse", arguments: 0..<4)
  func failure(at failing: Int) {
    var progress = OperationProgress(steps: ["a", "b", "c", "d"])
    for index in 0..<failing {
      progress.began(index, at: now)
      progress.finished(index, detail: .null, at: now)
    }
    progress.began(failing, at: now)
    progress.failed(failing, error, at: now)
    for index in stride(from: failing, through: 0, by: -1) {
      #expect(progress.state == .undoing)
      #expect(progress.next == .undo(index))
      progress.undone(index)
    }
    #expect(progress.state == .failed)
    #expect(progress.failure?.step == ["a", "b", "c", "d"][failing])
    #expect(progress.failure?.error == error)
  }

  @Test("events out of turn change nothing")
  func outOfTurn() {
    var progress = OperationProgress(steps: ["a", "b"])
    let before = progress
    progress.finished(1, detail: .null, at: now)
    progress.undone(0)
    progress.failed(1, error, at: now)
    #expect(progress == before)
  }

  @Test("progress reads back from its stored form")
  func stored() throws {
    var progress = OperationProgress(steps: ["a", "b"])
    progress.began(0, at: now)
    progress.failed(0, error, at: now)
    #expect(try JSONValue(encoding: progress).decode(OperationProgress.self) == progress)
  }
}

/// What the steps of a test plan did, in order.
final class Trace: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}

@Suite("The work engine", .timeLimit(.minutes(1)))
struct WorkEngineTests {
  static func store() async throws -> (Store, path: String) {
    let path = NSTemporaryDirectory() + "aw-work-\(UUID().uuidString).sqlite"
    let store = try await Store.open(
      .sqlite(path: path), migrations: WorkRecords.migrations, logger: Logger(label: "store"))
    return (store, path)
  }

  static func plan(_ trace: Trace, failing: Int?) -> OperationPlan {
    OperationPlan(
      kind: "test",
      steps: (0..<3).map { index in
        OperationPlan.Step("step-\(index)", deadline: .seconds(5)) { _ in
          trace.add("run \(index)")
          if failing == index { throw AWError(.runtimeFailed, "It broke.", next: "Mend it.") }
          return .integer(Int64(index))
        } undo: { _ in
          trace.add("undo \(index)")
        }
      })
  }

  /// Runs an engine until the operation is finished.
  static func finish(_ store: Store, _ plan: OperationPlan, journal: Trace, start: Bool) async throws -> WorkOperation {
    let (finished, signal) = AsyncStream<WorkOperation>.makeStream()
    let engine = WorkEngine(
      store: store, plans: [plan], clock: .system, logger: Logger(label: "work"),
      journal: { operation, event, _ in journal.add("\(event)") },
      changed: { if $0.isFinished { signal.yield($0) } })
    let running = Task { try await engine.run() }
    if start {
      _ = try await store.write { tx in
        try engine.enqueue("test", subject: "s", actor: "me", input: ["a": 1], in: tx)
      }
    }
    var last: WorkOperation?
    for await operation in finished {
      last = operation
      break
    }
    running.cancel()
    _ = await running.result
    return try #require(last)
  }

  @Test("a plan runs to its end, with an entry for every step")
  func success() async throws {
    let (store, _) = try await Self.store()
    let (trace, journal) = (Trace(), Trace())
    let operation = try await Self.finish(store, Self.plan(trace, failing: nil), journal: journal, start: true)
    #expect(operation.progress.state == .succeeded)
    #expect(trace.all == ["run 0", "run 1", "run 2"])
    #expect(journal.all.count == 4)
    #expect(try await store.read { try WorkRecords.find(operation.id, in: $0) } == operation)
    await store.close()
  }

  @Test("a failure at any step is undone in reverse", arguments: 0..<3)
  func failure(at failing: Int) async throws {
    let (store, _) = try await Self.store()
    let trace = Trace()
    let operation = try await Self.finish(
      store, Self.plan(trace, failing: failing), journal: Trace(), start: true)
    #expect(operation.progress.state == .failed)
    #expect(
      trace.all == (0...failing).map { "run \($0)" } + (0...failing).reversed().map { "undo \($0)" })
    await store.close()
  }

  @Test("an operation whose control plane died is taken up where it stopped", arguments: 0..<3)
  func resume(at step: Int) async throws {
    let (store, _) = try await Self.store()
    var progress = OperationProgress(steps: ["step-0", "step-1", "step-2"])
    for index in 0...step {
      progress.began(index, at: Timestamp(millisecondsSince1970: 1))
      if index < step { progress.finished(index, detail: .null, at: Timestamp(millisecondsSince1970: 1)) }
    }
    let interrupted = WorkOperation(
      id: .make(at: Timestamp(millisecondsSince1970: 1)), kind: "test", subject: "s", actor: "me", input: .null,
      createdAt: Timestamp(millisecondsSince1970: 1), updatedAt: Timestamp(millisecondsSince1970: 1),
      progress: progress)
    try await store.write { try WorkRecords.insert(interrupted, in: $0) }
    let trace = Trace()
    let operation = try await Self.finish(store, Self.plan(trace, failing: nil), journal: Trace(), start: false)
    #expect(operation.progress.state == .succeeded)
    #expect(trace.all == (step..<3).map { "run \($0)" })
    #expect(operation.progress.steps[step].attempts == 2)
    await store.close()
  }

  @Test("a subject has one running operation at a time")
  func busy() async throws {
    let (store, _) = try await Self.store()
    let engine = WorkEngine(
      store: store, plans: [Self.plan(Trace(), failing: nil)], clock: .system, logger: Logger(label: "work"),
      journal: { _, _, _ in }, changed: { _ in })
    _ = try await store.write { try engine.enqueue("test", subject: "s", actor: "me", input: .null, in: $0) }
    await #expect(throws: AWError(.operationRunning, "", next: "")) {
      try await store.write { try engine.enqueue("test", subject: "s", actor: "me", input: .null, in: $0) }
    }
    _ = try await store.write { try engine.enqueue("test", subject: "other", actor: "me", input: .null, in: $0) }
    await store.close()
  }
}
