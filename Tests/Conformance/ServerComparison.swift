import Basics
import Foundation

/// Holds a frame of the stand-in against a recorded one: same members, same types, same words, except where words
/// cannot be the same.
struct ServerComparison {
  private(set) var differences: [String] = []
  /// Recorded text to the text that stands in its place now: ids, tokens, hashes.
  private(set) var learned: [String: String] = [:]

  /// Members whose value differs from run to run. Their type must fit, nothing else.
  static let volatile: Set<String> = [
    // ids, tokens, keys
    "id", "nonce", "requestId", "connId", "deviceId", "publicKey", "deviceToken", "instanceId", "sessionId", "runId",
    "jobId", "messageId", "responseId", "idempotencyKey", "hash", "sessionKey",
    // times and what is counted from them
    "ts", "time", "timestamp", "recordTimestampMs", "uptimeMs", "durationMs", "issuedAtMs", "createdAtMs",
    "updatedAtMs", "approvedAtMs", "rotatedAtMs", "lastSeenAtMs", "lastUsedAtMs", "lastStartAt", "lastStopAt",
    "anchorMs", "nextRunAtMs", "runningAtMs", "lastRunAtMs", "runAtMs", "lastDurationMs", "startedAt", "endedAt",
    "updatedAt", "runtimeMs", "age", "lastTouchedAt",
    // the machine, its load and its ports
    "host", "ip", "platform", "modelIdentifier", "text", "intervalMs", "delayP99Ms", "delayMaxMs", "utilization",
    "cpuCoreRatio", "degraded", "port", "baseUrl", "channelSummary",
    // places on disk
    "path", "raw", "file", "workspace", "workspaceDir", "managedSkillsDir", "configPath", "stateDir", "storePath",
    "sqlitePath", "paths", "root",
    // what others did before, and how far a retry is
    "presence", "health", "seq", "reconnectAttempts", "restartPending", "running", "lastError", "cursor", "size",
    "count",
    // what the model said, and what it counted
    "delta", "deltaText", "content", "summary", "input", "output", "totalTokens", "inputTokens", "outputTokens",
    "input_tokens", "output_tokens", "total_tokens",
  ]

  /// Lists whose elements come and go: each element must look like some recorded one. `payload` is a list in
  /// `system-presence` only; `loaded` grows when the real Gateway first needs its memory plugin.
  static let loose: Set<String> = ["presence", "skills", "lines", "reasons", "recent", "loaded", "payload"]

  /// Members that a state may or may not have at that moment.
  static let optional: Set<String> = ["healthState"]

  mutating func compare(recorded: JSONValue, actual: JSONValue, at path: String = "") {
    let key = path.split(separator: ".").last { Int($0) == nil }.map(String.init) ?? ""
    switch (recorded, actual) {
    case (.object(let old), .object(let new)):
      // A Gateway that has just started has no health summary yet.
      if key == "health", old.isEmpty || new.isEmpty { return }
      compare(old, new, at: path)
    case (.array(let old), .array(let new)):
      if Self.loose.contains(key) { return compareLoosely(old, new, at: path) }
      guard old.count == new.count else {
        return note(path, "\(old.count) elements recorded, \(new.count) now")
      }
      for (index, pair) in zip(old, new).enumerated() {
        compare(recorded: pair.0, actual: pair.1, at: "\(path).\(index)")
      }
    default: compareScalars(recorded, actual, key, path)
    }
  }

  private mutating func compare(_ old: [String: JSONValue], _ new: [String: JSONValue], at path: String) {
    // Members may be named by an id.
    let old = Dictionary(old.map { (learned[$0.key] ?? $0.key, $0.value) }) { $1 }
    let missing = Set(old.keys).subtracting(new.keys).subtracting(Self.optional)
    let added = Set(new.keys).subtracting(old.keys).subtracting(Self.optional)
    if !missing.isEmpty { note(path, "missing \(missing.sorted())") }
    if !added.isEmpty { note(path, "added \(added.sorted())") }
    for (key, value) in old.sorted(by: { $0.key < $1.key }) {
      if let now = new[key] { compare(recorded: value, actual: now, at: path.isEmpty ? key : "\(path).\(key)") }
    }
  }

  private mutating func compareLoosely(_ old: [JSONValue], _ new: [JSONValue], at path: String) {
    for (index, element) in new.enumerated() {
      let fits = old.contains { candidate in
        guard let members = candidate.objectValue else { return Self.sameType(candidate, element) }
        return Set(members.keys) == Set((element.objectValue ?? [:]).keys)
      }
      if !fits && !old.isEmpty { note("\(path).\(index)", "looks like no recorded element: \(element.canonical)") }
    }
  }

  private mutating func compareScalars(_ recorded: JSONValue, _ actual: JSONValue, _ key: String, _ path: String) {
    let isVolatile = Self.volatile.contains(key)
    if isVolatile, recorded.isNull || actual.isNull { return }
    guard Self.sameType(recorded, actual) else {
      return note(path, "recorded \(recorded.canonical.prefix(80)), now \(actual.canonical.prefix(80))")
    }
    if let old = recorded.stringValue, let new = actual.stringValue {
      if isVolatile { learned[old] = new }
      if isVolatile || old == new || Self.fixed(old) == Self.fixed(new) { return }
    }
    if !isVolatile, recorded != actual {
      note(path, "recorded \(recorded.canonical.prefix(120)), now \(actual.canonical.prefix(120))")
    }
  }

  private static func sameType(_ left: JSONValue, _ right: JSONValue) -> Bool {
    switch (left, right) {
    case (.null, .null), (.bool, .bool), (.string, .string), (.array, .array), (.object, .object): true
    case (.integer, .integer), (.integer, .number), (.number, .integer), (.number, .number): true
    default: false
    }
  }

  /// The text with its ids and device ids taken out; a close reason cuts the last id short.
  static func fixed(_ text: String) -> String {
    text.replacing(/[0-9a-f]{8}-[0-9a-f-]{1,27}/, with: "<id>").replacing(/:\d{13}:/, with: ":<time>:")
  }

  private mutating func note(_ path: String, _ problem: String) { differences.append("\(path): \(problem)") }
}
