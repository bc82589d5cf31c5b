import Basics
import Testing

@testable import Fleet

@Suite("When a status is hard enough to tell people")
struct HardStatusTests {
  static let start = Timestamp(millisecondsSince1970: 1_700_000_000_000)

  /// Looks at these statuses at these seconds.
  ///
  /// - Returns: what was told, with when.
  private func told(_ looks: [(Int, Status)]) -> [String] {
    var hard = HardStatus()
    return looks.compactMap { second, status in
      hard.look(status, at: Self.start.advanced(by: .seconds(second))).map { "\(second) \($0.rawValue)" }
    }
  }

  @Test("an Instance that was never anything but current is no news")
  func first() {
    #expect(told([(0, .current), (15, .current), (60, .current)]).isEmpty)
  }

  @Test("unreachable is told at once: it took three failed walks to get there")
  func unreachable() {
    #expect(told([(0, .current), (15, .unreachable)]) == ["15 unreachable"])
  }

  @Test("degraded needs three walks in a row over ten seconds", arguments: [Status.degraded, .unknown])
  func slow(_ status: Status) {
    #expect(told([(0, .current), (10, status), (15, status)]).isEmpty)
    #expect(told([(0, .current), (10, status), (12, status), (14, status), (16, status)]).isEmpty)
    #expect(told([(0, .current), (10, status), (15, status), (20, status)]) == ["20 \(status.rawValue)"])
    #expect(told([(0, .current), (10, status), (15, .current), (20, status), (25, status)]).isEmpty)
  }

  @Test("an end needs two good walks over fifteen seconds")
  func recovery() {
    let down: [(Int, Status)] = [(0, .current), (15, .unreachable)]
    #expect(told(down + [(20, .current), (30, .current)]) == ["15 unreachable"])
    #expect(told(down + [(20, .current), (35, .current)]) == ["15 unreachable", "35 current"])
    #expect(told(down + [(20, .current), (25, .unreachable), (40, .current)]) == ["15 unreachable"])
  }

  @Test("stale tells nothing and hides nothing")
  func stale() {
    #expect(told([(0, .current), (40, .stale), (90, .stale), (130, .unknown)]).isEmpty)
    #expect(told([(0, .current), (15, .unreachable), (60, .stale), (90, .unreachable)]) == ["15 unreachable"])
  }

  @Test("what is told once is not told again while it lasts")
  func once() {
    let looks = (1...50).map { (15 * $0, Status.unreachable) }
    #expect(told([(0, .current)] + looks) == ["15 unreachable"])
  }
}
