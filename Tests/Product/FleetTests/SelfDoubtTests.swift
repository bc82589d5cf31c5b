import Basics
import Link
import Testing

@testable import Fleet

@Suite("The watch doubts itself before it blames the fleet")
struct SelfDoubtTests {
  static func at(_ seconds: Int) -> Timestamp { StatusTests.at(seconds) }
  static let hosts = (0..<20).map { _ in HostID.make(at: at(0)) }

  /// `lost` of `all` Instances were missed at second 0, spread over so many Hosts.
  static func watched(_ all: Int, lost: Int, on spread: Int) -> [SelfDoubt.Watched] {
    (0..<all).map { number in
      SelfDoubt.Watched(host: hosts[number % spread], missingSince: number < lost ? at(0) : nil)
    }
  }

  @Test(
    "what counts as the watch's own fault",
    arguments: [
      (100, 0, 10, false), (100, 15, 10, false), (100, 16, 10, true), (5_000, 5_000, 20, true), (8, 5, 8, false),
      (8, 6, 8, true), (10, 10, 1, false), (100, 100, 1, false),
    ])
  func correlation(all: Int, lost: Int, hosts: Int, expected: Bool) {
    let doubt = SelfDoubt.judge(Self.watched(all, lost: lost, on: hosts), late: .zero, now: Self.at(10))
    #expect((doubt?.cause == .correlatedLoss) == expected)
  }

  @Test("one Host that explains most of the losses is to blame, not the watch")
  func oneHost() {
    var all = Self.watched(100, lost: 0, on: 10)
    for index in all.indices where all[index].host == Self.hosts[0] || index < 2 {
      all[index] = .init(host: all[index].host, missingSince: Self.at(0))
    }
    #expect(SelfDoubt.judge(all, late: .zero, now: Self.at(10)) == nil)
  }

  @Test("losses of long ago are no wave")
  func old() {
    let all = Self.watched(100, lost: 100, on: 10)
    #expect(SelfDoubt.judge(all, late: .zero, now: Self.at(60)) != nil)
    #expect(SelfDoubt.judge(all, late: .zero, now: Self.at(61)) == nil)
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

  @Test("a watch that stood still doubts what it missed for a minute, begins once and ends once")
  func stalled() {
    let conscience = Conscience()
    #expect(conscience.look(at: [], now: Self.at(0)) == nil)
    #expect(conscience.look(at: [], now: Self.at(1)) == nil)
    guard case .began(let doubt)? = conscience.look(at: [], now: Self.at(30)) else {
      Issue.record("no doubt after 29 seconds without a look")
      return
    }
    #expect(doubt.cause == .stalled && conscience.doubt == doubt)
    for second in 31..<90 { #expect(conscience.look(at: [], now: Self.at(second)) == nil) }
    #expect(conscience.look(at: [], now: Self.at(90)) == .ended)
    #expect(conscience.doubt == nil)
  }
}
