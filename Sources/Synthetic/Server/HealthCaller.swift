import Basics
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// The WebSocket client behind `openclaw health`: one connect, one call.
enum HealthCaller {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  static func call(port: Int, auth: GatewayAuth, timeoutMilliseconds: Int64) async throws -> JSONValue {
    try await withThrowingTaskGroup(of: JSONValue.self) { tasks in
      tasks.addTask { try await exchange(port: port, auth: auth) }
      tasks.addTask {
        try await Task.sleep(for: .milliseconds(timeoutMilliseconds))
        throw Failure(description: "gateway timeout after \(timeoutMilliseconds)ms")
      }
      defer { tasks.cancelAll() }
      return try await tasks.next() ?? .null
    }
  }

  private static func exchange(port: Int, auth: GatewayAuth) async throws -> JSONValue {
    let channel = try await open(port: port)
    return try await channel.executeThenClose { inbound, outbound in
      for try await frame in inbound {
        if frame.opcode == .connectionClose { break }
        guard frame.opcode == .text else { continue }
        let message = try JSONValue(parsing: frame.unmaskedData.readableBytesView)
        if message["event"]?.stringValue == "connect.challenge" {
          try await outbound.write(request("1", "connect", connectParams(auth)))
        } else if message["id"]?.stringValue == "1" {
          guard message["ok"]?.boolValue == true else {
            throw Failure(description: message.at("error", "message")?.stringValue ?? "connect refused")
          }
          try await outbound.write(request("2", "health", [:]))
        } else if message["id"]?.stringValue == "2", let payload = message["payload"] {
          return payload
        }
      }
      throw Failure(description: "gateway closed")
    }
  }

  private static func connectParams(_ auth: GatewayAuth) -> JSONValue {
    let kind = auth.mode == .password ? "password" : "token"
    let credential = auth.secret.map { secret in secret.withText { JSONValue.object([kind: .string($0)]) } }
    let version = JSONValue.integer(Synthetic.protocolVersion)
    return .members([
      "minProtocol": version, "maxProtocol": version,
      "client": [
        "id": "gateway-client", "version": .string(Synthetic.version), "platform": "linux", "mode": "backend",
      ],
      "role": "operator", "scopes": ["operator.read"], "auth": credential,
    ])
  }

  private static func request(_ id: String, _ method: String, _ params: JSONValue) -> WebSocketFrame {
    let frame: JSONValue = ["type": "req", "id": .string(id), "method": .string(method), "params": params]
    return WebSocketFrame(
      fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(string: frame.canonical))
  }

  private static func open(port: Int) async throws -> WebSocketChannel {
    let negotiated = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let upgrader = NIOTypedWebSocketClientUpgrader<WebSocketChannel?>(
            maxFrameSize: Limits.payloadBytesMax,
            upgradePipelineHandler: { channel, _ in
              channel.eventLoop.makeCompletedFuture { try WebSocketChannel(wrappingChannelSynchronously: channel) }
            })
          let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: "/", headers: ["Host": "127.0.0.1:\(port)"])
          var configuration = NIOUpgradableHTTPClientPipelineConfiguration<WebSocketChannel?>(
            upgradeConfiguration: .init(
              upgradeRequestHead: head, upgraders: [upgrader],
              notUpgradingCompletionHandler: { $0.eventLoop.makeSucceededFuture(nil) }))
          // The challenge may come in the same segment as the 101; NIO would drop it.
          configuration.leftOverBytesStrategy = .forwardBytes
          return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
            configuration: configuration)
        }
      }
    guard let channel = try await negotiated.get() else { throw Failure(description: "not a gateway") }
    return channel
  }
}
