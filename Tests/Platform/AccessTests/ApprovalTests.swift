import Basics
import Evidence
import Store
import TestSupport
import Testing

@testable import Access

@Suite("Approvals")
struct ApprovalTests {
  static let kind = EvidenceKind("host.removed")
  static let act = Act(
    .hostRemove, kind: ApprovalTests.kind, subject: EvidenceSubject(type: "host", id: "h1"), details: ["force": true])

  /// Ada, Eve and Una are owners; `eve-bot` is another account of Eve.
  struct Team: Sendable {
    let world: AccessWorld
    let service: ApprovalService
    let ada: Actor
    let eve: Actor
    let bot: Actor
    let una: Actor

    /// Carries the act out, and answers the code it was refused with.
    func perform(
      _ act: Act = ApprovalTests.act, as actor: Actor, naming id: ApprovalID? = nil, dryRun: Bool = false
    ) async -> ErrorCode? {
      await code {
        try await Approvals.$named.withValue(id) {
          try await world.acts.perform(act, as: actor, dryRun: dryRun) { tx, _ in
            _ = try tx.run("INSERT INTO thing (name) VALUES ('x')")
          }
        }
      }
    }

    /// The code that an answer to a request was refused with.
    func answer(_ id: ApprovalID, as actor: Actor) async -> ErrorCode? {
      await code { _ = try await service.answer(id, approves: true, note: nil, as: actor) }
    }

    func done() async throws -> Int64 { try await world.count("thing") }
    func newest() async throws -> Approval { try #require(try await service.list().first).approval }
  }

  static func with(
    _ engine: TestEngine = .sqlite, rule: Bool = true, roles: [String] = ["second"],
    _ body: (Team) async throws -> Void
  ) async throws {
    let approvals = Approvals(kinds: [kind, .operatorInvited], person: { $0.text == "eve-bot" ? "eve" : $0.text })
    try await AccessWorld.with(engine, approvals: approvals) { world in
      let owner = try await world.owner("ada")
      func member(_ name: String) async throws -> Actor {
        let password = Secret("four green lamps turn slowly")
        return .operator(try await world.member(name, role: .owner, password: password, by: owner).id)
      }
      let team = Team(
        world: world,
        service: ApprovalService(
          acts: world.acts, store: world.store, approvals: approvals, clock: world.clock.wall),
        ada: .operator(owner.operator.id), eve: try await member("eve"), bot: try await member("eve-bot"),
        una: try await member("una"))
      try await world.store.write { tx in try tx.run("CREATE TABLE thing (name TEXT)") }
      if rule {
        let roles = try roles.map { ApprovalRole(name: try Slug($0), people: []) }
        try await team.service.set(
          ApprovalRule(kind: kind.id, roles: roles, minutes: 60, separateExecutor: false), as: team.ada)
      }
      try await body(team)
    }
  }

  @Test("without a rule nobody else is asked")
  func noRule() async throws {
    try await Self.with(rule: false) { team async throws -> Void in
      #expect(await team.perform(as: team.ada) == nil)
      #expect(try await team.done() == 1)
    }
  }

  @Test(
    "an act is refused and leaves a request, is approved by somebody else, and is carried out once",
    arguments: TestEngine.available)
  func flow(_ engine: TestEngine) async throws {
    try await Self.with(engine) { team in
      #expect(await team.perform(as: team.ada) == .approvalRequired)
      #expect(try await team.done() == 0)
      let request = try await team.newest()
      #expect(await team.perform(as: team.ada) == .approvalRequired)
      #expect(try await team.service.list().count == 1, "the same request waits")
      #expect(await team.perform(as: team.ada, naming: request.id) == .approvalRequired, "nobody approved it yet")
      #expect(await team.answer(request.id, as: team.ada) == .approvalSelfGiven)
      let view = try await team.service.answer(request.id, approves: true, note: "seen", as: team.eve)
      #expect(view.state == .approved)
      #expect(await team.perform(as: team.bot, naming: request.id) == .approvalSelfGiven, "Eve by another account")
      let other = Act(.hostRemove, kind: Self.kind, subject: Self.act.subject, details: ["force": false])
      #expect(await team.perform(other, as: team.ada, naming: request.id) == .approvalStale)
      #expect(await team.perform(as: team.ada, naming: request.id, dryRun: true) == nil)
      #expect(try await team.done() == 0, "a rehearsal uses nothing up")
      #expect(await team.perform(as: team.ada, naming: request.id) == nil)
      #expect(try await team.done() == 1)
      #expect(await team.perform(as: team.ada, naming: request.id) == .approvalUsed)
      #expect(try await team.done() == 1)
      let kinds = try await team.world.kinds()
      #expect(kinds.filter { $0 == "approval.requested" }.count == 1)
      #expect(kinds.suffix(3) == ["host.removed", "approval.used", "act.refused"])
    }
  }

  @Test("a rule for invitations keeps an owner from making the second person alone, and binds name and role")
  func invitation() async throws {
    try await Self.with(rule: false) { team async throws -> Void in
      let role = ApprovalRole(name: try Slug("second"), people: [])
      try await team.service.set(
        ApprovalRule(kind: EvidenceKind.operatorInvited.id, roles: [role], minutes: 60, separateExecutor: false),
        as: team.ada)
      func invite(_ name: String, _ role: OperatorRole = .owner, naming id: ApprovalID? = nil) async -> ErrorCode? {
        await code {
          try await Approvals.$named.withValue(id) {
            _ = try await team.world.service.invite(Slug(name), role: role, as: team.ada)
          }
        }
      }
      #expect(await invite("puppet") == .approvalRequired)
      let names = try await team.world.service.operators(as: team.ada).map(\.name.text)
      #expect(!names.contains("puppet"))
      let request = try await team.newest()
      #expect(request.act.subject == "operator/puppet" && request.act.details["role"] == "owner")
      _ = try await team.service.answer(request.id, approves: true, note: nil, as: team.eve)
      #expect(await invite("puppet", .viewer, naming: request.id) == .approvalStale)
      #expect(await invite("other", naming: request.id) == .approvalStale)
      #expect(await invite("puppet", naming: request.id) == nil)
      #expect(await invite("puppet", naming: request.id) == .approvalUsed)
    }
  }

  @Test("whoever asked and got it asks again without an id; nobody else does, nor for anything else, nor twice")
  func again() async throws {
    try await Self.with { team async throws -> Void in
      #expect(await team.perform(as: team.ada) == .approvalRequired)
      let request = try await team.newest()
      _ = try await team.service.answer(request.id, approves: true, note: nil, as: team.eve)
      #expect(await team.perform(as: team.una) == .approvalRequired, "what Una asks for is a request of her own")
      let other = Act(.hostRemove, kind: Self.kind, subject: Self.act.subject, details: ["force": false])
      #expect(await team.perform(other, as: team.ada) == .approvalRequired)
      #expect(await team.perform(as: team.ada, dryRun: true) == nil)
      #expect(await team.perform(as: team.ada) == nil)
      #expect(try await team.done() == 1)
      #expect(await team.perform(as: team.ada) == .approvalRequired, "an approval is used once")
    }
  }

  @Test("an approval is over after its time, and one refusal ends it")
  func over() async throws {
    try await Self.with { team in
      _ = await team.perform(as: team.ada)
      let late = try await team.newest()
      _ = try await team.service.answer(late.id, approves: true, note: nil, as: team.eve)
      team.world.clock.advance(.seconds(3_600))
      #expect(await team.perform(as: team.ada, naming: late.id) == .approvalExpired)
      _ = await team.perform(as: team.ada)
      let refused = try await team.newest()
      #expect(refused.id != late.id)
      _ = try await team.service.answer(refused.id, approves: false, note: "no", as: team.eve)
      #expect(await team.answer(refused.id, as: team.una) == .approvalDenied)
      #expect(await team.perform(as: team.ada, naming: refused.id) == .approvalDenied)
      #expect(try await team.done() == 0)
    }
  }

  @Test("two roles need two people, and a rehearsal leaves no request")
  func roles() async throws {
    try await Self.with(roles: ["security", "operations"]) { team in
      #expect(await team.perform(as: team.ada, dryRun: true) == .approvalRequired)
      #expect(try await team.service.list().isEmpty)
      _ = await team.perform(as: team.ada)
      let id = try await team.newest().id
      #expect(try await team.service.answer(id, approves: true, note: nil, as: team.eve).state == .pending)
      #expect(await team.answer(id, as: team.bot) == .conflict)
      #expect(await team.perform(as: team.ada, naming: id) == .approvalRequired)
      #expect(try await team.service.answer(id, approves: true, note: nil, as: team.una).state == .approved)
      #expect(await team.perform(as: team.ada, naming: id) == nil)
    }
  }

  @Test("nobody takes a rule away alone, nor does nobody at all act under it")
  func ruleIsBound() async throws {
    try await Self.with { team in
      #expect(await code { try await team.service.removeRule(Self.kind.id, as: team.ada) } == .approvalRequired)
      let weaker = ApprovalRule(
        kind: Self.kind.id, roles: [ApprovalRole(name: try Slug("x"), people: [])], minutes: 5, separateExecutor: false)
      #expect(await code { try await team.service.set(weaker, as: team.ada) } == .approvalRequired)
      #expect(try await team.service.rules().first?.minutes == 60)
      #expect(await team.perform(as: .system("local")) == .approvalNoPerson)
      let asked = try await team.service.list().map(\.approval)
      let request = try #require(asked.first { $0.act.kind == "approval.rule-removed" })
      #expect(try await team.service.answer(request.id, approves: true, note: nil, as: team.eve).state == .approved)
      try await Approvals.$named.withValue(request.id) {
        try await team.service.removeRule(Self.kind.id, as: team.ada)
      }
      #expect(try await team.service.rules().isEmpty)
    }
  }

  @Test("an emergency stands in for the second person, for one person and a while, until another one reviews it")
  func emergency() async throws {
    try await Self.with { team in
      #expect(await code { _ = try await team.service.open(reason: "fire", minutes: 61, as: team.eve) } == .usage)
      let emergency = try await team.service.open(reason: "fire", minutes: 30, as: team.eve)
      #expect(await team.perform(as: team.ada) == .approvalRequired, "it is Eve's alone")
      #expect(await team.perform(as: team.eve) == nil)
      #expect(try await team.done() == 1)
      #expect(try await team.service.emergencies().first?.acts.count == 1)
      #expect(try await team.world.kinds().contains("emergency.used"))
      #expect(await code { _ = try await team.service.open(reason: "more", minutes: 5, as: team.bot) } == .conflict)
      team.world.clock.advance(.seconds(1_800))
      #expect(await team.perform(as: team.eve) == .approvalRequired, "its time is over")
      for own in [team.eve, team.bot] {
        let refused = await code { _ = try await team.service.review(emergency.id, note: "fine", as: own) }
        #expect(refused == .approvalSelfGiven)
      }
      #expect(try await team.world.store.read { try ApprovalRecords.unreviewed(in: $0) }.count == 1)
      let reviewed = try await team.service.review(emergency.id, note: "seen", as: team.una)
      #expect(reviewed.reviewer?.text == "una")
      #expect(try await team.world.store.read { try ApprovalRecords.unreviewed(in: $0) }.isEmpty)
    }
  }

  @Test("an emergency opens no guardrail")
  func guardrail() async throws {
    let closed: Guardrail = { act, _, _ in
      act.kind == Self.kind ? AWError(.programmeScopeClosed, "Closed.", next: "Nothing.") : nil
    }
    try await AccessWorld.with(guardrails: [closed], approvals: Approvals(kinds: [Self.kind])) { world in
      let ada = Actor.operator(try await world.owner("ada").operator.id)
      let service = ApprovalService(
        acts: world.acts, store: world.store, approvals: Approvals(kinds: [Self.kind]), clock: world.clock.wall)
      _ = try await service.open(reason: "fire", minutes: 5, as: ada)
      #expect(await code { try await world.acts.perform(Self.act, as: ada) { _, _ in } } == .programmeScopeClosed)
    }
  }
}
