import Basics
import Foundation
import Testing

@testable import OpenClaw

@Suite("How a Gateway's refusals are read")
struct FailureTests {
  struct Example: Sendable, CustomTestStringConvertible {
    let error: String
    let kind: GatewayFailure.Kind
    let code: ErrorCode
    var testDescription: String { error }

    init(_ error: String, _ kind: GatewayFailure.Kind, _ code: ErrorCode = .gatewayRefused) {
      self.error = error
      self.kind = kind
      self.code = code
    }
  }

  static let examples: [Example] = [
    // What 2026.6.9 says.
    .init(#"{"code":"INVALID_REQUEST","message":"missing scope: operator.write"}"#, .missingScope),
    .init(#"{"code":"INVALID_REQUEST","message":"unknown method: no.such.method"}"#, .other),
    .init(#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"AUTH_TOKEN_MISSING"}}"#, .credential),
    .init(#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"DEVICE_AUTH_SIGNATURE_EXPIRED"}}"#, .clockSkew),
    .init(#"{"code":"NOT_PAIRED","message":"x","details":{"code":"DEVICE_IDENTITY_REQUIRED"}}"#, .deviceProof),
    .init(
      #"{"code":"NOT_PAIRED","details":{"code":"PAIRING_REQUIRED","reason":"not-paired","requestId":"q"}}"#,
      .pairingRequired(requestID: "q", reason: "not-paired"), .gatewayPairingRequired),
    .init(
      #"{"code":"NOT_PAIRED","message":"x"}"#, .pairingRequired(requestID: nil, reason: nil), .gatewayPairingRequired),
    .init(#"{"code":"UNAVAILABLE","message":"x","details":{"code":"NOT_CONNECTED"}}"#, .other),
    .init(#"{"code":"UNAVAILABLE","message":"503 the model provider is unavailable"}"#, .other),
    .init(
      #"{"code":"INVALID_REQUEST","message":"x","details":{"code":"AUTH_SCOPE_MISMATCH"}}"#, .credential),
    .init(
      #"{"code":"UNAVAILABLE","message":"x","retryAfterMs":500.5,"details":{"reason":"startup-sidecars"}}"#,
      .starting(retryAfter: .milliseconds(501)), .gatewayNotReady),
    .init(
      #"{"code":"UNAVAILABLE","message":"x","retryAfterMs":1e300}"#, .starting(retryAfter: .seconds(86_400)),
      .gatewayNotReady),
    .init(
      #"{"code":"UNAVAILABLE","message":"x","retryAfterMs":-9223372036854775808}"#, .starting(retryAfter: .zero),
      .gatewayNotReady),
    // What later releases say.
    .init(#"{"code":"FORBIDDEN","message":"no","details":{"code":"MISSING_SCOPE"}}"#, .missingScope),
    .init(#"{"code":"FORBIDDEN","message":"no"}"#, .missingScope),
    .init(
      #"{"code":"X","message":"x","details":{"code":"PAIRING_REJECTED"}}"#,
      .pairingRequired(requestID: nil, reason: "rejected"), .gatewayPairingRequired),
    .init(
      #"{"code":"UNAVAILABLE","message":"x","retryAfterMs":500,"details":{"reason":"startup-sidecars"}}"#,
      .starting(retryAfter: .milliseconds(500)), .gatewayNotReady),
    .init(
      #"{"code":"UNAVAILABLE","message":"x","details":{"reason":"startup-sidecars","retryAfterMs":900}}"#,
      .starting(retryAfter: .milliseconds(900)), .gatewayNotReady),
    .init(
      #"{"code":"INVALID_REQUEST","message":"x","retryAfterMs":297000,"details":{"code":"AUTH_RATE_LIMITED"}}"#,
      .rateLimited(retryAfter: .seconds(297))),
    .init(
      #"{"code":"UNAVAILABLE","message":"rate limit exceeded for config.patch; retry after 35s","retryAfterMs":34539}"#,
      .rateLimited(retryAfter: .milliseconds(34_539))),
    .init(
      #"{"code":"INVALID_REQUEST","message":"x","details":{"code":"CLIENT_VERSION_MISMATCH"}}"#, .protocolMismatch,
      .gatewayProtocol),
    .init("{}", .other), .init("null", .other), .init(#""words""#, .other),
  ]

  @Test("the kind decides what a person is told", arguments: examples)
  func kinds(example: Example) throws {
    let failure = GatewayFailure(error: try JSONValue(parsing: example.error))
    #expect(failure.kind == example.kind)
    #expect(failure.explained.code == example.code)
    #expect(!failure.explained.next.isEmpty)
  }

  static let frames = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Conformance/Frames")

  /// The frames of a recording that the Gateway sent.
  static func received(_ recording: String) throws -> [JSONValue] {
    let text = try String(contentsOf: frames.appending(path: recording + ".json"), encoding: .utf8)
    let entries = (try JSONValue(parsing: text)["connections"]?.arrayValue ?? []).flatMap { $0.arrayValue ?? [] }
    return entries.filter { $0["dir"] == "server->client" }.compactMap { $0["frame"] }
  }

  @Test(
    "recorded refusals are read for what they are",
    arguments: [
      ("hs_err_wrong_token", GatewayFailure.Kind.credential), ("hs_err_wrong_token_no_device", .credential),
      ("hs_err_missing_auth", .credential), ("hs_err_protocol_3", .protocolMismatch),
      ("hs_err_protocol_5", .protocolMismatch), ("hs_err_bad_nonce", .deviceProof),
      ("hs_err_bad_signature", .deviceProof), ("hs_err_device_id_mismatch", .deviceProof), ("hs_err_role", .other),
      ("hs_err_client_id", .other), ("hs_err_first_not_connect", .other), ("e_missing_scope", .missingScope),
      ("e_no_scopes_token_only", .missingScope), ("e_unknown_method", .other), ("e_bad_params", .other),
    ])
  func recorded(name: String, kind: GatewayFailure.Kind) throws {
    let refused = try #require(try Self.received(name).first { $0["ok"] == false })
    guard case .response(_, .failure(let failure)) = try GatewayFrame(parsing: refused.canonical.utf8) else {
      Issue.record("no refusal in \(name)")
      return
    }
    #expect(failure.kind == kind)
  }

  @Test("the recorded scope upgrade names its request, whole")
  func scopeUpgrade() throws {
    let refused = try #require(try Self.received("device_pairing_flow").first { $0["ok"] == false })
    let failure = GatewayFailure(error: refused["error"] ?? .null)
    #expect(
      failure.kind == .pairingRequired(requestID: "c01567ee-991c-4e36-8273-62f9300dc83d", reason: "scope-upgrade"))
  }

  @Test(
    "every recorded hello is read",
    arguments: [
      "hs_ok_backend_gateway_client_no_device", "hs_ok_device_token", "hs_ok_range_3_to_9", "hs_ok_token_device_v2sig",
      "hs_ok_token_device_v3", "hs_ok_token_only_no_device",
    ])
  func hellos(name: String) throws {
    let answer = try #require(try Self.received(name).first { $0["ok"] == true })
    let hello = try HelloOK(answer["payload"] ?? .null)
    #expect(hello.version == "2026.6.9")
    #expect(hello.protocolVersion == 4)
    #expect(hello.tickInterval == .seconds(30))
    #expect((hello.deviceToken == nil) == name.hasSuffix("no_device"))
    #expect(hello.scopes.isEmpty == (name == "hs_ok_token_only_no_device"))
  }

  @Test("every recorded frame of the Gateway is read")
  func allFrames() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.frames.path).filter { $0.hasSuffix(".json") }
    var count = 0
    for name in names {
      for frame in try Self.received(String(name.dropLast(5))) {
        let parsed = try GatewayFrame(parsing: frame.canonical.utf8)
        #expect(parsed != .other, "\(name)")
        count += 1
      }
    }
    #expect(count > 100)
  }

  @Test("the recorded health report shows the account that is down behind the one that runs")
  func recordedHealth() throws {
    let answer = try #require(try Self.received("m_health").first { $0["type"] == "res" })
    let report = HealthReport(answer["payload"] ?? .null)
    #expect(report.degradations == ["the channel 'irc' account 'bad' is not-running"])
    #expect(report.at == Timestamp(millisecondsSince1970: 1_795_335_330_813))
  }

  @Test(
    "a Gateway that lacks a scope for AW, or that is starting, is reached; one that does not know AW is not let in by",
    arguments: [
      (#"{"code":"INVALID_REQUEST","message":"missing scope: operator.read"}"#, true),
      (#"{"code":"FORBIDDEN","message":"no","details":{"code":"MISSING_SCOPE"}}"#, true),
      (#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"AUTH_SCOPE_MISMATCH"}}"#, true),
      (#"{"code":"NOT_PAIRED","details":{"code":"PAIRING_REQUIRED","reason":"scope-upgrade","requestId":"q"}}"#, true),
      (#"{"code":"UNAVAILABLE","message":"x","details":{"reason":"startup-sidecars"}}"#, true),
      (#"{"code":"NOT_PAIRED","details":{"code":"PAIRING_REQUIRED","reason":"not-paired","requestId":"q"}}"#, false),
      (#"{"code":"NOT_PAIRED","details":{"code":"PAIRING_REQUIRED","reason":"metadata-upgrade"}}"#, false),
      (#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"AUTH_DEVICE_TOKEN_MISMATCH"}}"#, false),
      (#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"AUTH_RATE_LIMITED"}}"#, false),
      (#"{"code":"INVALID_REQUEST","message":"x","details":{"code":"PROTOCOL_MISMATCH"}}"#, false), ("{}", false),
    ])
  func reached(error: String, isReached: Bool) throws {
    #expect(GatewayFailure(error: try JSONValue(parsing: error)).isOfOneThatIsReached == isReached)
  }

  @Test("the recorded narrowed pairing is a lack of scope, not a Gateway that cannot be reached")
  func narrowed() throws {
    let refused = try #require(try Self.received("device_pairing_flow").first { $0["ok"] == false })
    #expect(GatewayFailure(error: refused["error"] ?? .null).isOfOneThatIsReached)
  }

  @Test("a message of any length is a line")
  func longMessage() {
    let said = "\u{1b}]0;x\u{7}" + String(repeating: "a\n", count: 100_000)
    let failure = GatewayFailure(error: ["code": "X", "message": .string(said)])
    #expect(failure.message.count == GatewayFailure.messageMax + 1)
    #expect(failure.message.unicodeScalars.allSatisfy { $0.value >= 32 })
  }

  @Test(
    "a close code says what it says, whether there was an error before it or not",
    arguments: [
      (1_000, "", ErrorCode.gatewayUnreachable), (1_001, "going away", .gatewayUnreachable),
      (1_002, "protocol mismatch", .gatewayProtocol), (1_005, "", .gatewayUnreachable),
      (1_006, "", .gatewayUnreachable), (1_008, "slow consumer", .gatewayRefused),
      (1_008, "gateway message handler loading", .gatewayNotReady), (1_009, "", .gatewayUnreachable),
      (1_011, "gateway message handler unavailable", .gatewayUnreachable), (1_012, "service restart", .gatewayNotReady),
      (1_013, "gateway starting", .gatewayNotReady), (4_001, "device removed", .gatewayRefused),
      (4_999, "what nobody knows", .gatewayUnreachable),
    ])
  func closes(code: Int, reason: String, error: ErrorCode) {
    let meaning = GatewaySocket.meaning(of: code, reason)
    #expect(meaning.0 == error)
    #expect(!meaning.next.isEmpty)
  }

  @Test("a stale socket is worth a note: the Gateway mends it itself")
  func staleSocket() {
    let report = HealthReport([
      "ok": true, "ts": 1,
      "channels": ["slack": ["configured": true, "running": true, "healthState": "stale-socket"]],
    ])
    #expect(report.degradations == [])
    #expect(report.findings.map(\.severity) == [.note])
  }

  @Test(
    "gaps count skipped numbers only",
    arguments: [
      ([1, 2, 3], 0), ([1, nil, 2], 0), ([5, 6], 0), ([1, 4], 2), ([1, 4, 2, 5], 2), ([nil, nil], 0), ([3, 3, 4], 0),
      // Numbers are an Instance's word.
      ([.max, .max], 0), ([.max, 1, .max], 0), ([.min, .max], .max), ([.min, .max, 1, .min], .max),
    ] as [([Int64?], Int64)])
  func gaps(sequence: [Int64?], missed: Int64) {
    var gaps = SequenceGaps()
    for number in sequence { gaps.note(number) }
    #expect(gaps.missed == missed)
  }
}
