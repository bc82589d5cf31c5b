import NIOCore
import NIOEmbedded
import Testing

@testable import Link

@Suite("Messages on a stream")
struct MessageWriterTests {
  private static func channel() throws -> EmbeddedChannel {
    let channel = EmbeddedChannel()
    try channel.pipeline.syncOperations.addMessageFraming()
    try channel.connect(to: .init(unixDomainSocketPath: "/nowhere")).wait()
    return channel
  }

  @Test("a message is handed on in pieces while the stream takes them, and the end comes behind it")
  func pieces() throws {
    let channel = try Self.channel()
    let message = ByteBuffer(repeating: 7, count: 150_000)
    channel.isWritable = false
    let written = channel.writeAndFlush(message)
    channel.close(mode: .output, promise: nil)
    #expect(try channel.readOutbound(as: ByteBuffer.self) == nil, "the stream takes nothing")
    #expect(channel.isActive)
    channel.isWritable = true
    channel.pipeline.fireChannelWritabilityChanged()
    var whole = ByteBuffer()
    while var piece = try channel.readOutbound(as: ByteBuffer.self) {
      #expect(piece.readableBytes <= LinkLimits.frameBytesMax)
      whole.writeBuffer(&piece)
    }
    #expect(whole.readInteger(as: UInt32.self) == 150_000)
    #expect(whole == message)
    try written.wait()
  }

  @Test("what waits when the stream ends has failed")
  func dropped() throws {
    let channel = try Self.channel()
    channel.isWritable = false
    let written = channel.writeAndFlush(ByteBuffer(repeating: 7, count: 100))
    try channel.close().wait()
    #expect(throws: ChannelError.self) { try written.wait() }
  }
}
