import Testing

@testable import Gateway

@Suite("Memory that handshakes left")
struct FreedMemoryTests {
  @Test("is given back once they are over, once, and not for a few")
  func due() {
    var freed = FreedMemory()
    let looks: [(handshakes: Int64, isDue: Bool)] = [
      (0, false), (99, false), (99, false), (100, false), (100, true), (100, false), (1_100, false), (1_150, false),
      (1_150, true), (1_249, false), (1_249, false), (1_250, false), (1_250, true),
    ]
    #expect(looks.map { freed.isDue(handshakes: $0.handshakes) } == looks.map(\.isDue))
  }
}
