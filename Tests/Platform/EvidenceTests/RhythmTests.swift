import Basics
import Hygiene
import Store
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Evidence

@Suite("When the record is looked at by itself")
struct RhythmTests {
  struct Case: Sendable, CustomStringConvertible {
    let description: String
    /// Minutes: of the newest verdict, and of the first and the last entry that it did not look at.
    let scanned: Int?
    let added: (first: Int, last: Int)?
    let now: Int
    let isDue: Bool

    init(_ description: String, _ scanned: Int?, _ added: (Int, Int)?, _ now: Int, _ isDue: Bool) {
      (self.description, self.scanned, self.now, self.isDue) = (description, scanned, now, isDue)
      self.added = added.map { (first: $0.0, last: $0.1) }
    }
  }

  static func at(_ minute: Int) -> Timestamp { LogScene.start.advanced(by: .seconds(minute * 60)) }

  static let cases = [
    Case("nothing at all", nil, nil, 10_000, false),
    Case("nothing since", 0, nil, 10_000, false),
    Case("never yet, and quiet", nil, (0, 10), 15, true),
    Case("never yet, and not quiet", nil, (0, 11), 15, false),
    Case("quiet, and an hour since the verdict", 0, (1, 55), 60, true),
    Case("quiet, and less than an hour", 0, (1, 2), 59, false),
    Case("an hour, and not quiet", 0, (1, 56), 60, false),
    Case("never quiet, not yet six hours", 0, (1, 360), 360, false),
    Case("never quiet for six hours", 0, (1, 361), 361, true),
    Case("six hours, but somebody asked for a verdict meanwhile", 350, (1, 361), 361, false),
    Case("a verdict from before the clock was set back", 900, (1, 2), 10, true),
    Case("entries of later than now", 0, (100, 100), 61, false),
  ]

  @Test("it is time when something was added and it is quiet, or when it never gets quiet", arguments: cases)
  func table(test: Case) {
    let added = test.added.map { HygieneRhythm.Added(count: 1, first: Self.at($0.first), last: Self.at($0.last)) }
    #expect(
      HygieneRhythm.isDue(at: Self.at(test.now), scannedAt: test.scanned.map(Self.at), added: added) == test.isDue)
  }

  @Test(
    "a verdict comes by itself after acts, once; heartbeats and verdicts ask for none and make none stale",
    arguments: TestEngine.available)
  func looks(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      let minute = Mutex(0)
      let clock = WallClock { minute.withLock { Self.at($0) } }
      let hygiene = EvidenceHygiene(
        log: scene.log, store: scene.store, watch: scene.vault.watch,
        profiles: FieldProfiles("test.happened: number number"), kinds: .init(orgs: [], others: []))
      let keepers = (0..<2).map { _ in
        HygieneKeeper(
          hygiene: hygiene, log: scene.log, store: scene.store, clock: clock, logger: TestStores.logger)
      }
      func look(_ keeper: Int = 0, at now: Int) async throws -> Bool {
        minute.withLock { $0 = now }
        return try await keepers[keeper].look()
      }
      func add(_ kind: EvidenceKind, at now: Int) async throws {
        let entry = EvidenceEntry(kind: kind, at: Self.at(now), actor: "system/test")
        try await scene.store.write { [log = scene.log] tx in _ = try log.append(entry, in: tx) }
      }
      func reading() async throws -> HygieneReading? { try await scene.store.read { try hygiene.newest(in: $0) } }

      try await add(.heartbeat, at: 0)
      #expect(try await look(at: 60) == false)
      try await add(.tested, at: 60)
      #expect(try await look(at: 64) == false)
      #expect(try await look(at: 65))
      let first = try await reading()
      #expect(first?.isStale == false && first?.verdict.items == 2)
      // The other control plane has nothing left to do, now and when only heartbeats came.
      #expect(try await look(1, at: 65) == false)
      try await add(.heartbeat, at: 120)
      #expect(try await look(1, at: 200) == false)
      #expect(try await reading()?.isStale == false)
      try await add(.tested, at: 200)
      #expect(try await reading()?.added == 1)
      #expect(try await look(1, at: 205))
      #expect(try await reading()?.verdict.items == 5)
      #expect(try await scene.store.read { try scene.log.record(at: 5, in: $0) }?.entry.actor == "system/hygiene")
    }
  }
}
