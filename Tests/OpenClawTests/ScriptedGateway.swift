import Basics
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
import Testing

@testable import OpenClaw

typealias ScriptedSocket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

/// One connection as the scripted server sees it.
final class ScriptedPeer {
  struct Gone: Error {}

  private var inbound: NIOAsyncChannelInboundStream<WebSocketFrame>.AsyncIterator
  private let outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>

  init(
    _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ outbound: NIOAsyncChannelOutboundWriter<WebSocketFrame>
  ) {
    self.inbound = inbound.makeAsyncIterator()
    self.outbound = outbound
  }

  func frame() async throws -> WebSocketFrame {
    guard let frame = try await inbound.next(isolation: #isolation) else { throw Gone() }
    return frame
  }

  /// The next request; anything else that the client sends is skipped.
  func request() async throws -> JSONValue {
    while true {
      let frame = try await frame()
      if frame.opcode == .connectionClose { throw Gone() }
      #expect(frame.maskKey != nil, "a client masks every frame")
      if frame.opcode == .text { return try JSONValue(parsing: String(buffer: frame.unmaskedData)) }
    }
  }

  func send(_ text: String) async throws {
    try await outbound.write(WebSocketFrame(fin: true, opcode: .text, data: ByteBuffer(string: text)))
  }

  func send(_ value: JSONValue) async throws { try await send(value.canonical) }

  func send(_ frame: WebSocketFrame) async throws { try await outbound.write(frame) }

  func event(_ name: String, _ payload: JSONValue, seq: Int64? = nil) async throws {
    var frame: [String: JSONValue] = ["type": "event", "event": .string(name), "payload": payload]
    if let seq { frame["seq"] = .integer(seq) }
    try await send(.object(frame))
  }

  func answer(_ request: JSONValue, _ payload: JSONValue) async throws {
    try await send(["type": "res", "id": request["id"] ?? .null, "ok": true, "payload": payload])
  }

  func refuse(_ request: JSONValue, _ error: JSONValue) async throws {
    try await send(["type": "res", "id": request["id"] ?? .null, "ok": false, "error": error])
  }

  func close(_ code: UInt16, _ reason: String) async throws {
    var data = ByteBuffer(integer: code)
    data.writeString(reason)
    try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
  }

  /// Challenges the client and gives its `connect` back.
  func challenge() async throws -> JSONValue {
    try await event("connect.challenge", ["nonce": "nonce-1", "ts": 1_795_335_301_027])
    let connect = try await request()
    #expect(connect["method"] == "connect")
    return connect
  }

  /// Lets the client in.
  func welcome() async throws { try await answer(try await challenge(), Self.hello) }

  static let hello: JSONValue = [
    "type": "hello-ok", "protocol": 4, "server": ["version": "2026.6.9", "connId": "c-1"],
    "features": ["methods": ["health"], "events": ["tick"]], "snapshot": ["uptimeMs": 72_243],
    "auth": ["role": "operator", "scopes": ["operator.read", "operator.write"], "deviceToken": "issued-token"],
    "policy": ["maxPayload": 26_214_400, "tickIntervalMs": 30_000],
  ]
}

/// A WebSocket server that does what a script says, one script per connection.
enum ScriptedGateway {
  typealias Script = @Sendable (ScriptedPeer) async throws -> Void

  /// Serves while `body` runs. What a script throws after the client has gone is of no interest.
  @discardableResult
  static func run<Value: Sendable>(
    _ scripts: Script..., body: @escaping @Sendable (TCPDialer) async throws -> Value
  ) async throws -> Value {
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .bind(host: "127.0.0.1", port: 0) { channel in
        channel.eventLoop.makeCompletedFuture { try upgrade(channel) }
      }
    let port = try #require(server.channel.localAddress?.port)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await server.executeThenClose { connections in
          try await withThrowingDiscardingTaskGroup { peers in
            var number = 0
            for try await connection in connections {
              let script = scripts[min(number, scripts.count - 1)]
              number += 1
              peers.addTask { await play(script, connection) }
            }
          }
        }
      }
      let value: Value
      do {
        value = try await body(TCPDialer(host: "127.0.0.1", port: port))
      } catch {
        group.cancelAll()
        throw error
      }
      group.cancelAll()
      return value
    }
  }

  private static func play(_ script: Script, _ connection: EventLoopFuture<ScriptedSocket?>) async {
    do {
      guard let socket = try await connection.get() else { return }
      try await socket.executeThenClose { inbound, outbound in
        let peer = ScriptedPeer(inbound, outbound)
        try await script(peer)
        // The script is over; the connection stays until the client leaves, which `frame` throws.
        while true { _ = try await peer.frame() }
      }
    } catch {
      // The client left in the middle of the script, which is often the point of the test.
    }
  }

  private static func upgrade(_ channel: any Channel) throws -> EventLoopFuture<ScriptedSocket?> {
    let upgrader = NIOTypedWebSocketServerUpgrader<ScriptedSocket?>(
      maxFrameSize: 1 << 25,
      shouldUpgrade: { channel, head in
        // With an Origin the real Gateway applies a browser's rules; a native client sends none.
        channel.eventLoop.makeSucceededFuture(head.uri == "/" && head.headers["origin"].isEmpty ? [:] : nil)
      },
      upgradePipelineHandler: { channel, _ in
        channel.eventLoop.makeCompletedFuture { try ScriptedSocket(wrappingChannelSynchronously: channel) }
      })
    return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
      configuration: .init(
        upgradeConfiguration: .init(
          upgraders: [upgrader],
          notUpgradingCompletionHandler: { channel in
            channel.close(promise: nil)
            return channel.eventLoop.makeSucceededFuture(nil)
          })))
  }
}

/// A server that answers the first request of each connection with given bytes and closes.
enum RawServer {
  private final class Responder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: @Sendable (String) -> ByteBuffer
    private let closes: Bool
    private var received = ""

    init(closes: Bool, _ answer: @escaping @Sendable (String) -> ByteBuffer) {
      self.closes = closes
      self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard !received.contains("\r\n\r\n") else { return }
      received += String(buffer: unwrapInboundIn(data))
      guard received.contains("\r\n\r\n") else { return }
      let channel = context.channel
      let closes = closes
      context.writeAndFlush(wrapOutboundOut(answer(received))).whenComplete { _ in
        if closes { channel.close(promise: nil) }
      }
    }
  }

  @discardableResult
  static func run<Value>(
    closes: Bool = true, answer: @escaping @Sendable (String) -> ByteBuffer,
    body: (TCPDialer) async throws -> Value
  ) async throws -> Value {
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Responder(closes: closes, answer))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(server.localAddress?.port)
    do {
      let value = try await body(TCPDialer(host: "127.0.0.1", port: port))
      try await server.close()
      return value
    } catch {
      try await server.close()
      throw error
    }
  }
}
