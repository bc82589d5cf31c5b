import Basics
import Foundation

extension Gateway {
  func generalMethod(_ call: Call) throws -> JSONValue? {
    switch call.method {
    case "health": return health(call)
    case "status":
      let cold = secrets.cold.map(\.json)
      return cold.isEmpty ? status : status.setting("degradedSecretOwners", .array(cold))
    case "system-presence": return presenceList
    case "system-event": return systemEvent(call)
    case "gateway.identity.get":
      return ["deviceId": .string(identity.deviceID), "publicKey": .string(identity.publicKey)]
    case "gateway.restart.preflight": return preflight
    case "models.list": return ["models": .array(settings.models.map(Self.modelRow))]
    case "skills.status": return skillsStatus(call)
    case "tasks.list": return ["tasks": []]
    case "node.list": return try nodeList()
    case "logs.tail": return try logsTail(call)
    case "usage.cost": return usageCost
    case "usage.status": return ["updatedAt": now, "providers": []]
    case "update.status": return ["sentinel": nil]
    case "last-heartbeat": return .null
    case "set-heartbeats":
      heartbeatsEnabled = call.params["enabled"]?.boolValue ?? true
      return ["ok": true, "enabled": .bool(heartbeatsEnabled)]
    case "wake": return ["ok": true]
    case "secrets.reload": return ["ok": true, "warningCount": 0]
    default: throw unsupported(call.method)
    }
  }

  // MARK: Health

  /// What a Node.js process would say of its event loop. Nothing here blocks one, so it is never degraded.
  var eventLoop: JSONValue {
    [
      "degraded": false, "reasons": [], "intervalMs": .integer(min(uptimeMilliseconds, 60_000)), "delayP99Ms": 21.4,
      "delayMaxMs": 22.7, "utilization": 0.095, "cpuCoreRatio": 0.108,
    ]
  }

  /// Makes a new summary and pushes it to everybody.
  func refreshHealth() {
    let began = nowMilliseconds
    let summary = healthSummary(began: began)
    lastHealth = summary
    healthVersion += 1
    broadcast("health", summary, scope: nil, stateVersion: stateVersion)
  }

  private func health(_ call: Call) -> JSONValue {
    let age = nowMilliseconds - (lastHealth["ts"]?.intValue ?? 0)
    if call.params["probe"]?.boolValue == true || age > Limits.healthIntervalMilliseconds {
      refreshHealth()
      return lastHealth
    }
    let cached = lastHealth
    Task { self.refreshHealth() }
    return cached
  }

  private func healthSummary(began: Int64) -> JSONValue {
    let settings = settings
    let agents = settings.agents
    let loaded = channels.isEmpty ? [] : ["irc"]
    let rows = agents.map { agent -> JSONValue in
      .members([
        "agentId": .string(agent.id), "name": agent.name.map { .string($0) }, "isDefault": .bool(agent.isDefault),
        "heartbeat": heartbeat(agent).merging([
          "prompt": .string(Self.heartbeatPrompt), "target": "none", "ackMaxChars": 300,
        ]),
        "sessions": sessionSummary(agent.id),
      ])
    }
    return [
      "ok": true, "ts": .integer(began), "durationMs": .integer(nowMilliseconds - began), "eventLoop": eventLoop,
      "plugins": ["loaded": .strings(loaded), "errors": []],
      "modelPricing": ["state": pricingState, "sources": []],
      "channels": channels.health, "channelOrder": .strings(loaded),
      "channelLabels": loaded.isEmpty ? [:] : ["irc": "IRC"], "heartbeatSeconds": 1800,
      "defaultAgentId": .string(settings.defaultAgent.id), "agents": .array(rows),
      "sessions": sessionSummary(settings.defaultAgent.id),
    ]
  }

  private var pricingState: JSONValue {
    config.parsed.at("models", "pricing", "enabled")?.boolValue == false ? "disabled" : "ok"
  }

  private func heartbeat(_ agent: Settings.Agent) -> JSONValue {
    let isOn = agent.isDefault && heartbeatsEnabled
    return [
      "enabled": .bool(isOn), "every": isOn ? "30m" : "disabled", "everyMs": isOn ? 1_800_000 : nil,
    ]
  }

  private func sessionSummary(_ agent: String) -> JSONValue {
    let all = sessions.sessions(of: agent)
    let recent = all.prefix(5).map { session -> JSONValue in
      [
        "key": .string(session.key), "updatedAt": .integer(session.updatedAt),
        "age": .integer(nowMilliseconds - session.updatedAt),
      ]
    }
    return [
      "path": .string(paths.sessionsIndex(agent: agent)), "count": .int(all.count), "recent": .array(recent),
    ]
  }

  private static let heartbeatPrompt = """
    Read HEARTBEAT.md if it exists (workspace context). Follow it strictly. Do not infer or repeat old tasks from \
    prior chats. If nothing needs attention, reply HEARTBEAT_OK.
    """

  // MARK: Status

  private var status: JSONValue {
    let agents = settings.agents
    let model = settings.model(of: settings.defaultAgent)
    let byAgent = agents.map { JSONValue.object(["agentId": .string($0.id)]).merging(sessionSummary($0.id)) }
    func zeros(_ names: String) -> JSONValue {
      .object(Dictionary(uniqueKeysWithValues: names.split(separator: " ").map { (String($0), .integer(0)) }))
    }
    return [
      "runtimeVersion": .string(Synthetic.version),
      "heartbeat": [
        "defaultAgentId": .string(settings.defaultAgent.id),
        "agents": .array(agents.map { JSONValue.object(["agentId": .string($0.id)]).merging(heartbeat($0)) }),
      ],
      "channelSummary": .strings(channels.summary), "queuedSystemEvents": [],
      "tasks": zeros("total active terminal failures").merging([
        "byStatus": zeros("queued running succeeded failed timed_out cancelled lost"),
        "byRuntime": zeros("subagent acp cli cron"),
      ]),
      "taskAudit": zeros("total warnings errors").merging([
        "byCode": zeros(
          "stale_queued stale_running lost delivery_failed missing_cleanup inconsistent_timestamps")
      ]),
      "sessions": [
        "paths": .strings(agents.map { paths.sessionsIndex(agent: $0.id) }), "count": .int(sessions.byKey.count),
        "defaults": .members([
          "model": model.map { .string($0.id) }, "contextTokens": model.map { .integer($0.contextWindow) },
        ]),
        "recent": sessionSummary(settings.defaultAgent.id)["recent"] ?? [], "byAgent": .array(byAgent),
      ],
      "eventLoop": eventLoop,
    ]
  }

  private var preflight: JSONValue {
    let active = Int64(runs.count)
    let counts: JSONValue = [
      "queueSize": 0, "pendingReplies": 0, "embeddedRuns": .integer(active), "cronRuns": 0, "activeTasks": 0,
      "totalActive": .integer(active),
    ]
    let blocker: JSONValue = [
      "kind": "embedded-run", "count": .integer(active), "message": .string("\(active) active embedded run(s)"),
    ]
    return [
      "safe": .bool(active == 0), "counts": counts, "blockers": active == 0 ? [] : [blocker],
      "summary": .string(active == 0 ? "safe to restart now" : "restart deferred: \(active) active embedded run(s)"),
    ]
  }

  private func systemEvent(_ call: Call) -> JSONValue {
    let text = call.text("text") ?? ""
    presence["event:" + text] = .members([
      "text": .string(text), "ts": now, "reason": call.params["reason"], "host": call.params["host"],
      "mode": call.params["mode"], "deviceId": call.params["deviceId"], "instanceId": call.params["instanceId"],
    ])
    presenceVersion += 1
    broadcastPresence()
    return ["ok": true]
  }

  // MARK: Lists

  private static func modelRow(_ model: Settings.Model) -> JSONValue {
    [
      "provider": .string(model.provider), "id": .string(model.id), "name": .string(model.name),
      "api": .string(model.api), "contextWindow": .integer(model.contextWindow),
      "reasoning": .bool(model.reasoning), "input": .strings(model.input), "available": true,
    ]
  }

  private func nodeList() throws -> JSONValue {
    let connected = Set(connections.values.filter { $0.role == "node" }.compactMap(\.deviceID))
    let nodes = try DeviceBook.load(paths).paired.values.filter { $0["roles"]?.strings.contains("node") == true }
    let rows = nodes.map { node -> JSONValue in
      .members([
        "nodeId": node["deviceId"], "displayName": node["displayName"], "platform": node["platform"],
        "deviceFamily": node["deviceFamily"], "caps": [], "commands": [], "paired": true,
        "connected": .bool(connected.contains(node["deviceId"]?.stringValue ?? "")),
      ])
    }
    return ["ts": now, "nodes": .array(rows)]
  }

  private func skillsStatus(_ call: Call) -> JSONValue {
    let agent = settings.agent(call.text("agentId")) ?? settings.defaultAgent
    return [
      "workspaceDir": .string(agent.workspace), "managedSkillsDir": .string(paths.managedSkills),
      "agentId": .string(agent.id), "skills": .array(BundledSkills.rows),
    ]
  }

  private var usageCost: JSONValue {
    let names = """
      input output cacheRead cacheWrite totalTokens totalCost inputCost outputCost cacheReadCost cacheWriteCost \
      missingCostEntries
      """.split(separator: " ").map(String.init)
    var totals = Dictionary(uniqueKeysWithValues: names.map { ($0, JSONValue.integer(0)) })
    let spent = sessions.byKey.values.map { (($0.inputTokens ?? 0), ($0.outputTokens ?? 0)) }
    let (input, output) = spent.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
    totals["input"] = .integer(input)
    totals["output"] = .integer(output)
    totals["totalTokens"] = .integer(input + output)
    return [
      "updatedAt": now, "days": 31, "daily": [], "totals": .object(totals),
      "cacheStatus": ["status": "fresh", "cachedFiles": 0, "pendingFiles": 0, "staleFiles": 0],
    ]
  }

  private func logsTail(_ call: Call) throws -> JSONValue {
    let file = GatewayLog.path(config.parsed, now: clock.now)
    let data = FileManager.default.contents(atPath: file) ?? Data()
    let limit = Int(call.params["limit"]?.intValue ?? 500)
    let cursor = call.params["cursor"]?.intValue
    let isReset = cursor.map { $0 > data.count } ?? false
    let fresh = data.dropFirst(isReset ? 0 : Int(cursor ?? 0))
    let lines = String(decoding: fresh, as: UTF8.self).split(separator: "\n").map(String.init)
    return .members([
      "file": .string(file), "cursor": .int(data.count), "size": .int(data.count),
      "lines": .strings(lines.suffix(limit)), "truncated": .bool(cursor != nil && lines.count > limit),
      "reset": .bool(isReset),
    ])
  }
}

// Basics gives no literal for fractions; only this room writes such numbers by hand.
extension JSONValue: ExpressibleByFloatLiteral {
  public init(floatLiteral value: Double) { self = .number(value) }
}
