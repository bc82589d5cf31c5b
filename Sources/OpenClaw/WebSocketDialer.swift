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
    case refused
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
      throw AWError(
        .gatewayUnreachable, "The Gateway WebSocket did not open.",
        next: "Look at the links of the chain before it, and at the Instance's log.", cause: error)
    }
    guard case .open(let channel) = outcome else {
      throw AWError(
        .gatewayUnreachable, "The Gateway answered, but did not upgrade to a WebSocket.",
        next: "It may still be starting, or something else listens on its port.")
    }
    return channel
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
        channel.close(promise: nil)
        return channel.eventLoop.makeSucceededFuture(.refused)
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
