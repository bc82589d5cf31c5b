import NIOCore
import Testing

@testable import Link

@Suite("Whole frames for the decoder")
struct FrameAlignerTests {
  private static func frame(_ length: Int, type: UInt8 = 0, stream: UInt32 = 1) -> [UInt8] {
    [UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, 0]
      + (0..<4).map { UInt8(stream >> (24 - 8 * UInt32($0)) & 0xff) }
      + (0..<length).map { UInt8(truncatingIfNeeded: $0) }
  }

  @Test("data is counted by its stream, wherever the bytes are cut", arguments: [1, 2, 7, 9, 10, 64, 100_000])
  func meter(piece: Int) {
    let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    let frames =
      Self.frame(18, type: 4, stream: 0) + Self.frame(40, type: 1, stream: 3) + Self.frame(60_000, stream: 3)
      + Self.frame(8, type: 6, stream: 0) + Self.frame(0, stream: 5) + Self.frame(300, stream: 5)
      + Self.frame(1, stream: 0x8000_0003)
    var aligner = FrameAligner(isServer: true)
    var counted: [Int: Int] = [:]
    var rest = ByteBuffer(bytes: preface + frames)
    while let part = rest.readSlice(length: min(piece, rest.readableBytes)), part.readableBytes > 0 {
      _ = aligner.take(part) { counted[$1, default: 0] += $0 }
    }
    #expect(counted == [3: 60_001, 5: 300])
  }

  @Test(
    "wherever the bytes are cut, nothing is lost, and what the decoder holds ends with a frame or within data",
    arguments: [1, 2, 3, 8, 9, 10, 17, 1_000, 65_545, 70_000, 1_000_000])
  func cuts(piece: Int) {
    let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    let frames: [(length: Int, type: UInt8)] = [
      (0, 4), (1, 0), (8, 6), (300, 1), (0, 0), (65_536, 0), (65_536, 0), (5, 0), (16_384, 1), (0, 0),
    ]
    let sent = preface + frames.flatMap { Self.frame($0.length, type: $0.type) }
    var ends = [preface.count]
    var data: [Range<Int>] = []
    for frame in frames {
      let start = ends[ends.count - 1] + FrameAligner.headerBytes
      ends.append(start + frame.length)
      if frame.type == 0 { data.append(start..<start + frame.length) }
    }
    var aligner = FrameAligner(isServer: true)
    var passed: [UInt8] = []
    var input = ByteBuffer(bytes: sent)
    while let part = input.readSlice(length: min(piece, input.readableBytes)), part.readableBytes > 0 {
      let cut = aligner.take(part, data: { _, _ in })
      passed += cut.whole.map { [UInt8]($0.readableBytesView) } ?? []
      #expect(cut.whole == nil || passed.count < preface.count || ends.contains(passed.count))
      passed += cut.begun.map { [UInt8]($0.readableBytesView) } ?? []
      #expect(cut.begun == nil || data.contains { $0.contains(passed.count) })
    }
    #expect(passed == sent)
  }

  @Test(
    "of a small input nothing but its bytes is held, and a large one is not copied",
    arguments: [
      (20, false), (LinkLimits.copiedBytesMax, false), (LinkLimits.copiedBytesMax + 1, true), (20_000, true),
    ])
  func holds(bytes: Int, isShared: Bool) throws {
    var read = ByteBufferAllocator().buffer(capacity: 32 * 1024)
    read.writeBytes(Self.frame(bytes - FrameAligner.headerBytes, type: 6, stream: 0))
    var aligner = FrameAligner(isServer: false)
    let whole = try #require(aligner.take(read, data: { _, _ in }).whole)
    #expect(whole == read)
    #expect((whole.storageCapacity == read.storageCapacity) == isShared)
    #expect(isShared || whole.storageCapacity < 2 * LinkLimits.copiedBytesMax)
  }

  @Test("data with padding passes when it is whole")
  func padding() {
    var aligner = FrameAligner(isServer: false)
    var padded = Self.frame(20)
    padded[4] = 0x8
    #expect(aligner.take(ByteBuffer(bytes: padded[..<20]), data: { _, _ in }) == .init())
    #expect(aligner.take(ByteBuffer(bytes: padded[20...]), data: { _, _ in }).whole == ByteBuffer(bytes: padded))
  }

  @Test("a frame that is too long passes as it comes, for the decoder to refuse")
  func tooLong() {
    var aligner = FrameAligner(isServer: false)
    let start: [UInt8] = [0xff, 0xff, 0xff, 0, 0]
    #expect(aligner.take(ByteBuffer(bytes: start), data: { _, _ in }).whole?.readableBytes == 5)
  }
}
