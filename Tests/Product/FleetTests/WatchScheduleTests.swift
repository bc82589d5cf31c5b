import Basics
import Link
import TestSupport
import Testing

@testable import Fleet

@Suite("When each Instance is checked")
struct WatchScheduleTests {
  static func at(_ milliseconds: Int64) -> Timestamp {
    Timestamp(millisecondsSince1970: 1_700_000_000_000 + milliseconds)
  }

  static func ids(_ count: Int, _ random: inout Seeded) -> [InstanceID] {
    (0..<count).map { InstanceID(at: at(Int64($0)), random: &random) }
  }

  /// Instances that answer after some time, and what the schedule made of them.
  struct World {
    var schedule: WatchSchedule
    var answersAfter: [InstanceID: Int64]
    /// When each ends that is under way.
    var ending: [(at: Int64, id: InstanceID)] = []
    var began: [InstanceID: [Int64]] = [:]
    var begunInTick: [Int] = []
    var mostUnderWay = 0
    var doubles = 0
    static let tick: Int64 = 250

    init(_ answersAfter: [InstanceID: Int64], seed: UInt64, turns: Bool = false) {
      schedule = WatchSchedule(seed: seed)
      self.answersAfter = answersAfter
      for id in answersAfter.keys.sorted() {
        schedule.enter(id, runs: true, turn: turns ? WatchScheduleTests.at(0) : nil, now: WatchScheduleTests.at(0))
      }
    }

    mutating func run(from: Int64, to: Int64, told: Bool = true) {
      for now in stride(from: from, to: to, by: Int(Self.tick)) {
        let over = ending.filter { $0.at <= now }
        ending.removeAll { $0.at <= now }
        for (end, id) in over {
          let slow = answersAfter[id, default: 0] >= 5_000
          schedule.ended(
            id, slow: slow, again: slow ? .seconds(5) : nil, turn: nil, now: WatchScheduleTests.at(max(end, from)))
        }
        if told, now % 15_000 == 0 {
          for (id, after) in answersAfter where after < 5_000 { schedule.heard(id, now: WatchScheduleTests.at(now)) }
        }
        let checks = schedule.take(now: WatchScheduleTests.at(now))
        begunInTick.append(checks.count)
        let underWay = Set(ending.map(\.id))
        for check in checks {
          if underWay.contains(check.id) { doubles += 1 }
          began[check.id, default: []].append(now)
          ending.append((now + answersAfter[check.id, default: 1], check.id))
        }
        mostUnderWay = max(mostUnderWay, ending.count)
      }
    }

    /// The longest time that one of these was not checked for.
    func longestGap(_ ids: [InstanceID], from: Int64 = 0, end: Int64) -> Int64 {
      ids.map { id in
        let times = [from] + began[id, default: []] + [end]
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? end
      }.max() ?? 0
    }
  }

  @Test("10,000 that are well: none starves, none is checked twice at once, the budget is kept", arguments: [1, 7, 99])
  func healthy(seed: UInt64) {
    var random = Seeded(state: seed)
    let ids = Self.ids(10_000, &random)
    var world = World(
      Dictionary(uniqueKeysWithValues: ids.map { ($0, Int64.random(in: 5...300, using: &random)) }), seed: seed)
    world.run(from: 0, to: 180_000)
    #expect(world.doubles == 0)
    #expect(world.mostUnderWay <= 256)
    #expect(world.longestGap(ids, end: 180_000) <= 62_000)
    let ticks = world.begunInTick
    let perSecond = (0..<ticks.count / 4).map { ticks[(4 * $0)..<(4 * $0 + 4)].reduce(0, +) }
    #expect(perSecond.allSatisfy { $0 <= 500 }, "400 a second and the burst of a quarter")
    // The spread: each quarter of a second of a minute has about as many as every other.
    let steady = world.begunInTick[240...]
    #expect((steady.max() ?? 0) < 4 * 10_000 / 240)
    #expect(Double(steady.count { $0 < 10_000 / 480 }) < 0.02 * Double(steady.count))
  }

  @Test("10,000 black holes leave 2,000 healthy ones on time", arguments: [3, 4])
  func blackHoles(seed: UInt64) {
    var random = Seeded(state: seed)
    let (holes, well) = (Self.ids(10_000, &random), Self.ids(2_000, &random))
    var answers = Dictionary(uniqueKeysWithValues: holes.map { ($0, Int64(5_000)) })
    for id in well { answers[id] = 50 }
    var world = World(answers, seed: seed)
    // Their Host tells at once that they do not answer: the first check of each finds it in the slow lane.
    world.run(from: 0, to: 400_000)
    world.began = [:]
    world.run(from: 400_000, to: 700_000)
    #expect(world.doubles == 0 && world.mostUnderWay <= 256)
    #expect(world.longestGap(well, from: 400_000, end: 700_000) <= 63_000)
    // The slow lane goes on: 64 slots of five seconds each.
    let swept = holes.count { !world.began[$0, default: []].isEmpty }
    #expect(swept > 3_000)
  }

  @Test("whatever happens, each that stays is checked again, and never twice at once", arguments: 1...30)
  func anything(seed: UInt64) {
    var random = Seeded(state: seed)
    let ids = Self.ids(Int.random(in: 1...60, using: &random), &random)
    var schedule = WatchSchedule(seed: seed)
    var (present, running): (Set<InstanceID>, [InstanceID: Int64]) = ([], [:])
    var lastBegan: [InstanceID: Int64] = [:]
    for now in stride(from: Int64(0), to: 400_000, by: 250) {
      let quiet = now > 200_000
      let id = ids[Int.random(in: 0..<ids.count, using: &random)]
      switch Int.random(in: 0..<(quiet ? 1 : 6), using: &random) {
      case 1:
        schedule.enter(id, runs: Bool.random(using: &random), turn: Self.at(now), now: Self.at(now))
        present.insert(id)
      case 2:
        schedule.leave(id)
        present.remove(id)
        lastBegan[id] = nil
      case 3: schedule.nudge(id, now: Self.at(now))
      case 4: schedule.heard(id, now: Self.at(now))
      default: break
      }
      for (id, end) in running where end <= now {
        running[id] = nil
        let again: Duration? = Bool.random(using: &random) ? .seconds(5) : nil
        schedule.ended(
          id, slow: Bool.random(using: &random), again: again, turn: Self.at(now + 60_000), now: Self.at(now))
      }
      for check in schedule.take(now: Self.at(now)) {
        #expect(running[check.id] == nil)
        running[check.id] = now + Int64.random(in: 0...6_000, using: &random)
        lastBegan[check.id] = now
      }
    }
    for id in present { #expect(lastBegan[id, default: 0] > 400_000 - 70_000) }
    #expect(schedule.count == present.count)
  }

  @Test("a nudge brings the next check forward; one that comes during a check is kept until it has ended")
  func nudged() {
    var random = Seeded(state: 1)
    let id = Self.ids(1, &random)[0]
    var schedule = WatchSchedule(seed: 1)
    schedule.enter(id, runs: true, turn: nil, now: Self.at(0))
    schedule.nudge(id, now: Self.at(10))
    var taken = [schedule.take(now: Self.at(20))]
    schedule.nudge(id, now: Self.at(30))
    taken.append(schedule.take(now: Self.at(40)))
    schedule.ended(id, slow: true, again: nil, turn: nil, now: Self.at(50))
    taken.append(schedule.take(now: Self.at(60)))
    schedule.ended(id, slow: false, again: nil, turn: nil, now: Self.at(70))
    taken.append(schedule.take(now: Self.at(80)))
    #expect(taken == [[.init(id: id, depth: .deep, lane: .brisk)], [], [.init(id: id, depth: .deep, lane: .slow)], []])
  }

  @Test("a retry comes after its wait, give or take a twentieth, from the beginning of the check")
  func retried() {
    var random = Seeded(state: 2)
    let id = Self.ids(1, &random)[0]
    var schedule = WatchSchedule(seed: 2)
    schedule.enter(id, runs: true, turn: nil, now: Self.at(0))
    schedule.nudge(id, now: Self.at(0))
    var (began, gaps): (Int64, [Int64]) = (0, [])
    _ = schedule.take(now: Self.at(0))
    for now in stride(from: Int64(10), to: 200_000, by: 10) {
      if now == began + 100 { schedule.ended(id, slow: false, again: .seconds(5), turn: nil, now: Self.at(now)) }
      guard now > began + 100, !schedule.take(now: Self.at(now)).isEmpty else { continue }
      gaps.append(now - began)
      began = now
    }
    #expect(gaps.count > 30 && gaps.allSatisfy { $0 <= 5_260 })
    #expect(gaps.contains { $0 != gaps[0] })
  }

  @Test("one that is not meant to run has light checks only, until it is meant to run")
  func stopped() {
    var random = Seeded(state: 3)
    let id = Self.ids(1, &random)[0]
    var schedule = WatchSchedule(seed: 3)
    schedule.enter(id, runs: false, turn: nil, now: Self.at(0))
    var depths: [WatchSchedule.Depth] = []
    for now in stride(from: Int64(0), to: 120_000, by: 1_000) {
      for check in schedule.take(now: Self.at(now)) {
        depths.append(check.depth)
        schedule.ended(id, slow: false, again: nil, turn: nil, now: Self.at(now))
      }
    }
    #expect(depths.count == 8 && depths.allSatisfy { $0 == .light })
    schedule.enter(id, runs: true, turn: Self.at(0), now: Self.at(120_000))
    let meant = schedule.take(now: Self.at(120_000)).map(\.depth)
    #expect(meant == [.turn])
  }

  @Test("what is newly broken is confirmed within seconds, what lasts is left to the light interval")
  func confirming() {
    var evidence = StatusEvidence()
    let policy = StatusPolicy()
    #expect(ConfirmDecision.again(evidence, policy: policy, now: Self.at(0)) == nil)
    evidence.misses = 1
    evidence.missingSince = Self.at(0)
    #expect(ConfirmDecision.again(evidence, policy: policy, now: Self.at(10)) == .seconds(5))
    #expect(ConfirmDecision.again(evidence, policy: policy, now: Self.at(60_000)) == .seconds(15))
  }

  @Test("a crash becomes unreachable within 15 seconds of checks, never before three of them and ten seconds")
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
      now += Int((ConfirmDecision.again(evidence, policy: .init(), now: at) ?? .seconds(15)).seconds)
    }
    #expect((10...15).contains(verdictAt ?? 99))
  }

  @Test("a model turn is due when there was none, when the last is old, and soon after one that failed")
  func turns() {
    let policy = StatusPolicy()
    var evidence = StatusEvidence()
    #expect(TurnDecision.due(evidence, policy: policy) == nil)
    evidence.take(StatusTests.walk(0, turn: true))
    #expect(TurnDecision.due(evidence, policy: policy) == StatusTests.at(600))
    evidence.take(StatusTests.walk(600, failing: .turn, turn: true))
    #expect(TurnDecision.due(evidence, policy: policy) == StatusTests.at(660))
  }

  @Test("a Host without a link is looked at once for all, soon while it is new, and no more when it is back")
  func outages() {
    var outages = HostOutages(policy: StatusPolicy())
    let host = HostID.make(at: Self.at(0))
    let (first, again) = (
      outages.note(host, linked: false, now: Self.at(0)), outages.note(host, linked: false, now: Self.at(1))
    )
    #expect(first && !again)
    var looks: [Int64] = []
    for second in Int64(0)..<120 {
      let due = outages.due(now: Self.at(second * 1_000))
      if !due.isEmpty { looks.append(second) }
    }
    #expect(Array(looks.prefix(4)) == [0, 5, 10, 15] && looks.count == 12 + 4)
    let back = outages.note(host, linked: true, now: Self.at(120_000))
    let after = outages.due(now: Self.at(500_000))
    #expect(back && after.isEmpty)
  }

  @Test("a check leaves out what the Host told a moment ago, and nothing of what is broken")
  func plan() {
    var evidence = StatusEvidence()
    #expect(CheckPlan.links(.deep, evidence, now: StatusTests.at(0)) == ChainLink.deep)
    evidence.take(StatusTests.walk(0, turn: true))
    #expect(CheckPlan.links(.deep, evidence, now: StatusTests.at(20)) == ChainLink.beyondLight)
    #expect(CheckPlan.links(.turn, evidence, now: StatusTests.at(20)) == ChainLink.beyondLight + [.turn])
    #expect(CheckPlan.links(.deep, evidence, now: StatusTests.at(21)) == ChainLink.deep)
    #expect(CheckPlan.links(.light, evidence, now: StatusTests.at(21)) == ChainLink.light)
    evidence.take(StatusTests.walk(21, failing: .live))
    #expect(CheckPlan.links(.turn, evidence, now: StatusTests.at(22)) == ChainLink.allCases)
  }
}
