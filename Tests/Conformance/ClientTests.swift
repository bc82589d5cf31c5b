import Basics
import Foundation
import Logging
import Synchronization
import Synthetic
import Testing

@testable import OpenClaw

/// A synthetic Instance in this process: a model, a Gateway with AW's own configuration, and a way to flip its faults.
final class InstanceScene: Sendable {
  let dialer: TCPDialer
  let token = Secret.randomHex(byteCount: 16)
  let device: DeviceIdentity
  private let state: String
  private let tasks: [Task<Void, any Error>]

  init() async throws {
    device = try DeviceIdentity(seed: DeviceIdentity.makeSeed())
    state = NSTemporaryDirectory() + "aw-instance-" + Base64URL.encode([UInt8].random(count: 9))
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
    let logger = Logger(label: "synthetic") { _ in SwiftLogNoOpLogHandler() }
    let key = Secret.randomHex(byteCount: 8)
    let model = try await FixtureModelServer.open(host: "127.0.0.1", port: 0, key: key, logger: logger)
    let configuration = InstanceConfiguration.make(
      .init(
        port: 18_789, bind: .loopback, workspace: state + "/workspace",
        model: .init(
          provider: "fixture", baseURL: "http://127.0.0.1:\(model.port)/v1", id: "echo-1", keyVariable: "MODEL_KEY")),
      for: GatewayVersion(2026, 6, 9))
    try configuration.canonical.write(toFile: state + "/openclaw.json", atomically: true, encoding: .utf8)
    let environment = [
      "OPENCLAW_STATE_DIR": state, "OPENCLAW_CONFIG_PATH": state + "/openclaw.json", "OPENCLAW_HOME": state,
      "OPENCLAW_GATEWAY_TOKEN": token.withText { $0 }, "MODEL_KEY": key.withText { $0 },
    ]
    let start = try GatewayProgram(port: 0, bind: "loopback", allowUnconfigured: false).prepare(
      environment: environment)
    let gateway = try await GatewayServer.open(start, logger: logger)
    dialer = TCPDialer(host: "127.0.0.1", port: gateway.port)
    tasks = [Task { try await model.run() }, Task { try await gateway.run() }]
  }

  func fault(_ document: JSONValue) throws {
    try document.canonical.write(toFile: state + "/synthetic-faults.json", atomically: true, encoding: .utf8)
  }

  func pair() async throws -> Pairing.Paired {
    try await Pairing.pair(through: dialer, sharedToken: token, device: device, version: "1.0.0") { _ in
      throw AWError(.gatewayPairingRequired, "No approval was expected.", next: "Look at the locality.")
    }
  }

  func connect(_ paired: Pairing.Paired) async throws -> GatewayClient {
    try await GatewayClient.connect(
      through: dialer, credentials: .init(token: paired.deviceToken, device: device),
      options: .control(version: "1.0.0"), wanted: { _ in true })
  }

  func close() async {
    for task in tasks { task.cancel() }
    for task in tasks { _ = await task.result }
    try? FileManager.default.removeItem(atPath: state)
  }
}

@Suite("AW's client at a synthetic Gateway", .serialized, .timeLimit(.minutes(2)))
struct ClientTests {
  @Test("probes pass, the device is paired with the narrowest scopes, and a model turn carries the nonce")
  func thread() async throws {
    let scene = try await InstanceScene()
    for probe in Probe.allCases {
      #expect(probe.verdict(on: try await probe.ask(through: scene.dialer)) == .passed)
    }
    let paired = try await scene.pair()
    #expect(paired.scopes == ConnectOptions.narrowestScopes)
    #expect(paired.version == Synthetic.version)
    #expect(paired.gatewayDevice?.count == 64)

    let client = try await scene.connect(paired)
    #expect(client.hello.scopes == ConnectOptions.narrowestScopes)
    let report = HealthReport(try await client.call("health"))
    #expect(report.degradations == [])
    let turn = try await ModelTurn.run(on: client, nonce: "aw-51f2c9", deadline: .seconds(20))
    #expect(turn.text.contains("aw-51f2c9"))
    client.close()
    await scene.close()
  }

  @Test("a wrong token is a credential failure, told by name")
  func wrongToken() async throws {
    let scene = try await InstanceScene()
    let failure = await #expect(throws: GatewayFailure.self) {
      try await GatewayClient.connect(
        through: scene.dialer, credentials: .init(token: Secret("wrong"), device: scene.device),
        options: .bootstrap(version: "1.0.0"))
    }
    #expect(failure?.kind == .credential)
    #expect(failure?.explained.code == .gatewayRefused)
    await scene.close()
  }

  @Test("what the device's scopes do not allow is refused as a missing scope")
  func missingScope() async throws {
    let scene = try await InstanceScene()
    let client = try await scene.connect(try await scene.pair())
    let failure = await #expect(throws: GatewayFailure.self) {
      try await client.call("config.patch", ["raw": "{}", "baseHash": "x"])
    }
    #expect(failure?.kind == .missingScope)
    client.close()
    await scene.close()
  }

  @Test("twenty calls at once each get their own answer")
  func correlated() async throws {
    let scene = try await InstanceScene()
    let client = try await scene.connect(try await scene.pair())
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<20 {
        group.addTask {
          let method = number.isMultiple(of: 2) ? "health" : "gateway.identity.get"
          let answer = try await client.call(method)
          return number.isMultiple(of: 2) ? answer["ts"] != nil : answer["deviceId"] != nil
        }
      }
      for try await right in group { #expect(right) }
    }
    client.close()
    await #expect(throws: AWError(.gatewayUnreachable, "", next: "")) { try await client.call("health") }
    await scene.close()
  }

  @Test("a Gateway that stops fails the waiting calls with its close code")
  func stopped() async throws {
    let scene = try await InstanceScene()
    let client = try await scene.connect(try await scene.pair())
    async let ended: [GatewayEvent] = {
      var seen: [GatewayEvent] = []
      for await event in client.events { seen.append(event) }
      return seen
    }()
    await scene.close()
    #expect(await ended.contains { $0.name == "shutdown" })
    let error = await #expect(throws: AWError.self) { try await client.call("health") }
    #expect(error?.message.contains("1012") == true)
  }

  @Test("a model that fails fails the turn, with the reason")
  func modelFails() async throws {
    let scene = try await InstanceScene()
    let client = try await scene.connect(try await scene.pair())
    try scene.fault(["modelFails": true])
    await #expect(throws: AWError(.modelTurnFailed, "", next: "")) {
      try await ModelTurn.run(on: client, nonce: "aw-1", deadline: .seconds(20))
    }
    client.close()
    await scene.close()
  }

  @Test("a Gateway that is not ready says so at its probe")
  func notReady() async throws {
    let scene = try await InstanceScene()
    try scene.fault(["notReady": true])
    let answer = try await Probe.ready.ask(through: scene.dialer)
    guard case .notReady = Probe.ready.verdict(on: answer) else {
      Issue.record("\(answer)")
      return
    }
    #expect(Probe.live.verdict(on: try await Probe.live.ask(through: scene.dialer)) == .passed)
    await scene.close()
  }

  @Test("nothing on the port, and a port that answers nothing, are told apart from a refusal")
  func nothing() async throws {
    let scene = try await InstanceScene()
    try scene.fault(["hang": true])
    await #expect(throws: AWError.self) {
      try await GatewayClient.connect(
        through: scene.dialer, credentials: .init(token: scene.token, device: scene.device),
        options: .bootstrap(version: "1.0.0"), deadline: .milliseconds(300))
    }
    await #expect(throws: AWError(.gatewayUnreachable, "", next: "")) {
      try await GatewayClient.connect(
        through: TCPDialer(host: "127.0.0.1", port: 1), credentials: .init(token: scene.token, device: scene.device),
        options: .bootstrap(version: "1.0.0"))
    }
    await scene.close()
  }

  @Test("every recorded server frame reads, and every recorded refusal is classified")
  func recordings() throws {
    let folder = try #require(Bundle.module.url(forResource: "Frames", withExtension: nil))
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }
    #expect(files.count > 40)
    var kinds: Set<String> = []
    for file in files.sorted() {
      let recording = try JSONValue(parsing: Array(try Data(contentsOf: folder.appending(path: file))))
      for entry in recording["connections"]?.arrayValue?.flatMap({ $0.arrayValue ?? [] }) ?? [] {
        guard entry["dir"]?.stringValue == "server->client", let frame = entry["frame"], frame["type"] != nil else {
          continue
        }
        let parsed = try GatewayFrame(parsing: frame.canonical.utf8)
        if case .response(_, .failure(let failure)) = parsed {
          kinds.insert("\(failure.kind)".prefix { $0 != "(" }.description)
          #expect(!failure.explained.message.isEmpty)
        }
        if case .response(_, .success(let payload)) = parsed, payload["type"]?.stringValue == "hello-ok" {
          #expect(try HelloOK(payload).version == "2026.6.9")
        }
      }
    }
    #expect(kinds.isSuperset(of: ["credential", "pairingRequired", "protocolMismatch", "deviceProof", "missingScope"]))
  }
}
