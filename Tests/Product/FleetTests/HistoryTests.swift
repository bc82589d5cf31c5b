import Basics
import Link
import OpenClaw
import Store
import TestSupport
import Testing

@testable import Fleet

@Suite("What was: statuses over time, and how long checks took")
struct HistoryTests {
  static func at(_ seconds: Int) -> Timestamp { StatusTests.at(seconds) }

  static func report(_ seconds: Int, took: [ChainLink: Int64], failing: ChainLink? = nil) -> ChainReport {
    let failure = CheckFailure(code: "test.failed", message: "It failed.", next: "Mend it.")
    return ChainReport(
      results: ChainLink.allCases.compactMap { link in
        let outcome: CheckResult.Outcome = link == failing ? .failed(failure) : took[link] == nil ? .skipped : .passed
        return link == .turn && outcome == .skipped
          ? nil
          : CheckResult(
            link: link, outcome: outcome, at: at(seconds), durationMilliseconds: took[link] ?? 5_000, evidence: .null)
      })
  }

  static func sample(_ seconds: Int, hello: Int64) -> CheckSample {
    let took = CheckSample.Took(least: hello, median: hello, most: hello)
    return CheckSample(at: at(seconds), span: .zero, phases: [.hello: .init(looked: 1, failed: 0, took: took)])
  }

  // MARK: - Statuses

  struct SpanCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let transitions: [(at: Int, to: Status)]
    let looks: [Int]
    let spans: [String]
  }

  static let spanCases: [SpanCase] = [
    .init(
      testDescription: "nothing recorded is unknown", transitions: [], looks: [], spans: ["unknown 0-1000"]),
    .init(
      testDescription: "a status from before the window holds while checks are made", transitions: [(-50, .current)],
      looks: [0, 100, 200, 300, 400, 500, 600, 700, 800, 900], spans: ["current 0-1000"]),
    .init(
      testDescription: "a transition within", transitions: [(-50, .current), (450, .unreachable)],
      looks: [0, 100, 200, 300, 400, 500, 600, 700, 800, 900], spans: ["current 0-450", "unreachable 450-1000"]),
    .init(
      testDescription: "where nobody looked nobody knows", transitions: [(-50, .current)], looks: [0, 100, 700, 800],
      spans: ["current 0-220", "unknown 220-700", "current 700-920", "unknown 920-1000"]),
    .init(
      testDescription: "what was recorded while nobody looked counts from the next look",
      transitions: [(-50, .current), (500, .degraded)], looks: [0, 700, 800, 900],
      spans: ["current 0-120", "unknown 120-700", "degraded 700-1000"]),
    .init(
      testDescription: "the same status twice is one span", transitions: [(0, .current), (300, .current)],
      looks: [0, 100, 200, 300, 400, 500, 600, 700, 800, 900], spans: ["current 0-1000"]),
  ]

  @Test("spans of status have no hole, and claim nothing that nobody saw", arguments: spanCases)
  func spans(example: SpanCase) {
    let spans = StatusSpan.spans(
      example.transitions.map { .init(at: Self.at($0.at), to: $0.to, flapping: false) },
      looks: example.looks.map(Self.at), patience: .seconds(120), from: Self.at(0), to: Self.at(1_000))
    let words = spans.map { span in
      "\(span.status) \(Int(span.from.since(Self.at(0)).seconds))-\(Int(span.to.since(Self.at(0)).seconds))"
    }
    #expect(words == example.spans)
  }

  // MARK: - Samples

  @Test("a sample reads back as it was written, and what failed has no latency")
  func text() throws {
    let report = Self.report(0, took: [.host: 0, .runtime: 3, .live: 2, .ready: 4], failing: .hello)
    let sample = try #require(CheckSample(report))
    #expect(sample.text == "runtime 3,healthz 2,readyz 4,hello 1 1")
    let told = report.results.filter { ChainLink.light.contains($0.link) && $0.outcome == .passed }
    let well = ChainReport(results: told)
    #expect(CheckSample(well) == nil, "what a Host tells when all is well took no time")
    #expect(CheckSample(at: sample.at, span: .zero, text: sample.text) == sample)
    #expect(sample.failures == [.hello])
    let merged = try #require(
      CheckSample.merged(
        [sample, Self.sample(60, hello: 9), Self.sample(90, hello: 1)], at: Self.at(0), span: .seconds(300)))
    #expect(merged.phases[.hello] == .init(looked: 3, failed: 1, took: .init(least: 1, median: 1, most: 9)))
    #expect(CheckSample(at: merged.at, span: merged.span, text: merged.text) == merged)
  }

  @Test("the link's own round trip is its latency; a path that measures none has none")
  func roundTrip() throws {
    func looked(_ evidence: JSONValue) -> CheckSample? {
      CheckSample(
        ChainReport(results: [
          CheckResult(link: .host, outcome: .passed, at: Self.at(0), durationMilliseconds: 0, evidence: evidence),
          CheckResult(link: .hello, outcome: .passed, at: Self.at(0), durationMilliseconds: 50, evidence: .null),
        ]))
    }
    #expect(looked(["path": "aw-gateway", "roundTripMicroseconds": 40_600])?.text == "host 41,hello 50")
    #expect(looked(["path": "ssh-forward"])?.text == "hello 50")
    let view = LatencyView.of(
      [try #require(looked(["roundTripMicroseconds": 40_600]))], [], window: .hour, policy: StatusPolicy(),
      apart: .zero, now: Self.at(10))
    #expect(view.links.map(\.title) == ["Link round trip", "Gateway WebSocket"])
  }

  @Test("the parts of opening the Gateway WebSocket are taken from the check's evidence, and read back")
  func parts() throws {
    let evidence = CheckResult.noting(
      [.tcp: .milliseconds(12), .tls: .milliseconds(30), .greeting: .milliseconds(7)], in: ["version": "2026.6.9"])
    #expect(evidence["version"] == "2026.6.9" && evidence["openingMilliseconds"]?["tls"] == 30)
    let result = CheckResult(
      link: .hello, outcome: .passed, at: Self.at(0), durationMilliseconds: 50, evidence: evidence)
    let sample = try #require(CheckSample(ChainReport(results: [result])))
    #expect(sample.text == "hello 50,hello.tcp 12,hello.tls 30,hello.greeting 7")
    #expect(CheckSample(at: sample.at, span: .zero, text: sample.text) == sample)
    // What an AW of the future may write beside it is left out.
    #expect(CheckSample(at: sample.at, span: .zero, text: sample.text + ",hello.quic 3,moon 1") == sample)
    let merged = try #require(
      CheckSample.merged([sample, Self.sample(60, hello: 9)], at: Self.at(0), span: .seconds(300)))
    #expect(merged.parts[.tls] == .init(looked: 1, failed: 0, took: .init(least: 30, median: 30, most: 30)))
    let view = LatencyView.of(
      [sample], [], window: .hour, policy: StatusPolicy(), apart: .zero, now: Self.at(10))
    #expect(view.phases.map(\.part) == [nil, .tcp, .tls, .greeting] && view.links.map(\.link) == [.hello])
    #expect(view.opening.map(\.title) == ["TCP", "TLS", "Hello"])
  }

  @Test("a line is broken where nobody looked, and where all failed")
  func gaps() {
    let samples = [0, 60, 120, 900, 960].map { Self.sample($0, hello: 5) }
    let view = LatencyView.of(
      samples, [], window: .hour, policy: StatusPolicy(), apart: .zero, now: Self.at(1_000))
    #expect(view.phases.map(\.link) == [.hello])
    #expect(view.phases.first?.runs.map(\.count) == [3, 2])
  }

  @Test("a day is shown in five minutes, a week in thirty; nothing from before the window is in it")
  func buckets() throws {
    let samples = (0..<48).map { Self.sample($0 * 3_600, hello: Int64($0)) }
    let now = Self.at(48 * 3_600)
    let day = LatencyView.of(samples, [], window: .day, policy: StatusPolicy(), apart: .zero, now: now)
    let points = try #require(day.phases.first?.points)
    #expect(points.count == 24)
    #expect(points.allSatisfy { $0.at >= day.from && $0.checks == 1 })
    #expect(points.last?.medianMilliseconds == 47)
  }

  // MARK: - Keeping them

  /// A clock that tests move.
  static func keeper(_ store: Store, _ clock: TestClock) -> SampleKeeper {
    SampleKeeper(store: store, clock: WallClock { clock.now }, logger: TestStores.logger)
  }

  final class TestClock: Sendable {
    private let offset = SecondsBox()
    var now: Timestamp { HistoryTests.at(offset.value) }
    func move(to seconds: Int) { offset.value = seconds }
  }

  @Test("samples are written in batches, thinned after a day and gone after a week", arguments: TestEngine.available)
  func keeping(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let (clock, id) = (TestClock(), InstanceID.make(at: Self.at(0)))
      let keeper = Self.keeper(store, clock)
      for seconds in stride(from: 0, to: 1_800, by: 60) {
        keeper.note(Self.report(seconds, took: [.host: 0, .runtime: 1, .hello: Int64(seconds)]), of: id)
      }
      #expect(try await Self.stored(id, in: store) == [])
      try await keeper.write()
      try await keeper.write()
      #expect(try await Self.stored(id, in: store).count == 30)
      clock.move(to: 86_400 + 2_000)
      try await keeper.tidy()
      try await keeper.tidy()
      let thinned = try await Self.stored(id, in: store)
      #expect(thinned.allSatisfy { $0.span == .seconds(300) } && (6...7).contains(thinned.count))
      #expect(thinned.compactMap { $0.phases[.hello]?.looked }.reduce(0, +) == 30)
      #expect(thinned.compactMap { $0.phases[.hello]?.took?.most }.max() == 1_740)
      clock.move(to: 7 * 86_400 + 4_000)
      try await keeper.tidy()
      #expect(try await Self.stored(id, in: store) == [])
    }
  }

  @Test("above the limit the oldest go, thinned ones first", arguments: TestEngine.available)
  func capping(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let id = InstanceID.make(at: Self.at(0))
      try await store.write { tx in
        for number in 0..<10 {
          let single = Self.sample(number, hello: 1)
          let span = CheckSample(at: Self.at(number * 300), span: SampleLimits.thinTo, phases: single.phases)
          try SampleRecords.insert(single, of: id, in: tx)
          try SampleRecords.insert(span, of: id, in: tx)
        }
        try SampleRecords.cap(14, in: tx)
      }
      let left = try await Self.stored(id, in: store)
      #expect(left.count { $0.span == .zero } == 10 && left.count { $0.span > .zero } == 4)
      try await store.write { try SampleRecords.cap(3, in: $0) }
      #expect(try await Self.stored(id, in: store).map(\.at) == [7, 8, 9].map(Self.at))
    }
  }

  @Test("a large fleet is sampled less often, but a failure that is new always is")
  func spacing() async throws {
    try await TestStores.with(.sqlite, migrations: FleetRecords.migrations) { store in
      let keeper = Self.keeper(store, TestClock())
      let ids = (0..<6_000).map { _ in InstanceID.make(at: Self.at(0)) }
      let good: [ChainLink: Int64] = [.host: 0, .runtime: 1, .hello: 2]
      for id in ids { keeper.note(Self.report(0, took: good), of: id) }
      #expect(keeper.apart == .seconds(120))
      keeper.note(Self.report(60, took: good), of: ids[0])
      keeper.note(Self.report(70, took: [.host: 0], failing: .runtime), of: ids[0])
      keeper.note(Self.report(80, took: [.host: 0], failing: .runtime), of: ids[0])
      keeper.note(Self.report(90, took: good), of: ids[0])
      try await keeper.write()
      #expect(try await Self.stored(ids[0], in: store).map(\.at) == [0, 70, 90].map(Self.at))
    }
  }

  private static func stored(_ id: InstanceID, in store: Store) async throws -> [CheckSample] {
    try await store.read { try SampleRecords.list(of: id, since: at(-1_000_000), in: $0) }
  }
}
