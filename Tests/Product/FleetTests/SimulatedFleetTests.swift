import Basics
import Link
import TestSupport
import Testing

@testable import Fleet

/// A fleet without machines: what is checked when, what is found and what is told follows from a seed and a clock.
///
/// Between two faults of an Instance nothing is decided, so time is skipped there; through a fault it goes check by
/// check, as the Watchdog would make them.
struct SimulatedFleet {
  enum Fault: CaseIterable {
    /// Its Connector tells within a second.
    case crash
    /// It stands still: its Connector finds out at its next look at the port, and gives it two seconds.
    case hole
    /// Its port answers and its Gateway WebSocket does not: only deep checks see that.
    case deaf

    var link: ChainLink {
      switch self {
      case .crash: .runtime
      case .hole: .live
      case .deaf: .hello
      }
    }
  }

  struct Told: Equatable {
    let instance: Int
    let at: Int
    let hard: Status?
    let flapping: Flapping.News
  }

  let policy = StatusPolicy()
  var evidence: [StatusEvidence]
  /// When the fault that an Instance had last was over for good.
  var freeAt: [Int]
  var told: [Told] = []
  /// What was found of each, for a replay.
  var found: [Int: [(at: Int, report: ChainReport)]] = [:]
  var breaches: [String] = []

  init(_ count: Int) {
    var well = StatusEvidence()
    let walk = StatusTests.walk(0, turn: true)
    well.take(walk)
    _ = well.look(StatusReading.of(well, asked: .active, policy: policy, now: StatusTests.at(0)), at: StatusTests.at(0))
    evidence = Array(repeating: well, count: count)
    freeAt = Array(repeating: 0, count: count)
  }

  mutating func check(_ instance: Int, _ report: ChainReport, at second: Int, isHeld: Bool = false) {
    let now = StatusTests.at(second)
    found[instance, default: []].append((second, report))
    evidence[instance].take(report)
    let reading = StatusReading.of(evidence[instance], asked: .active, policy: policy, now: now)
    if reading.status != .unknown {
      let age = reading.evidenceAt.map { now.since($0) }
      if age.map({ $0 > policy.unknownAfter && reading.link != .turn }) ?? true {
        breaches.append("\(reading.status) without evidence of \(instance) at \(second)")
      }
    }
    let hardBefore = evidence[instance].hard?.status
    let news = evidence[instance].look(reading, at: now, isHeld: isHeld)
    if let hard = news.hard, hard == hardBefore { breaches.append("told twice of \(instance) at \(second)") }
    let isFlapNews = news.change == .began || news.change == .ended
    guard news.hard != nil || isFlapNews else { return }
    told.append(Told(instance: instance, at: second, hard: news.hard, flapping: isFlapNews ? news.change : .none))
  }

  /// The next check after this one, by the Watchdog's own decision.
  func wait(_ instance: Int, at second: Int) -> Int? {
    ConfirmDecision.again(evidence[instance], policy: policy, now: StatusTests.at(second)).map { Int($0.seconds) }
  }

  /// What keeps it good up to a time, without a step for every heartbeat: the newest of each is all that counts.
  mutating func keepGood(_ instance: Int, until second: Int) {
    check(instance, StatusTests.walk(second, turn: true), at: second)
  }

  mutating func suffer(_ fault: Fault, _ instance: Int, from start: Int, to end: Int, _ random: inout Seeded) {
    keepGood(instance, until: start - Int.random(in: 0..<15, using: &random))
    var second: Int
    switch fault {
    case .crash: second = start + 1
    case .hole: second = start + Int.random(in: 2...7, using: &random)
    case .deaf: second = start + Int.random(in: 0...60, using: &random)
    }
    if fault != .deaf, second < end {
      // The Connector's own word, and the check that it brings on.
      check(instance, StatusTests.light(second, failing: fault.link), at: second)
      second += fault == .hole ? 5 : 1
    }
    while second < end {
      check(instance, StatusTests.walk(second, failing: fault.link), at: second)
      second += wait(instance, at: second) ?? 15
    }
    // Back: told within two seconds, and let in again; a deaf one is found by its next check.
    second = fault == .deaf ? second : end + 2
    check(instance, StatusTests.walk(second, turn: true), at: second)
    while let wait = wait(instance, at: second) {
      second += wait
      check(instance, StatusTests.walk(second, turn: true), at: second)
    }
    freeAt[instance] = second
  }
}

@Suite("A simulated fleet")
struct SimulatedFleetTests {
  static let week = 7 * 86_400

  @Test("three weeks of 10,000 Instances: every invariant holds", arguments: [11, 12])
  func weeks(seed: UInt64) {
    var random = Seeded(state: seed)
    var fleet = SimulatedFleet(10_000)
    var late: [String] = []
    for _ in 0..<1_500 {
      // A few have most of the trouble, as it is.
      let instance = Int.random(in: 0..<(Bool.random(using: &random) ? 20 : 10_000), using: &random)
      let calm = Int.random(in: 60...(instance < 20 ? 900 : Self.week), using: &random)
      let start = fleet.freeAt[instance] + calm
      guard start < 3 * Self.week else { continue }
      let fault = SimulatedFleet.Fault.allCases.randomElement(using: &random) ?? .crash
      let length = Int.random(in: 1...(Bool.random(using: &random) ? 20 : 400), using: &random)
      let before = fleet.told.count
      fleet.suffer(fault, instance, from: start, to: start + length, &random)
      let isCalm = fleet.evidence[instance].flapping?.isFlapping == false
      let budget = [.crash: 15, .hole: 25, .deaf: 75][fault, default: 0]
      guard isCalm, length > budget else { continue }
      let verdict = fleet.told[before...].first { $0.hard == .unreachable }
      if (verdict.map { $0.at - start } ?? .max) > budget { late.append("\(fault) of \(instance) at \(start)") }
    }
    // Calm at the end, so that what goes back and forth can end.
    for instance in fleet.found.keys.sorted() {
      for again in [700, 705, 710, 715, 720] {
        fleet.keepGood(instance, until: fleet.freeAt[instance] + again)
      }
    }
    #expect(fleet.breaches.isEmpty, "\(fleet.breaches.prefix(5))")
    #expect(late.isEmpty, "\(late.prefix(5))")
    #expect(fleet.told.count > 500)
    let byInstance = Dictionary(grouping: fleet.told, by: \.instance)
    for (instance, told) in byInstance {
      #expect(told.last { $0.hard != nil }?.hard ?? .current == .current, "\(instance) is never told well again")
      #expect(told.last { $0.flapping != .none }?.flapping ?? .ended == .ended, "\(instance) flaps for ever")
    }
    replay(fleet)
  }

  /// The same findings, taken in again, tell the same.
  private func replay(_ fleet: SimulatedFleet) {
    var again = SimulatedFleet(10_000)
    for (instance, found) in fleet.found { for one in found { again.check(instance, one.report, at: one.at) } }
    #expect(again.evidence == fleet.evidence)
    func order(_ told: [SimulatedFleet.Told]) -> [SimulatedFleet.Told] {
      told.sorted { ($0.instance, $0.at) < ($1.instance, $1.at) }
    }
    #expect(order(again.told) == order(fleet.told))
  }

  /// How many Hosts, what of it is lost, and whether the Hosts lose their links or the Instances end by themselves.
  enum Mass: CaseIterable {
    case halfOfOneHost, oneHostOfTwo, everySecondHost, linkOfOneHost, allLinks
  }

  @Test("5,000 and more lost at once: at most three events, none of a single Instance", arguments: Mass.allCases)
  func mass(_ mass: Mass) {
    let count = 10_000
    let hosts = Array(SelfDoubtTests.hosts.prefix([.halfOfOneHost: 1, .oneHostOfTwo: 2, .linkOfOneHost: 2][mass] ?? 50))
    let instances = (0..<count).map { number in
      Instance(
        id: .make(at: StatusTests.at(0)), slug: Slug.any, org: .make(at: StatusTests.at(0)),
        host: hosts[number % hosts.count], runtime: .process, image: nil, requestedPort: nil, state: .active,
        version: "1", createdAt: StatusTests.at(0))
    }
    let lost = instances.indices.filter { index in
      switch mass {
      case .halfOfOneHost: index < 5_000
      case .oneHostOfTwo, .linkOfOneHost: index % 2 == 0
      case .everySecondHost: index % 50 < 25
      case .allLinks: true
      }
    }
    let isLink = mass == .linkOfOneHost || mass == .allLinks
    let unlinked = isLink ? Set(lost.map { instances[$0].host }) : []
    var fleet = SimulatedFleet(count)
    let conscience = Conscience()
    let census = Census(instances.map(\.member))
    var (events, before): (Int, Int) = (0, 0)
    for second in 1...200 {
      let isOut = (30..<120).contains(second)
      for change in conscience.look(census, unlinked: isOut ? unlinked : [], now: StatusTests.at(second)) {
        switch change {
        case .settling, .scope(.settling):
          for index in lost {
            fleet.evidence[index].pardon()
            conscience.note(instances[index], missingSince: nil)
          }
        case .began, .ended, .scope: events += 1
        }
      }
      // The link's own event, at thirty seconds, and its end.
      if unlinked.count == 1, second == 60 || second == 120 { events += 1 }
      guard second % 5 == 0, second >= 20 else { continue }
      before = fleet.told.count
      for index in lost {
        let isHeld = conscience.holds(instances[index]) || (isOut && isLink)
        let link = isLink ? ChainLink.host : .runtime
        let report = isOut ? StatusTests.walk(second, failing: link) : StatusTests.walk(second, turn: true)
        if conscience.doubt == nil {
          fleet.check(index, report, at: second, isHeld: isHeld)
        } else {
          fleet.evidence[index].take(report)
        }
        conscience.note(instances[index], missingSince: fleet.evidence[index].missingSince)
      }
      #expect(fleet.told.count == before, "a single Instance was told of at \(second)")
    }
    #expect((1...3).contains(events), "\(events) events")
    #expect(conscience.doubt == nil && !conscience.holds(instances[0]))
    #expect(lost.allSatisfy { StatusTests.status(fleet.evidence[$0], at: 201) == .current })
  }
}

extension Slug {
  /// A name where no name matters.
  fileprivate static let any: Slug = {
    guard let slug = try? Slug("any") else { preconditionFailure("'any' is a slug") }
    return slug
  }()
}
