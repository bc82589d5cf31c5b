import Basics
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import Connector
@testable import Gateway
@testable import Link

@Suite("A path that works and has become much worse", .timeLimit(.minutes(2)))
struct PathWatchTests {
  private static func trip(_ milliseconds: Int) -> PathSample {
    PathSample(roundTrip: .milliseconds(milliseconds), sent: 4, sentAgain: 0)
  }
  private static let lossy = PathSample(roundTrip: .milliseconds(20), sent: 400, sentAgain: 60)
  private static let policy = PathPolicy()

  /// A path of 20 ms that is known.
  private static func known(_ milliseconds: Int = 20) -> PathWatch {
    var watch = PathWatch()
    for _ in 0..<policy.normalsMin { _ = watch.take(trip(milliseconds)) }
    return watch
  }

  @Test(
    "what one sample says",
    arguments: [
      (20, 20, "good"), (20, 45, "good"), (20, 46, "silent"), (20, 80, "silent"), (20, 81, "bad"), (1, 20, "good"),
      (1, 51, "silent"), (1, 52, "bad"), (200, 400, "good"), (200, 800, "silent"), (200, 801, "bad"),
    ])
  func judged(normal: Int, now: Int, word: String) {
    let judgement = Self.known(normal).judge(Self.trip(now))
    switch judgement {
    case .good: #expect(word == "good")
    case .silent: #expect(word == "silent")
    case .bad(let fault):
      #expect(word == "bad")
      #expect(fault == .roundTrip(.milliseconds(now), normal: .milliseconds(normal)))
    }
  }

  @Test(
    "how many segments may be sent again",
    arguments: [(0, 4), (12, 5), (100, 9), (400, 17), (2_500, 53), (10_000, 200), (100_000, 2_000)])
  func again(sent: Int, most: Int) { #expect(Self.policy.againMax(of: sent) == most) }

  /// Samples that decide nothing.
  private func feed(_ watch: inout PathWatch, _ sample: PathSample, _ times: Int) {
    for _ in 0..<times {
      let verdict = watch.take(sample)
      #expect(verdict == nil)
    }
  }

  @Test("seven in a row, 30 s, make it degraded, and seven good ones undo that; one that says nothing changes nothing")
  func runs() throws {
    for bad in [Self.trip(300), Self.lossy] {
      var watch = Self.known()
      feed(&watch, bad, 6)
      // A good one begins anew.
      feed(&watch, Self.trip(20), 1)
      for sample in [bad, .loaded, bad, bad, .loaded, bad, Self.trip(70), bad, bad] {
        feed(&watch, sample, 1)
      }
      let verdict = watch.take(bad)
      let fault = try #require(watch.fault)
      #expect(verdict == .degraded(fault))
      feed(&watch, Self.trip(20), 6)
      // A bad one begins anew.
      feed(&watch, bad, 1)
      feed(&watch, Self.trip(20), 6)
      let last = watch.take(Self.trip(20))
      #expect(last == .recovered && watch.fault == nil)
      #expect(watch.normal == .milliseconds(20))
    }
  }

  @Test("what lasts for an hour is the normal; what was normal outlives a connection")
  func normals() {
    var watch = Self.known()
    var verdicts: [PathWatch.Verdict] = []
    for _ in 0..<1_000 { if let verdict = watch.take(Self.trip(300)) { verdicts.append(verdict) } }
    #expect(verdicts.count == 2 && verdicts.last == .recovered)
    #expect(watch.normal == .milliseconds(300))
    for _ in 0..<7 { _ = watch.take(Self.trip(2_000)) }
    #expect(watch.fault != nil)
    let ends = [watch.end(), watch.end()]
    #expect(ends == [true, false])
    #expect(watch.fault == nil && watch.normal == .milliseconds(300))
  }

  @Test("a loss of 1 %, an uneven round trip and bulk make no false alarm within three weeks", arguments: [1, 2, 3])
  func falseAlarms(seed: UInt64) {
    var random = Seeded(state: seed)
    var watch = PathWatch()
    for _ in 0..<400_000 {
      let sent = Int.random(in: 0..<8, using: &random) == 0 ? Int.random(in: 0..<200, using: &random) : 4
      let lost = (0..<sent).count { _ in Int.random(in: 0..<100, using: &random) == 0 }
      let isSpike = Int.random(in: 0..<50, using: &random) == 0
      let trip = Int.random(in: 15..<60, using: &random) * (isSpike ? 10 : 1)
      let isLoaded = Int.random(in: 0..<4, using: &random) == 0
      let sample = PathSample(roundTrip: .milliseconds(trip), sent: sent, sentAgain: lost)
      if let verdict = watch.take(isLoaded ? .loaded : sample) {
        Issue.record("\(verdict)")
        return
      }
    }
  }

  @Test(
    "new streams take the other connection, it is told with its evidence, and it ends with the path or with the link")
  func routing() async throws {
    let pair = try await TwoConnectionsTests.Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let gateway = pair.scene.gateway
    let bad = try gateway.session(of: pair.host)
    let slot = try #require(bad.slot)
    func show(_ milliseconds: Int, _ times: Int) {
      for _ in 0..<times { gateway.take(Self.trip(milliseconds), nil, of: bad) }
    }
    show(20, Self.policy.normalsMin)
    show(300, Self.policy.run)
    let seen = try #require(await pair.scene.delegate.nextSeen())
    #expect(LossClassifier.classify(seen).lossClass == .pathDegraded && seen.slot == slot)
    #expect(seen.detail == "round trip 300 ms, normally 20 ms")
    #expect(gateway.figures.degraded == 1 && gateway.degradation(of: pair.host)?.code == .linkPathDegraded)
    #expect(gateway.shortage(of: pair.host) == nil && gateway.connections(of: pair.host) == 2)
    // The other one is preferred whatever it carries.
    for _ in 0..<3 {
      let other = try gateway.session(of: pair.host)
      #expect(other.slot != slot)
      _ = try await HeldStream.open(gateway, pair.host, pair.instance)
    }
    show(20, Self.policy.run)
    #expect(await pair.scene.delegate.nextMended() == slot)
    #expect(gateway.figures.degraded == 0 && gateway.degradation(of: pair.host) == nil)
    #expect(try gateway.session(of: pair.host).slot == slot)

    show(300, Self.policy.run)
    #expect(await pair.scene.delegate.nextLoss() == .pathDegraded)
    bad.channel.close(promise: nil)
    #expect(await pair.scene.delegate.nextMended() == slot)
    #expect(await pair.scene.delegate.nextLoss() != .pathDegraded)
    #expect(gateway.degradation(of: pair.host) == nil)
    await connector.cancel()
    try await pair.close()
  }

  @Test("every connection is measured, by what the kernel says of it")
  func measured() async throws {
    let pair = try await TwoConnectionsTests.Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let gateway = pair.scene.gateway
    while gateway.shared.withLockedValue({ $0.paths[pair.host]?.count ?? 0 }) < 2 {
      gateway.lookAtPaths()
      await Task.yield()
    }
    #expect(gateway.figures.degraded == 0 && gateway.degradation(of: pair.host) == nil)
    await connector.cancel()
    try await pair.close()
  }
}
