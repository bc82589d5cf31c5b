import NIOCore

/// Joins two channels of one event loop: what one reads the other writes, with back-pressure and half-closes.
///
/// Bytes are read from a side only while the other can take them. An end of input is passed on behind a write barrier,
/// because closing an output whose input is already closed would drop what still waits.
public final class Splice: ChannelDuplexHandler {
  public typealias InboundIn = ByteBuffer
  public typealias InboundOut = ByteBuffer
  public typealias OutboundIn = ByteBuffer
  public typealias OutboundOut = ByteBuffer

  private var partner: Splice?
  private var context: ChannelHandlerContext?
  private var readPending = false
  private var inputEnded = false
  private var failed = false

  private init() {}

  /// Two handlers, one for the end of each channel's pipeline.
  public static func pair() -> (Splice, Splice) {
    let first = Splice()
    let second = Splice()
    first.partner = second
    second.partner = first
    return (first, second)
  }

  public func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isWritable { partner?.partnerBecameWritable() }
  }

  public func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    partner = nil
  }

  public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    partner?.context?.write(data, promise: nil)
  }

  public func channelReadComplete(context: ChannelHandlerContext) {
    partner?.context?.flush()
  }

  public func channelInactive(context: ChannelHandlerContext) {
    // After a passed-on end of input the partner closes by itself once its last bytes are out. When the partner's
    // input ended first, NIO closes this channel at its own end of input without saying so in an event of its own.
    if !inputEnded {
      if partner?.inputEnded ?? false, !failed {
        partner?.endOutput()
      } else {
        partner?.context?.close(promise: nil)
      }
    }
    context.fireChannelInactive()
  }

  public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .inputClosed = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
    inputEnded = true
    partner?.endOutput()
  }

  public func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failed = true
    context.close(promise: nil)
    partner?.context?.close(promise: nil)
  }

  public func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { partner?.partnerBecameWritable() }
    context.fireChannelWritabilityChanged()
  }

  public func read(context: ChannelHandlerContext) {
    if partner?.context?.channel.isWritable ?? false {
      context.read()
    } else {
      readPending = true
    }
  }

  private func partnerBecameWritable() {
    guard readPending else { return }
    readPending = false
    context?.read()
  }

  private func endOutput() {
    guard let context else { return }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
      context.close(mode: .output, promise: nil)
    }
  }
}
