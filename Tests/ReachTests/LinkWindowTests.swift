import Link
import Testing

@Suite("The window of a stream")
struct LinkWindowTests {
  struct Path: Sendable, CustomTestStringConvertible {
    let milliseconds: Double
    let kibibytes: Int
    var testDescription: String { "\(milliseconds) ms" }
  }

  @Test(
    "it holds what the round trip does, and no more",
    arguments: [
      Path(milliseconds: 0, kibibytes: 512), Path(milliseconds: 0.05, kibibytes: 512),
      Path(milliseconds: 5, kibibytes: 512), Path(milliseconds: 10, kibibytes: 1_024),
      Path(milliseconds: 20, kibibytes: 2_048), Path(milliseconds: 40, kibibytes: 4_096),
      Path(milliseconds: 300, kibibytes: 4_096), Path(milliseconds: 60_000, kibibytes: 4_096),
    ])
  func size(_ path: Path) {
    #expect(LinkWindow.streamBytes(roundTripMicroseconds: Int(path.milliseconds * 1_000)) / 1_024 == path.kibibytes)
  }
}
