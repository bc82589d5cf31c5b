import NIOCore
import Testing

@testable import Link

@Suite("Whole frames for the decoder")
struct FrameAlignerTests {
  private static func frame(_ length: Int) -> [UInt8] {
    [UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), 0, 0, 0, 0, 0, 1]
      + (0..<length).map { UInt8(truncatingIfNeeded: $0) }
  }

  @Test(
    "wherever the bytes are cut, what passes is whole frames, in order, and nothing is lost",
    arguments: [1, 2, 3, 8, 9, 10, 17, 1_000, 65_545, 1_000_000])
  func cuts(piece: Int) {
    let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    let lengths = [0, 1, 8, 300, 0, 65_536, 5, 16_384, 0]
    let sent = preface + lengths.flatMap(Self.frame)
    let ends = lengths.reduce(into: [preface.count]) { $0.append($0[$0.count - 1] + 9 + $1) }
    var aligner = FrameAligner(skipping: preface.count)
    var passed: [UInt8] = []
    var input = ByteBuffer(bytes: sent)
    while let part = input.readSlice(length: min(piece, input.readableBytes)), part.readableBytes > 0 {
      guard let frames = aligner.take(part) else { continue }
      passed += frames.readableBytesView
      #expect(passed.count < preface.count || ends.contains(passed.count))
    }
    #expect(passed == sent)
  }

  @Test("a frame that is too long passes as it comes, for the decoder to refuse")
  func tooLong() {
    var aligner = FrameAligner()
    let start: [UInt8] = [0xff, 0xff, 0xff, 0, 0]
    #expect(aligner.take(ByteBuffer(bytes: start))?.readableBytes == 5)
  }
}
