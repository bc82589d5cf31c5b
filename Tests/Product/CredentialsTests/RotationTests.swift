import Access
import Basics
import Evidence
import Fleet
import Foundation
import Store
import Synchronization
import Synthetic
import TestSupport
import Testing
import Vault

@testable import Credentials
@testable import Work

/// Rotations over a real database, a real sealed file and the simulated vendors. What starts Instances only takes note:
/// a scenario has real ones.
struct RotationWorld: Sendable {
  let world: CredentialWorld
  let desk: VendorDesk
  let begun = Begun()

  /// What was begun of Instances: one restart for every version that came to count.
  final class Begun: Sendable {
    private let times = Mutex<[Timestamp]>([])
    var all: [Timestamp] { times.withLock { $0 } }
    /// Whether the first run with whatever counts now is to fail.
    let fails = Mutex(false)
    func begin(_ since: Timestamp) { times.withLock { if !$0.contains(since) { $0.append(since) } } }
  }

  static func with(_ body: @escaping @Sendable (RotationWorld) async throws -> Void) async throws {
    try await CredentialWorld.withVendors { world, desk in
      try await body(RotationWorld(world: world, desk: desk))
    }
  }

  var steps: RotationSteps {
    RotationSteps(
      credentials: world.service,
      runs: FirstRuns(
        begin: { [begun] _, since, _ in begun.begin(since) },
        look: { [world] _, since in
          try await world.store.read { tx in
            try WorkRecords.of("instance", limit: 1, in: tx).filter { $0.createdAt >= since }
          }
        }))
  }

  func engine(_ plan: OperationPlan) -> (WorkEngine, AsyncStream<WorkOperation>) {
    let (finished, signal) = AsyncStream<WorkOperation>.makeStream()
    let engine = WorkEngine(
      store: world.store, plans: [plan], clock: world.time.clock, logger: TestStores.logger,
      journal: { _, _, _ in }, changed: { if $0.isFinished { signal.yield($0) } })
    return (engine, finished)
  }

  /// Rotates with a plan, and waits for its end.
  func rotate(
    to value: String, class kind: String? = nil, _ plan: OperationPlan? = nil, otherAccount: Bool? = nil
  ) async throws -> WorkOperation {
    let (engine, finished) = engine(plan ?? steps.plan)
    let running = Task { try await engine.run() }
    defer { running.cancel() }
    let service = RotationService(credentials: world.service, engine: engine)
    _ = try await service.rotate(
      .init(surface: CredentialSurface.openAI.rawValue, class: kind, otherAccount: otherAccount), value: Secret(value),
      org: try Slug("acme"), as: CredentialWorld.actor)
    return try await end(finished)
  }

  func end(_ finished: AsyncStream<WorkOperation>) async throws -> WorkOperation {
    for await operation in finished { return operation }
    throw AWError(.internalFailure, "The engine ended.", next: "")
  }

  /// The version that counts, its class, the versions beside it, and the values that the vault holds.
  struct State: Equatable {
    var counts: Int
    var kind: CredentialClass
    var spares: [Int]
    var values: [String]
  }

  func state() async throws -> State {
    let credential = try await world.service.standing(.openAI, org: try Slug("acme")).credential
    let spares = try await world.store.read { try SpareRecords.of(.openAI, credential.org, in: $0) }
    var values: [String] = []
    for reference in try await world.sealed.references() {
      values.append(try await world.sealed.get(reference).withText { $0 })
    }
    let value = try await world.sealed.get(try SecretReference(credential.place.key))
    #expect(world.service.fingerprinter.fingerprint(of: value) == credential.fingerprint)
    return State(
      counts: credential.version, kind: credential.reference.kind, spares: spares.map(\.credential.version),
      values: values.sorted())
  }
}

@Suite("A real value takes the place of a fixture, and a fresh one that of a worn one", .timeLimit(.minutes(3)))
struct RotationTests {
  static let (one, two) = ("sk-proj-\(IntakeTests.tail)", "sk-proj-9\(IntakeTests.tail)")
  static let steps = RotationStep.allCases.count

  /// A fixture that counts, an open gate, and a real value that the vendor knows.
  private func transition(_ body: @escaping @Sendable (RotationWorld, String) async throws -> Void) async throws {
    try await RotationWorld.with { (world) async throws in
      let fixture = try FixtureValue.make(.openAI, name: "acme")
      try await world.world.set(.openAI, "acme")
      _ = try await world.world.service.validate(.openAI, org: try Slug("acme"), as: CredentialWorld.actor)
      try await world.world.open()
      world.desk.admit(Self.one, as: "acme")
      try await body(world, fixture)
    }
  }

  private static let new = RotationWorld.State(counts: 2, kind: .real, spares: [], values: [one])
  private static func old(_ fixture: String) -> RotationWorld.State {
    RotationWorld.State(counts: 1, kind: .fixture, spares: [], values: [fixture])
  }

  /// A plan with one step in the place of another.
  private func plan(
    _ plan: OperationPlan, _ index: Int, _ edit: (OperationPlan.Step) -> OperationPlan.Step
  ) -> OperationPlan {
    OperationPlan(kind: plan.kind, steps: plan.steps.enumerated().map { $0 == index ? edit($1) : $1 })
  }

  private func step(
    like step: OperationPlan.Step, run: @escaping @Sendable (WorkOperation) async throws -> JSONValue
  ) -> OperationPlan.Step {
    .init(step.name, deadline: step.deadline, retries: step.retries, run: run, undo: step.undo)
  }

  @Test(
    "six steps, and then the real value counts; nothing of the fixture is left; neither is sent to the other's door")
  func whole() async throws {
    try await transition { (world, _) async throws in
      let done = try await world.rotate(to: Self.one, class: "real")
      #expect(done.progress.state == .succeeded, "\(String(describing: done.progress.failure))")
      #expect(done.progress.steps.map(\.name) == RotationStep.allCases.map(\.rawValue))
      #expect(done.progress.steps.last?.detail["marksLeft"] == 0)
      #expect(try await world.state() == Self.new)
      let standing = try await world.world.service.standing(.openAI, org: try Slug("acme"))
      #expect(standing.status == .valid && standing.credential.identity == "user-acme")
      #expect(world.desk.strays == 0 && world.begun.all.count == 1)
      #expect(try await world.world.store.occurrences(of: "sk-proj-aw-fixture-").isEmpty)
      #expect(try await !world.world.store.occurrences(of: "orgs/acme/").isEmpty)
    }
  }

  @Test("each step and each inverse run twice changes nothing about where it ends", arguments: 0..<steps)
  func twice(index: Int) async throws {
    try await transition { (world, _) async throws in
      let twice = plan(world.steps.plan, index) { real in
        step(like: real) { operation in
          _ = try await real.run(operation)
          return try await real.run(operation)
        }
      }
      #expect(try await world.rotate(to: Self.one, class: "real", twice).progress.state == .succeeded)
      #expect(try await world.state() == Self.new)
      #expect(world.begun.all.count == 1)
    }
  }

  @Test("a failure at any step but the last ends with the old value whole, each inverse run twice", arguments: 0..<5)
  func failed(index: Int) async throws {
    try await transition { (world, fixture) async throws in
      for doesFirst in [false, true] {
        var failing = plan(world.steps.plan, index) { real in
          step(like: real) { operation in
            if doesFirst { _ = try await real.run(operation) }
            throw AWError(.runtimeFailed, "It broke.", next: "Mend it.")
          }
        }
        failing = OperationPlan(
          kind: failing.kind,
          steps: failing.steps.map { step in
            .init(step.name, deadline: step.deadline, retries: step.retries, run: step.run) { operation in
              try await step.undo?(operation)
              try await step.undo?(operation)
            }
          })
        #expect(try await world.rotate(to: Self.one, class: "real", failing).progress.state == .failed)
        #expect(try await world.state() == Self.old(fixture))
        world.world.time.advance(.seconds(1))
      }
      // Nothing stands in the way of doing it again.
      #expect(try await world.rotate(to: Self.one, class: "real").progress.state == .succeeded)
      let state = try await world.state()
      // A number that was taken once never means another value.
      #expect(state == .init(counts: 4, kind: .real, spares: [], values: [Self.one]))
    }
  }

  @Test("killed before or after the work of any step, it is taken up and ends with the new value", arguments: 0..<steps)
  func killed(index: Int) async throws {
    for doesFirst in [false, true] {
      try await transition { (world, fixture) async throws in
        let (reached, signal) = AsyncStream<Void>.makeStream()
        let dying = plan(world.steps.plan, index) { real in
          step(like: real) { operation in
            if doesFirst { _ = try await real.run(operation) }
            signal.yield()
            // The process dies here: nothing of the step is recorded.
            for await _ in AsyncStream<Void>.makeStream().stream {}
            throw CancellationError()
          }
        }
        let (engine, _) = world.engine(dying)
        let running = Task { try await engine.run() }
        let service = RotationService(credentials: world.world.service, engine: engine)
        _ = try await service.rotate(
          .init(surface: CredentialSurface.openAI.rawValue, class: "real"), value: Secret(Self.one),
          org: try Slug("acme"), as: CredentialWorld.actor)
        for await _ in reached { break }
        running.cancel()
        _ = await running.result
        // Meanwhile it is whole, one or the other.
        let between = try await world.state()
        #expect([1, 2].contains(between.counts) && between.values.contains(between.counts == 1 ? fixture : Self.one))
        let (next, finished) = world.engine(world.steps.plan)
        let again = Task { try await next.run() }
        let done = try await world.end(finished)
        again.cancel()
        #expect(done.progress.state == .succeeded, "\(String(describing: done.progress.failure))")
        #expect(try await world.state() == Self.new)
      }
    }
  }

  @Test("a value that the vendor refuses, a gate that shuts meanwhile, a mark that is left: the fixture counts on")
  func refused() async throws {
    try await transition { (world, fixture) async throws in
      let bad = try await world.rotate(to: Self.two, class: "real")
      #expect(bad.progress.failure?.code == ErrorCode.credentialRefused.id)
      #expect(try await world.state() == Self.old(fixture))
      let service = world.world.service
      let gate = try #require(try await service.gates(of: nil).first).record.request.id
      let shutting = plan(world.steps.plan, 2) { real in
        step(like: real) { operation in
          _ = try await service.revokeGate(gate, reason: "over", as: CredentialWorld.actor)
          return try await real.run(operation)
        }
      }
      let shut = try await world.rotate(to: Self.one, class: "real", shutting)
      #expect(shut.progress.failure?.code == ErrorCode.gateRevoked.id)
      #expect(try await world.state() == Self.old(fixture))
      await CredentialVaultTests.fails(.gateRevoked) { _ = try await world.rotate(to: Self.one, class: "real") }
      try await world.world.open()
      try await world.world.store.write { tx in
        try tx.run("UPDATE org SET name = ? WHERE slug = 'globex'", [.text("see sk-proj-aw-fixture-x")])
      }
      let marked = try await world.rotate(to: Self.one, class: "real")
      #expect(marked.progress.failure?.code == ErrorCode.credentialMarksLeft.id)
      #expect(marked.progress.failure?.message.contains("org.name") == true)
      #expect(try await world.state() == Self.old(fixture))
    }
  }

  @Test("a rotation proves that the old value is dead before it forgets it, and waits for that as long as it takes")
  func rotated() async throws {
    try await RotationWorld.with { (world) async throws in
      let (acme, actor, service) = (try Slug("acme"), CredentialWorld.actor, world.world.service)
      try await world.world.open()
      for value in [Self.one, Self.two] { world.desk.admit(value, as: "acme") }
      try await world.world.setGated(Self.one)
      #expect(try await service.validate(.openAI, org: acme, as: actor).status == .valid)
      let done = try await world.rotate(to: Self.two)
      #expect(done.progress.state == .succeeded)
      #expect(done.progress.steps.last?.detail["old"] == "the vendor still lets it in")
      let both = RotationWorld.State(counts: 2, kind: .real, spares: [1], values: [Self.one, Self.two].sorted())
      #expect(try await world.state() == both)
      let rotation = RotationService(credentials: service, engine: world.engine(world.steps.plan).0)
      await CredentialVaultTests.fails(.credentialStillAlive) {
        _ = try await rotation.retire(.openAI, org: acme, as: actor)
      }
      #expect(try await world.state() == both)
      world.desk.revoke(Self.one)
      #expect(try await rotation.retire(.openAI, org: acme, as: actor, dryRun: true) == [1])
      #expect(try await rotation.retire(.openAI, org: acme, as: actor) == [1])
      #expect(try await world.state() == .init(counts: 2, kind: .real, spares: [], values: [Self.two]))
      await CredentialVaultTests.fails(.credentialUnknown) {
        _ = try await rotation.retire(.openAI, org: acme, as: actor)
      }
      #expect(try await world.world.entries().last?.kind == .credentialRetired)
    }
  }

  @Test("one that is dead already is forgotten by the rotation itself; another account is refused unless it is meant")
  func accounts() async throws {
    try await RotationWorld.with { (world) async throws in
      let (acme, actor) = (try Slug("acme"), CredentialWorld.actor)
      try await world.world.set(.openAI, "acme")
      _ = try await world.world.service.validate(.openAI, org: acme, as: actor)
      let other = try FixtureValue.make(.openAI, name: "other")
      let refused = try await world.rotate(to: other)
      #expect(refused.progress.failure?.code == ErrorCode.credentialOtherIdentity.id)
      #expect(try await world.state().counts == 1)
      world.desk.revoke(try FixtureValue.make(.openAI, name: "acme"))
      let done = try await world.rotate(to: other, otherAccount: true)
      #expect(done.progress.state == .succeeded)
      #expect(done.progress.steps.last?.detail["old"]?.stringValue?.contains("refuses") == true)
      let state = try await world.state()
      #expect(state.spares == [] && state.values == [other] && state.kind == .fixture)
    }
  }

  @Test("a rehearsal says what would be touched, and keeps nothing")
  func rehearsed() async throws {
    try await transition { (world, fixture) async throws in
      let service = RotationService(credentials: world.world.service, engine: world.engine(world.steps.plan).0)
      let (_, radius) = try await service.rotate(
        .init(surface: CredentialSurface.openAI.rawValue, class: "real"), value: Secret(Self.one),
        org: try Slug("acme"), as: CredentialWorld.actor, dryRun: true)
      let words = radius.sentences.joined(separator: "\n")
      #expect(words.contains("gate for real") && words.contains("nothing is restarted") && words.contains("is gone"))
      #expect(try await world.state() == Self.old(fixture))
      await CredentialVaultTests.fails(.credentialUnknown) {
        _ = try await service.rotate(
          .init(surface: CredentialSurface.slack.rawValue), value: Secret("x"), org: try Slug("acme"),
          as: CredentialWorld.actor)
      }
    }
  }
}
