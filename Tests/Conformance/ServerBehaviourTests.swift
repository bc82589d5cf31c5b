import Basics
import Crypto
import Foundation
import NIOCore
import Testing

@testable import Synthetic

@Suite("the stand-in beyond the recordings", .timeLimit(.minutes(1)))
struct ServerBehaviourTests {
  @Test("agent answers twice with one id, and the same key again is told that it is in flight")
  func agentAnswersTwice() async throws {
    let harness = try await ServerHarness.start(holdsModel: true)
    let (wire, _) = try await harness.admitted(ServerDevice())
    let params: JSONValue = ["message": "Please reply with exactly: NONCE-7", "idempotencyKey": "k1"]
    await wire.send(ServerHarness.request("1", "agent", params))
    let accepted = await wire.response(to: "1")
    #expect(accepted?["payload"]?["status"] == "accepted")
    await wire.send(ServerHarness.request("2", "agent", params))
    let again = await wire.response(to: "2")
    #expect(again?["payload"] == ["runId": "k1", "status": "in_flight"])
    await harness.gate.open()
    let final = await wire.wait { frames in
      frames.first { $0["id"] == "1" && $0["payload"]?["status"] != "accepted" }
    }
    #expect(final?["payload"]?["status"] == "ok")
    #expect(final?["payload"]?["result"]?["payloads"]?[0]?["text"] == "NONCE-7")
    try await harness.stop()
  }

  @Test("a provider that fails makes a final error of an agent call, and two chat errors")
  func modelFailure() async throws {
    let harness = try await ServerHarness.start(faults: ["modelFails"])
    let (wire, _) = try await harness.admitted(ServerDevice())
    await wire.send(ServerHarness.request("1", "agent", ["message": "hi", "idempotencyKey": "k"]))
    let final = await wire.wait { frames in frames.first { $0["id"] == "1" && $0["ok"] == false } }
    #expect(final?["error"]?["code"] == "UNAVAILABLE")
    let seqs = await wire.wait { frames -> [Int64]? in
      let errors = frames.filter { $0["payload"]?["state"] == "error" }.compactMap { $0["payload"]?["seq"]?.intValue }
      return errors.count == 2 ? errors : nil
    }
    #expect(seqs == [4, 1])
    try await harness.stop()
  }

  @Test("after hello a frame that is no request is answered, and one that is no JSON is passed over")
  func badFrames() async throws {
    let harness = try await ServerHarness.start()
    let (wire, _) = try await harness.admitted(ServerDevice())
    await wire.send(text: "not json")
    await wire.send(ServerHarness.request("t", "health").with("traceparent", "00-x"))
    let refused = await wire.response(to: "t")
    #expect(
      refused?["error"]?["message"] == "invalid request frame: at root: unexpected property 'traceparent'")
    await wire.send(["type": "req", "id": 7])
    #expect(await wire.response(to: "invalid")?["ok"] == false)
    await wire.send(ServerHarness.request("c", "connect"))
    #expect(
      await wire.response(to: "c")?["error"]?["message"] == "connect is only valid as the first request")
    try await harness.stop()
  }

  @Test("a pairing approved by the offline command lets the device in at its next connect")
  func offlineApproval() async throws {
    let harness = try await ServerHarness.start()
    let device = ServerDevice()
    let (first, _) = try await harness.admitted(device)
    await first.close()
    _ = await first.waitForEnd()
    func connect() async throws -> (ServerWire, JSONValue?) {
      let wire = try await ServerWire.open(port: harness.port)
      let frame = try ServerHarness.connect(
        device, challenge: await wire.challenge(), clientID: "gateway-client", mode: "backend", deviceFamily: "server")
      await wire.send(frame)
      return (wire, await wire.response(to: "connect"))
    }
    let (_, refused) = try await connect()
    #expect(refused?["error"]?["details"]?["reason"] == "metadata-upgrade")
    let requestID = try #require(refused?["error"]?["details"]?["requestId"]?.stringValue)
    let commands = OpenClawCommands(environment: ["HOME": harness.directory])
    #expect(commands.approve(requestID: requestID, json: true) == 0)
    #expect(commands.approve(requestID: requestID, json: true) == 1)
    let (_, admitted) = try await connect()
    #expect(admitted?["ok"] == true)
    try await harness.stop()
  }

  @Test("a fault in the state directory takes effect at the next connect, and its removal too")
  func liveFault() async throws {
    let harness = try await ServerHarness.start()
    let file = harness.directory + "/.openclaw/synthetic-faults.json"
    func isAdmitted() async throws -> Bool {
      let (wire, hello) = try await harness.admitted(ServerDevice())
      await wire.close()
      return hello != nil
    }
    #expect(try await isAdmitted())
    try #"["wrongToken"]"#.write(toFile: file, atomically: true, encoding: .utf8)
    #expect(try await !isAdmitted())
    try "[]".write(toFile: file, atomically: true, encoding: .utf8)
    #expect(try await isAdmitted())
    try await harness.stop()
  }

  @Test("a second Gateway on one state directory is turned away, and a lock that nobody holds is taken over")
  func stateLock() throws {
    let path = NSTemporaryDirectory() + "aw-lock-" + Hex.encode([UInt8].random(count: 6)) + "/gateway.lock"
    var first = try StateLock(path: path)
    #expect(first != nil)
    #expect(try StateLock(path: path) == nil)
    first = nil
    #expect(try StateLock(path: path) != nil)
    try FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent)
  }
}

@Suite("decisions of the stand-in")
struct ServerDecisionTests {
  /// A signed connect, decided about as if it came from `isLoopback`.
  private func decide(
    client: (id: String, mode: String), isLoopback: Bool, isSigned: Bool, book: DeviceBook = DeviceBook()
  ) throws -> Handshake.Verdict {
    let challenge: JSONValue = ["payload": ["nonce": "n", "ts": 1_000]]
    let frame = try ServerHarness.connect(
      isSigned ? ServerDevice() : nil, challenge: challenge, clientID: client.id, mode: client.mode)
    return Handshake(
      params: try ConnectParams(frame["params"] ?? [:]), nonce: "n", isLoopback: isLoopback,
      auth: GatewayAuth(mode: .token, secret: Secret(ServerHarness.token)), book: book, autoApproveLocal: true,
      wrongToken: false, nowMilliseconds: 1_000
    ).decide()
  }

  @Test("where a client stands and who it says it is decide what it gets")
  func locality() throws {
    let all = ServerHarness.scopes.arrayValue?.compactMap(\.stringValue) ?? []
    let (cli, backend) = ((id: "cli", mode: "cli"), (id: "gateway-client", mode: "backend"))
    #expect(
      try decide(client: cli, isLoopback: true, isSigned: true)
        == .admit(.init(scopes: all, pairsSilently: true, bySharedSecret: true, hasToken: true)))
    #expect(try decide(client: cli, isLoopback: false, isSigned: true) == .pair(reason: "not-paired"))
    #expect(
      try decide(client: backend, isLoopback: true, isSigned: true) == .admit(.init(scopes: all, bySharedSecret: true)))
    #expect(try decide(client: backend, isLoopback: false, isSigned: true) == .pair(reason: "not-paired"))
    #expect(
      try decide(client: backend, isLoopback: true, isSigned: false) == .admit(.init(scopes: all, bySharedSecret: true))
    )
    #expect(
      try decide(client: backend, isLoopback: false, isSigned: false) == .admit(.init(scopes: [], bySharedSecret: true))
    )
  }

  @Test(
    "a config is refused for what OpenClaw refuses",
    arguments: [
      (#"{"gateway":{"mode":"local"},"nonsense":1}"#, #"Unrecognized key: "nonsense""#),
      (#"{"gateway":{"mode":"local","port":"abc"}}"#, "Invalid input: expected number"),
      (#"{"gateway":{"mode":"local","bind":"0.0.0.0"}}"#, "Invalid option"),
      (#"{"gateway":"#, "JSON5 parse failed"),
    ])
  func configIssues(text: String, problem: String) {
    let file = ConfigFile(path: "/x", raw: text)
    #expect(file.issues.contains { $0.message.hasPrefix(problem) })
  }

  @Test("a config with comments and trailing commas is fine")
  func json5() {
    let file = ConfigFile(path: "/x", raw: "{ // note\n gateway: { mode: 'local', }, }")
    #expect(file.issues == [])
  }

  @Test(
    "a start is refused with the exit code that tells why",
    arguments: [
      (#"{"gateway":{"mode":"local"},"nonsense":1}"#, nil, Int32(78)),
      (#"{"gateway":{}}"#, nil, 78), (#"{"gateway":{"mode":"local","auth":{"mode":"none"}}}"#, "lan", 78),
      (#"{"gateway":{"mode":"local"}}"#, "lan", 78),
      (#"{"gateway":{"mode":"local","auth":{"token":{"source":"env","provider":"default","id":"NOT_SET"}}}}"#, nil, 1),
    ] as [(String, String?, Int32)])
  func refusals(text: String, bind: String?, code: Int32) throws {
    let directory = NSTemporaryDirectory() + "aw-start-" + Hex.encode([UInt8].random(count: 6))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try text.write(toFile: directory + "/openclaw.json", atomically: true, encoding: .utf8)
    let program = GatewayProgram(port: nil, bind: bind, allowUnconfigured: false)
    let refusal = #expect(throws: StartRefusal.self) {
      try program.prepare(environment: ["OPENCLAW_STATE_DIR": directory])
    }
    #expect(refusal?.exitCode == code)
    try FileManager.default.removeItem(atPath: directory)
  }

  @Test("the port comes from the option, then the environment, then the config")
  func port() {
    let config: JSONValue = ["gateway": ["port": 3]]
    let variable = ["OPENCLAW_GATEWAY_PORT": "2"]
    #expect(GatewayProgram.port(1, variable, config) == 1)
    #expect(GatewayProgram.port(nil, variable, config) == 2)
    #expect(GatewayProgram.port(nil, [:], config) == 3)
    #expect(GatewayProgram.port(nil, [:], [:]) == 18_789)
  }

  @Test("the probes answer GET and HEAD in JSON, and say why they are not ready only to those who may know")
  func probes() {
    func answer(_ method: String, _ path: String, failing: [String] = [], isTrusted: Bool = true) -> ProbeAnswer {
      Probes.answer(
        method: method, path: path,
        ProbeState(
          failing: failing, uptimeMilliseconds: 5, eventLoop: [:], controlUIEnabled: true, isTrusted: isTrusted))
    }
    #expect(answer("GET", "/healthz").body == #"{"ok":true,"status":"live"}"#)
    #expect(answer("POST", "/healthz").status == 405)
    #expect(answer("GET", "/readyz", failing: ["startup-sidecars"], isTrusted: false).body == #"{"ready":false}"#)
    #expect(answer("GET", "/readyz", failing: ["startup-sidecars"]).status == 503)
    #expect(answer("GET", "/anything").contentType == "text/html; charset=utf-8")
  }

  @Test("the fixture model demands its key and says the token it is asked for")
  func fixtureModel() {
    let body = Array(#"{"messages":[{"role":"user","content":"Reply with exactly: abc-1"}]}"#.utf8)
    func answer(_ authorization: String?) -> FixtureModel.Answer {
      FixtureModel.answer(
        method: "POST", path: "/v1/chat/completions", authorization: authorization, key: Secret("k"), body: body,
        seconds: 0)
    }
    #expect(answer(nil).status == 401)
    #expect(answer("Bearer wrong").status == 401)
    #expect(answer("Bearer k").body.contains(#""content":"abc-1""#))
  }

  @Test(
    "a cron expression finds its next minute",
    arguments: [
      ("*/15 * * * *", "2026-11-24T06:31:00Z", "2026-11-24T06:45:00Z"),
      ("0 9 1 * *", "2026-11-24T06:31:00Z", "2026-12-01T09:00:00Z"),
      ("30 6 * * 1", "2026-11-24T06:31:00Z", "2026-11-30T06:30:00Z"),
    ])
  func cronExpression(text: String, now: String, next: String) throws {
    let after = try #require(Timestamp(now)).millisecondsSince1970
    let expression = try #require(CronExpression(text))
    #expect(expression.next(after: after) == Timestamp(next)?.millisecondsSince1970)
  }
}
