import Basics
import Link
import Testing

@testable import Fleet

@Suite("When each Instance is walked along")
struct WatchScheduleTests {
  static let interval = Duration.seconds(15)
  static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(millisecondsSince1970: 1_000_000 + milliseconds) }
  static func ids(_ count: Int) -> [InstanceID] { (0..<count).map { _ in .make(at: at(0)) } }

  @Test("a new Instance is due at once, and again an interval after its walk began")
  func alone() {
    var schedule = WatchSchedule(interval: Self.interval)
    let all = Self.ids(1)
    #expect(schedule.due(among: all, now: Self.at(0)) == all)
    #expect(schedule.due(among: all, now: Self.at(20_000)) == [], "its walk is still under way")
    schedule.ended(all[0], again: nil, now: Self.at(20_000))
    #expect(schedule.due(among: all, now: Self.at(20_000)) == all)
  }

  @Test("many that are new at once are spread over one interval, and none is left out", arguments: [10, 300, 5_000])
  func crowd(_ count: Int) {
    var schedule = WatchSchedule(interval: Self.interval)
    let all = Self.ids(count)
    var seen: [InstanceID] = []
    var most = 0
    for second in 0..<16 {
      let due = schedule.due(among: all, now: Self.at(Int64(second) * 1_000))
      most = max(most, due.count)
      seen += due
    }
    #expect(Set(seen) == Set(all) && seen.count == count)
    #expect(most <= max(20, count / 15 + 1) + 1)
  }

  @Test("a nudge brings the next walk forward; one that comes during a walk is kept until it has ended")
  func nudged() {
    var schedule = WatchSchedule(interval: Self.interval)
    let all = Self.ids(1)
    _ = schedule.due(among: all, now: Self.at(0))
    schedule.nudge(all[0], now: Self.at(10))
    #expect(schedule.due(among: all, now: Self.at(20)) == [])
    schedule.ended(all[0], again: nil, now: Self.at(30))
    #expect(schedule.due(among: all, now: Self.at(30)) == all)
    schedule.ended(all[0], again: nil, now: Self.at(40))
    #expect(schedule.due(among: all, now: Self.at(50)) == [])
    schedule.nudge(all[0], now: Self.at(60))
    #expect(schedule.due(among: all, now: Self.at(60)) == all)
  }

  @Test("what is gone is forgotten, and back it is new")
  func forgotten() {
    var schedule = WatchSchedule(interval: Self.interval)
    let all = Self.ids(1)
    _ = schedule.due(among: all, now: Self.at(0))
    schedule.ended(all[0], again: nil, now: Self.at(1))
    #expect(schedule.due(among: [], now: Self.at(2)) == [])
    #expect(schedule.due(among: all, now: Self.at(3)) == all)
  }

  @Test("what is newly broken is confirmed within seconds, what lasts is left to the interval")
  func confirming() {
    var evidence = StatusEvidence()
    #expect(ConfirmDecision.again(evidence, now: Self.at(0)) == nil)
    evidence.misses = 1
    evidence.missingSince = Self.at(0)
    #expect(ConfirmDecision.again(evidence, now: Self.at(10)) == .seconds(2))
    evidence.misses = 7
    #expect(ConfirmDecision.again(evidence, now: Self.at(10)) == .seconds(4))
    #expect(ConfirmDecision.again(evidence, now: Self.at(60_000)) == nil)
    var schedule = WatchSchedule(interval: Self.interval)
    let all = Self.ids(1)
    _ = schedule.due(among: all, now: Self.at(0))
    schedule.ended(all[0], again: .seconds(2), now: Self.at(100))
    #expect(schedule.due(among: all, now: Self.at(2_000)) == [])
    #expect(schedule.due(among: all, now: Self.at(2_100)) == all)
  }

  @Test("a crash becomes unreachable within 15 seconds of walks, never before three of them and ten seconds")
  func verdict() {
    var evidence = StatusEvidence()
    evidence.take(StatusTests.walk(0, turn: true))
    var (now, verdictAt) = (1, Int?.none)
    while verdictAt == nil, now < 60 {
      evidence.take(StatusTests.walk(now, failing: .runtime))
      let at = StatusTests.at(now)
      if StatusReading.of(evidence, asked: .active, policy: .init(), now: at).status == .unreachable {
        verdictAt = now
      }
      now += Int((ConfirmDecision.again(evidence, now: at) ?? Self.interval).seconds)
    }
    #expect((10...15).contains(verdictAt ?? 99))
  }

  @Test("a model turn is due when there was none, when the last is old, and soon after one that failed")
  func turns() {
    let policy = StatusPolicy()
    var evidence = StatusEvidence()
    #expect(TurnDecision.isDue(evidence, policy: policy, now: StatusTests.at(0)))
    evidence.take(StatusTests.walk(0, turn: true))
    #expect(!TurnDecision.isDue(evidence, policy: policy, now: StatusTests.at(599)))
    #expect(TurnDecision.isDue(evidence, policy: policy, now: StatusTests.at(600)))
    evidence.take(StatusTests.walk(600, failing: .turn, turn: true))
    #expect(!TurnDecision.isDue(evidence, policy: policy, now: StatusTests.at(659)))
    #expect(TurnDecision.isDue(evidence, policy: policy, now: StatusTests.at(660)))
  }
}
