import Basics
import Crypto
import Foundation
import Testing

@testable import OpenClaw

@Suite("What AW decides about OpenClaw")
struct DecisionTests {
  @Test("versions order as OpenClaw's release trains do")
  func versions() throws {
    let ordered = [
      "2025.12.30", "2026.5.9-beta.1", "2026.5.12", "2026.7.1-alpha.2", "2026.7.1-beta.1", "2026.7.1-beta.10",
      "2026.7.1", "2026.7.1-1", "2026.7.1-2", "2026.7.2-beta.7", "v2026.9.5", "2026.10.1",
    ]
    let parsed = try ordered.map { try #require(GatewayVersion($0)) }
    for (left, right) in zip(parsed, parsed.dropFirst()) { #expect(left < right) }
    #expect(parsed.shuffled().sorted() == parsed)
  }

  @Test(
    "what is no version is none",
    arguments: [
      "", "2026", "2026.7", "2026.7.1-", "2026.7.1-rc.1", "2026.7.1-beta", "latest", "2026.7.1.1", "99999999999.1.1",
    ])
  func noVersion(text: String) { #expect(GatewayVersion(text) == nil) }

  @Test("the device proof is the documented one")
  func proof() throws {
    let device = try DeviceIdentity(seed: Secret(bytes: Array(0..<32)))
    #expect(device.publicKey == "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg")
    #expect(device.id == "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c")
    let statement = DeviceIdentity.Statement(
      deviceID: device.id, clientID: "gateway-client", clientMode: "backend", role: "operator",
      scopes: ["operator.read", "operator.admin"], signedAt: 1_737_264_000_000, token: "tok_123", nonce: "nonce-abc")
    #expect(
      statement.text
        == "v3|\(device.id)|gateway-client|backend|operator|operator.read,operator.admin|1737264000000|tok_123|nonce-abc|linux|server"
    )
    let key = try Curve25519.Signing.PublicKey(
      rawRepresentation: try #require(Base64URL.decode(device.publicKey)))
    let documented = try #require(
      Base64URL.decode("ctK7OxGTZuSVVH8C5HWQrGBAczdpltHZukCUSxGvgcI7qrzrxNOnIAvxraPggLP_XCnhy9ucTCIL127d2DjQDA"))
    #expect(key.isValidSignature(documented, for: Data(statement.text.utf8)))
    let ours = try #require(Base64URL.decode(try device.sign(statement)))
    #expect(key.isValidSignature(ours, for: Data(statement.text.utf8)))
  }

  struct ProbeCase: Sendable, CustomTestStringConvertible {
    let probe: Probe
    let status: Int
    let type: String?
    let body: String
    let passes: Bool
    var testDescription: String { "\(probe) \(status) \(body.prefix(30))" }
  }

  static let json = "application/json; charset=utf-8"

  @Test(
    "a probe is judged by its body",
    arguments: [
      ProbeCase(probe: .live, status: 200, type: json, body: #"{"ok":true,"status":"live"}"#, passes: true),
      ProbeCase(probe: .live, status: 200, type: json, body: #"{"ok":true}"#, passes: false),
      ProbeCase(probe: .live, status: 200, type: "text/html", body: "<html>", passes: false),
      ProbeCase(probe: .live, status: 500, type: json, body: #"{"ok":true,"status":"live"}"#, passes: false),
      ProbeCase(probe: .live, status: 200, type: json, body: #"{"ok":true,"sta"#, passes: false),
      ProbeCase(probe: .live, status: 200, type: nil, body: #"{"ok":true,"status":"live"}"#, passes: false),
      ProbeCase(probe: .ready, status: 200, type: json, body: #"{"ready":true}"#, passes: true),
      ProbeCase(probe: .ready, status: 503, type: json, body: #"{"ready":false}"#, passes: false),
      ProbeCase(probe: .ready, status: 200, type: json, body: #"{"ready":"yes"}"#, passes: false),
      ProbeCase(probe: .ready, status: 200, type: "text/html", body: "<html>", passes: false),
    ])
  func probes(example: ProbeCase) {
    let answer = Probe.Answer(status: example.status, contentType: example.type, body: Array(example.body.utf8))
    #expect((example.probe.verdict(on: answer) == .passed) == example.passes)
  }

  @Test("a Gateway that is not ready says what fails; too long an answer is none")
  func notReady() {
    let body = Array(#"{"ready":false,"failing":["slack","startup-sidecars"]}"#.utf8)
    #expect(
      Probe.ready.verdict(on: .init(status: 503, contentType: Self.json, body: body))
        == .notReady(failing: ["slack", "startup-sidecars"]))
    let long = Array((#"{"ready":true,"x":""# + String(repeating: "a", count: 70_000) + #""}"#).utf8)
    #expect(Probe.ready.verdict(on: .init(status: 200, contentType: Self.json, body: long)) != .passed)
  }

  @Test(
    "a health report is looked into",
    arguments: [
      (#"{"ok":true,"ts":1000,"channels":{},"eventLoop":{"degraded":true,"reasons":["cpu"]}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"eventLoop":{"degraded":false},"plugins":{"errors":[]}}"#, 0),
      (#"{"ok":true,"ts":1000,"channels":{},"plugins":{"errors":[{"id":"slack"}]}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"contextEngines":{"quarantined":[{"engineId":"x"}]}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"deliveryQueues":{"failed":[{}],"ingressFailed":[{"channelId":"a"}]}}"#, 2),
      (
        #"{"ok":true,"ts":1000,"channels":{"irc":{"accounts":{"a":{"configured":true,"running":true},"b":{"configured":true,"running":false},"c":{"enabled":false,"configured":true,"running":false}}}}}"#,
        1
      ),
      (#"{"ok":true,"ts":1000,"channels":{"irc":{"configured":true,"running":true,"healthState":"stuck"}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"modelPricing":{"state":"degraded"}}"#, 0),
      (#"{"ok":false,"ts":1000,"channels":{}}"#, 1), (#"{}"#, 3), ("null", 3),
      // Releases before the member say nothing of it; the policy of the Gateway is that such an account is managed.
      (#"{"ok":true,"ts":1000,"channels":{"irc":{"running":false}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{"irc":{"configured":false,"running":false}}}"#, 0),
      (#"{"ok":true,"ts":1000,"channels":{"irc":{"configured":true,"running":true,"healthState":"healthy"}}}"#, 0),
      (#"{"ok":true,"ts":1000,"channels":{"irc":{"configured":true,"running":true,"healthState":{}}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{"whatsapp":{"configured":true,"linked":false}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{"slack":{"running":true,"probe":{"ok":false,"error":"invalid_auth"}}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{"slack":{"running":true,"appTokenStatus":"configured_unavailable"}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"channelOrder":["slack"]}"#, 1),
      // The account of the summary may be missing among the accounts.
      (#"{"ok":true,"ts":1000,"channels":{"x":{"accountId":"b","running":false,"accounts":{"a":{}}}}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":[]}"#, 1), (#"{"ok":true,"ts":1000,"channels":{"irc":null}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"deliveryQueues":{"failed":0}}"#, 0),
      (#"{"ok":true,"ts":1000,"channels":{},"deliveryQueues":{"failed":3}}"#, 1),
      (#"{"ok":true,"ts":1000,"channels":{},"eventLoop":null,"plugins":null}"#, 0),
    ])
  func health(payload: String, degradations: Int) throws {
    #expect(HealthReport(try JSONValue(parsing: payload)).degradations.count == degradations)
  }

  @Test("an old report is no evidence")
  func oldHealth() {
    let now = Timestamp(millisecondsSince1970: 121_000)
    let report = HealthReport(["ok": true, "ts": 0, "channels": [:]], gatewayNow: now)
    #expect(report.degradations.count == 1)
  }

  @Test(
    "a report of any time at all is read, and one from the future is no evidence either",
    arguments: [Int64.min, -1, 0, 400_000, Int64.max])
  func strangeTimes(at: Int64) {
    let report = HealthReport(
      ["ok": true, "ts": .integer(at), "channels": [:]], gatewayNow: Timestamp(millisecondsSince1970: 200_000))
    #expect(report.degradations.count == 1)
  }

  @Test("what an Instance says of a thousand accounts is cut, the worst first, and nothing in it moves a terminal")
  func manyAccounts() {
    let accounts = (0..<1_000).map { ("\u{1b}[2J\($0)", JSONValue.object(["running": .bool($0 != 999)])) }
    let stale = (0..<100).map { ("s\($0)", JSONValue.object(["running": true, "healthState": "stale-socket"])) }
    let all = Dictionary(accounts + stale) { first, _ in first }
    let report = HealthReport(["ok": true, "ts": 1, "channels": ["irc": ["accounts": .object(all)]]])
    #expect(report.findings.count == HealthReport.findingsMax + 1)
    #expect(report.degradations.count == 1)
    #expect(report.findings.allSatisfy { !$0.what.contains("\u{1b}") })
  }

  @Test("the configuration holds only what the version knows")
  func configuration() throws {
    let settings = InstanceConfiguration.Settings(
      port: 19_100, bind: .loopback,
      model: .init(provider: "fixture", baseURL: "http://127.0.0.1:1/v1", id: "echo-1", keyVariable: "AW_MODEL_KEY"))
    let old = InstanceConfiguration.make(settings, for: GatewayVersion(2026, 6, 9))
    // The two forms of naming agents exclude each other by version; the agent `main` needs neither.
    #expect(old["agents"]?.objectValue?.keys.sorted() == ["defaults"])
    #expect(old["gateway"]?["terminal"] == nil)
    #expect(old["gateway"]?["mode"] == "local")
    #expect(old["gateway"]?["auth"]?["token"]?["id"] == "OPENCLAW_GATEWAY_TOKEN")
    #expect(old["agents"]?["defaults"]?["model"]?["primary"] == "fixture/echo-1")
    let new = InstanceConfiguration.make(settings, for: GatewayVersion(2026, 9, 5))
    #expect(new["agents"] == old["agents"])
    #expect(new["gateway"]?["terminal"]?["enabled"] == false)
    #expect(InstanceConfiguration.make(settings, for: nil) == old)
  }

  @Test("a channel has all of its credentials, and what belongs to them, by the names of the release")
  func channels() throws {
    var settings = InstanceConfiguration.Settings(port: 1, bind: .loopback)
    settings.resolvesSecrets = true
    settings.secrets = try [
      ("channels.slack.botToken", [:]), ("channels.slack.appToken", [:]),
      ("channels.sms.authToken", ["accountSid": "AC1"]), ("channels.googlechat.serviceAccount", [:]),
    ].map { path, beside in
      .init(
        path: path, ref: try SecretRef(source: .exec, provider: "aw", id: "orgs/acme/\(path)#v1"), completions: nil,
        settings: beside)
    }
    for version in [nil, GatewayVersion(2026, 7, 9), GatewayVersion(2026, 8, 0)] {
      let channels = InstanceConfiguration.make(settings, for: version)["channels"]
      let id = "orgs/acme/channels.slack.appToken#v1"
      #expect(channels?["slack"]?["appToken"]?["id"]?.stringValue == id && channels?["slack"]?["botToken"] != nil)
      #expect(channels?["sms"]?["accountSid"] == "AC1" && channels?["sms"]?["enabled"] == true)
      let (old, new) = (channels?["googlechat"]?["serviceAccountRef"], channels?["googlechat"]?["serviceAccount"])
      #expect((old != nil) == (version == GatewayVersion(2026, 7, 9)) && (old == nil) != (new == nil))
    }
  }

  @Test("a message's text is a string or parts")
  func messageText() {
    #expect(ModelTurn.text(of: ["content": "hi"]) == "hi")
    #expect(ModelTurn.text(of: ["content": [["type": "text", "text": "a"], ["type": "text", "text": "b"]]]) == "ab")
    #expect(ModelTurn.text(of: nil) == "")
  }
}
