import Basics
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// A WebSocket to the Gateway under test that keeps everything it is told.
actor ServerWire {
  struct Closed: Equatable { var code: UInt16, reason: String }
  enum Failure: Error { case notAGateway }
  typealias Socket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

  private(set) var frames: [JSONValue] = []
  private(set) var closed: Closed?
  private var isGone = false
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private let outgoing: AsyncStream<WebSocketFrame>.Continuation

  private init(_ outgoing: AsyncStream<WebSocketFrame>.Continuation) { self.outgoing = outgoing }

  static func open(port: Int) async throws -> ServerWire {
    let socket = try await connect(port: port)
    let (stream, outgoing) = AsyncStream<WebSocketFrame>.makeStream()
    let wire = ServerWire(outgoing)
    let reading = Task {
      try await socket.executeThenClose { inbound, outbound in
        let writer = Task { for await frame in stream { try await outbound.write(frame) } }
        for try await frame in inbound { await wire.take(frame) }
        writer.cancel()
      }
    }
    Task {
      // A connection that was reset has ended, too: whoever waits for that must not wait for ever.
      _ = await reading.result
      await wire.end()
    }
    return wire
  }

  func send(_ frame: JSONValue) { send(text: frame.canonical) }

  func send(text: String) {
    outgoing.yield(WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(string: text)))
  }

  func close() {
    var data = ByteBuffer()
    data.write(webSocketErrorCode: .normalClosure)
    outgoing.yield(WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: data))
  }

  /// Waits until a look at what arrived gives something; nil when the connection ended first.
  func wait<Found>(_ look: ([JSONValue]) -> Found?) async -> Found? {
    while true {
      if let found = look(frames) { return found }
      if isGone { return nil }
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func waitForEnd() async -> Closed? {
    while !isGone { await withCheckedContinuation { waiting.append($0) } }
    return closed
  }

  /// The answers to a request in the order they came.
  func response(to id: String) async -> JSONValue? {
    await wait { frames in frames.first { $0["type"] == "res" && $0["id"]?.stringValue == id } }
  }

  func challenge() async -> JSONValue? { await wait { $0.first } }

  private func take(_ frame: WebSocketFrame) {
    var data = frame.unmaskedData
    switch frame.opcode {
    case .text:
      if let value = try? JSONValue(parsing: data.readableBytesView) { frames.append(value) }
    case .connectionClose:
      let code = data.readInteger(as: UInt16.self) ?? 1005
      closed = Closed(code: code, reason: data.readString(length: data.readableBytes) ?? "")
      close()
    default: break
    }
    wake()
  }

  private func end() {
    isGone = true
    wake()
  }

  private func wake() {
    let all = waiting
    waiting = []
    for continuation in all { continuation.resume() }
  }

  private static func connect(port: Int) async throws -> Socket {
    let negotiated = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let upgrader = NIOTypedWebSocketClientUpgrader<Socket?>(
            maxFrameSize: 1 << 25,
            upgradePipelineHandler: { channel, _ in
              channel.eventLoop.makeCompletedFuture { try Socket(wrappingChannelSynchronously: channel) }
            })
          let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["Host": "127.0.0.1"])
          var configuration = NIOUpgradableHTTPClientPipelineConfiguration<Socket?>(
            upgradeConfiguration: .init(
              upgradeRequestHead: head, upgraders: [upgrader],
              notUpgradingCompletionHandler: { $0.eventLoop.makeSucceededFuture(nil) }))
          // The challenge may come in the same segment as the 101; NIO would drop it.
          configuration.leftOverBytesStrategy = .forwardBytes
          return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
            configuration: configuration)
        }
      }
    guard let socket = try await negotiated.get() else { throw Failure.notAGateway }
    return socket
  }
}
