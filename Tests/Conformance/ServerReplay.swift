import Basics
import Foundation

/// Plays the client side of a recording against the stand-in and keeps what differs.
struct ServerReplay {
  let harness: ServerHarness
  let recording: ServerRecording
  var devices: [String: ServerDevice]
  var signatureVersion = 3

  private var wires: [Int: ServerWire] = [:]
  private var comparison = ServerComparison()
  private var tokens: [String: String] = [:]

  init(_ harness: ServerHarness, _ recording: ServerRecording, devices: [String: ServerDevice]) {
    (self.harness, self.recording, self.devices) = (harness, recording, devices)
  }

  /// - Parameter terminates: whether the recording ends with SIGTERM.
  mutating func run(terminates: Bool, own: ServerDevice, tokens: [String: String]) async throws -> [String] {
    self.tokens = tokens
    for index in 0..<recording.connections where recording.startsAdmitted(index) {
      wires[index] = try await admit(own)
    }
    var last = recording.entries.first?.time ?? 0
    for entry in recording.entries {
      guard case .sent(let frame) = entry.event else { continue }
      if entry.time - last > 1 { await harness.gate.open() }
      last = entry.time
      await waitForEvents(before: entry.time)
      try await play(frame, on: entry.connection)
    }
    await harness.gate.open()
    for index in 0..<recording.connections where wires[index] == nil {
      wires[index] = try await ServerWire.open(port: harness.port)
    }
    await waitForEvents(before: .infinity)
    if terminates { harness.terminate() }
    for index in 0..<recording.connections { await finish(index) }
    return comparison.differences
  }

  private func admit(_ device: ServerDevice) async throws -> ServerWire {
    let (wire, _) = try await harness.admitted(device)
    await wire.send(ServerHarness.request("prelude", "sessions.subscribe"))
    _ = await wire.response(to: "prelude")
    return wire
  }

  // MARK: Playing

  private mutating func play(_ recorded: JSONValue, on index: Int) async throws {
    if wires[index] == nil { wires[index] = try await ServerWire.open(port: harness.port) }
    guard let wire = wires[index] else { return }
    var frame = substituted(recorded)
    if recorded["method"]?.stringValue == "connect" {
      let challenge = await wire.challenge()
      if recorded["params"]?["device"] != nil {
        frame = try resigned(frame, recorded, challenge, recordedChallenge(index))
      }
    }
    await wire.send(frame)
    guard let id = recorded["id"]?.stringValue,
      let expected = recording.received(on: index).first(where: { $0.frame["id"]?.stringValue == id })?.frame
    else { return }
    guard let answer = await wire.response(to: id) else {
      return comparison.compare(recorded: expected, actual: .null, at: "no answer to \(id)")
    }
    comparison.compare(recorded: expected.without("id"), actual: answer.without("id"))
    if expected["ok"] != answer["ok"] { comparison.compare(recorded: .null, actual: answer, at: "unexpected answer") }
  }

  private func recordedChallenge(_ index: Int) -> String? {
    recording.received(on: index).first?.frame["payload"]?["nonce"]?.stringValue
  }

  /// Signs with the test's own key, and keeps wrong what was wrong.
  private mutating func resigned(
    _ frame: JSONValue, _ recorded: JSONValue, _ challenge: JSONValue?, _ oldNonce: String?
  ) throws -> JSONValue {
    guard let sent = recorded["params"]?["device"], let oldKey = sent["publicKey"]?.stringValue else { return frame }
    let device = devices[oldKey] ?? ServerDevice()
    devices[oldKey] = device
    let isOwnID = sent["id"]?.stringValue.map { !$0.allSatisfy { $0 == "0" } } ?? true
    let nonce =
      sent["nonce"]?.stringValue == oldNonce
      ? challenge?["payload"]?["nonce"]?.stringValue ?? "" : sent["nonce"]?.stringValue ?? ""
    let signedAt = challenge?["payload"]?["ts"]?.intValue ?? 0
    let isBroken = sent["signature"]?.stringValue.map { $0.allSatisfy { $0 == "A" } } ?? false
    let params = (frame["params"] ?? [:]).without("device")
    let signature =
      isBroken
      ? sent["signature"]?.stringValue ?? ""
      : try device.sign(params, signedAt: signedAt, nonce: nonce, version: signatureVersion)
    let proof: JSONValue = [
      "id": isOwnID ? .string(device.id) : sent["id"] ?? .null, "publicKey": .string(device.publicKey),
      "signature": .string(signature), "signedAt": .integer(signedAt), "nonce": .string(nonce),
    ]
    return frame.with("params", params.with("device", proof))
  }

  /// The frame with ids, tokens and places of this run.
  private func substituted(_ value: JSONValue) -> JSONValue {
    switch value {
    case .string(let text):
      if let new = tokens[text] ?? comparison.learned[text] { return .string(new) }
      return .string(text.replacing("/home/node", with: harness.directory))
    case .array(let elements): return .array(elements.map(substituted))
    case .object(let members): return .object(members.mapValues(substituted))
    default: return value
    }
  }

  // MARK: Events

  /// Events whose moment only the clock decides; they are looked at by shape, not by place.
  private static let timed: Set<String> = ["connect.challenge", "health", "tick"]

  private func expectedEvents(_ index: Int, before time: Double = .infinity) -> [JSONValue] {
    recording.received(on: index).filter { $0.time < time }.map(\.frame).filter(Self.isOrdered)
  }

  private static func isOrdered(_ frame: JSONValue) -> Bool {
    frame["type"] == "event" && !timed.contains(frame["event"]?.stringValue ?? "")
  }

  private func waitForEvents(before time: Double) async {
    for (index, wire) in wires {
      // The shutdown comes only when it is asked for.
      let expected = expectedEvents(index, before: time).filter { $0["event"] != "shutdown" }.count
      _ = await wire.wait { frames in frames.filter(Self.isOrdered).count >= expected ? true : nil }
    }
  }

  private mutating func finish(_ index: Int) async {
    guard let wire = wires[index] else { return }
    let received = recording.received(on: index).map(\.frame)
    let wasRefused = received.contains { $0["ok"] == false && received.count == 2 }
    for name in Self.timed.sorted() where !wasRefused {
      guard let old = received.last(where: { $0["event"]?.stringValue == name }) else { continue }
      let new = await wire.wait { frames in frames.last { $0["event"]?.stringValue == name } }
      comparison.compare(recorded: old, actual: new ?? .null, at: name)
    }
    for case (index, .closed(let code, let reason)) in recording.entries.map({ ($0.connection, $0.event) }) {
      await finishClose(wire, received, code, reason)
    }
    // A job's own events and those of its turn come from two tasks: each keeps its order, not the two together.
    for isCron in [true, false] {
      let belongs = { (frame: JSONValue) in (frame["event"] == "cron") == isCron }
      let expected = expectedEvents(index).filter(belongs)
      let actual = await wire.frames.filter(Self.isOrdered).filter(belongs)
      for (number, pair) in zip(expected, actual).enumerated() {
        comparison.compare(recorded: pair.0, actual: pair.1, at: "event \(number)")
      }
      let names = (expected.map { $0["event"] ?? .null }, actual.map { $0["event"] ?? .null })
      comparison.compare(recorded: .array(names.0), actual: .array(names.1), at: "events")
    }
    let numbers = await wire.frames.compactMap { $0["seq"]?.intValue }
    let counted: [JSONValue] = numbers.indices.map { .integer(Int64($0 + 1)) }
    comparison.compare(recorded: .array(counted), actual: .array(numbers.map { .integer($0) }), at: "numbering")
  }

  private mutating func finishClose(
    _ wire: ServerWire, _ received: [JSONValue], _ code: UInt16, _ reason: String
  ) async {
    // 1000 after an answer is the recorder hanging up; 1000 in place of one is the Gateway's.
    let isOurs = code == 1000 && received.count > 1 || code == 1000 && recording.startsAdmitted(0)
    if isOurs { return await wire.close() }
    let closed = await wire.waitForEnd()
    comparison.compare(
      recorded: ["closeCode": .integer(Int64(code)), "reason": .string(ServerComparison.fixed(reason))],
      actual: [
        "closeCode": .integer(Int64(closed?.code ?? 0)),
        "reason": .string(ServerComparison.fixed(closed?.reason ?? "")),
      ], at: "close")
  }
}

extension JSONValue {
  func without(_ key: String) -> JSONValue {
    guard var members = objectValue else { return self }
    members[key] = nil
    return .object(members)
  }

  func with(_ key: String, _ value: JSONValue) -> JSONValue {
    guard var members = objectValue else { return self }
    members[key] = value
    return .object(members)
  }
}
