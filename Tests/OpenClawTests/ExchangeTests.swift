import Basics
import NIOCore
import Synchronization
import Testing

@testable import OpenClaw

@Suite("Pairing, probes and turns, against a scripted server", .timeLimit(.minutes(1)))
struct ExchangeTests {
  // MARK: Pairing

  static func pair(
    _ dialer: TCPDialer, approve: @Sendable (String) async throws -> Void
  ) async throws -> Pairing.Paired {
    try await Pairing.pair(
      through: dialer, sharedToken: Secret("shared-token"),
      device: try DeviceIdentity(seed: Secret(bytes: Array(0..<32))), version: "1.2.3", approve: approve)
  }

  static let introduced: ScriptedGateway.Script = { peer in
    let connect = try await peer.challenge()
    #expect(connect["params"]?["client"]?["id"] == "cli")
    #expect(connect["params"]?["client"]?["mode"] == "cli")
    #expect(connect["params"]?["scopes"] == ["operator.read", "operator.write"])
    try await peer.answer(connect, ScriptedPeer.hello)
    let identity = try await peer.request()
    #expect(identity["method"] == "gateway.identity.get")
    try await peer.answer(identity, ["deviceId": "462bce", "publicKey": "vvkg"])
  }

  static let unpaired: ScriptedGateway.Script = { peer in
    try await peer.refuse(
      try await peer.challenge(),
      [
        "code": "NOT_PAIRED", "message": "pairing required: device is not approved yet",
        "details": ["code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": "request-1"],
      ])
    try await peer.close(1_008, "pairing required")
  }

  @Test("a Gateway that pairs silently needs no approval")
  func silent() async throws {
    try await ScriptedGateway.run(
      Self.introduced,
      body: { dialer in
        let paired = try await Self.pair(dialer) { _ in Issue.record("nothing is to be approved") }
        #expect(paired.deviceToken.equals(Secret("issued-token")))
        #expect(paired.version == "2026.6.9")
        #expect(paired.gatewayDevice == "462bce")
      })
  }

  @Test("a pending request is approved by its id, once, and then the device is let in")
  func approved() async throws {
    try await ScriptedGateway.run(
      Self.unpaired, Self.introduced,
      body: { dialer in
        let requests = Mutex<[String]>([])
        let paired = try await Self.pair(dialer) { request in requests.withLock { $0.append(request) } }
        #expect(requests.withLock { $0 } == ["request-1"])
        #expect(paired.deviceToken.equals(Secret("issued-token")))
      })
  }

  @Test("an approval that did not help is told as pairing required, without a third try")
  func notApproved() async throws {
    let connections = Mutex(0)
    try await ScriptedGateway.run { peer in
      connections.withLock { $0 += 1 }
      try await Self.unpaired(peer)
    } body: { dialer in
      let error = await #expect(throws: (any Error).self) { try await Self.pair(dialer) { _ in } }
      let explained = (error as? GatewayFailure)?.explained ?? error as? AWError
      #expect(explained?.code == .gatewayPairingRequired)
    }
    #expect(connections.withLock { $0 } == 2)
  }

  // MARK: A model turn

  static func turn(_ events: @escaping @Sendable (ScriptedPeer, _ run: JSONValue) async throws -> Void)
    -> ScriptedGateway.Script
  {
    { peer in
      try await peer.welcome()
      let request = try await peer.request()
      #expect(request["method"] == "chat.send")
      let run = request["params"]?["idempotencyKey"] ?? .null
      try await peer.event("chat", ["runId": "somebody-else", "state": "final", "message": ["content": "no"]])
      // The end of the run comes before its acknowledgement: neither waits for the other.
      try await events(peer, run)
      try await peer.answer(request, ["runId": run, "status": "started"])
    }
  }

  static func ask(_ script: @escaping ScriptedGateway.Script) async throws -> ModelTurn.Outcome {
    try await ScriptedGateway.run(
      script,
      body: { dialer in
        let client = try await ConversationTests.connect(dialer)
        defer { client.close() }
        return try await ModelTurn.run(on: client, nonce: "n-42", deadline: .seconds(30))
      })
  }

  @Test("the final answer of the right run, with the nonce, passes")
  func nonce() async throws {
    let outcome = try await Self.ask(
      Self.turn { peer, run in
        try await peer.event("chat", ["runId": run, "state": "delta", "deltaText": "n-"])
        try await peer.event(
          "chat",
          ["runId": run, "state": "final", "message": ["content": [["type": "text", "text": "n-42"]]]])
      })
    #expect(outcome.text == "n-42")
  }

  @Test(
    "an answer without the nonce, an error and an abort fail the turn",
    arguments: [
      #"{"state":"final","message":{"content":"forty-two"}}"#, #"{"state":"error","errorMessage":"no API key"}"#,
      #"{"state":"aborted"}"#, #"{"state":"final"}"#,
    ])
  func failedTurn(payload: String) async throws {
    await #expect(throws: AWError(.modelTurnFailed, "", next: "")) {
      try await Self.ask(
        Self.turn { peer, run in
          var members = try #require(try JSONValue(parsing: payload).objectValue)
          members["runId"] = run
          try await peer.event("chat", .object(members))
        })
    }
  }

  @Test(
    "a connection that closes during the turn says why, and is not a failed turn",
    arguments: [(1_001, .gatewayUnreachable), (1_012, .gatewayNotReady)] as [(UInt16, ErrorCode)])
  func lostTurn(code: UInt16, error: ErrorCode) async throws {
    await #expect(throws: AWError(error, "", next: "")) {
      try await Self.ask(Self.turn { peer, _ in try await peer.close(code, "service restart") })
    }
  }

  @Test("a turn that takes too long is aborted on the Instance, so that it costs no more tokens")
  func abortedTurn() async throws {
    try await ScriptedGateway.run { peer in
      try await peer.welcome()
      var asked: JSONValue = .null
      while asked["method"] != "chat.abort" {
        asked = try await peer.request()
        if asked["method"] == "chat.send" { try await peer.answer(asked, ["status": "started"]) }
      }
      #expect(asked["params"]?["sessionKey"]?.stringValue == ModelTurn.sessionKey)
      #expect(asked["params"]?["runId"]?.stringValue?.isEmpty == false)
      try await peer.answer(asked, ["ok": true, "aborted": true])
    } body: { dialer in
      let client = try await ConversationTests.connect(dialer)
      defer { client.close() }
      await #expect(throws: AWError(.gatewayTimeout, "", next: "")) {
        try await ModelTurn.run(on: client, nonce: "n-42", deadline: .milliseconds(20))
      }
    }
  }

  // MARK: Probes

  static func answer(_ probe: Probe, _ bytes: String) async throws -> Probe.Answer {
    try await RawServer.run { request in
      #expect(request.hasPrefix("GET \(probe.rawValue) HTTP/1.1\r\n"))
      #expect(!request.lowercased().contains("origin:"))
      return ByteBuffer(string: bytes)
    } body: { dialer in
      try await probe.ask(through: dialer)
    }
  }

  @Test("a probe reads status, type and body")
  func probe() async throws {
    let body = #"{"ready":false,"failing":["slack"]}"#
    let answer = try await Self.answer(
      .ready,
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"
        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    #expect(Probe.ready.verdict(on: answer) == .notReady(failing: ["slack"]))
  }

  @Test("a body that never ends is cut and fails")
  func oversized() async throws {
    let answer = try await Self.answer(
      .live,
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
        + String(repeating: " ", count: 70_000))
    #expect(answer.body.count > Probe.bodyBytesMax)
    #expect(Probe.live.verdict(on: answer) != .passed)
  }

  @Test(
    "an answer that is cut short, or is no HTTP, is no answer",
    arguments: [
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{\"ok\":true,",
      "HTTP/1.1 200 OK\r\n", "SSH-2.0-OpenSSH_9.6\r\n", "",
    ])
  func truncated(bytes: String) async throws {
    await #expect(throws: AWError(.gatewayUnreachable, "", next: "")) { try await Self.answer(.live, bytes) }
  }
}
