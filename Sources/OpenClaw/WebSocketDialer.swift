import Basics
import NIOCore
import NIOHTTP1
import NIOWebSocket

/// Opens the Gateway WebSocket over any stream of bytes.
enum WebSocketDialer {
  /// The Gateway's own limit for one message.
  static let messageBytesMax = 26_214_400
  static let upgradeDeadline = TimeAmount.seconds(10)

  private enum Negotiated: Sendable {
    case open(any Channel)
    /// The answer was another one, with this status.
    case refused(status: EventLoopFuture<Int>)
  }

  /// - Parameter handler: makes what takes whole frames in, on the channel's event loop.
  static func open(
    through dialer: some ByteDialer, _ handler: @escaping @Sendable () -> some ChannelHandler
  ) async throws -> any Channel {
    let heading = dialer.heading
    let negotiation = try await dialer.dial { channel in
      channel.eventLoop.makeCompletedFuture { try negotiate(on: channel, heading, handler) }
    }
    let outcome: Negotiated
    do {
      outcome = try await OpeningTimes.measure(.upgrade) { try await negotiation.get() }
    } catch let error as any ExplainedError {
      throw error
    } catch {
      throw unopened(error)
    }
    switch outcome {
    case .open(let channel): return channel
    case .refused(let status):
      let told: Int
      do {
        told = try await status.get()
      } catch {
        throw unopened(error)
      }
      throw refusal(told)
    }
  }

  private static func unopened(_ cause: any Error) -> AWError {
    AWError(
      .gatewayUnreachable, "The Gateway WebSocket did not open.",
      next: "Look at the links of the chain before it, and at the Instance's log.", cause: cause)
  }

  /// What another answer than an upgrade says. A Gateway has its own reasons for 503: its handlers are not there yet,
  /// or too many sockets from one address wait to be let in.
  static func refusal(_ status: Int) -> AWError {
    switch status {
    case 503:
      AWError(
        .gatewayNotReady, "The Gateway answered with status 503, and did not upgrade to a WebSocket.",
        next: "It is starting, or has too many connections that nobody was let in by; AW tries again by itself.")
    case 401, 403, 429:
      AWError(
        .gatewayRefused, "What answers refused to upgrade to a WebSocket, with status \(status).",
        next: "A proxy stands before the Gateway, or the Gateway does not trust one; look at the Instance's log.")
    default:
      AWError(
        .gatewayUnreachable, "What answers did not upgrade to a WebSocket: its status is \(status).",
        next: "Something else than a Gateway may listen on its port.")
    }
  }

  private static func negotiate(
    on channel: any Channel, _ heading: RequestHeading, _ handler: @escaping @Sendable () -> some ChannelHandler
  ) throws -> EventLoopFuture<Negotiated> {
    let upgrader = NIOTypedWebSocketClientUpgrader<Negotiated>(
      maxFrameSize: messageBytesMax,
      upgradePipelineHandler: { channel, _ in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            NIOWebSocketFrameAggregator(
              minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 4_096, maxAccumulatedFrameSize: messageBytesMax))
          try channel.pipeline.syncOperations.addHandler(handler())
          return .open(channel)
        }
      })
    // No Origin: with one the Gateway applies a browser's rules.
    let head = HTTPRequestHead(
      version: .http1_1, method: .GET, uri: "/", headers: heading.headers(["Content-Length": "0"]))
    let deadline = channel.eventLoop.scheduleTask(in: upgradeDeadline) { channel.close(promise: nil) }
    let upgrade = NIOTypedHTTPClientUpgradeConfiguration<Negotiated>(
      upgradeRequestHead: head, upgraders: [upgrader],
      notUpgradingCompletionHandler: { channel in
        // The answer itself comes to whoever is in the pipeline when this is done: not before.
        channel.eventLoop.makeCompletedFuture {
          let head = RefusalHead(channel.eventLoop.makePromise(of: Int.self))
          try channel.pipeline.syncOperations.addHandler(head)
          return .refused(status: head.status)
        }
      })
    var configuration = NIOUpgradableHTTPClientPipelineConfiguration(upgradeConfiguration: upgrade)
    // The challenge may come in the same segment as the upgrade's answer.
    configuration.leftOverBytesStrategy = .forwardBytes
    let negotiated = try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
      configuration: configuration)
    negotiated.whenComplete { _ in deadline.cancel() }
    return negotiated
  }
}

/// Waits for the status of an answer that is no upgrade, and closes.
private final class RefusalHead: ChannelInboundHandler {
  typealias InboundIn = HTTPClientResponsePart

  private let promise: EventLoopPromise<Int>
  var status: EventLoopFuture<Int> { promise.futureResult }

  init(_ promise: EventLoopPromise<Int>) { self.promise = promise }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(let head) = unwrapInboundIn(data) else { return }
    promise.succeed(Int(head.status.code))
    context.close(promise: nil)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    promise.fail(error)
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    promise.fail(ChannelError.eof)
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
}
