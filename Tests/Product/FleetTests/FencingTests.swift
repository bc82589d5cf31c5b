import Basics
import CoreMetrics
import Events
import Evidence
import Link
import Store
import TestSupport
import Testing
import Work

@testable import Fleet

@Suite("Fencing: one valid token writes")
struct FencingTests {
  static let migrations =
    EvidenceLog.migrations + WorkRecords.migrations + EventOutbox.migrations + FleetRecords.migrations

  /// A control plane as far as leases go. Its clock runs at its own rate from its own beginning, and it may
  /// stand still.
  private struct Plane {
    let id: NodeID
    let run: String
    let rate: Double
    let offset: Duration
    var leases: ShardLeases
    let share: FleetShare
    /// What it read and decided, and has yet to carry out: the database may have moved on.
    var pending: ShardLeases.Decision?
    var believes: [Shard: Int64] = [:]
    var pausedUntil = Duration.zero

    init(_ number: Int, rate: Double, offset: Duration) {
      id = .make(at: ShardLeasesTests.at)
      run = "run-\(number)"
      self.rate = rate
      self.offset = offset
      leases = ShardLeases(me: id, run: run)
      share = FleetShare(node: id, run: run, metrics: NOOPMetricsHandler.instance)
    }

    func clock(_ now: Duration) -> Duration { offset + now * rate }
  }

  /// Of everything that writes, whenever it read and however its clock runs: only the newest token passes.
  @Test(
    "whatever the schedule and the clocks, a verdict passes only by the newest token of its Host",
    arguments: TestEngine.available, [UInt64(1), 2, 3, 4])
  func schedules(_ engine: TestEngine, _ seed: UInt64) async throws {
    try await TestStores.with(engine, migrations: Self.migrations) { store in
      var random = Seeded(state: seed)
      let hosts = try await Self.hosts(store, 6)
      var planes = (0..<(2 + Int(seed % 2))).map {
        Plane(
          $0, rate: Double.random(in: 0.5...2, using: &random),
          offset: .seconds(Int.random(in: -10_000...10_000, using: &random)))
      }
      for plane in planes { try await Self.join(plane, store) }
      var (newest, highest): ([Shard: Int64], Int64) = ([:], 0)
      var (accepted, refused) = (0, 0)
      for step in 0..<1_500 {
        let now = Duration.milliseconds(step * 400)
        let index = Int.random(in: 0..<planes.count, using: &random)
        guard planes[index].pausedUntil <= now else { continue }
        let plane = planes[index]
        switch Int.random(in: 0..<12, using: &random) {
        case 0: planes[index].pausedUntil = now + .seconds(Int.random(in: 1...40, using: &random))
        case 1...4: try await store.write { try NodeRecords.beat(plane.id, at: ShardLeasesTests.at, in: $0) }
        case 5...6:
          let roll = try await store.read { try NodeRecords.roll(in: $0) }
          planes[index].pending = planes[index].leases.look(roll, at: plane.clock(now))
        case 7...8:
          guard let decision = plane.pending else { continue }
          planes[index].pending = nil
          let taken = try await store.write { tx in
            try NodeRecords.take(decision.takes, for: plane.id, run: plane.run, at: ShardLeasesTests.at, in: tx)
          }
          for (shard, token) in taken {
            #expect(token > highest, "a token was given out twice or out of order")
            planes[index].believes[shard] = token
            newest[shard] = token
          }
          highest = max(highest, taken.values.max() ?? 0)
        case 9:
          let link = Int.random(in: 0...1, using: &random)
          let host = try #require(hosts.randomElement(using: &random))
          try await store.write { try NodeRecords.save(connections: link, of: host.host, at: plane.id, in: $0) }
        default:
          // It writes of everything that it ever held, whatever it has heard since.
          let held = try await store.write { try NodeRecords.held(hosts.map(\.instance.text), run: plane.run, in: $0) }
          for host in hosts {
            guard let token = plane.believes[.host(host.host)] else { continue }
            let passes = held[host.instance.text]?.token == token
            #expect(passes == (newest[.host(host.host)] == token))
            if passes { accepted += 1 } else { refused += 1 }
          }
        }
      }
      #expect(accepted > 50 && refused > 10, "accepted \(accepted), refused \(refused)")
      try await Self.settles(&planes, store)
    }
  }

  /// Whatever happened, two quiet minutes later every shard has a holder that lives.
  private static func settles(_ planes: inout [Plane], _ store: Store) async throws {
    for second in 0..<180 {
      for index in planes.indices.dropLast() {
        let plane = planes[index]
        try await store.write { try NodeRecords.beat(plane.id, at: ShardLeasesTests.at, in: $0) }
        let roll = try await store.read { try NodeRecords.roll(in: $0) }
        let decision = planes[index].leases.look(roll, at: plane.clock(.seconds(1_000 + second)))
        _ = try await store.write { tx in
          try NodeRecords.take(decision.takes, for: plane.id, run: plane.run, at: ShardLeasesTests.at, in: tx)
        }
      }
    }
    let living = Set(planes.dropLast().map(\.id))
    let roll = try await store.read { try NodeRecords.roll(in: $0) }
    #expect(roll.shards.count == 7)
    for (shard, holder) in roll.shards { #expect(holder.map { living.contains($0.node) } == true, "\(shard)") }
  }

  @Test(
    "a holder that wakes after another took over writes no verdict and no confirmation", arguments: TestEngine.available
  )
  func wakes(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.migrations) { store in
      let host = try #require(try await Self.hosts(store, 1).first)
      let planes = [Plane(0, rate: 1, offset: .zero), Plane(1, rate: 1, offset: .zero)]
      for plane in planes { try await Self.join(plane, store) }
      try await Self.take(.host(host.host), by: planes[0], store)
      let instance = try #require(try await store.read { try FleetRecords.instance(host.instance, in: $0) })
      let recorders = planes.map { plane in
        ChainRecorder(
          store: store, evidence: EvidenceLog(), outbox: EventOutbox(),
          clock: WallClock { ShardLeasesTests.at.advanced(by: .seconds(60)) }, index: FleetIndex(), share: plane.share)
      }
      let good = Self.report(nil), bad = Self.report(AWError(.runtimeExited, "It ended.", next: "Look."))
      try await recorders[0].record(good, of: instance)
      #expect(try await Self.entries(store) > 0)
      // The first stands still here, with a verdict in its hands; the second takes over and records another one.
      try await Self.take(.host(host.host), by: planes[1], store)
      try await recorders[1].record(bad, of: instance)
      let before = try await store.read { try FleetRecords.evidence(of: instance.id, in: $0) }
      let entries = try await Self.entries(store)

      try await recorders[0].record(good, of: instance)
      try await recorders[0].flush(all: true)
      #expect(try await store.read { try FleetRecords.evidence(of: instance.id, in: $0) } == before)
      #expect(try await Self.entries(store) == entries)
      // What it believed is forgotten with it.
      #expect(recorders[0].index.evidence(of: instance.id) == nil)
      try await recorders[1].record(good, of: instance)
      #expect(try await Self.entries(store) > entries)
    }
  }

  // MARK: - Parts

  private static func report(_ error: AWError?) -> ChainReport {
    ChainReport(
      results: ChainLink.allCases.map { link in
        let failure = link == .runtime ? error.map { CheckResult.Outcome.failed(CheckFailure($0)) } : nil
        return CheckResult(
          link: link, outcome: failure ?? .passed, at: ShardLeasesTests.at.advanced(by: .seconds(59)),
          durationMilliseconds: 1, evidence: .null)
      })
  }

  private static func entries(_ store: Store) async throws -> Int64 {
    try await store.read { try EvidenceLog().head(in: $0).size }
  }

  private static func take(_ shard: Shard, by plane: Plane, _ store: Store) async throws {
    let holder = try await store.read { try NodeRecords.roll(in: $0).shards[shard] ?? nil }
    let taken = try await store.write { tx in
      try NodeRecords.take(
        [.init(shard: shard, reason: .vacant, holder: holder, beat: nil)], for: plane.id, run: plane.run,
        at: ShardLeasesTests.at, in: tx)
    }
    let token = try #require(taken[shard])
    plane.share.hold([shard: .init(token: token, graceUntil: ShardLeasesTests.at)])
  }

  private static func join(_ plane: Plane, _ store: Store) async throws {
    let node = NodeRoll.Node(id: plane.id, name: plane.run, run: plane.run, beat: 1, state: .up, gateway: "")
    try await store.write { tx in
      try NodeRecords.save(
        .init(node: node, program: "aw", startedAt: ShardLeasesTests.at, seenAt: ShardLeasesTests.at), in: tx)
    }
  }

  private static func hosts(_ store: Store, _ count: Int) async throws -> [(host: HostID, instance: InstanceID)] {
    let at = ShardLeasesTests.at
    let org = Org(id: .make(at: at), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: at)
    let hosts = try (0..<count).map {
      Host(id: .make(at: at), slug: try Slug("host-\($0)"), state: .active, createdAt: at)
    }
    let instances = try hosts.enumerated().map { index, host in
      Instance(
        id: .make(at: at), slug: try Slug("i-\(index)"), org: org.id, host: host.id, runtime: .process, image: nil,
        requestedPort: nil, state: .active, version: "1", createdAt: at)
    }
    try await store.write { tx in
      try FleetRecords.insert(org, in: tx)
      for host in hosts { try FleetRecords.save(host, in: tx) }
      for instance in instances { try FleetRecords.save(instance, in: tx) }
    }
    return zip(hosts, instances).map { ($0.id, $1.id) }
  }
}
