import Basics
import Foundation
import Synthetic
import Testing

/// How each recorded file is held against the stand-in.
enum ServerMode: Sendable {
  /// Replayed on a Gateway where nobody has been before.
  case fresh
  /// Replayed after the recorder's device was paired and the channels had settled.
  case paired
  /// As `paired`, with the recorded device lists on disk before the start.
  case seeded(String)
}

@Suite("a recorded client cannot tell the stand-in from the Gateway", .timeLimit(.minutes(2)))
struct ServerRecordingTests {
  static let table: [String: ServerMode] = [
    "chat_final": .paired, "cron": .paired, "device_pairing_flow": .seeded("device_pairing_flow"),
    "e_bad_params": .paired, "e_missing_scope": .paired, "e_no_scopes_token_only": .paired,
    "e_unknown_method": .paired, "early_startup": .fresh, "hs_err_bad_nonce": .paired,
    "hs_err_bad_signature": .paired, "hs_err_client_id": .fresh, "hs_err_client_mode_operator": .fresh,
    "hs_err_device_id_mismatch": .paired, "hs_err_first_not_connect": .fresh, "hs_err_missing_auth": .paired,
    "hs_err_missing_client": .fresh, "hs_err_preauth_too_large": .fresh, "hs_err_protocol_3": .paired,
    "hs_err_protocol_5": .paired, "hs_err_role": .paired, "hs_err_wrong_token": .paired,
    "hs_err_wrong_token_no_device": .fresh, "hs_idle_timeout": .fresh,
    "hs_ok_backend_gateway_client_no_device": .paired, "hs_ok_device_token": .paired,
    "hs_ok_range_3_to_9": .paired, "hs_ok_token_device_v2sig": .paired, "hs_ok_token_device_v3": .fresh,
    "hs_ok_token_only_no_device": .paired, "m_agents_list": .paired, "m_channels_status": .paired,
    "m_config_get": .paired, "m_config_schema_lookup": .paired, "m_cron_list": .paired, "m_cron_status": .paired,
    "m_device_pair_list": .seeded("m_device_pair_list"), "m_gateway_identity_get": .paired, "m_health": .paired,
    "m_logs_tail": .paired, "m_models_list": .paired, "m_node_list": .paired, "m_sessions_list": .paired,
    "m_skills_status": .paired, "m_status": .paired, "m_system-presence": .paired, "m_tasks_list": .paired,
    "m_update_status": .paired, "m_usage_cost": .paired, "mutations": .paired, "shutdown_sigterm": .paired,
    "tick_and_idle_events": .paired,
  ]

  /// The device of the recorder, by its recorded public key.
  static let recorder = "THplPEHWgoBSXpZlJxxz5vvCKpz4i3GgpZKwFTarpi0"
  static let recorderToken = "27RpAgYv5NB0pQJnxe6dyAWxOXfksfOm24rN0A9v9LI"

  @Test("every recorded file has a line in the table, and every line a file")
  func everyFileIsListed() throws {
    #expect(try ServerRecording.names() == Self.table.keys.sorted())
  }

  @Test("the frames are as recorded", arguments: table.keys.sorted())
  func replays(name: String) async throws {
    let recording = try ServerRecording.load(name)
    let own = ServerDevice()
    let mode = try #require(Self.table[name])
    let harness = try await ServerHarness.start(
      tickMilliseconds: name.contains("tick") || name == "cron" ? 200 : 30_000,
      handshakeMilliseconds: name == "hs_idle_timeout" ? 200 : 15_000, holdsModel: recording.startsAdmitted(0)
    ) { state in
      if case .seeded(let source) = mode { try Self.seed(state, from: source, own: own) }
    }
    var tokens: [String: String] = [:]
    if case .fresh = mode {} else { tokens[Self.recorderToken] = try await Self.prelude(harness, own) }
    var replay = ServerReplay(harness, recording, devices: [Self.recorder: own])
    replay.signatureVersion = name.hasSuffix("v2sig") ? 2 : 3
    let differences = try await replay.run(terminates: name == "shutdown_sigterm", own: own, tokens: tokens)
    #expect(differences == [])
    try await harness.stop()
  }

  /// Pairs the recorder's device and waits until the channels are as they were.
  private static func prelude(_ harness: ServerHarness, _ own: ServerDevice) async throws -> String? {
    let (wire, hello) = try await harness.admitted(own)
    await harness.settleChannels(wire)
    await wire.close()
    return hello?["auth"]?["deviceToken"]?.stringValue
  }

  /// Writes the recorded device lists as the Gateway keeps them.
  private static func seed(_ state: String, from name: String, own: ServerDevice) throws {
    let list = try #require(try ServerRecording.load(name).answer(to: "device.pair.list"))
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    var paired: [String: JSONValue] = [:]
    for record in list["paired"]?.arrayValue ?? [] {
      var record = record
      // The device of the pairing flow pairs during the replay.
      if record["deviceId"]?.stringValue?.hasPrefix("4a42008b") == true { continue }
      if record["publicKey"]?.stringValue == recorder {
        record = record.with("deviceId", .string(own.id)).with("publicKey", .string(own.publicKey))
      }
      let tokens = (record["tokens"]?.arrayValue ?? []).map { token in
        (token["role"]?.stringValue ?? "", token.with("token", .string("seed-" + UUID().uuidString)))
      }
      record = record.with("tokens", .object(Dictionary(tokens) { $1 }))
      paired[record["deviceId"]?.stringValue ?? ""] = record
    }
    var pending: [String: JSONValue] = [:]
    for request in list["pending"]?.arrayValue ?? [] {
      guard request["deviceId"]?.stringValue?.hasPrefix("4a42008b") != true else { continue }
      pending[request["requestId"]?.stringValue ?? ""] = request.with("ts", .integer(now - 1_000))
    }
    let devices = URL(fileURLWithPath: state + "/devices")
    try FileManager.default.createDirectory(at: devices, withIntermediateDirectories: true)
    try Data(JSONValue.object(paired).canonical.utf8).write(to: devices.appendingPathComponent("paired.json"))
    try Data(JSONValue.object(pending).canonical.utf8).write(to: devices.appendingPathComponent("pending.json"))
  }
}
