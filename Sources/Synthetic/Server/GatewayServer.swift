import AsyncHTTPClient
import Basics
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// What a Gateway needs to start; made by `GatewayStart.prepare` from options and environment.
public struct GatewayStart: Sendable {
  var paths: OpenClawPaths
  var environment: [String: String]
  var config: ConfigFile
  var auth: GatewayAuth
  var host: String
  var port: Int
  var faults: FaultSource
  var secrets = SecretSnapshot()
  /// Milliseconds between two ticks; shorter in tests.
  public var tickMilliseconds = Limits.tickIntervalMilliseconds
  public var handshakeMilliseconds = Limits.handshakeMilliseconds
}

typealias WebSocketChannel = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>
typealias HTTPChannel = NIOAsyncChannel<HTTPServerRequestPart, HTTPPart<HTTPResponseHead, ByteBuffer>>

/// The sockets of one Gateway.
public struct GatewayServer: Sendable {
  enum Negotiated: Sendable {
    case webSocket(WebSocketChannel)
    case http(HTTPChannel)
    case silent(any Channel)
  }

  public let port: Int
  let gateway: Gateway
  private let listener: NIOAsyncChannel<EventLoopFuture<Negotiated>, Never>
  private let group: MultiThreadedEventLoopGroup
  private let http: HTTPClient

  /// Opens the port. Nothing is answered before `run`.
  public static func open(
    _ start: GatewayStart, clock: WallClock = .system, logger: Logger
  ) async throws -> GatewayServer {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let http = HTTPClient(eventLoopGroupProvider: .shared(group))
    do {
      let gateway = try Gateway(start, http: http, clock: clock, logger: logger)
      let faults = start.faults
      let listener = try await ServerBootstrap(group: group)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: start.host, port: start.port) { channel in
          channel.eventLoop.makeCompletedFuture { try negotiate(channel, isSilent: faults.current.hang) }
        }
      return GatewayServer(
        port: listener.channel.localAddress?.port ?? start.port, gateway: gateway, listener: listener, group: group,
        http: http)
    } catch {
      try await http.shutdown()
      try await group.shutdownGracefully()
      throw error
    }
  }

  /// Serves until the task is cancelled; then says goodbye to the clients and closes.
  public func run() async throws {
    let gateway = gateway
    let listener = listener
    // Free tasks: a cancellation must reach the sockets only after the goodbye went out through them.
    let serving = Task { await Self.accept(listener, gateway) }
    for line in gateway.secrets.notes { await gateway.note(line, subsystem: "secrets", level: "WARN") }
    let timing = Task { await gateway.keepTime() }
    await withTaskCancellationHandler {
      await serving.value
    } onCancel: {
      Task {
        await gateway.stop()
        await gateway.drain()
        serving.cancel()
      }
    }
    timing.cancel()
    await timing.value
    try await http.shutdown()
    try await group.shutdownGracefully()
  }

  /// Closes a Gateway that was opened and will not run. Its threads end with the process, which ends next: the closed
  /// listener still has work for them.
  func close() async throws {
    try await listener.executeThenClose { _ in }
    try await http.shutdown()
  }

  private static func accept(
    _ listener: NIOAsyncChannel<EventLoopFuture<Negotiated>, Never>, _ gateway: Gateway
  ) async {
    do {
      try await listener.executeThenClose { inbound in
        await withDiscardingTaskGroup { connections in
          do {
            for try await negotiated in inbound {
              connections.addTask { await serve(negotiated, gateway) }
            }
          } catch {
            gateway.logger.debug("listener ended", metadata: ["error": "\(error)"])
          }
          connections.cancelAll()
        }
      }
    } catch {
      gateway.logger.debug("listener closed", metadata: ["error": "\(error)"])
    }
  }

  private static func serve(_ negotiated: EventLoopFuture<Negotiated>, _ gateway: Gateway) async {
    do {
      switch try await negotiated.get() {
      case .webSocket(let channel): try await WebSocketLoop(gateway: gateway).run(channel)
      case .http(let channel): try await HTTPLoop(gateway: gateway).run(channel)
      case .silent(let channel): try await channel.closeFuture.get()
      }
    } catch {
      gateway.logger.debug("connection ended", metadata: ["error": "\(error)"])
    }
  }

  /// Builds the pipeline of an accepted socket: HTTP first, a WebSocket when the first request asks for one.
  private static func negotiate(_ channel: any Channel, isSilent: Bool) throws -> EventLoopFuture<Negotiated> {
    if isSilent { return channel.eventLoop.makeSucceededFuture(.silent(channel)) }
    let upgrader = NIOTypedWebSocketServerUpgrader<Negotiated>(
      maxFrameSize: Limits.payloadBytesMax,
      shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
      upgradePipelineHandler: { channel, _ in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            NIOWebSocketFrameAggregator(
              minNonFinalFragmentSize: 1, maxAccumulatedFrameCount: 1_024,
              maxAccumulatedFrameSize: Limits.payloadBytesMax))
          return .webSocket(try WebSocketChannel(wrappingChannelSynchronously: channel))
        }
      })
    let upgrade = NIOTypedHTTPServerUpgradeConfiguration<Negotiated>(
      upgraders: [upgrader],
      notUpgradingCompletionHandler: { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(ByteBufferResponses())
          return .http(try HTTPChannel(wrappingChannelSynchronously: channel))
        }
      })
    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
      configuration: .init(upgradeConfiguration: upgrade))
  }
}

/// Turns response parts of byte buffers, which may cross tasks, into NIO's own.
final class ByteBufferResponses: ChannelOutboundHandler {
  typealias OutboundIn = HTTPPart<HTTPResponseHead, ByteBuffer>
  typealias OutboundOut = HTTPServerResponsePart

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let part: HTTPServerResponsePart =
      switch unwrapOutboundIn(data) {
      case .head(let head): .head(head)
      case .body(let bytes): .body(.byteBuffer(bytes))
      case .end(let trailers): .end(trailers)
      }
    context.write(wrapOutboundOut(part), promise: promise)
  }
}

extension Gateway {
  /// Ticks, refreshes health and runs due cron jobs until cancelled.
  func keepTime() async {
    startChannels()
    let step = min(tickMilliseconds, 1_000)
    var sinceTick: Int64 = 0
    var sinceHealth: Int64 = 0
    while !Task.isCancelled {
      do { try await Task.sleep(for: .milliseconds(step)) } catch { return }
      sinceTick += step
      sinceHealth += step
      if sinceHealth >= Limits.healthIntervalMilliseconds {
        refreshHealth()
        sinceHealth = 0
      }
      if sinceTick >= tickMilliseconds {
        tick()
        sinceTick = 0
      }
      runDueJobs()
    }
  }

  /// Waits until the clients are gone, at most two seconds: a stop is told to take less than 25.
  func drain() async {
    for _ in 0..<40 {
      if isEmpty { return }
      do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
    }
  }
}
