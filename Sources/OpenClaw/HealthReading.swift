import Basics

/// The parts of a health report, read one by one.
///
/// A member that is absent, or null, says nothing: releases differ in what they tell. One that is there in another form
/// than it has may hide what is broken, so it counts as a degradation.
struct HealthReading {
  private typealias Finding = HealthReport.Finding

  private(set) var findings: [HealthReport.Finding] = []

  init(_ payload: JSONValue) {
    eventLoop(payload["eventLoop"])
    for plugin in items("errors", of: part(payload, "plugins"), "plugins") {
      degraded("the plugin \(Self.name(plugin, "id")) failed to load")
    }
    for engine in items("quarantined", of: part(payload, "contextEngines"), "contextEngines") {
      degraded("the context engine \(Self.name(engine, "engineId")) is quarantined")
    }
    queues(part(payload, "deliveryQueues"))
    channels(payload)
  }

  private mutating func degraded(_ what: String) { findings.append(Finding(.degraded, what)) }

  private mutating func unreadable(_ what: String) { degraded("'\(what)' is not in a form that AW knows") }

  private static func said(_ value: JSONValue?) -> JSONValue? { value?.isNull == true ? JSONValue?.none : value }

  private static func name(_ text: String) -> String { "'\(text.asLine(80))'" }

  private static func name(_ item: JSONValue, _ key: String) -> String { name(item[key]?.stringValue ?? "?") }

  /// A part of the report that has members of its own; nil when nothing is said of it, or nothing readable.
  private mutating func part(_ payload: JSONValue, _ name: String) -> JSONValue? {
    guard let part = Self.said(payload[name]) else { return nil }
    guard part.objectValue == nil else { return part }
    unreadable(name)
    return nil
  }

  /// The items of a list in a part of the report. How many of nothing is no list, and none.
  private mutating func items(_ key: String, of part: JSONValue?, _ name: String) -> [JSONValue] {
    guard let list = Self.said(part?[key]), list.intValue != 0 else { return [] }
    if let items = list.arrayValue { return items }
    unreadable("\(name).\(key)")
    return []
  }

  private mutating func eventLoop(_ value: JSONValue?) {
    guard let value = Self.said(value) else { return }
    guard let isDegraded = value["degraded"]?.boolValue else { return unreadable("eventLoop") }
    guard isDegraded else { return }
    let reasons = value["reasons"]?.arrayValue?.compactMap(\.stringValue).joined(separator: ", ").asLine(200) ?? ""
    degraded("the event loop is degraded (\(reasons.isEmpty ? "no reason given" : reasons))")
  }

  private mutating func queues(_ value: JSONValue?) {
    let failed = items("failed", of: value, "deliveryQueues").count
    if failed > 0 { degraded("\(failed) deliveries are dead letters") }
    for key in ["ingressFailed", "ingressPressure"] {
      for lane in items(key, of: value, "deliveryQueues") {
        degraded("messages in \(Self.name(lane, "channelId")) are not taken in")
      }
    }
  }

  /// Accounts that are meant to run and do not. The summary of a channel is that of one account: all are looked at.
  private mutating func channels(_ payload: JSONValue) {
    guard let channels = payload["channels"]?.objectValue else { return unreadable("channels") }
    for (channel, summary) in channels.sorted(by: { $0.key < $1.key }) {
      guard summary.objectValue != nil else {
        unreadable("channels.\(channel.asLine(80))")
        continue
      }
      for (account, state) in accounts(channel, summary) {
        look(at: state, "channel \(Self.name(channel)) account \(Self.name(account))")
      }
    }
    for channel in payload["channelOrder"]?.arrayValue?.compactMap(\.stringValue) ?? [] where channels[channel] == nil {
      degraded("the channel \(Self.name(channel)) is listed, and nothing is said of it")
    }
  }

  /// The accounts of a channel by name, with that of its summary, which may stand nowhere else.
  private mutating func accounts(_ channel: String, _ summary: JSONValue) -> [(key: String, value: JSONValue)] {
    var accounts: [String: JSONValue] = [:]
    if let listed = Self.said(summary["accounts"]) {
      if listed.objectValue == nil { unreadable("channels.\(channel.asLine(80)).accounts") }
      accounts = listed.objectValue ?? [:]
    }
    let named = summary["accountId"]?.stringValue
    if accounts.isEmpty || named.map({ accounts[$0] == nil }) == true { accounts[named ?? "default"] = summary }
    return accounts.sorted { $0.key < $1.key }
  }

  /// As the Gateway's own policy does: an account is managed unless it says that it is switched off or not configured.
  private mutating func look(at state: JSONValue, _ what: String) {
    guard state.objectValue != nil else { return degraded("of the \(what) nothing readable is said") }
    guard state["enabled"]?.boolValue != false, state["configured"]?.boolValue != false else { return }
    let isDown = ["running", "connected", "linked"].contains { state[$0]?.boolValue == false }
    let told = Self.said(state["healthState"]).map { $0.stringValue ?? "in a state that AW does not know" }
    let unhealthy = told.flatMap { Self.healthy.contains($0) ? nil : $0 }
    if isDown || unhealthy != nil {
      // The Gateway restarts a stale socket by itself and stays ready meanwhile.
      let severity = !isDown && unhealthy == "stale-socket" ? HealthReport.Severity.note : .degraded
      let word = unhealthy ?? (state["running"]?.boolValue == false ? "not running" : "not connected")
      findings.append(Finding(severity, "the \(what) is \(word.asLine(80))"))
      return
    }
    if state["probe"]?["ok"]?.boolValue == false { degraded("the \(what) does not stand its probe") }
    let withheld = state.objectValue?.filter { $0.key.hasSuffix("TokenStatus") && $0.value == "configured_unavailable" }
    if let key = withheld?.keys.min() {
      degraded("the \(what) lacks a secret that is configured (\(key.asLine(80)))")
    }
    for key in ["running", "connected", "linked"] {
      guard let value = Self.said(state[key]), value.boolValue == nil else { continue }
      degraded("of the \(what) '\(key)' is not in a form that AW knows")
    }
  }

  /// What the Gateway's policy calls healthy, should a release say so rather than nothing.
  private static let healthy: Set<String> = ["healthy", "busy", "startup-connect-grace"]
}

extension String {
  /// What an Instance said, for a message to a person: cut, and nothing in it that a terminal obeys.
  func asLine(_ charactersMax: Int) -> String {
    let line = String(
      prefix(charactersMax).map { character -> Character in
        character.unicodeScalars.contains { $0.value < 32 || (127..<160).contains($0.value) } ? " " : character
      })
    return count > charactersMax ? line + "…" : line
  }
}
