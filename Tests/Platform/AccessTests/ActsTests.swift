import Basics
import Evidence
import Store
import Synchronization
import Testing

@testable import Access

@Suite("Acts")
struct ActsTests {
  static let kind = EvidenceKind("org.created")

  let act = Act(
    .orgCreate, kind: ActsTests.kind, subject: EvidenceSubject(type: "org", id: "o1", slug: "acme"), org: "o1",
    details: ["plan": "small"])

  @Test("an act changes state, is recorded with what its body added, and then runs its actions")
  func performed() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let order = OrderBox()
      let id = try await world.acts.perform(act, as: .operator(owner.operator.id)) { tx, context in
        try tx.run("CREATE TABLE thing (name TEXT)")
        context.record("host", "h1")
        context.afterCommit { order.add("first") }
        context.afterCommit { order.add("second") }
        return context.id
      }
      #expect(order.all == ["first", "second"])
      let entry = try #require(try await world.entries().last)
      #expect(entry.kind == ActsTests.kind)
      #expect(entry.actor == "user/\(owner.operator.id)")
      #expect(entry.subject == act.subject)
      #expect(entry.org == "o1")
      #expect(entry.act == id.text)
      #expect(entry.data == ["plan": "small", "host": "h1"])
      #expect(try await world.count("thing") == 0)
    }
  }

  @Test("an act whose evidence cannot be written changes nothing and runs no action")
  func unwritable() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      try await world.store.write { tx in
        try tx.run("CREATE TABLE thing (name TEXT)")
        try tx.run("DROP TABLE evidence_tree")
      }
      let ran = OrderBox()
      let failure = await code {
        try await world.acts.perform(act, as: .operator(owner.operator.id)) { tx, context in
          try tx.run("INSERT INTO thing (name) VALUES ('x')")
          context.afterCommit { ran.add("x") }
        }
      }
      #expect(failure == .evidenceUnwritable)
      #expect(try await world.count("thing") == 0)
      #expect(ran.all.isEmpty)
    }
  }

  @Test("an act whose body fails changes nothing and is not recorded")
  func failed() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      try await world.store.write { tx in try tx.run("CREATE TABLE thing (name TEXT)") }
      let before = try await world.kinds()
      let failure = await code {
        try await world.acts.perform(act, as: .operator(owner.operator.id)) { tx, _ in
          try tx.run("INSERT INTO thing (name) VALUES ('x')")
          throw AWError(.slugTaken, "Taken.", next: "Use another.")
        }
      }
      #expect(failure == .slugTaken)
      #expect(try await world.count("thing") == 0)
      #expect(try await world.kinds() == before)
    }
  }

  @Test("a dry run returns the value and changes nothing")
  func dryRun() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let before = try await world.kinds()
      let ran = OrderBox()
      let value = try await world.acts.perform(act, as: .operator(owner.operator.id), dryRun: true) { tx, context in
        try tx.run("CREATE TABLE thing (name TEXT)")
        context.afterCommit { ran.add("x") }
        return 42
      }
      #expect(value == 42)
      #expect(try await world.kinds() == before)
      #expect(ran.all.isEmpty)
      #expect(await code { _ = try await world.count("thing") } == .storeFailed)
    }
  }

  @Test("an act that the policy refuses does not run, and the refusal is recorded")
  func refused() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let viewer = try await world.member("vera", password: Secret("lamp orbit tuesday"), by: owner)
      let ran = OrderBox()
      let failure = await code {
        try await world.acts.perform(act, as: .operator(viewer.id)) { _, _ in ran.add("body") }
      }
      #expect(failure == .forbidden)
      #expect(ran.all.isEmpty)
      let entry = try #require(try await world.entries().last)
      #expect(entry.kind.id == "act.refused")
      #expect(entry.actor == "user/\(viewer.id)")
      #expect(entry.subject == act.subject)
      #expect(entry.data["kind"] == "org.created")
      #expect(entry.data["permission"] == "org.create")
      #expect(entry.data["by"] == "policy")
    }
  }

  @Test("a refusal stands when it cannot be recorded, and a refused dry run records nothing")
  func refusedEdges() async throws {
    try await AccessWorld.with { world in
      let nobody = Actor.operator(.make(at: world.clock.wall.now))
      #expect(await code { try await world.acts.perform(act, as: nobody, dryRun: true) { _, _ in } } == .forbidden)
      #expect(try await world.kinds() == [])
      try await world.store.write { tx in try tx.run("DROP TABLE evidence_tree") }
      #expect(await code { try await world.acts.perform(act, as: nobody) { _, _ in } } == .forbidden)
    }
  }

  @Test("a guardrail refuses for everybody, and that is recorded")
  func guardrail() async throws {
    let rule: Guardrail = { act, _, _ in
      act.kind == ActsTests.kind ? AWError(.orgNotSynthetic, "Synthetic only.", next: "Mark it.") : nil
    }
    try await AccessWorld.with(guardrails: [rule]) { world in
      #expect(await code { try await world.acts.perform(act, as: .system("x")) { _, _ in } } == .orgNotSynthetic)
      let entry = try #require(try await world.entries().last)
      #expect(entry.data["by"] == "guardrail")
      #expect(entry.data["code"] == "guardrail.org-not-synthetic")
    }
  }
}

/// Notes what ran, in order.
final class OrderBox: Sendable {
  private let names = Mutex<[String]>([])
  func add(_ name: String) { names.withLock { $0.append(name) } }
  var all: [String] { names.withLock { $0 } }
}
