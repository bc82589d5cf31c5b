import Basics
import Foundation

extension Gateway {
  func configMethod(_ call: Call) throws -> JSONValue? {
    switch call.method {
    case "config.get": return configGet()
    case "config.set", "config.patch", "config.apply": return try configWrite(call)
    case "config.schema.lookup": return try ConfigSchema.lookup(call.text("path") ?? "")
    default: throw unsupported(call.method)
    }
  }

  private func configGet() -> JSONValue {
    // The file as it is now, which an invalid edit may have made differ from what runs.
    let file = ConfigFile.load(config.path)
    let shown = Redaction.redacted(file.parsed)
    let runtime = Redaction.redacted(ConfigDefaults.apply(to: file.parsed))
    return .members([
      "path": .string(file.path), "exists": .bool(file.exists),
      "raw": .string(Redaction.redacted(raw: file.raw, parsed: file.parsed)), "parsed": shown, "sourceConfig": shown,
      "resolved": shown, "valid": .bool(file.isValid), "runtimeConfig": runtime, "config": runtime,
      "hash": file.exists ? .string(file.hash) : nil, "issues": .array(file.issues.map(\.json)), "warnings": [],
      "legacyIssues": [],
    ])
  }

  private func configWrite(_ call: Call) throws -> JSONValue? {
    let file = ConfigFile.load(config.path)
    if file.exists {
      guard let base = call.text("baseHash") else {
        throw RPCFailure.invalid("config base hash required; re-run config.get and retry")
      }
      guard base == file.hash else {
        throw RPCFailure.invalid("config changed since last load; re-run config.get and retry")
      }
    }
    guard let sent = try? ConfigFile.parse(call.text("raw") ?? ""), sent.objectValue != nil else {
      throw RPCFailure.invalid("invalid config: raw must be a JSON5 object")
    }
    let isPatch = call.method == "config.patch"
    let wanted = Redaction.restored(isPatch ? MergePatch.apply(sent, to: file.parsed) : sent, from: file.parsed)
    if isPatch, wanted == file.parsed {
      return [
        "ok": true, "noop": true, "path": .string(file.path), "config": Redaction.redacted(file.parsed),
      ]
    }
    let new = try store(wanted, actor: call.method)
    var answer: JSONValue = ["ok": true, "path": .string(new.path), "config": Redaction.redacted(new.parsed)]
    if call.method != "config.set" {
      let needsRestart = Self.needsRestart(from: file.parsed, to: new.parsed)
      answer = answer.merging(sentinel(call, requiresRestart: needsRestart))
      if needsRestart { answer = answer.setting("restart", scheduledRestart) }
    }
    try applyAuth(after: Frame.response(id: call.requestID, payload: answer), to: call.connection)
    return nil
  }

  /// Checks and writes a whole config, and takes it over.
  @discardableResult
  func store(_ wanted: JSONValue, actor: String) throws -> ConfigFile {
    let issues = ConfigRules.issues(in: wanted)
    if let first = issues.first {
      throw RPCFailure.invalid(
        "invalid config: \(first.path.isEmpty ? "" : first.path + ": ")\(first.message)",
        details: ["issues": .array(issues.map(\.json))])
    }
    do {
      _ = try GatewayAuth.resolve(wanted, environment: environment, secrets: secrets)
    } catch {
      throw RPCFailure.invalid("invalid config: active SecretRef resolution failed (\(error))")
    }
    let text = try ConfigFile.written(wanted, at: clock.now)
    let old = config.hash
    try StateFile.write(text: text, to: config.path)
    config = ConfigFile(path: config.path, raw: text)
    let entry: JSONValue = [
      "ts": .string(clock.now.description), "event": "config.write", "source": .string(actor),
      "previousHash": .string(old), "nextHash": .string(config.hash), "pid": .integer(Int64(getpid())),
    ]
    try StateFile.append(line: entry.canonical, to: paths.configAudit)
    return config
  }

  private static func needsRestart(from old: JSONValue, to new: JSONValue) -> Bool {
    let hot = ["reload", "remote"]
    func cold(_ config: JSONValue) -> JSONValue? {
      hot.reduce(config["gateway"]) { $0?.setting($1, nil) }
    }
    return cold(old) != cold(new) || old["discovery"] != new["discovery"] || old["browser"] != new["browser"]
  }

  private var scheduledRestart: JSONValue {
    [
      "ok": true, "pid": .integer(Int64(getpid())), "signal": "SIGUSR1", "delayMs": 2_000, "mode": "emit",
      "coalesced": false, "cooldownMsApplied": 0,
    ]
  }

  private func sentinel(_ call: Call, requiresRestart: Bool) -> JSONValue {
    [
      "sentinel": [
        "persisted": true,
        "payload": .members([
          "kind": .string(call.method.replacing(".", with: "-")), "status": "ok", "ts": now,
          "message": call.params["note"] ?? .null,
          "doctorHint": """
          Recommended follow-up: run openclaw doctor --non-interactive in a terminal or approvals-capable OpenClaw \
          surface.
          """,
          "stats": [
            "mode": .string(call.method), "root": .string(config.path), "requiresRestart": .bool(requiresRestart),
          ],
        ]),
      ]
    ]
  }

  /// Answers the writer, then turns out those whose shared secret stopped being right.
  private func applyAuth(after response: JSONValue, to id: String) throws {
    send(response, to: id)
    let new = try GatewayAuth.resolve(config.parsed, environment: environment, secrets: secrets)
    let isSame: Bool =
      switch (auth.secret, new.secret) {
      case (nil, nil): true
      // A secret made up at the start has no place in the config: it stays.
      case (.some, nil): true
      case (nil, .some): false
      case (let old?, let new?): old.equals(new)
      }
    guard new.mode != auth.mode || !isSame else { return }
    auth = new
    for connection in connections.values where connection.bySharedSecret {
      close(connection.id, code: 4001, reason: "gateway auth changed")
    }
  }
}

/// What a running Gateway adds to the config it read.
enum ConfigDefaults {
  static func apply(to config: JSONValue) -> JSONValue {
    var result = config.setting(
      "logging", defaults(["redactSensitive": "tools"], config["logging"]))
    let agentDefaults: JSONValue = [
      "maxConcurrent": 4, "subagents": ["maxConcurrent": 8, "archiveAfterMinutes": 60],
    ]
    let agents = config["agents"] ?? [:]
    result = result.setting("agents", agents.setting("defaults", defaults(agentDefaults, agents["defaults"])))
    result = result.setting(
      "commands",
      defaults(
        ["native": "auto", "nativeSkills": "auto", "restart": true, "ownerDisplay": "raw"], config["commands"]))
    result = result.setting("messages", defaults(["ackReactionScope": "group-mentions"], config["messages"]))
    result = result.setting("cron", defaults(["maxConcurrentRuns": 8], config["cron"]))
    if let models = config["models"] { result = result.setting("models", self.models(models)) }
    if let channels = config["channels"]?.objectValue {
      result = result.setting("channels", .object(channels.mapValues(channel)))
    }
    let plugins = config["plugins"] ?? [:]
    var entries = (plugins["entries"]?.objectValue ?? [:]).mapValues { defaults(["config": [:]], $0) }
    entries["memory-core"] = defaults(["config": [:]], entries["memory-core"])
    return result.setting("plugins", plugins.setting("entries", .object(entries)))
  }

  private static func defaults(_ defaults: JSONValue, _ value: JSONValue?) -> JSONValue {
    defaults.merging(value ?? [:])
  }

  private static func models(_ models: JSONValue) -> JSONValue {
    let providers = (models["providers"]?.objectValue ?? [:]).mapValues { provider in
      let listed = (provider["models"]?.arrayValue ?? []).map { model in
        model["api"] == nil ? model.setting("api", provider["api"]) : model
      }
      return provider["models"] == nil ? provider : provider.setting("models", .array(listed))
    }
    return models.setting("providers", .object(providers))
  }

  private static func channel(_ channel: JSONValue) -> JSONValue {
    let policies: JSONValue = ["dmPolicy": "pairing", "groupPolicy": "allowlist"]
    var result = defaults(policies, channel)
    if let accounts = channel["accounts"]?.objectValue {
      result = result.setting("accounts", .object(accounts.mapValues { defaults(policies, $0) }))
    }
    return result
  }
}

/// The few paths that `config.schema.lookup` knows in this stand-in.
enum ConfigSchema {
  static func lookup(_ path: String) throws(RPCFailure) -> JSONValue {
    guard let entry = entries[path] else { throw .invalid("config schema path not found") }
    let hint: JSONValue = [
      "label": .string(entry.title), "help": .string(entry.help), "tags": .strings(entry.tags),
    ]
    return [
      "path": .string(path),
      "schema": entry.schema.merging(["title": .string(entry.title), "description": .string(entry.help)]),
      "reloadKind": .string(path.hasPrefix("gateway.") ? "restart" : "hot"), "hint": hint, "hintPath": .string(path),
      "children": [],
    ]
  }

  private struct Entry {
    var schema: JSONValue
    var title: String
    var help: String
    var tags: [String]
  }

  private static let entries: [String: Entry] = [
    "gateway.port": Entry(
      schema: ["type": "integer", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991], title: "Gateway Port",
      help: """
        TCP port used by the gateway listener for API, control UI, and channel-facing ingress paths. Use a dedicated \
        port and avoid collisions with reverse proxies or local developer services.
        """, tags: ["network"]),
    "agents.defaults.userTimezone": Entry(
      schema: ["type": "string"], title: "User Timezone", help: "IANA time zone that agents assume for their user.",
      tags: ["agents"]),
    "update.checkOnStart": Entry(
      schema: ["type": "boolean"], title: "Update Check on Start",
      help: "Whether the gateway looks for a newer release when it starts.", tags: ["update"]),
  ]
}
