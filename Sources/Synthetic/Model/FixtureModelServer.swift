import Basics
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// The fixture model behind a port, and the simulated vendors below the doors of `VendorDesk`.
public struct FixtureModelServer: Sendable {
  public let port: Int
  private let listener: NIOAsyncChannel<HTTPChannel, Never>
  private let group: MultiThreadedEventLoopGroup
  private let key: Secret?
  private let clock: WallClock
  private let logger: Logger
  /// Awaited before each answer: tests hold the model back with it.
  private let gate: (@Sendable () async -> Void)?
  /// What the simulated vendors know.
  public let desk = VendorDesk()

  /// Opens the port; `key` is the bearer token that callers must send, when there is one.
  public static func open(
    host: String, port: Int, key: Secret?, clock: WallClock = .system, logger: Logger,
    gate: (@Sendable () async -> Void)? = nil
  ) async throws -> FixtureModelServer {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let listener = try await ServerBootstrap(group: group)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: host, port: port) { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.configureHTTPServerPipeline()
            try channel.pipeline.syncOperations.addHandler(ByteBufferResponses())
            return try HTTPChannel(wrappingChannelSynchronously: channel)
          }
        }
      return FixtureModelServer(
        port: listener.channel.localAddress?.port ?? port, listener: listener, group: group, key: key, clock: clock,
        logger: logger, gate: gate)
    } catch {
      try await group.shutdownGracefully()
      throw error
    }
  }

  /// Answers until the task is cancelled.
  public func run() async throws {
    do {
      try await listener.executeThenClose { inbound in
        try await withThrowingDiscardingTaskGroup { connections in
          for try await connection in inbound {
            connections.addTask { await serve(connection) }
          }
          connections.cancelAll()
        }
      }
    } catch is CancellationError {
      logger.debug("the model endpoint was told to stop")
    }
    try await group.shutdownGracefully()
  }

  private func serve(_ channel: HTTPChannel) async {
    do {
      try await channel.executeThenClose { inbound, outbound in
        var head: HTTPRequestHead?
        var body: [UInt8] = []
        for try await part in inbound {
          switch part {
          case .head(let received): (head, body) = (received, [])
          case .body(let bytes):
            guard body.count + bytes.readableBytes <= Limits.requestBodyBytesMax * 16 else { return }
            body += bytes.readableBytesView
          case .end:
            guard let request = head else { continue }
            try await answer(request, body, outbound)
            if !request.isKeepAlive { return }
          }
        }
      }
    } catch {
      logger.debug("connection ended", metadata: ["error": "\(error)"])
    }
  }

  private func answer(
    _ request: HTTPRequestHead, _ body: [UInt8],
    _ outbound: NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>
  ) async throws {
    if let door = VendorDesk.Door.allCases.first(where: { request.uri.hasPrefix($0.rawValue + "/") }) {
      let headers = Dictionary(request.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }
      let answer = Vendors.answer(
        to: .init(
          method: request.method.rawValue, path: String(request.uri.dropFirst(door.rawValue.count)), headers: headers,
          body: body, seconds: clock.now.millisecondsSince1970 / 1_000),
        at: door, desk)
      return try await send(answer.status, answer.headers, answer.body, to: request, outbound)
    }
    await gate?()
    let answer = FixtureModel.answer(
      method: request.method.rawValue, path: request.uri, authorization: request.headers.first(name: "authorization"),
      key: key, body: body, seconds: clock.now.millisecondsSince1970 / 1_000)
    try await send(answer.status, [("content-type", answer.contentType)], answer.body, to: request, outbound)
  }

  private func send(
    _ status: Int, _ headers: [(name: String, value: String)], _ body: String, to request: HTTPRequestHead,
    _ outbound: NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>
  ) async throws {
    var fields = HTTPHeaders(headers.map { ($0.name, $0.value) })
    fields.add(name: "content-length", value: String(body.utf8.count))
    let status = HTTPResponseStatus(statusCode: status)
    try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: fields)))
    if request.method != .HEAD { try await outbound.write(.body(ByteBuffer(string: body))) }
    try await outbound.write(.end(nil))
  }
}
