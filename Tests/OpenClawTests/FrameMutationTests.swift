import Basics
import Testing

@testable import OpenClaw

/// One place of a value, changed.
struct FrameMutation: Sendable {
  enum Change: String, Sendable {
    case dropped, null, otherType, fractional, added
  }

  /// `payload.channels.irc`.
  let path: String
  let change: Change
  let value: JSONValue

  /// Every change of one place: members that are left out, null, of each other type, whole numbers written as
  /// fractions, members that nobody knows. A value of the right type with another content has another meaning, and is
  /// left out.
  static func all(of value: JSONValue, at path: String = "") -> [FrameMutation] {
    var found: [FrameMutation] = []
    func inside(_ child: JSONValue, _ step: String, _ put: (JSONValue?) -> JSONValue) {
      let here = path.isEmpty ? step : path + "." + step
      found.append(.init(path: here, change: .dropped, value: put(nil)))
      if !child.isNull { found.append(.init(path: here, change: .null, value: put(.null))) }
      for other in others(than: child) { found.append(.init(path: here, change: .otherType, value: put(other))) }
      if case .integer(let whole) = child {
        found.append(.init(path: here, change: .fractional, value: put(.number(Double(whole)))))
      }
      found += all(of: child, at: here).map { .init(path: $0.path, change: $0.change, value: put($0.value)) }
    }
    switch value {
    case .object(let members):
      for (key, child) in members.sorted(by: { $0.key < $1.key }) {
        inside(child, key) { put in
          var changed = members
          changed[key] = put
          return .object(changed)
        }
      }
      var more = members
      more["aMemberOfALaterRelease"] = ["deep": [1, nil, "x"]]
      found.append(.init(path: path, change: .added, value: .object(more)))
    case .array(let items):
      // Every item of a list has the form of the others: two are enough.
      for (index, child) in items.enumerated().prefix(2) {
        inside(child, "\(index)") { put in
          var changed = items
          // An item that is not there is a shorter list, which means something.
          changed[index] = put ?? .null
          return .array(changed)
        }
      }
    default: break
    }
    return found
  }

  private static func others(than value: JSONValue) -> [JSONValue] {
    let all: [JSONValue] = ["words", 7, .number(0.5), true, [], [:], .integer(.max), .integer(.min)]
    return all.filter { other in
      switch (value, other) {
      case (.string, .string), (.bool, .bool), (.array, .array), (.object, .object), (.integer, .integer),
        (.integer, .number), (.number, .integer), (.number, .number):
        false
      default: true
      }
    }
  }
}

extension JSONValue {
  /// With a member set, or without it.
  fileprivate func with(_ key: String, _ value: JSONValue?) -> JSONValue {
    var members = objectValue ?? [:]
    members[key] = value
    return .object(members)
  }
}

@Suite("What AW reads in recorded frames when they have another form")
struct FrameMutationTests {
  /// The recorded answers of a call, by what is in them.
  static func payloads(_ recording: String, where isWanted: (JSONValue) -> Bool) throws -> [JSONValue] {
    try FailureTests.received(recording).compactMap { $0["payload"] }.filter(isWanted)
  }

  static func recordedHealth() throws -> JSONValue {
    try #require(try payloads("m_health") { $0["channels"] != nil }.first)
  }

  /// The recorded report without the account that is down.
  static func soundHealth() throws -> JSONValue {
    let recorded = try recordedHealth()
    var accounts = try #require(recorded["channels"]?["irc"]?["accounts"]?.objectValue)
    accounts["bad"] = nil
    var summary = try #require(accounts["good"]?.objectValue)
    summary["accounts"] = .object(accounts)
    return recorded.with("channels", ["irc": .object(summary)])
  }

  struct Defect: Sendable, CustomTestStringConvertible {
    let name: String
    /// Parts that releases may leave out, and that are all that tells of the defect.
    var optional: Set<String> = []
    let make: @Sendable (JSONValue) -> JSONValue
    var testDescription: String { name }
  }

  static func account(_ change: [String: JSONValue]) -> @Sendable (JSONValue) -> JSONValue {
    { report in
      let irc = report["channels"]?["irc"] ?? [:]
      let good = change.reduce(irc["accounts"]?["good"] ?? [:]) { $0.with($1.key, $1.value) }
      // The summary is that of an account.
      let accounts = (irc["accounts"] ?? [:]).with("good", good)
      return report.with("channels", ["irc": good.with("accounts", accounts)])
    }
  }

  static let defects: [Defect] = [
    .init(name: "not running", make: account(["running": false, "healthState": "not-running"])),
    .init(name: "disconnected", make: account(["connected": false, "healthState": "disconnected"])),
    .init(name: "not linked", optional: ["channels.irc.accounts.good.linked"], make: account(["linked": false])),
    .init(name: "event loop", optional: ["eventLoop"]) {
      $0.with("eventLoop", ["degraded": true, "reasons": ["cpu"]])
    },
    .init(name: "plugin", optional: ["plugins", "plugins.errors"]) {
      $0.with("plugins", ["loaded": ["irc"], "errors": [["id": "slack", "error": "x"]]])
    },
    .init(name: "engine", optional: ["contextEngines", "contextEngines.quarantined"]) {
      $0.with("contextEngines", ["quarantined": [["engineId": "x", "reason": "y", "failedAt": 1]]])
    },
    .init(name: "dead letters", optional: ["deliveryQueues", "deliveryQueues.failed"]) {
      $0.with("deliveryQueues", ["failed": [["id": "m"]]])
    },
    .init(name: "ingress", optional: ["deliveryQueues", "deliveryQueues.ingressFailed"]) {
      $0.with("deliveryQueues", ["failed": [], "ingressFailed": [["channelId": "irc", "count": 1]]])
    },
    .init(name: "not ok") { $0.with("ok", false) },
    .init(name: "no time") { $0.with("ts", nil) },
    .init(name: "old") { $0.with("ts", 1_795_335_209_813) },
  ]

  static let now = Timestamp(millisecondsSince1970: 1_795_335_330_900)

  @Test("a report with one defect is never read as sound, whatever else in it changes its form", arguments: defects)
  func oneDefect(defect: Defect) throws {
    let sound = try Self.soundHealth()
    #expect(HealthReport(sound, gatewayNow: Self.now).degradations == [])
    let report = defect.make(sound)
    #expect(HealthReport(report, gatewayNow: Self.now).degradations.count == 1)
    for mutation in FrameMutation.all(of: report) {
      let isLeftOut = mutation.change == .dropped || mutation.change == .null
      if isLeftOut, defect.optional.contains(mutation.path) { continue }
      let read = HealthReport(mutation.value, gatewayNow: Self.now)
      #expect(!read.degradations.isEmpty, "\(mutation.change) at \(mutation.path)")
    }
  }

  @Test("a sound report stays sound with what a later release adds, and with whole numbers written as fractions")
  func later() throws {
    for mutation in FrameMutation.all(of: try Self.soundHealth()) {
      // Members there are names of channels and accounts, and whatever has a name is looked at.
      let isName = ["channels", "channels.irc.accounts"].contains(mutation.path)
      guard mutation.change == .fractional || mutation.change == .added && !isName else { continue }
      #expect(
        HealthReport(mutation.value, gatewayNow: Self.now).degradations == [], "\(mutation.change) at \(mutation.path)")
    }
  }

  @Test("every recorded report, changed anywhere, is read no better than it was")
  func recorded() throws {
    let recordings = ["m_health", "mutations", "device_pairing_flow", "early_startup", "tick_and_idle_events"]
    let reports = try recordings.flatMap {
      try Self.payloads($0) { $0["channels"] != nil && $0["eventLoop"] != nil && $0["agents"] != nil }
    }
    try #require(!reports.isEmpty)
    for report in reports where !HealthReport(report).degradations.isEmpty {
      for mutation in FrameMutation.all(of: report) {
        #expect(!HealthReport(mutation.value).degradations.isEmpty, "\(mutation.change) at \(mutation.path)")
      }
    }
  }

  @Test(
    "a recorded hello, changed anywhere, gives no scope, token or release that it did not give",
    arguments: ["hs_ok_device_token", "hs_ok_token_only_no_device", "early_startup"])
  func hello(recording: String) throws {
    let payload = try #require(try Self.payloads(recording) { $0["type"] == "hello-ok" }.first)
    let hello = try HelloOK(payload)
    for mutation in FrameMutation.all(of: payload) {
      guard let read = try? HelloOK(mutation.value) else {
        #expect(["type", "server", "server.version"].contains(mutation.path), "\(mutation.change)")
        continue
      }
      #expect(Set(read.scopes).isSubset(of: hello.scopes), "\(mutation.change) at \(mutation.path)")
      #expect(read.version == hello.version)
      if mutation.change == .added || mutation.change == .fractional {
        #expect(read.scopes == hello.scopes && read.tickInterval == hello.tickInterval)
        #expect(read.protocolVersion == hello.protocolVersion && read.uptimeMilliseconds == hello.uptimeMilliseconds)
      }
    }
  }

  @Test(
    "a recorded refusal, changed anywhere, is never an acceptance, and is told in words",
    arguments: [
      "hs_err_wrong_token", "hs_err_missing_auth", "hs_err_protocol_3", "hs_err_bad_nonce", "hs_err_role",
      "e_missing_scope", "e_unknown_method", "device_pairing_flow",
    ])
  func refusal(recording: String) throws {
    let frame = try #require(try FailureTests.received(recording).first { $0["ok"] == false })
    guard case .response(let id, .failure(let original)) = try GatewayFrame(parsing: frame.canonical.utf8) else {
      Issue.record("no refusal in \(recording)")
      return
    }
    for mutation in FrameMutation.all(of: frame) {
      guard let read = try? GatewayFrame(parsing: mutation.value.canonical.utf8) else { continue }
      switch read {
      case .response(_, .failure(let failure)):
        #expect(!failure.explained.message.isEmpty && !failure.explained.next.isEmpty)
        if mutation.change == .added { #expect(failure.kind == original.kind, "\(mutation.path)") }
      case .response(let other, .success): #expect(mutation.path == "ok" && other == id && mutation.value["ok"] == true)
      case .event, .other: #expect(mutation.path == "type")
      }
    }
  }

  @Test("a probe passes only in the form that it has, and with what a later release adds")
  func probes() throws {
    for (probe, body): (Probe, JSONValue) in [
      (.live, ["ok": true, "status": "live"]),
      (.ready, ["ready": true, "uptimeMs": 1, "eventLoop": ["degraded": false]]),
      (.ready, ["ready": false, "failing": ["startup-sidecars"], "uptimeMs": 1]),
    ] {
      func verdict(_ body: JSONValue, _ status: Int = 200) -> Probe.Verdict {
        probe.verdict(
          on: .init(status: status, contentType: "application/json", body: Array(body.canonical.utf8)))
      }
      let passes = verdict(body) == .passed
      for mutation in FrameMutation.all(of: body) {
        let isRead = ["ok", "status", "ready"].contains(mutation.path)
        #expect((verdict(mutation.value) == .passed) == (passes && !isRead), "\(mutation.change) at \(mutation.path)")
      }
      for status in [204, 301, 401, 403, 404, 429, 500, 502, 503] { #expect(verdict(body, status) != .passed) }
    }
  }

  // MARK: - A model turn

  /// What AW reads in events of a turn; nil when the turn is failed.
  static func answer(_ events: [JSONValue]) async -> String? {
    let (stream, sink) = AsyncStream<GatewayEvent>.makeStream()
    for event in events {
      guard case .event(let event) = try? GatewayFrame(parsing: event.canonical.utf8) else { continue }
      if event.name == "chat" { sink.yield(event) }
    }
    sink.finish()
    return try? await ModelTurn.answer(from: stream)
  }

  @Test("a recorded turn, changed anywhere, gives its own answer or part of it, or fails")
  func turn() async throws {
    let events = try FailureTests.received("chat_final").filter { $0["event"] == "chat" }
    let answer = try #require(await Self.answer(events))
    #expect(answer.contains("(done)"))
    let final = try #require(events.last)
    for mutation in FrameMutation.all(of: final) {
      let read = await Self.answer(events.dropLast() + [mutation.value])
      // A message's content may be a text.
      let isText = mutation.path == "payload.message.content" && read == "words"
      #expect(isText || answer.contains(read ?? ""), "\(mutation.change) at \(mutation.path)")
      if mutation.change == .added { #expect(read == answer) }
    }
  }

  @Test(
    "what is no answer is none: thoughts, calls of tools, silence",
    arguments: [
      ([["type": "thinking", "text": "I am asked for n-42", "thinking": "n-42"]], ""),
      ([["type": "reasoning", "text": "n-42"], ["type": "text", "text": "no"]], "no"),
      ([["type": "toolCall", "name": "say", "arguments": ["text": "n-42"]]], ""), ([], ""),
      ([["type": "thinking", "thinking": "hm"], ["type": "text", "text": "n-42"]], "n-42"), (.null, ""), (7, ""),
    ] as [(JSONValue, String)])
  func parts(content: JSONValue, text: String) {
    #expect(ModelTurn.text(of: ["role": "assistant", "content": content]) == text)
  }
}
