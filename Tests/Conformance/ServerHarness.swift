import Basics
import Crypto
import Foundation
import Logging
import NIOCore
import NIOPosix

@testable import Synthetic

/// A key that signs for a device; the recorded devices get one each.
struct ServerDevice: Sendable {
  let key = Curve25519.Signing.PrivateKey()
  var publicKey: String { Base64URL.encode(key.publicKey.rawRepresentation) }
  var id: String { SHA256.hex(key.publicKey.rawRepresentation) }

  /// The v3 payload, or v2 for the scenario that was recorded with it.
  func sign(_ params: JSONValue, signedAt: Int64, nonce: String, version: Int) throws -> String {
    func text(_ value: JSONValue?) -> String { value?.stringValue ?? "" }
    let (client, auth) = (params["client"], params["auth"])
    let token = auth?["token"] ?? auth?["deviceToken"]
    let scopes = (params["scopes"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ",")
    var fields = [
      "v\(version)", id, text(client?["id"]), text(client?["mode"]), text(params["role"]), scopes, String(signedAt),
      text(token), nonce,
    ]
    if version == 3 { fields += [text(client?["platform"]).lowercased(), text(client?["deviceFamily"]).lowercased()] }
    return Base64URL.encode(try key.signature(for: Data(fields.joined(separator: "|").utf8)))
  }
}

/// Holds the model back until the replay lets it answer.
actor ServerGate {
  private var isOpen = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func pass() async {
    if isOpen { return }
    await withCheckedContinuation { waiting.append($0) }
  }

  func open() {
    isOpen = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }
}

/// A Gateway in this process with everything the recorded one had around it: a model, an IRC server, a state directory.
final class ServerHarness: Sendable {
  static let token = "example-gateway-token-0123456789abcdef"
  static let scopes: JSONValue = [
    "operator.read", "operator.write", "operator.admin", "operator.approvals", "operator.pairing",
  ]

  let directory: String
  let server: GatewayServer
  let gate: ServerGate
  private let running: Task<Void, any Error>
  private let model: Task<Void, any Error>
  private let irc: any Channel

  var port: Int { server.port }

  /// - Parameters:
  ///   - config: the text of the config file with `@HOME`, `@MODEL` and `@IRC` in place of what is only known now.
  ///   - seed: writes state files before the Gateway starts.
  static func start(
    config: String = ServerHarness.config, tickMilliseconds: Int64 = 30_000, handshakeMilliseconds: Int64 = 15_000,
    holdsModel: Bool = false, faults: [String] = [], seed: (String) throws -> Void = { _ in }
  ) async throws -> ServerHarness {
    let directory = NSTemporaryDirectory() + "aw-conformance-" + Hex.encode([UInt8].random(count: 6))
    let state = directory + "/.openclaw"
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
    let gate = ServerGate()
    if !holdsModel { await gate.open() }
    let logger = Logger(label: "conformance") { _ in SwiftLogNoOpLogHandler() }
    let model = try await FixtureModelServer.open(
      host: "127.0.0.1", port: 0, key: Secret("mock-key"), logger: logger, gate: { await gate.pass() })
    let irc = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup).bind(host: "127.0.0.1", port: 0)
      .get()
    let text = config.replacing("@HOME", with: directory).replacing("@MODEL", with: "127.0.0.1:\(model.port)")
      .replacing("@IRC", with: String(irc.localAddress?.port ?? 0))
    try text.write(toFile: state + "/openclaw.json", atomically: true, encoding: .utf8)
    try seed(state)
    var start = try GatewayProgram(port: 0, bind: nil, allowUnconfigured: false, faults: faults)
      .prepare(environment: ["HOME": directory])
    (start.tickMilliseconds, start.handshakeMilliseconds) = (tickMilliseconds, handshakeMilliseconds)
    let server = try await GatewayServer.open(start, logger: logger)
    return ServerHarness(directory, server, gate, Task { try await server.run() }, Task { try await model.run() }, irc)
  }

  private init(
    _ directory: String, _ server: GatewayServer, _ gate: ServerGate, _ running: Task<Void, any Error>,
    _ model: Task<Void, any Error>, _ irc: any Channel
  ) {
    (self.directory, self.server, self.gate) = (directory, server, gate)
    (self.running, self.model, self.irc) = (running, model, irc)
  }

  /// Tells the Gateway to stop, as SIGTERM does.
  func terminate() { running.cancel() }

  func stop() async throws {
    await gate.open()
    running.cancel()
    model.cancel()
    _ = await running.result
    _ = await model.result
    try await irc.close().get()
    try FileManager.default.removeItem(atPath: directory)
  }

  /// A connect request; `device` signs it when there is one.
  static func connect(
    _ device: ServerDevice?, challenge: JSONValue?, id: String = "connect", clientID: String = "cli",
    mode: String = "cli", scopes: JSONValue = ServerHarness.scopes, auth: JSONValue = ["token": .string(token)],
    deviceFamily: String? = nil
  ) throws -> JSONValue {
    var client: [String: JSONValue] = [
      "id": .string(clientID), "version": "1.0.0", "platform": "linux", "mode": .string(mode),
    ]
    client["deviceFamily"] = deviceFamily.map { .string($0) }
    var params: [String: JSONValue] = [
      "minProtocol": 4, "maxProtocol": 4, "client": .object(client), "role": "operator", "scopes": scopes,
      "caps": [], "auth": auth,
    ]
    if let device {
      let nonce = challenge?["payload"]?["nonce"]?.stringValue ?? ""
      let signedAt = challenge?["payload"]?["ts"]?.intValue ?? 0
      params["device"] = [
        "id": .string(device.id), "publicKey": .string(device.publicKey), "signedAt": .integer(signedAt),
        "nonce": .string(nonce),
        "signature": .string(try device.sign(.object(params), signedAt: signedAt, nonce: nonce, version: 3)),
      ]
    }
    return request(id, "connect", .object(params))
  }

  static func request(_ id: String, _ method: String, _ params: JSONValue = [:]) -> JSONValue {
    ["type": "req", "id": .string(id), "method": .string(method), "params": params]
  }

  /// An admitted connection of a device with every scope.
  func admitted(_ device: ServerDevice) async throws -> (wire: ServerWire, hello: JSONValue?) {
    let wire = try await ServerWire.open(port: port)
    await wire.send(try Self.connect(device, challenge: await wire.challenge()))
    return (wire, await wire.response(to: "connect")?["payload"])
  }

  /// Waits until the IRC accounts are as they were in the recordings: one up, one down, one off.
  func settleChannels(_ wire: ServerWire) async {
    for turn in 0..<100_000 {
      let id = "settle-\(turn)"
      await wire.send(Self.request(id, "channels.status"))
      guard let status = await wire.response(to: id) else { return }
      let accounts = status["payload"]?["channelAccounts"]?["irc"]?.arrayValue ?? []
      if accounts.isEmpty { return }
      if accounts.contains(where: { $0["running"] == true }),
        accounts.contains(where: { $0["lastError"]?.stringValue?.hasPrefix("connect") == true })
      {
        return
      }
    }
  }

  /// The config of the recorded Gateway.
  static let config = """
    {
      "gateway": { "mode": "local", "port": 18789, "bind": "loopback", "auth": { "mode": "token", "token": \
    "example-gateway-token-0123456789abcdef" }, "controlUi": { "enabled": false } },
      "update": { "checkOnStart": false },
      "discovery": { "mdns": { "mode": "off" } },
      "logging": { "file": "@HOME/openclaw.log" },
      "models": { "pricing": { "enabled": false }, "providers": { "mock": { "baseUrl": "http://@MODEL/v1", \
    "apiKey": "mock-key", "api": "openai-completions", "models": [ { "id": "echo-1", "name": "Echo 1", \
    "contextWindow": 32000, "maxTokens": 4096, "input": ["text"], "cost": {"input":0,"output":0,"cacheRead":0,\
    "cacheWrite":0}, "reasoning": false } ] } } },
      "agents": { "defaults": { "model": { "primary": "mock/echo-1" }, "workspace": "@HOME/workspace", \
    "skipBootstrap": true }, "list": [ { "id": "main", "default": true, "name": "Main" }, { "id": "ops", \
    "name": "Ops" } ] },
      "channels": { "irc": { "enabled": true, "accounts": {
        "good": { "name": "Good net", "enabled": true, "host": "127.0.0.1", "port": @IRC, "tls": false, "nick": \
    "clawgood", "channels": ["#ops"] },
        "bad": { "name": "Bad net", "enabled": true, "host": "127.0.0.1", "port": 1, "tls": false, "nick": "clawbad" },
        "off": { "name": "Off net", "enabled": false, "host": "127.0.0.1", "port": @IRC, "tls": false, "nick": \
    "clawoff" } } } },
      "plugins": { "enabled": true, "allow": ["irc"], "entries": { "irc": { "enabled": true } } }
    }
    """
}
