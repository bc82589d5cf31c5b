import Basics
import Link
import NIOCore

/// What a proxy that did not connect answered.
struct ProxyRefused: Error, Equatable {
  let failure: LossEvidence.ProxyFailure
  /// Nil when it answered no HTTP, or nothing.
  var status: Int?
}

/// The head of a proxy's answer, as far as AW looks at it.
enum ProxyAnswer {
  /// Takes the head off the buffer.
  ///
  /// - Returns: its status; nil when the head is not complete yet.
  /// - Throws: `ProxyRefused` for what is no HTTP or too long.
  static func status(_ buffer: inout ByteBuffer) throws(ProxyRefused) -> Int? {
    let bytes = buffer.readableBytesView
    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
      guard bytes.count <= LinkLimits.proxyHeadBytesMax else { throw ProxyRefused(failure: .other) }
      return nil
    }
    let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
    buffer.moveReaderIndex(to: end.upperBound)
    let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
      throw ProxyRefused(failure: .other)
    }
    return status
  }

  /// Why a status other than 2xx is no connection.
  static func failure(_ status: Int) -> LossEvidence.ProxyFailure {
    switch status {
    case 407: .credentials
    case 403: .forbidden
    case 502, 503, 504: .noWay
    default: .other
    }
  }
}

/// Asks a proxy for a connection to the AW Gateway, and gets out of the way when it has one.
final class ProxyConnect: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let request: Secret
  private let done: EventLoopPromise<Void>
  private var received = ByteBuffer()
  private var deadline: Scheduled<Void>?

  private init(_ request: Secret, _ done: EventLoopPromise<Void>) {
    self.request = request
    self.done = done
  }

  /// - Returns: succeeds when the channel leads to the AW Gateway; fails with `ProxyRefused` or the channel's error.
  static func add(_ request: Secret, to channel: any Channel) -> EventLoopFuture<Void> {
    let done = channel.eventLoop.makePromise(of: Void.self)
    do {
      try channel.pipeline.syncOperations.addHandler(ProxyConnect(request, done))
    } catch {
      done.fail(error)
    }
    return done.futureResult
  }

  func channelActive(context: ChannelHandlerContext) {
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: .milliseconds(LinkLimits.proxyTimeout.milliseconds)) {
      bound.value.0.fail(ProxyRefused(failure: .silent), bound.value.1)
    }
    request.withText { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: $0)), promise: nil) }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    received.writeImmutableBuffer(unwrapInboundIn(data))
    do {
      guard let status = try ProxyAnswer.status(&received) else { return }
      guard (200..<300).contains(status) else {
        return fail(ProxyRefused(failure: ProxyAnswer.failure(status), status: status), context)
      }
      // TLS is begun by this side: what comes before that is not from the AW Gateway.
      guard received.readableBytes == 0 else { return fail(ProxyRefused(failure: .other, status: status), context) }
      context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    } catch {
      fail(error, context)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    deadline?.cancel()
    done.succeed()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error, context) }

  func channelInactive(context: ChannelHandlerContext) {
    fail(ProxyRefused(failure: .other), context)
    context.fireChannelInactive()
  }

  private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
    deadline?.cancel()
    done.fail(error)
    context.close(promise: nil)
  }
}
