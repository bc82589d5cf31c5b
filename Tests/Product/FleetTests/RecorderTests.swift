import Basics
import Events
import Evidence
import Link
import Store
import Synchronization
import TestSupport
import Testing

@testable import Fleet

/// A fleet in a database of its own, and the recorder that the Watchdog uses.
struct RecorderScene {
  let store: Store
  let index = FleetIndex()
  let recorder: ChainRecorder
  let instances: [Instance]
  private let time: Time

  private final class Time: Sendable {
    let now = Mutex(StatusTests.start)
  }

  static let migrations = EvidenceLog.migrations + EventOutbox.migrations + FleetRecords.migrations

  init(_ store: Store, instances count: Int) async throws {
    let (time, now) = (Time(), StatusTests.start)
    self.store = store
    self.time = time
    recorder = ChainRecorder(
      store: store, evidence: EvidenceLog(), outbox: EventOutbox(),
      clock: WallClock { time.now.withLock { $0 } }, index: index)
    let org = Org(id: .make(at: now), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: now)
    let host = Host(id: .make(at: now), slug: try Slug("host-1"), state: .active, createdAt: now)
    let instances = try (0..<count).map { number in
      Instance(
        id: .make(at: now), slug: try Slug("i-\(number)"), org: org.id, host: host.id, runtime: .process, image: nil,
        requestedPort: nil, state: .active, version: "1", createdAt: now)
    }
    self.instances = instances
    try await store.write { tx in
      try FleetRecords.insert(org, in: tx)
      try FleetRecords.save(host, in: tx)
      for instance in instances { try FleetRecords.save(instance, in: tx) }
    }
  }

  func at(_ seconds: Int) { time.now.withLock { $0 = StatusTests.at(seconds) } }

  /// All of them are found like this at that time.
  func find(_ seconds: Int, _ report: ChainReport, doubt: SelfDoubt? = nil) async throws {
    at(seconds)
    try await index.load(instances.map(\.id), from: store)
    try await recorder.record(
      instances.map { .init(id: $0.id, asked: .active, report: report) }, doubt: doubt)
  }

  var stored: StatusEvidence {
    get async throws {
      let id = instances[0].id
      return try await store.read { try FleetRecords.evidence(of: id, in: $0) }
    }
  }

  func count(_ table: StaticString) async throws -> Int {
    try await store.read { Int(try $0.run("SELECT COUNT(*) AS n FROM \(table)").first?.integer("n") ?? 0) }
  }
}

@Suite("Checks are taken in, and what follows is recorded")
struct RecorderTests {
  @Test("what only confirms is kept in memory and written once in an interval", arguments: TestEngine.available)
  func confirms(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: RecorderScene.migrations) { store in
      let scene = try await RecorderScene(store, instances: 3)
      try await scene.find(0, StatusTests.walk(0, turn: true))
      #expect(try await scene.stored.announced?.status == .current, "a change is written at once")
      for second in 1...14 { try await scene.find(second, StatusTests.light(second)) }
      try await scene.recorder.flush()
      #expect(try await scene.stored.goodAt == StatusTests.at(0))
      #expect(scene.index.evidence(of: scene.instances[0].id)?.goodAt == StatusTests.at(14))
      try await scene.find(15, StatusTests.light(15))
      try await scene.recorder.flush()
      #expect(try await scene.stored.goodAt == StatusTests.at(15))
      #expect(scene.index.pending(now: StatusTests.at(60), apart: .zero).isEmpty)
      // A deep check says more than that, and waits for its turn too.
      for second in [20, 30] {
        try await scene.find(second, StatusTests.walk(second))
        try await scene.recorder.flush()
        #expect(try await scene.stored.lastReachedAt == StatusTests.at(20))
      }
      try await scene.recorder.flush(all: true)
      #expect(try await scene.stored.lastReachedAt == StatusTests.at(30))
    }
  }

  @Test("after a restart the status follows from what was stored, and is honest about its age")
  func restart() async throws {
    try await TestStores.with(.sqlite, migrations: RecorderScene.migrations) { store in
      let scene = try await RecorderScene(store, instances: 1)
      try await scene.find(0, StatusTests.walk(0, turn: true))
      try await scene.find(30, StatusTests.light(30))
      try await scene.recorder.flush()
      let fresh = FleetIndex()
      try await fresh.load(scene.instances.map(\.id), from: store)
      let evidence = try #require(fresh.evidence(of: scene.instances[0].id))
      #expect(StatusTests.status(evidence, at: 60) == .current)
      #expect(StatusTests.status(evidence, at: 68) == .stale)
      #expect(StatusTests.status(evidence, at: 151) == .unknown)
    }
  }

  @Test("5,000 that are lost at once are written in few transactions, each with its entry", arguments: [5_000])
  func many(count: Int) async throws {
    try await TestStores.with(.sqlite, migrations: RecorderScene.migrations) { store in
      let scene = try await RecorderScene(store, instances: count)
      try await scene.find(0, StatusTests.walk(0, turn: true))
      for second in [20, 25, 30] { try await scene.find(second, StatusTests.light(second, failing: .host)) }
      let reading = try await store.read { tx in
        try scene.index.rows(policy: StatusPolicy(), doubt: nil, now: StatusTests.at(31), in: tx)
      }
      #expect(reading.count == count && reading.allSatisfy { $0.status == .unreachable })
    }
  }

  @Test("a change that cannot be written is found again by the next check, and told once")
  func lost() async throws {
    try await TestStores.with(.sqlite, migrations: RecorderScene.migrations) { store in
      let scene = try await RecorderScene(store, instances: 1)
      try await scene.find(0, StatusTests.walk(0, turn: true))
      let before = try await scene.count("event")
      for second in [20, 25] { try await scene.find(second, StatusTests.walk(second, failing: .live)) }
      try await store.write { try $0.run("ALTER TABLE event RENAME TO hidden") }
      await #expect(throws: AWError.self) { try await scene.find(30, StatusTests.walk(30, failing: .live)) }
      #expect(scene.index.evidence(of: scene.instances[0].id)?.misses == 3, "what was seen is kept")
      try await store.write { try $0.run("ALTER TABLE hidden RENAME TO event") }
      for second in [35, 40, 45] { try await scene.find(second, StatusTests.walk(second, failing: .live)) }
      #expect(try await scene.count("event") == before + 1)
      #expect(try await scene.stored.hard?.status == .unreachable)
    }
  }

  @Test("what was removed meanwhile does not come back with what was left to write")
  func removed() async throws {
    try await TestStores.with(.sqlite, migrations: RecorderScene.migrations) { store in
      let scene = try await RecorderScene(store, instances: 2)
      try await scene.find(0, StatusTests.walk(0, turn: true))
      try await scene.find(60, StatusTests.walk(60))
      try await store.write { try FleetRecords.deleteInstance(scene.instances[0].id, in: $0) }
      try await scene.recorder.flush()
      #expect(try await scene.count("instance_evidence") == 1)
    }
  }
}
