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

/// Frames messages, and hands them on in pieces, no sooner than the stream takes them.
///
/// What waits here is in nobody's way. A large message that is written at once waits in the connection instead, as much
/// of it as the window allows: in front of what other streams have to say, and of the answers to pings. On a slow wire
/// that is many seconds.
final class MessageWriter: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private var waiting = CircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>()
  /// The end of the output was asked for behind what waits.
  private var isEnding = false
  private var ended: EventLoopPromise<Void>?

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let message = unwrapOutboundIn(data)
    var framed = context.channel.allocator.buffer(capacity: 4 + message.readableBytes)
    framed.writeInteger(UInt32(message.readableBytes))
    framed.writeImmutableBuffer(message)
    waiting.append((framed, promise))
  }

  func flush(context: ChannelHandlerContext) { handOn(context) }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    handOn(context)
    context.fireChannelWritabilityChanged()
  }

  private func handOn(_ context: ChannelHandlerContext) {
    while context.channel.isWritable, let message = waiting.first {
      var rest = message.bytes
      guard let piece = rest.readSlice(length: min(rest.readableBytes, LinkLimits.frameBytesMax)) else { break }
      let isLast = rest.readableBytes == 0
      // Writing may call back here, so what is left is settled first.
      if isLast { waiting.removeFirst() } else { waiting[waiting.startIndex].bytes = rest }
      context.writeAndFlush(wrapOutboundOut(piece), promise: isLast ? message.promise : nil)
    }
    if isEnding, waiting.isEmpty {
      isEnding = false
      context.close(mode: .output, promise: ended)
    }
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if mode == .output, !waiting.isEmpty {
      (isEnding, ended) = (true, promise)
      return
    }
    if mode == .all { drop(ChannelError.ioOnClosedChannel) }
    context.close(mode: mode, promise: promise)
  }

  func handlerRemoved(context: ChannelHandlerContext) { drop(ChannelError.ioOnClosedChannel) }

  private func drop(_ error: any Error) {
    let (dropped, ended) = (waiting, isEnding ? ended : nil)
    waiting.removeAll()
    isEnding = false
    for message in dropped { message.promise?.fail(error) }
    ended?.fail(error)
  }
}

extension ChannelPipeline.SynchronousOperations {
  /// Adds length framing to a channel of bytes.
  public func addMessageFraming() throws {
    try addHandler(ByteToMessageHandler(MessageDecoder(), maximumBufferSize: LinkLimits.messageBytesMax + 4))
    try addHandler(MessageWriter())
  }
}
