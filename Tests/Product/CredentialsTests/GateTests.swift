import Access
import Basics
import Evidence
import Fleet
import Foundation
import Synthetic
import TestSupport
import Testing

@testable import Credentials

@Suite("What a gate lets pass")
struct GateCheckTests {
  static let now = CredentialWorld.now
  static let org = OrgID.make(at: now)

  static func request(_ edit: (inout [String: JSONValue]) -> Void = { _ in }) throws -> GateRequest {
    var members: [String: JSONValue] = [
      "id": .string(GateID.make(at: now).text), "deployment": "here", "org": .string(org.text), "slug": "acme",
      "surfaces": ["channels.slack.botToken", "models.providers.openai.apiKey"], "class": "real",
      "until": .string(now.advanced(by: .seconds(60)).description), "reason": "a pilot", "requester": "ada",
      "requestedBy": "user/x", "requestedAt": .string(now.description),
    ]
    edit(&members)
    return try JSONValue.object(members).decode(GateRequest.self)
  }

  static func record(_ request: GateRequest, by keys: [ApproverKey?]) throws -> GateRecord {
    let envelope = try Envelope(signing: try request.statement.bytes, by: keys.compactMap { $0 })
    return GateRecord(request: request, submission: .init(envelope: envelope, by: "x", at: now))
  }

  private func open(
    _ record: GateRecord, _ surface: CredentialSurface = .openAI, _ kind: GatedClass = .real, org: OrgID = org,
    _ trust: GateTrust = CredentialWorld.trust, at time: Timestamp = now
  ) -> GateRefusal? {
    let use = GateUse(org: org, surface: surface, class: kind)
    guard case .failure(let refusal) = GateCheck.open(record, for: use, trust, at: time) else { return nil }
    return refusal
  }

  @Test("exactly one Org, the named surfaces, one class, one deployment, until the date")
  func scope() throws {
    let record = try Self.record(try Self.request(), by: [CredentialWorld.eve])
    for surface in CredentialSurface.allCases {
      for kind in GatedClass.allCases {
        let isNamed = [.openAI, .slack].contains(surface) && kind == .real
        #expect(open(record, surface, kind) == (isNamed ? nil : .outOfScope))
        #expect(open(record, surface, kind, org: .make(at: Self.now)) == .outOfScope)
      }
    }
    let elsewhere = GateTrust(deployment: "there", approvers: CredentialWorld.trust.approvers)
    #expect(open(record, .openAI, .real, elsewhere) == .outOfScope)
    let end = record.request.until
    #expect(open(record, at: end.advanced(by: .milliseconds(-1))) == nil)
    #expect(open(record, at: end) == .expired)
  }

  @Test("every member of what was signed counts: changing any of them afterwards shuts it")
  func altered() throws {
    let request = try Self.request()
    let signed = try Self.record(request, by: [CredentialWorld.eve])
    let changes: [(String, JSONValue)] = [
      ("surfaces", ["models.providers.openai.apiKey"]), ("reason", "another"), ("requester", "bob"),
      ("until", .string(request.until.advanced(by: .seconds(1)).description)), ("requestedBy", "user/y"),
      ("id", .string(GateID.make(at: Self.now).text)), ("slug", "acme2"),
      ("requestedAt", .string(Self.now.advanced(by: .seconds(1)).description)),
    ]
    for (name, value) in changes {
      let other = try Self.request { members in
        members["id"] = .string(request.id.text)
        members[name] = value
      }
      #expect(open(GateRecord(request: other, submission: signed.submission)) == .altered, "\(name)")
    }
    // The type of the document is signed too.
    let eve = try #require(CredentialWorld.eve)
    let typed = try Envelope(signing: try request.statement.bytes, type: "application/json", by: [eve])
    #expect(open(GateRecord(request: request, submission: .init(envelope: typed, by: "x", at: Self.now))) == .altered)
  }

  @Test("another person whom the deployment trusts has to sign; without keys nobody can")
  func signers() throws {
    let (eve, ada, mallory) = (CredentialWorld.eve, CredentialWorld.adaKey, try ApproverKey.make(name: "mallory"))
    let request = try Self.request()
    #expect(open(GateRecord(request: request)) == .unsigned)
    #expect(open(try Self.record(request, by: [mallory])) == .untrusted(trustsAny: true))
    #expect(open(try Self.record(request, by: [try ApproverKey.make(name: "eve")])) == .untrusted(trustsAny: true))
    #expect(open(try Self.record(request, by: [ada])) == .selfSigned)
    #expect(open(try Self.record(request, by: [ada, mallory])) == .selfSigned)
    #expect(open(try Self.record(request, by: [ada, eve])) == nil)
    #expect(open(try Self.record(request, by: [mallory, eve])) == nil)
    let nobody = GateTrust(deployment: "here", approvers: [])
    #expect(open(try Self.record(request, by: [eve]), .openAI, .real, nobody) == .untrusted(trustsAny: false))
  }

  @Test("of several gates one that is open is enough; else the one that comes nearest says why")
  func several() throws {
    let eve = CredentialWorld.eve
    let good = try Self.record(try Self.request(), by: [eve])
    var revoked = good
    revoked.revocation = .init(by: "x", at: Self.now, reason: "over")
    let other = try Self.record(try Self.request { $0["surfaces"] = ["channels.discord.token"] }, by: [eve])
    let use = GateUse(org: Self.org, surface: .openAI, class: .real)
    func choose(_ records: [GateRecord]) -> GateRefusal? {
      guard case .failure(let refusal) = GateCheck.choose(records, for: use, CredentialWorld.trust, at: Self.now)
      else { return nil }
      return refusal
    }
    #expect(choose([]) == .missing)
    #expect(choose([other]) == .outOfScope)
    #expect(choose([other, revoked]) == .revoked)
    #expect(choose([other, revoked, good]) == nil)
  }

  @Test("a file of approvers holds one key a line, and says which line is none")
  func trust() throws {
    let keys = CredentialWorld.trust.approvers
    let text = "# who may open gates\n\(keys[0].text)\n\n  \(keys[1].text)  # Ada\n"
    #expect(try GateTrust.approvers(parsing: text) == keys)
    #expect(try GateTrust.approvers(parsing: "") == [])
    for bad in ["eve", keys[0].text.dropLast() + "", "\(keys[0].text)\n\(keys[0].text)"] {
      #expect(throws: AWError(.gateTrust, "", next: "")) { _ = try GateTrust.approvers(parsing: String(bad)) }
    }
  }
}

@Suite("Credentials under gates")
struct GatedCredentialTests {
  static let value = "sk-proj-\(IntakeTests.tail)"

  private func fails(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await CredentialVaultTests.fails(code, body)
  }

  @Test("asked for, signed by another, handed in: then a value of that class is kept", arguments: TestEngine.available)
  func whole(engine: TestEngine) async throws {
    try await CredentialWorld.with(engine) { world in
      await fails(.credentialClassRefused) { try await world.setGated(Self.value) }
      let gate = try await world.open()
      #expect(gate.refusal == nil)
      #expect(try await world.service.gates(of: try Slug("acme")) == [gate])
      let made = try await world.setGated(Self.value)
      #expect(made.reference.kind == .real && made.reference.gate == gate.record.request.id)
      #expect(try await world.service.standing(.openAI, org: try Slug("acme")).credential == made)
      let entries = try await world.entries()
      #expect(
        entries.map(\.kind.id) == ["act.refused", "gate.requested", "gate.submitted", "credential.set"])
      #expect(entries.last?.data["gate"]?.stringValue == gate.record.request.id.text)
      #expect(entries[2].data["digest"] == entries[1].data["digest"])
      // A real value is still refused where a fixture is asked for, and not said back.
      do {
        _ = try await world.service.set(
          .init(surface: CredentialSurface.slack.rawValue), value: Secret(Self.value), org: try Slug("acme"),
          as: CredentialWorld.actor)
        Issue.record("kept")
      } catch let error as AWError {
        #expect(error.code == .credentialNotFixture && !error.chain.contains(IntakeTests.tail))
      }
    }
  }

  @Test("a gate opens for nobody and nothing else, and each refusal has its code and is recorded")
  func refusals() async throws {
    try await CredentialWorld.with { world in
      let gate = try await world.ask([.openAI, .slack])
      let id = gate.record.request.id
      await fails(.gateNotSigned) { try await world.setGated(Self.value) }
      await fails(.credentialClassRefused) { try await world.setGated(Self.value, org: "globex") }
      await fails(.gateOutOfScope) { try await world.setGated("AIza\(IntakeTests.tail)", .gemini) }
      await fails(.gateOutOfScope) { try await world.setGated(Self.value, class: "controlled-non-production") }
      let other = try await world.ask([.slack]).record.request
      let bad: [(ErrorCode, Envelope)] = [
        (.gateAltered, try CredentialWorld.signed(other)),
        (.gateSelfSigned, try CredentialWorld.signed(gate.record.request, by: CredentialWorld.adaKey)),
        (.gateUntrusted, try CredentialWorld.signed(gate.record.request, by: try ApproverKey.make(name: "eve"))),
      ]
      for (code, envelope) in bad {
        await fails(code) {
          _ = try await world.service.submitGate(envelope, of: id, as: CredentialWorld.actor)
        }
      }
      #expect(try await world.entries().last?.data["code"]?.stringValue == ErrorCode.gateUntrusted.id)
      let good = try CredentialWorld.signed(gate.record.request)
      _ = try await world.service.submitGate(good, of: id, as: CredentialWorld.actor, dryRun: true)
      #expect(try await world.service.gate(id).refusal == .unsigned)
      _ = try await world.service.submitGate(good, of: id, as: CredentialWorld.actor)
      await fails(.conflict) { _ = try await world.service.submitGate(good, of: id, as: CredentialWorld.actor) }
      await fails(.gateUnknown) {
        _ = try await world.service.submitGate(good, of: .make(at: CredentialWorld.now), as: CredentialWorld.actor)
      }
      // A fixture is none of what a gate opens, whole or damaged.
      let fixture = try FixtureValue.make(.openAI, name: "one")
      await fails(.credentialShape) { try await world.setGated(fixture) }
      await fails(.credentialShape) { try await world.setGated(fixture + "0") }
      await fails(.credentialShape) { try await world.setGated("hunter2") }
      await fails(.credentialShape) { try await world.setGated("AIza\(IntakeTests.tail)") }
      #expect(try await world.kept() == [])
      try await world.setGated(Self.value)
      world.time.advance(.seconds(3_600))
      await fails(.gateExpired) { try await world.setGated(Self.value) }
      #expect(try await world.service.gate(id).refusal == .expired)
    }
  }

  @Test("a request names a person who asks, a class that needs it, surfaces, a reason, and an end within 90 days")
  func requests() async throws {
    try await CredentialWorld.with { world in
      func ask(
        _ surfaces: [String] = [CredentialSurface.openAI.rawValue], _ kind: String = "real",
        _ seconds: Int = 60, _ reason: String = "a pilot", org: String = "acme", as actor: Actor? = nil
      ) async throws {
        _ = try await world.service.requestGate(
          .init(
            org: try Slug(org), surfaces: surfaces, class: kind,
            until: world.time.now.advanced(by: .seconds(seconds)), reason: reason), as: actor ?? world.ada)
      }
      await fails(.gateNoRequester) { try await ask(as: CredentialWorld.actor) }
      await fails(.usage) { try await ask([CredentialSurface.openAI.rawValue], "fixture") }
      await fails(.usage) { try await ask([]) }
      await fails(.usage) { try await ask(Array(repeating: CredentialSurface.openAI.rawValue, count: 2)) }
      await fails(.surfaceUnknown) { try await ask(["models.nobody"]) }
      await fails(.usage) { try await ask([CredentialSurface.openAI.rawValue], "real", 0) }
      await fails(.usage) { try await ask([CredentialSurface.openAI.rawValue], "real", 90 * 86_400 + 1) }
      await fails(.usage) { try await ask([CredentialSurface.openAI.rawValue], "real", 60, "") }
      await fails(.usage) { try await ask([CredentialSurface.openAI.rawValue], "real", 60, "a\nb") }
      await fails(.orgUnknown) { try await ask(org: "nobody") }
      let left = try await world.service.gates(of: nil)
      #expect(left == [])
    }
  }

  @Test("a value under a gate is validated at the vendor itself, a fixture at the simulated one, never the other way")
  func validated() async throws {
    try await CredentialWorld.withVendors { world, desk in
      let (acme, actor) = (try Slug("acme"), CredentialWorld.actor)
      try await world.open([.openAI, .slack])
      try await world.setGated(Self.value)
      #expect(try await world.service.validate(.openAI, org: acme, as: actor).status == .invalid)
      desk.admit(Self.value, as: "acme")
      let standing = try await world.service.validate(.openAI, org: acme, as: actor)
      #expect(standing.status == .valid && standing.credential.identity == "user-acme")
      try await world.set(.slack)
      #expect(try await world.service.validate(.slack, org: acme, as: actor).status == .valid)
      #expect(desk.asked(at: .accounts) == 3 && desk.asked(at: .fixtures) == 2 && desk.strays == 0)
      desk.revoke(Self.value)
      #expect(try await world.service.validate(.openAI, org: acme, as: actor).status == .invalid)
    }
  }

  @Test("when its gate is revoked a credential is used no more: not validated, not valid, not replaced")
  func revoked() async throws {
    try await CredentialWorld.withVendors { world, desk in
      let (acme, actor) = (try Slug("acme"), CredentialWorld.actor)
      let id = try await world.open().record.request.id
      desk.admit(Self.value, as: "acme")
      try await world.setGated(Self.value)
      #expect(try await world.service.validate(.openAI, org: acme, as: actor).status == .valid)
      let asked = desk.asked(at: .accounts)
      _ = try await world.service.revokeGate(id, reason: "the pilot is over", as: actor)
      await CredentialVaultTests.fails(.conflict) {
        _ = try await world.service.revokeGate(id, reason: "again", as: actor)
      }
      #expect(try await world.service.standing(.openAI, org: acme).status == .gateClosed)
      await CredentialVaultTests.fails(.gateRevoked) {
        _ = try await world.service.validate(.openAI, org: acme, as: actor)
      }
      await CredentialVaultTests.fails(.gateRevoked) { try await world.setGated(Self.value) }
      #expect(desk.asked(at: .accounts) == asked)
      // Another one opens it again; and a fixture needs none.
      try await world.open()
      #expect(try await world.service.standing(.openAI, org: acme).status == .valid)
      try await world.set()
      #expect(try await world.service.validate(.openAI, org: acme, as: actor).status == .valid)
    }
  }

  @Test("vendors' addresses are https, or the machine's own; and never those of the simulated ones")
  func endpoints() throws {
    for bad in ["[]", #"{"nobody":"https://x"}"#, #"{"openai":"http://10.0.0.1"}"#, #"{"openai":"x"}"#, "{"] {
      #expect(throws: AWError(.usage, "", next: "")) { _ = try VendorEndpoints(parsing: Array(bad.utf8)) }
    }
    let other = try VendorEndpoints(parsing: Array(#"{"openai":"https://eu.api.openai.com/"}"#.utf8))
    #expect(other.base(of: .openAI) == "https://eu.api.openai.com")
    #expect(other.base(of: .slack) == "https://slack.com")
    let vendors = FixtureVendors(url: try #require(URL(string: "http://127.0.0.1:8081/vendors")))
    try other.check(apartFrom: vendors)
    let same = try VendorEndpoints(parsing: Array(#"{"openai":"http://127.0.0.1:8081/vendors/openai"}"#.utf8))
    #expect(throws: AWError(.usage, "", next: "")) { try same.check(apartFrom: vendors) }
  }
}

@Suite("What AW spends at vendors")
struct BanBudgetTests {
  private let now = CredentialWorld.now

  @Test("it asks until the budget is spent, and again when the oldest falls out of the window")
  func decisions() {
    let budget = BanBudget(counts: .refusals, most: 3, window: .seconds(10))
    func spent(_ ages: [Int]) -> [Timestamp] { ages.map { now.advanced(by: .seconds(-$0)) } }
    #expect(budget.decide([], at: now) == .ask)
    #expect(budget.decide(spent([1, 2]), at: now) == .ask)
    #expect(budget.decide(spent([1, 2, 4]), at: now) == .skip(until: now.advanced(by: .seconds(6))))
    #expect(budget.decide(spent([4, 1, 2]), at: now) == .skip(until: now.advanced(by: .seconds(6))))
    #expect(budget.decide(spent([1, 2, 3, 9]), at: now) == .skip(until: now.advanced(by: .seconds(7))))
    #expect(budget.decide(spent([1, 2, 10]), at: now) == .ask)
  }

  @Test("whatever is asked when, never more than the budget is spent in any window")
  func property() {
    var random = Seeded(state: 11)
    let budget = BanBudget(counts: .refusals, most: 5, window: .seconds(60))
    var (time, spent): (Timestamp, [Timestamp]) = (now, [])
    for _ in 0..<5_000 {
      time = time.advanced(by: .milliseconds(Int.random(in: 0...20_000, using: &random)))
      switch budget.decide(spent, at: time) {
      case .ask: spent.append(time)
      case .skip(let until):
        #expect(time < until && budget.decide(spent, at: until) == .ask)
      }
      #expect(spent.filter { time.since($0) < budget.window }.count <= budget.most)
    }
    #expect(spent.count > 500)
  }

  @Test("a hundredth of what Discord bans for, and a value that is let in costs its corrupted copy alone")
  func counted() {
    #expect(CredentialVendor.discord.budget == BanBudget(counts: .refusals, most: 100, window: .seconds(600)))
    for vendor in CredentialVendor.allCases {
      let budget = vendor.budget
      #expect(budget.keeps(.refused("401")) && budget.keeps(.unclear("429")))
      #expect(budget.keeps(.accepted(identity: nil)) == (vendor == .slack))
    }
  }

  @Test("a spent budget skips what is asked, says so, and comes back with time", arguments: TestEngine.available)
  func spent(engine: TestEngine) async throws {
    let migrations = CredentialsRecords.migrations
    try await TestStores.with(engine, migrations: migrations) { store in
      let time = TestTime()
      let budget = EgressBudget(store: store, clock: time.clock, egress: "office")
      let most = CredentialVendor.discord.budget.most
      // What is let in is not counted; what is not let in is.
      for _ in 0..<(most + 5) {
        let reading = try await budget.spend(at: .discord) { .accepted(identity: "a") }
        #expect(reading == .accepted(identity: "a"))
      }
      for _ in 0..<most { _ = try await budget.spend(at: .discord) { .refused("401") } }
      let skipped = try await budget.spend(at: .discord) {
        Issue.record("asked")
        return .refused("401")
      }
      guard case .unclear(let why) = skipped else { return #expect(Bool(false), "\(skipped)") }
      #expect(why.contains("100 refusals in 10 min"))
      // Others are not touched: another vendor, another address.
      #expect(try await budget.spend(at: .telegram) { .refused("401") } == .refused("401"))
      let elsewhere = EgressBudget(store: store, clock: time.clock, egress: "branch")
      #expect(try await elsewhere.spend(at: .discord) { .refused("401") } == .refused("401"))
      time.advance(.seconds(600))
      #expect(try await budget.spend(at: .discord) { .refused("401") } == .refused("401"))
    }
  }

  @Test("when only the corrupted copy is over the budget the outcome is indeterminate, with the reason")
  func control() async throws {
    try await CredentialWorld.withVendors { world, desk in
      let token = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.\(IntakeTests.tail)"
      desk.admit(token, as: "acme")
      try await world.open([.discord])
      try await world.setGated(token, .discord)
      let (acme, actor) = (try Slug("acme"), CredentialWorld.actor)
      for _ in 0..<CredentialVendor.discord.budget.most {
        #expect(try await world.service.validate(.discord, org: acme, as: actor).status == .valid)
      }
      let asked = desk.asked(at: .accounts)
      // The budget is spent, so that not even the value itself is asked about.
      let standing = try await world.service.validate(.discord, org: acme, as: actor)
      #expect(standing.status == .indeterminate && desk.asked(at: .accounts) == asked)
      #expect(standing.credential.lastValidated?.reason.contains("not asked before") == true)
      #expect(ValidationVerdict.outcome(of: .accepted(identity: "a"), control: .unclear("x")).outcome == .indeterminate)
    }
  }
}
