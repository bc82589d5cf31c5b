import Basics
import Testing

@testable import Fleet

@Suite("A status that goes back and forth")
struct FlappingTests {
  static func at(_ seconds: Int) -> Timestamp { StatusTests.at(seconds) }

  @Test("six changes in ten minutes are told one by one, the seventh as flapping, and calm ends it once")
  func machine() {
    var flapping = Flapping()
    for number in 0..<6 {
      let news = flapping.look(changed: true, at: Self.at(number * 60))
      #expect(news == .change)
    }
    let seventh = flapping.look(changed: true, at: Self.at(400))
    #expect(seventh == .began && flapping.isFlapping)
    for second in [410, 500, 900] {
      let news = flapping.look(changed: true, at: Self.at(second))
      #expect(news == .none)
    }
    let still = flapping.look(changed: false, at: Self.at(1_499))
    #expect(still == .none)
    let calm = flapping.look(changed: false, at: Self.at(1_500))
    #expect(calm == .ended && !flapping.isFlapping)
    let later = flapping.look(changed: true, at: Self.at(1_501))
    #expect(later == .change)
  }

  @Test("slow changes never are flapping")
  func slow() {
    var flapping = Flapping()
    for number in 0..<100 {
      let news = flapping.look(changed: true, at: Self.at(number * 100))
      #expect(news == .change)
    }
  }

  @Test("whatever comes, every beginning has one end, and nothing is told in between", arguments: 0..<50)
  func random(_ seed: UInt64) {
    var random = seed &* 6_364_136_223_846_793_005 &+ 1
    func next(_ below: UInt64) -> UInt64 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (random >> 33) % below
    }
    var (flapping, second, open) = (Flapping(), 0, false)
    for _ in 0..<500 {
      second += Int(next(200))
      switch flapping.look(changed: next(2) == 0, at: Self.at(second)) {
      case .began:
        #expect(!open)
        open = true
      case .ended:
        #expect(open)
        open = false
      case .change: #expect(!open)
      case .none: break
      }
    }
    #expect(open == flapping.isFlapping)
  }
}
