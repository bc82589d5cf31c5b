import Basics
import Foundation

extension Gateway {
  func agentsMethod(_ call: Call) throws -> JSONValue? {
    switch call.method {
    case "agents.list": return agentsList
    case "agents.create": return try agentsCreate(call)
    case "agents.update": return try agentsUpdate(call)
    case "agents.delete": return try agentsDelete(call)
    case "agents.files.list": return try filesList(call)
    case "agents.files.get": return try file(call, isWrite: false)
    case "agents.files.set": return try file(call, isWrite: true)
    default: throw unsupported(call.method)
    }
  }

  private var agentsList: JSONValue {
    let rows = settings.agents.map { agent -> JSONValue in
      JSONValue.members([
        "id": .string(agent.id), "name": agent.name.map { .string($0) }, "workspace": .string(agent.workspace),
        "agentRuntime": ["id": "auto", "source": "implicit"],
        "model": agent.model.map { ["primary": .string($0)] },
      ]).merging(SessionRow.noThinking)
    }
    return [
      "defaultId": .string(settings.defaultAgent.id), "mainKey": "main", "scope": "per-sender",
      "agents": .array(rows),
    ]
  }

  private func known(_ call: Call) throws(RPCFailure) -> Settings.Agent {
    let id = call.text("agentId") ?? ""
    guard let agent = settings.agent(id) else { throw .invalid("agent \"\(id)\" not found") }
    return agent
  }

  private func storeAgents(_ list: [JSONValue], _ call: Call) throws {
    let agents = (config.parsed["agents"] ?? [:]).setting("list", .array(list))
    try store(config.parsed.setting("agents", agents), actor: call.method)
  }

  /// The agents as the config lists them; the implicit main agent becomes explicit with the second one.
  private var listed: [JSONValue] {
    config.parsed.at("agents", "list")?.arrayValue ?? [["id": "main", "default": true]]
  }

  private func agentsCreate(_ call: Call) throws -> JSONValue {
    let (name, workspace) = (call.text("name") ?? "", call.text("workspace") ?? "")
    let id = String(
      name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "-" })
    if id == "main" { throw RPCFailure.invalid("\"main\" is reserved") }
    if settings.agent(id) != nil { throw RPCFailure.invalid("agent \"\(id)\" already exists") }
    let entry = JSONValue.members([
      "id": .string(id), "name": .string(name), "workspace": .string(workspace), "model": call.params["model"],
    ])
    try storeAgents(listed + [entry], call)
    return .members([
      "ok": true, "agentId": .string(id), "name": .string(name), "workspace": .string(workspace),
      "model": call.params["model"],
    ])
  }

  private func agentsUpdate(_ call: Call) throws -> JSONValue {
    let agent = try known(call)
    let list = listed.map { entry -> JSONValue in
      guard entry["id"]?.stringValue == agent.id else { return entry }
      return ["name", "workspace", "model"].reduce(entry) { entry, key in
        call.params[key].map { entry.setting(key, $0) } ?? entry
      }
    }
    try storeAgents(list, call)
    return ["ok": true, "agentId": .string(agent.id)]
  }

  private func agentsDelete(_ call: Call) throws -> JSONValue {
    let agent = try known(call)
    if agent.id == "main" { throw RPCFailure.invalid("\"main\" cannot be deleted") }
    let bindings = config.parsed["bindings"]?.arrayValue ?? []
    let kept = bindings.filter { $0["agentId"]?.stringValue != agent.id }
    if kept.count < bindings.count {
      try store(config.parsed.setting("bindings", .array(kept)), actor: call.method)
    }
    try storeAgents(listed.filter { $0["id"]?.stringValue != agent.id }, call)
    return ["ok": true, "agentId": .string(agent.id), "removedBindings": .int(bindings.count - kept.count)]
  }

  // MARK: Files

  private static let fileNames = [
    "AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "HEARTBEAT.md", "BOOTSTRAP.md", "MEMORY.md",
  ]

  private func filesList(_ call: Call) throws -> JSONValue {
    let agent = try known(call)
    let files = try Self.fileNames.map { try describe($0, in: agent.workspace, withContent: false) }
    return ["agentId": .string(agent.id), "workspace": .string(agent.workspace), "files": .array(files)]
  }

  private func file(_ call: Call, isWrite: Bool) throws -> JSONValue {
    let agent = try known(call)
    let name = call.text("name") ?? ""
    guard Self.fileNames.contains(name) else { throw RPCFailure.invalid("unsupported file \"\(name)\"") }
    if isWrite { try StateFile.write(text: call.text("content") ?? "", to: "\(agent.workspace)/\(name)") }
    let file = try describe(name, in: agent.workspace, withContent: true)
    return .members([
      "ok": isWrite ? true : nil, "agentId": .string(agent.id), "workspace": .string(agent.workspace), "file": file,
    ])
  }

  private func describe(_ name: String, in workspace: String, withContent: Bool) throws -> JSONValue {
    let path = "\(workspace)/\(name)"
    guard let data = FileManager.default.contents(atPath: path) else {
      return ["name": .string(name), "path": .string(path), "missing": true]
    }
    let modified = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
    return .members([
      "name": .string(name), "path": .string(path), "missing": false, "size": .int(data.count),
      "updatedAtMs": modified.map { .integer(Timestamp($0).millisecondsSince1970) },
      "content": withContent ? .string(String(decoding: data, as: UTF8.self)) : nil,
    ])
  }
}
