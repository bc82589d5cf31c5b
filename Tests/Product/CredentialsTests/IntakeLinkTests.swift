import Access
import Basics
import Crypto
import Events
import Evidence
import Fleet
import Foundation
import Store
import TestSupport
import Testing
import Vault

@testable import Credentials

@Suite("One-time links")
struct IntakeLinkTests {
  private static let surface = CredentialSurface.openAI

  // MARK: - The decision

  private static func link(used: String? = nil, replaced: Bool = false) -> IntakeLink {
    let now = CredentialWorld.now
    return IntakeLink(
      id: .make(at: now), org: .make(at: now), surface: surface, from: "Ada", purpose: "p", askedBy: "user/1",
      askedAt: now, expiresAt: now.advanced(by: .seconds(60)), replacedAt: replaced ? now : nil,
      use: used.map { .init(at: now, version: 1, envelope: $0) })
  }

  @Test(
    "what becomes of a link that is presented",
    arguments: [
      (link(), nil, 0, IntakeDecision.usable), (link(), "e", 59, .usable), (link(), "e", 60, .expired),
      (link(), nil, 3_600, .expired), (link(replaced: true), nil, 0, .replaced),
      (link(replaced: true), "e", 3_600, .replaced),
      // Once it was used nothing else counts: a second use is an incident, however late.
      (link(used: "e"), nil, 0, .reused), (link(used: "e"), "f", 0, .reused), (link(used: "e"), nil, 3_600, .reused),
      (link(used: "e"), "e", 0, .repeated), (link(used: "e"), "e", 3_600, .repeated),
    ] as [(IntakeLink, String?, Int64, IntakeDecision)])
  func decision(_ link: IntakeLink, _ envelope: String?, _ seconds: Int64, _ wanted: IntakeDecision) {
    let now = CredentialWorld.now.advanced(by: .seconds(seconds))
    let decision = IntakeDecision.decide(link, envelope: envelope, at: now)
    #expect(decision == wanted)
    let isFine = wanted == .usable || wanted == .repeated
    #expect((decision.refusal(from: "Ada") == nil) == isFine)
    if !isFine { #expect(decision.refusal(from: "Ada")?.next.contains("Ada") == true) }
  }

  // MARK: - The way of a value

  private struct Customer {
    let intake: IntakeService
    let link: IntakeLink
    let code: Secret

    /// As the customer's browser does it.
    func sealed(_ value: String, org: String = "acme") async throws -> String {
      let key = try #require(Base64URL.decode(try await intake.keys.publicKey.key))
      let binding = SealedValue.Binding(
        org: try Slug(org), surface: link.surface, purpose: IntakeService.purpose(link))
      var sender = try HPKE.Sender(
        recipientKey: try Curve25519.KeyAgreement.PublicKey(rawRepresentation: key), ciphersuite: SealedValue.suite,
        info: Data(SealedValue.info.utf8))
      let ciphertext = try sender.seal(Data(value.utf8), authenticating: Data(binding.text.utf8))
      let name = try await intake.keys.publicKey.name
      return "aw1.\(name).\(Base64URL.encode(sender.encapsulatedKey + ciphertext))"
    }

    func give(_ sealed: String, from address: String = "192.0.2.1") async throws {
      _ = try await intake.give(sealed, code: code, address: address)
    }

    func look(from address: String = "192.0.2.1") async throws {
      _ = try await intake.look(code, address: address)
    }
  }

  private static func asked(
    _ world: CredentialWorld, _ intake: IntakeService, _ surface: CredentialSurface = surface,
    class kind: String? = nil,
    org: String = "acme"
  ) async throws -> Customer {
    let (link, code) = try await intake.request(
      .init(surface: surface.rawValue, class: kind, purpose: "For your assistant."), org: try Slug(org),
      as: CredentialWorld.actor, named: "anna")
    return Customer(intake: intake, link: link, code: code)
  }

  private static func refused(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await body() }
  }

  private static func status(_ world: CredentialWorld) async throws -> CredentialStatus {
    try await world.service.standing(surface, org: try Slug("acme")).status
  }

  private static func events(_ world: CredentialWorld) async throws -> [Event] {
    try await world.store.read { try EventOutbox.after(0, limit: 100, in: $0).map(\.event) }
  }

  @Test(
    "a value comes by a link once; a second use freezes it and tells; another value ends that",
    arguments: TestEngine.allCases)
  func thread(_ engine: TestEngine) async throws {
    try await CredentialWorld.with(engine) { world in
      let intake = IntakeService(credentials: world.service)
      let customer = try await Self.asked(world, intake)
      try await customer.look()
      try await customer.look()
      // The database has the hash alone.
      let hash = try await world.store.read { tx in
        try tx.run("SELECT hash FROM credential_intake").map { try $0.blob("hash") }
      }
      #expect(hash == [OneTimeSecret.hash(of: customer.code)])
      // What is refused leaves the link as it was.
      await Self.refused(.credentialShape) { try await customer.give(try await customer.sealed("wrong")) }
      await Self.refused(.credentialEnvelope) {
        try await customer.give(try await customer.sealed(FixtureValue.make(.openAI, name: "x"), org: "globex"))
      }
      let sealed = try await customer.sealed(try FixtureValue.make(.openAI, name: "first"))
      try await customer.give(sealed)
      #expect(try await Self.status(world) == .present)
      let set = try #require(try await world.entries().last { $0.kind == .credentialSet })
      #expect(set.actor == "system/intake-link" && set.data["link"]?.stringValue == customer.link.id.text)
      // A browser that sends the same once more is answered the same.
      try await customer.give(sealed)
      #expect(try await Self.status(world) == .present)
      #expect(try await Self.events(world).isEmpty)

      await Self.refused(.intakeReused) { try await customer.look() }
      #expect(try await Self.status(world) == .frozen)
      await Self.refused(.intakeReused) {
        try await customer.give(try await customer.sealed(FixtureValue.make(.openAI, name: "second")))
      }
      #expect(try await world.kept().filter { $0.hasPrefix("credential/") }.count == 1)
      let incidents = try await world.entries().filter { $0.kind == .intakeReused }
      #expect(incidents.count == 2 && incidents.allSatisfy { $0.data["frozen"] == true })
      #expect(incidents.first?.data["code"]?.stringValue == "intake.token-reused")
      // Told once, while it is open.
      let told = try await Self.events(world)
      #expect(told.map(\.severity) == [.critical] && told.first?.condition?.isOpen == true)
      #expect(told.first?.data[EventData.runbook] == "intake-link-reused")

      // Another value is not what the link brought.
      try await world.set(.openAI, "third")
      #expect(try await Self.status(world) == .present)
      #expect(try await Self.events(world).last?.condition?.isOpen == false)
      await Self.refused(.intakeReused) { try await customer.look() }
      #expect(try await Self.status(world) == .present)
    }
  }

  @Test("an operator lifts a freeze, and the next second use freezes it again and tells again")
  func lifted() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let (org, actor) = (try Slug("acme"), CredentialWorld.actor)
      await Self.refused(.credentialUnknown) { try await intake.unfreeze(Self.surface, org: org, as: actor) }
      let customer = try await Self.asked(world, intake)
      try await customer.give(try await customer.sealed(FixtureValue.make(.openAI, name: "first")))
      await Self.refused(.conflict) { try await intake.unfreeze(Self.surface, org: org, as: actor) }
      await Self.refused(.intakeReused) { try await customer.look() }
      try await intake.unfreeze(Self.surface, org: org, as: actor, dryRun: true)
      #expect(try await Self.status(world) == .frozen)
      #expect(try await intake.unfreeze(Self.surface, org: org, as: actor).status == .present)
      #expect(try await Self.events(world).last?.condition?.isOpen == false)
      await Self.refused(.intakeReused) { try await customer.look() }
      #expect(try await Self.status(world) == .frozen)
    }
  }

  // MARK: - Classes

  @Test("a link for a real value is made where a gate allows exactly that, and refused by code everywhere else")
  func gatedRequest() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      await Self.refused(.usage) { _ = try await Self.asked(world, intake, class: "serious") }
      await Self.refused(.credentialClassRefused) { _ = try await Self.asked(world, intake, class: "real") }
      _ = try await world.ask()
      await Self.refused(.gateNotSigned) { _ = try await Self.asked(world, intake, class: "real") }
      let gate = try await world.open()
      await Self.refused(.gateOutOfScope) { _ = try await Self.asked(world, intake, .slack, class: "real") }
      await Self.refused(.gateOutOfScope) {
        _ = try await Self.asked(world, intake, class: "controlled-non-production")
      }
      await Self.refused(.credentialClassRefused) {
        _ = try await Self.asked(world, intake, class: "real", org: "globex")
      }
      #expect(try await intake.links(of: try Slug("acme")).isEmpty)
      #expect(try await world.entries().filter { $0.kind.id == "act.refused" }.count == 5)
      let customer = try await Self.asked(world, intake, class: "real")
      #expect(customer.link.kind == .real)
      // It does not outlive what allows it.
      #expect(customer.link.expiresAt == gate.record.request.until)
      let entry = try #require(try await world.entries().last { $0.kind == .credentialRequested })
      #expect(entry.data["class"] == "real" && entry.data["gate"]?.stringValue == gate.record.request.id.text)
      #expect(try await intake.links(of: try Slug("acme")).map(\.kind) == [.real])
    }
  }

  @Test("a real value comes by its link while the gate is open; a fixture does not, and nothing does afterwards")
  func gatedValue() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let acme = try Slug("acme")
      try await world.open()
      let first = try await Self.asked(world, intake, class: "real")
      try await first.look()
      await Self.refused(.credentialShape) {
        try await first.give(try await first.sealed(FixtureValue.make(.openAI, name: "x")))
      }
      let value = "sk-proj-\(IntakeTests.tail)"
      try await first.give(try await first.sealed(value))
      let credential = try await world.service.standing(Self.surface, org: acme).credential
      #expect(credential.reference.kind == .real && credential.setBy == "system/intake-link")
      await Self.refused(.intakeReused) { try await first.look() }
      #expect(try await Self.status(world) == .frozen)

      let second = try await Self.asked(world, intake, class: "real")
      let gate = try #require(try await world.service.gates(of: acme).first).record.request.id
      _ = try await world.service.revokeGate(gate, reason: "the pilot is over", as: CredentialWorld.actor)
      // Before anything is typed, and for whoever types all the same.
      await Self.refused(.gateRevoked) { try await second.look() }
      await Self.refused(.gateRevoked) { try await second.give(try await second.sealed(value + "9")) }
      #expect(try await world.service.standing(Self.surface, org: acme).credential.version == 1)
    }
  }

  @Test("what belongs to a real value comes with it")
  func gatedSettings() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      try await world.open([.sms])
      let customer = try await Self.asked(world, intake, .sms, class: "real")
      let sealed = try await customer.sealed(String(IntakeTests.hex64.prefix(32)))
      await Self.refused(.credentialShape) { try await customer.give(sealed) }
      _ = try await intake.give(
        sealed, settings: ["accountSid": VendorReadingTests.sid], code: customer.code, address: "192.0.2.1")
      let credential = try await world.service.standing(.sms, org: try Slug("acme")).credential
      #expect(credential.settings == ["accountSid": VendorReadingTests.sid])
    }
  }

  @Test("links that are late, replaced or made up say so, and are no incident; guessing is slowed down")
  func others() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let first = try await Self.asked(world, intake)
      let second = try await Self.asked(world, intake)
      await Self.refused(.intakeReplaced) { try await first.look() }
      try await second.look()
      try await world.store.write { _ = try $0.run("UPDATE credential_intake SET expires_at = 1") }
      await Self.refused(.intakeExpired) { try await second.look() }
      await Self.refused(.intakeExpired) {
        try await second.give(try await second.sealed(FixtureValue.make(.openAI, name: "late")))
      }
      let madeUp = Customer(intake: intake, link: second.link, code: Secret("made-up"))
      for _ in 0..<CredentialLimits.intakeAttempts.burst {
        await Self.refused(.intakeUnknown) { try await madeUp.look(from: "198.51.100.7") }
      }
      await Self.refused(.rateLimited) { try await second.look(from: "198.51.100.7") }
      #expect(try await Self.events(world).isEmpty)
      #expect(try await world.kept().allSatisfy { !$0.hasPrefix("credential/") })
      #expect(!(try await world.entries().contains { $0.kind == .intakeReused }))
    }
  }

  @Test("of two uses at once one is the first, and the other is an incident")
  func race() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let customer = try await Self.asked(world, intake)
      let sealed = [
        try await customer.sealed(FixtureValue.make(.openAI, name: "one")),
        try await customer.sealed(FixtureValue.make(.openAI, name: "two")),
      ]
      let codes = await withTaskGroup(of: ErrorCode?.self) { group in
        for one in sealed {
          group.addTask {
            do { try await customer.give(one) } catch { return (error as? AWError)?.code }
            return nil
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(codes.filter { $0 == nil }.count == 1)
      let lost = codes.compactMap { $0 }
      #expect(lost == [.intakeReused] || lost == [.conflict])
      #expect(try await world.kept().filter { $0.hasPrefix("credential/") }.count == 1)
    }
  }

  @Test("a link is asked for with words that can be shown, for a day at most; a rehearsal makes none")
  func bounds() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      func ask(_ ask: IntakeService.Ask, dryRun: Bool = false) async throws {
        _ = try await intake.request(
          ask, org: try Slug("acme"), as: CredentialWorld.actor, named: "anna", dryRun: dryRun)
      }
      for hours in [0, 25, -1] {
        await Self.refused(.usage) { try await ask(.init(surface: Self.surface.rawValue, hours: hours)) }
      }
      for text in ["", "a\u{1}b", String(repeating: "x", count: 201)] {
        await Self.refused(.usage) { try await ask(.init(surface: Self.surface.rawValue, purpose: text)) }
        await Self.refused(.usage) { try await ask(.init(surface: Self.surface.rawValue, from: text)) }
      }
      await Self.refused(.surfaceUnknown) { try await ask(.init(surface: "other")) }
      try await ask(.init(surface: Self.surface.rawValue), dryRun: true)
      #expect(try await intake.links(of: try Slug("acme")).isEmpty)
      try await ask(.init(surface: Self.surface.rawValue, hours: 1))
      #expect(try await intake.links(of: try Slug("acme")).map(\.from) == ["anna"])
    }
  }
}
