import Basics
import Testing

@testable import Link

@Suite("Bytes on their way")
struct SendProgressTests {
  @Test("what moves, however slowly, is not given up")
  func slow() {
    var progress = SendProgress(patience: .seconds(10))
    for step in 0..<60 {
      let isStuck = progress.saw(unacknowledged: 40, acknowledged: UInt32(step), now: .seconds(step * 9))
      #expect(!isStuck)
    }
  }

  /// What each look at the kernel leads to: after so many seconds, segments on their way, bytes acknowledged.
  private static func looks(_ looks: [(second: Int, unacknowledged: Int, acknowledged: UInt32)]) -> [Bool] {
    var progress = SendProgress(patience: .seconds(10))
    return looks.map {
      progress.saw(unacknowledged: $0.unacknowledged, acknowledged: $0.acknowledged, now: .seconds($0.second))
    }
  }

  @Test("what does not move for ten seconds is")
  func stuck() {
    #expect(Self.looks([(0, 1, 7), (5, 1, 7), (9, 1, 7), (10, 1, 7)]) == [false, false, false, true])
  }

  @Test("a link that has nothing on its way is not stuck, and counts anew afterwards")
  func idle() {
    #expect(
      Self.looks([(0, 0, 7), (50, 0, 7), (100, 0, 7), (101, 1, 7), (110, 1, 7), (111, 1, 7)])
        == [false, false, false, false, false, true])
  }

  @Test("the count of the kernel may begin anew")
  func wraps() {
    #expect(Self.looks([(0, 1, .max), (20, 1, 3)]) == [false, false])
  }
}
