import Access
import Basics
import Evidence
import Store
import TestSupport
import Testing

@testable import Programme

@Suite("The programme in the database")
struct ServiceTests {
  private static let kind = EvidenceKind("test.happened")

  private static func with(
    _ engine: TestEngine, _ body: (ProgrammeService, Acts, Store, EvidenceLog) async throws -> Void
  ) async throws {
    try await TestStores.withLocation(engine) { location in
      let store = try await Store.open(
        location, migrations: EvidenceLog.migrations + AccessRecords.migrations + ProgrammeRecords.migrations,
        logger: TestStores.logger)
      let (world, evidence) = (try ProgrammeWorld(), EvidenceLog())
      let clock = WallClock { world.now }
      let (builtin, founded) = (try BuiltinProgramme.load(), world.now)
      let acts = Acts(
        store: store, evidence: evidence,
        guardrails: [ProgrammeService.guardrail(world.trust, builtin, founded: founded)], clock: clock,
        logger: TestStores.logger)
      let service = ProgrammeService(
        acts: acts, store: store, evidence: evidence, trust: world.trust, builtin: builtin, founded: founded,
        proofs: [
          "watchdog-recurs": { subject in
            ProofFinding(
              "it looked at \(subject.org)", holds: true,
              evidence: [EvidenceReference(uri: "evidence/0", digest: PacketDigest(of: "x"), at: world.now)])
          }
        ], clock: clock, changed: {})
      do {
        try await body(service, acts, store, evidence)
        await store.close()
      } catch {
        await store.close()
        throw error
      }
    }
  }

  @Test(
    "acts append entries with their evidence, a rehearsal appends none, and a refusal is recorded",
    arguments: TestEngine.available)
  func acts(engine: TestEngine) async throws {
    try await Self.with(engine) { service, _, store, evidence in
      let one = try Slug("build-sequence-1")
      let digest = try #require(try await service.packets(of: one).last?.digest)
      _ = try await service.propose(one, digest, as: .system("local"), dryRun: true)
      #expect(try await service.board().sequences[1].state == .draft)
      let answer = try await service.propose(one, digest, as: .system("local"))
      #expect(answer.state == .inReview && answer.packet == digest)
      // The packet that came with the program was kept with the first act on it.
      let kept = try await store.read { try ProgrammeRecords.entries(in: $0) }
      #expect(kept.count == 2)
      await #expect(throws: AWError(.programmeNoAuthor, "", next: "")) {
        try await service.execute(.begin, one, digest, as: .system("local"))
      }
      let entries = try await store.read { try evidence.list(limit: 10, in: $0) }
      #expect(entries.map(\.entry.kind.id) == ["act.refused", "programme.packet-proposed"])
      #expect(entries[1].entry.data["packet"]?.stringValue == digest.text)
      #expect(try await service.board().evidence.entries == 2)
    }
  }

  @Test("what was found is recorded as it was found; nobody else's claim is called machine-checked")
  func proofs() async throws {
    try await Self.with(.sqlite) { service, _, _, _ in
      let subject = ProofSubject(org: try Slug("acme"))
      let report = try await service.prove(try Slug("build-sequence-1"), subject, as: .system("local"))
      #expect(report.holds && report.claims.map(\.proof) == ["watchdog-recurs"] && report.unbuilt.count == 5)
      await #expect(throws: AWError(.programmeNotBuilt, "", next: "")) {
        try await service.prove(try Slug("build-sequence-4"), subject, as: .system("local"))
      }
      let line = try await service.board().sequences[1]
      #expect(line.checkpoints.map(\.title) == ["1 of 1 proofs held, for the Org 'acme'"])
    }
  }

  @Test("an act outside the packets is refused with packet, line and gates; one inside them costs nothing")
  func guardrail() async throws {
    try await Self.with(.sqlite) { _, acts, store, evidence in
      func perform(_ scopes: Set<ActScope>, namesGate: Bool = false) async throws {
        let act = Act(.orgCreate, kind: Self.kind, scopes: scopes, namesGate: namesGate)
        try await acts.perform(act, as: .system("local")) { _, _ in }
      }
      try await perform([])
      try await perform([.spawnIngestion])
      // Its line says that a separate approval is enough; whether there is one, the body of the act looks.
      try await perform([.realCredential], namesGate: true)
      await #expect(throws: AWError(.credentialClassRefused, "", next: "")) { try await perform([.realCredential]) }
      await #expect(throws: AWError(.orgNotSynthetic, "", next: "")) {
        try await perform([.realOrg], namesGate: true)
      }
      await #expect(throws: AWError(.programmeScopeClosed, "", next: "")) {
        try await perform([.automaticFleetUpgrade])
      }
      let last = try #require(try await store.read { try evidence.list(limit: 1, in: $0) }.first)
      #expect(last.entry.data["by"] == "guardrail")
      #expect(last.entry.data["reason"]?.stringValue?.contains("No automatic upgrade across a real fleet") == true)
    }
  }
}
