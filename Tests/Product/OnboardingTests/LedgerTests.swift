import Access
import Basics
import Evidence
import Fleet
import Link
import Foundation
import Store
import Synchronization
import TestSupport
import Testing
import Work

@testable import Onboarding

@Suite("The ledger of onboardings")
struct LedgerTests {
  /// What a test changes while the ledger looks on.
  final class Outside: Sendable {
    let now = Mutex(Sample.now)
    let facts = Mutex<[CredentialFact]>([])

    /// A credential that is good until 30 days after the beginning.
    func credential(_ surface: String, _ status: Requirement.Status, version: Int = 1) -> CredentialFact {
      CredentialFact(
        surface: surface, title: surface, reference: "\(surface)#v\(version)", status: status,
        problem: status == .valid ? nil : .init(code: .credentialRefused, "m", who: .contact, next: "n"))
    }
  }

  private static func with(
    _ engine: TestEngine, _ body: (OnboardingLedger, Outside, Org) async throws -> Void
  ) async throws {
    let migrations =
      EvidenceLog.migrations + AccessRecords.migrations + WorkRecords.migrations + FleetRecords.migrations
      + OnboardingRecords.migrations
    try await TestStores.with(engine, migrations: migrations) { store in
      let outside = Outside()
      let ledger = OnboardingLedger(
        store: store, evidence: EvidenceLog(), clock: WallClock { outside.now.withLock { $0 } },
        credentials: { _, now, _ in
          outside.facts.withLock { facts in
            facts.map { fact in
              let isOver = fact.status == .valid && now >= Sample.now.advanced(by: .seconds(30 * 86_400))
              return isOver ? outside.credential(fact.surface, .expired) : fact
            }
          }
        })
      let org = Org(
        id: .make(at: Sample.now), slug: try Slug("acme"), name: "acme", sort: .synthetic, createdAt: Sample.now)
      try await store.write { tx in
        try tx.run(
          "INSERT INTO org (id, slug, name, sort, created_at) VALUES (?, 'acme', 'acme', 'synthetic', 0)", [.id(org.id)]
        )
      }
      try await body(ledger, outside, org)
    }
  }

  private static func record(_ org: Org) throws -> OnboardingRecord {
    var record = OnboardingRecord(org: org.id, begunBy: "user/1", begunAt: Sample.now)
    record.contact = .init(name: "Ada", email: "ada@example.com")
    record.placement = .init(slug: try Slug("acme-main"), runtime: .process)
    record.surfaces = ["a"]
    return record
  }

  private static func save(_ record: OnboardingRecord, _ ledger: OnboardingLedger) async throws {
    let now = ledger.clock.now
    try await ledger.store.write { tx in
      try OnboardingRecords.save(record, in: tx)
      try ledger.settle(record.org, by: "user/1", act: "x", at: now, cause: "onboarding.saved", in: tx)
    }
  }

  private static func transitions(_ ledger: OnboardingLedger) async throws -> [OnboardingTransition] {
    try await ledger.store.read { tx in
      try (0..<(try ledger.evidence.head(in: tx).size)).compactMap { index in
        guard let entry = try ledger.evidence.record(at: index, in: tx)?.entry,
          entry.kind == .onboardingStateChanged
        else { return nil }
        return try entry.data.decode(OnboardingTransition.self)
      }
    }
  }

  private static func live(_ ledger: OnboardingLedger, _ org: Org) async throws -> OnboardingStanding? {
    let now = ledger.clock.now
    return try await ledger.store.read { tx in try ledger.look(org, at: now, in: tx)?.standing }
  }

  @Test("each change is one entry with its cause; what changes nothing leaves none", arguments: TestEngine.available)
  func settles(engine: TestEngine) async throws {
    try await Self.with(engine) { ledger, outside, org in
      try await Self.save(try Self.record(org), ledger)
      try await Self.save(try Self.record(org), ledger)
      outside.facts.withLock { $0 = [outside.credential("a", .valid)] }
      try await ledger.settleAll()
      try await ledger.settleAll()
      let entries = try await Self.transitions(ledger)
      #expect(entries.map(\.to.state) == [.credentialsPending, .readyToProvision])
      #expect(entries.map(\.from) == [nil, .credentialsPending])
      // 30 days later time alone has changed it.
      outside.now.withLock { $0 = $0.advanced(by: .seconds(31 * 86_400)) }
      #expect(try await Self.live(ledger, org)?.state == .blocked)
      try await ledger.settleAll()
      let last = try #require(try await Self.transitions(ledger).last)
      #expect(last.to.state == .blocked && last.to.block?.resumesTo == .validationPending)
    }
  }

  @Test("whatever operators and vendors do, replaying the evidence gives the live state", arguments: 1...20)
  func replay(seed: UInt64) async throws {
    try await Self.with(.sqlite) { ledger, outside, org in
      var random = Seeded(state: seed)
      var record = try Self.record(org)
      for _ in 0..<40 {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: record.contact = record.contact == nil ? .init(name: "A", email: "a@b") : nil
        case 1: record.surfaces = [["a"], ["a", "b"], []].randomElement(using: &random) ?? []
        case 2: record.hold = record.hold == nil ? .init(reason: "r", by: "user/1", at: Sample.now) : nil
        case 3: record.provisioning = .init(operation: OperationID.make(at: Sample.now).text, digest: "d")
        default:
          let statuses = Requirement.Status.allCases
          let made = ["a", "b"].compactMap { surface in
            statuses.randomElement(using: &random).flatMap {
              $0 == .missing ? nil : outside.credential(surface, $0, version: Int.random(in: 1...3, using: &random))
            }
          }
          outside.facts.withLock { $0 = made }
        }
        try await Self.save(record, ledger)
        let log = try await Self.transitions(ledger)
        let live = try await Self.live(ledger, org)
        #expect(OnboardingTransition.replay(log) == live)
      }
    }
  }
}
