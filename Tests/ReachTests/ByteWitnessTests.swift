import NIOCore
import NIOEmbedded
import NIOHTTP2
import Testing

@testable import Link

@Suite("Bytes on their way to HTTP/2")
struct ByteWitnessTests {
  /// A socket that reads while it is written to, as TLS does.
  private final class ReadsWhenWritten: ChannelOutboundHandler {
    typealias OutboundIn = HTTP2Frame
    var next: ByteBuffer?

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      promise?.succeed()
      guard let bytes = next else { return }
      next = nil
      context.fireChannelRead(NIOAny(bytes))
    }
  }

  private final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    var passed = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      passed.writeImmutableBuffer(unwrapInboundIn(data))
    }
  }

  private static func frame(_ length: Int, filling: UInt8) -> [UInt8] {
    [UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), 0, 0, 0, 0, 0, 1]
      + [UInt8](repeating: filling, count: length)
  }

  @Test("what is read while a sign is sent does not overtake what was read before it")
  func order() throws {
    let channel = EmbeddedChannel()
    defer { _ = try? channel.finish() }
    let probe = LivenessProbe(policy: .init(signAfter: .zero, signBytes: 1)) { _ in }
    let (socket, recorder) = (ReadsWhenWritten(), Recorder())
    try channel.pipeline.syncOperations.addHandlers(
      socket, LivenessProbe.ByteWitness(probe, isServer: false), recorder, LivenessProbe.Pinger(probe))
    let sent = Self.frame(60_000, filling: 1) + Self.frame(60_000, filling: 2)
    // The first read ends in the middle of a frame.
    socket.next = ByteBuffer(bytes: sent[70_000...])
    try channel.writeInbound(ByteBuffer(bytes: sent[..<70_000]))
    #expect(socket.next == nil, "no sign was sent, so this shows nothing")
    #expect(recorder.passed == ByteBuffer(bytes: sent))
  }
}
