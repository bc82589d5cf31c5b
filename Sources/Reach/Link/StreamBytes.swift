import Basics
import NIOCore
import NIOHPACK
import NIOHTTP2

/// The AW Gateway's end of a stream: opens the CONNECT request and turns DATA frames into bytes and back.
///
/// Bytes may be written at once, before the far end answered: a new stream costs one round trip. A half-close travels
/// as END_STREAM both ways.
public final class StreamOpener: ChannelDuplexHandler {
  public typealias InboundIn = HTTP2Frame.FramePayload
  public typealias InboundOut = ByteBuffer
  public typealias OutboundIn = ByteBuffer
  public typealias OutboundOut = HTTP2Frame.FramePayload

  private let target: LinkTarget
  private let account: StreamAccount
  private let refused: (TargetFailure) -> Void
  private var opened = false

  /// - Parameter refused: told when the far end does not connect the stream.
  public init(
    target: LinkTarget, buffers: LinkBuffers? = nil, refused: @escaping (TargetFailure) -> Void = { _ in }
  ) {
    self.target = target
    account = StreamAccount(buffers)
    self.refused = refused
  }

  public func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { open(context) }
  }

  public func channelActive(context: ChannelHandlerContext) {
    open(context)
    context.fireChannelActive()
  }

  private func open(_ context: ChannelHandlerContext) {
    guard !opened else { return }
    opened = true
    let request = HPACKHeaders([(":method", "CONNECT"), (":authority", target.authority)])
    context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: request))), promise: nil)
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .headers(let response):
      account.open(context)
      let failure = StreamOpener.failure(in: response.headers)
      if let failure {
        refused(failure)
        context.fireErrorCaught(TargetRefused(failure))
        context.close(promise: nil)
      } else if response.endStream {
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
      }
    case .data(let frame):
      account.taken(frame)
      StreamBytes.forward(frame, context)
    default:
      break
    }
  }

  public func handlerRemoved(context: ChannelHandlerContext) { account.close() }

  public func channelWritabilityChanged(context: ChannelHandlerContext) {
    account.writabilityChanged(context.channel.isWritable)
    context.fireChannelWritabilityChanged()
  }

  static func failure(in headers: HPACKHeaders) -> TargetFailure? {
    guard headers.first(name: ":status") != "200" else { return nil }
    return headers.first(name: TargetFailure.header).flatMap(TargetFailure.init(rawValue:)) ?? .refused
  }

  public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    StreamBytes.write(unwrapOutboundIn(data), context, promise, account)
  }

  public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode == .output else { return context.close(mode: mode, promise: promise) }
    context.writeAndFlush(wrapOutboundOut(StreamBytes.end), promise: promise)
  }
}

/// The Connector's end of a stream whose request was read: DATA frames become bytes and back.
public final class StreamBytes: ChannelDuplexHandler {
  public typealias InboundIn = HTTP2Frame.FramePayload
  public typealias InboundOut = ByteBuffer
  public typealias OutboundIn = ByteBuffer
  public typealias OutboundOut = HTTP2Frame.FramePayload

  private let account: StreamAccount

  public init(buffers: LinkBuffers? = nil) { account = StreamAccount(buffers) }

  public func handlerAdded(context: ChannelHandlerContext) { account.open(context) }
  public func handlerRemoved(context: ChannelHandlerContext) { account.close() }

  public func channelWritabilityChanged(context: ChannelHandlerContext) {
    account.writabilityChanged(context.channel.isWritable)
    context.fireChannelWritabilityChanged()
  }

  static var end: HTTP2Frame.FramePayload { .data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)) }

  public static func accepted(_ context: ChannelHandlerContext) {
    let response = HPACKHeaders([(":status", "200")])
    context.writeAndFlush(NIOAny(HTTP2Frame.FramePayload.headers(.init(headers: response))), promise: nil)
  }

  public static func refused(_ failure: TargetFailure) -> HTTP2Frame.FramePayload {
    let response = HPACKHeaders([(":status", "502"), (TargetFailure.header, failure.rawValue)])
    return .headers(.init(headers: response, endStream: true))
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .data(let frame) = unwrapInboundIn(data) else { return }
    account.taken(frame)
    StreamBytes.forward(frame, context)
  }

  /// An empty frame would carry nothing, and the far end takes many of them for an attack on it.
  static func write(
    _ bytes: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?, _ account: StreamAccount
  ) {
    guard bytes.readableBytes > 0 else {
      promise?.succeed()
      return
    }
    let sent = account.sending(bytes.readableBytes, context, promise)
    context.write(NIOAny(HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(bytes)))), promise: sent)
  }

  static func forward(_ frame: HTTP2Frame.FramePayload.Data, _ context: ChannelHandlerContext) {
    if case .byteBuffer(let bytes) = frame.data, bytes.readableBytes > 0 {
      context.fireChannelRead(NIOAny(bytes))
    }
    if frame.endStream { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
  }

  public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    StreamBytes.write(unwrapOutboundIn(data), context, promise, account)
  }

  public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode == .output else { return context.close(mode: mode, promise: promise) }
    context.writeAndFlush(wrapOutboundOut(StreamBytes.end), promise: promise)
  }
}
