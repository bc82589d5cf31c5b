import Basics
import Link
import Testing

@testable import Fleet

@Suite("The watch blames what is to blame: a scope, itself, or nobody")
struct SelfDoubtTests {
  static func at(_ seconds: Int) -> Timestamp { StatusTests.at(seconds) }
  static let hosts = (0..<50).map { _ in HostID.make(at: at(0)) }

  /// So many Instances on so many Hosts, of releases in turn.
  static func members(_ all: Int, on spread: Int, releases: Int = 1) -> [Census.Member] {
    (0..<all).map { .init(host: hosts[$0 % spread], release: "2026.\($0 % releases)") }
  }

  static func blame(_ all: [Census.Member], lost: Int, first: Int = 0) -> Disruption.Blame {
    Disruption.blame(Array(all[first..<first + lost]), Census(all))
  }

  @Test(
    "what counts as the watch's own fault: Instances, lost, Hosts",
    arguments: [
      (100, 0, 10, false), (100, 15, 10, false), (100, 16, 10, true), (5_000, 5_000, 20, true), (8, 5, 8, false),
      (8, 6, 8, true), (10, 10, 1, false), (100, 100, 1, false), (10_000, 5_000, 50, true), (10_000, 5_000, 1, false),
    ])
  func correlation(all: Int, lost: Int, hosts: Int, expected: Bool) {
    let blame = Self.blame(Self.members(all, on: hosts), lost: lost)
    let isFleet = if case .fleet = blame { true } else { false }
    #expect(isFleet == expected, "\(blame)")
  }

  @Test("the smallest thing in common that explains most of it is to blame: a Host, a release, or nothing smaller")
  func scopes() {
    let all = Self.members(100, on: 10, releases: 3)
    func blame(_ isLost: (Census.Member) -> Bool) -> Disruption.Blame {
      Disruption.blame(all.filter(isLost), Census(all))
    }
    #expect(blame { $0.host == Self.hosts[3] } == .scopes([.host(Self.hosts[3]): 10]))
    #expect(blame { $0.release == "2026.1" } == .scopes([.release("2026.1"): 33]))
    #expect(blame { [Self.hosts[0], Self.hosts[1]].contains($0.host) }
      == .scopes([.host(Self.hosts[0]): 10, .host(Self.hosts[1]): 10]))
    guard case .fleet(50, 5) = blame({ Self.hosts[..<5].contains($0.host) }) else {
      Issue.record("five Hosts at once are no coincidence")
      return
    }
    #expect(Self.blame(Self.members(100, on: 10), lost: 3) == .nobody)
    #expect(Self.blame(Self.members(3, on: 1), lost: 2) == .nobody, "two are not many")
    // Half of one large Host is below a zone's 55 %, and still no thousand single failures.
    #expect(Self.blame(Self.members(10_000, on: 1), lost: 5_000) == .scopes([.host(Self.hosts[0]): 5_000]))
  }

  @Test("a disruption is told once it lasts, holds its Instances, settles for an interval, and ends once")
  func ledger() {
    var ledger = DisruptionLedger(interval: .seconds(15))
    let all = Self.members(10, on: 1)
    let (census, scope) = (Census(all), DisruptionScope.host(Self.hosts[0]))
    func look(_ second: Int, lost: Int) -> [DisruptionLedger.News] {
      ledger.look(blamed: lost > 5 ? [scope: lost] : [:], lost: [scope: lost], census, now: Self.at(second))
    }
    var news: [Int: [DisruptionLedger.News]] = [:]
    for second in 0...100 {
      let lost = (10..<40).contains(second) ? 8 : second == 2 ? 9 : 0
      let told = look(second, lost: lost)
      if !told.isEmpty { news[second] = told }
      if (10..<55).contains(second) { #expect(ledger.holds(all[0])) }
    }
    #expect(news == [20: [.began(scope, lost: 8, of: 10)], 40: [.settling(scope)], 55: [.ended(scope)]])
    #expect(!ledger.holds(all[0]))
  }

  @Test("a doubt keeps unreachable back and shows what was seen; every other status stands")
  func reading() {
    let doubt = SelfDoubt(.stalled, "It ran late.")
    for status in Status.allCases {
      let doubted = StatusReading(status, "Why.", evidenceAt: Self.at(0)).doubted(doubt)
      #expect(doubted.status == (status == .unreachable ? .unknown : status))
      #expect(doubted.reason.contains("Why."))
    }
    #expect(StatusReading(.unreachable, "Why.", evidenceAt: nil).doubted(nil).status == .unreachable)
  }

  @Test("a watch that stood still doubts what it missed for a minute, then judges anew, and believes an interval later")
  func stalled() {
    let conscience = Conscience()
    let nobody = Census([])
    #expect(conscience.look(nobody, now: Self.at(0)).isEmpty)
    #expect(conscience.look(nobody, now: Self.at(1)).isEmpty)
    guard case .began(let doubt, 0)? = conscience.look(nobody, now: Self.at(30)).first else {
      Issue.record("no doubt after 29 seconds without a look")
      return
    }
    #expect(doubt.cause == .stalled && conscience.doubt == doubt && conscience.patience > 1)
    for second in 31..<90 { #expect(conscience.look(nobody, now: Self.at(second)).isEmpty) }
    #expect(conscience.look(nobody, now: Self.at(90)) == [.settling])
    for second in 91..<105 { #expect(conscience.look(nobody, now: Self.at(second)).isEmpty) }
    #expect(conscience.look(nobody, now: Self.at(105)) == [.ended])
    #expect(conscience.doubt == nil && conscience.patience == 1)
  }

  @Test("a watch that leaves out more than one tick in a hundred within a minute is more patient, until it keeps them")
  func missedTicks() {
    let conscience = Conscience()
    let nobody = Census([])
    func minute(missing: Int) {
      for tick in 0..<Conscience.lagSamples { conscience.noteLag(tick < missing ? ChainWatch.tick : .zero) }
      _ = conscience.look(nobody, now: Self.at(1))
    }
    minute(missing: 2)
    #expect(conscience.score == 0)
    minute(missing: 3)
    #expect(conscience.score == 1 && conscience.patience == 2 && conscience.doubt == nil)
    minute(missing: 0)
    #expect(conscience.score == 0)
  }

  @Test("the network is doubted when most anchors outside are missed twice in a row, and believed when they answer")
  func anchors() {
    let conscience = Conscience()
    func look(_ second: Int, reached: Bool?) -> SelfDoubt.Cause? {
      conscience.noteAnchors(reached: reached)
      _ = conscience.look(Census([]), now: Self.at(second))
      return conscience.doubt?.cause
    }
    #expect(look(1, reached: nil) == nil && look(2, reached: false) == nil)
    #expect(look(3, reached: false) == .isolated && look(4, reached: nil) == .isolated)
    for second in 5..<20 { #expect(look(second, reached: true) == .isolated) }
    #expect(look(20, reached: true) == nil)
  }

  @Test(
    "signs add up: small ones make it patient, together or great they make it doubt",
    arguments: [
      (SelfSigns(), 0, SelfDoubt.Cause?.none), (SelfSigns(lag: .milliseconds(300)), 1, nil),
      (SelfSigns(write: .seconds(2)), 1, nil), (SelfSigns(lag: .seconds(2)), 2, nil),
      (SelfSigns(lag: .seconds(2), write: .seconds(2)), 3, .overloaded), (SelfSigns(sentinelMisses: 1), 0, nil),
      (SelfSigns(sentinelMisses: 2), 3, .sentinel), (SelfSigns(late: .seconds(4)), 3, .stalled),
      (SelfSigns(missedTicks: 0.01), 0, nil), (SelfSigns(missedTicks: 0.02), 1, nil),
      (SelfSigns(lag: .seconds(2), missedTicks: 0.02), 3, .overloaded), (SelfSigns(anchorMisses: 1), 0, nil),
      (SelfSigns(anchorMisses: 2), 3, .isolated), (SelfSigns(sentinelMisses: 2, anchorMisses: 2), 6, .sentinel),
      (SelfSigns(late: .seconds(9), lag: .seconds(2), write: .seconds(9), sentinelMisses: 9), 7, .stalled),
    ])
  func signs(_ signs: SelfSigns, score: Int, cause: SelfDoubt.Cause?) {
    #expect(signs.score == score && signs.doubt?.cause == cause)
  }
}
