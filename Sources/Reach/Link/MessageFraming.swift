import NIOCore

/// Frames messages with a four-byte big-endian length.
public final class MessageDecoder: ByteToMessageDecoder {
  public typealias InboundOut = ByteBuffer

  public struct TooLong: Error { public let bytes: Int }

  public init() {}

  public func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
    guard let length: UInt32 = buffer.getInteger(at: buffer.readerIndex) else { return .needMoreData }
    guard length <= LinkLimits.messageBytesMax else { throw TooLong(bytes: Int(length)) }
    guard buffer.readableBytes >= 4 + Int(length) else { return .needMoreData }
    buffer.moveReaderIndex(forwardBy: 4)
    guard let message = buffer.readSlice(length: Int(length)) else { return .needMoreData }
    context.fireChannelRead(wrapInboundOut(message))
    return .continue
  }

  public func decodeLast(
    context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
  ) throws -> DecodingState {
    try decode(context: context, buffer: &buffer)
  }
}

public final class MessageEncoder: MessageToByteEncoder {
  public typealias OutboundIn = ByteBuffer

  public init() {}

  public func encode(data: ByteBuffer, out: inout ByteBuffer) throws {
    out.writeInteger(UInt32(data.readableBytes))
    out.writeImmutableBuffer(data)
  }
}

extension ChannelPipeline.SynchronousOperations {
  /// Adds length framing to a channel of bytes.
  public func addMessageFraming() throws {
    try addHandler(ByteToMessageHandler(MessageDecoder(), maximumBufferSize: LinkLimits.messageBytesMax + 4))
    try addHandler(MessageToByteHandler(MessageEncoder()))
  }
}
