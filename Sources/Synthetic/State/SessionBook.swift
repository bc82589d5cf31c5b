import Basics
import Foundation

/// The sessions of all agents: `agents/<id>/sessions/sessions.json` and one transcript each.
struct SessionBook: Sendable {
  struct Session: Sendable, Equatable {
    var key: String
    var agent: String
    var id: String
    var updatedAt: Int64
    var status: String?
    var startedAt: Int64?
    var endedAt: Int64?
    var provider: String?
    var model: String?
    var inputTokens: Int64?
    var outputTokens: Int64?
    var messages: [JSONValue] = []
    var isRunning = false
  }

  var byKey: [String: Session] = [:]

  static func load(_ paths: OpenClawPaths, agents: [String]) throws -> SessionBook {
    var book = SessionBook()
    for agent in agents {
      let index = try StateFile.read(paths.sessionsIndex(agent: agent))?.objectValue ?? [:]
      for (key, entry) in index {
        guard let id = entry["sessionId"]?.stringValue else { continue }
        let transcript = FileManager.default.contents(atPath: paths.transcript(agent: agent, session: id))
        let lines = String(decoding: transcript ?? Data(), as: UTF8.self).split(separator: "\n")
        book.byKey[key] = Session(
          key: key, agent: agent, id: id, updatedAt: entry["updatedAt"]?.intValue ?? 0,
          status: entry["status"]?.stringValue, startedAt: entry["startedAt"]?.intValue,
          endedAt: entry["endedAt"]?.intValue, provider: entry["modelProvider"]?.stringValue,
          model: entry["model"]?.stringValue, inputTokens: entry["inputTokens"]?.intValue,
          outputTokens: entry["outputTokens"]?.intValue,
          messages: try lines.compactMap { try JSONValue(parsing: String($0))["message"] })
      }
    }
    return book
  }

  func saveIndex(agent: String, _ paths: OpenClawPaths) throws {
    var index: [String: JSONValue] = [:]
    for session in byKey.values where session.agent == agent {
      index[session.key] = .members([
        "sessionId": .string(session.id), "updatedAt": .integer(session.updatedAt),
        "status": session.status.map { .string($0) }, "startedAt": session.startedAt.map { .integer($0) },
        "endedAt": session.endedAt.map { .integer($0) }, "modelProvider": session.provider.map { .string($0) },
        "model": session.model.map { .string($0) }, "inputTokens": session.inputTokens.map { .integer($0) },
        "outputTokens": session.outputTokens.map { .integer($0) }, "chatType": "direct",
      ])
    }
    try StateFile.write(.object(index), to: paths.sessionsIndex(agent: agent))
  }

  func sessions(of agent: String) -> [Session] {
    byKey.values.filter { $0.agent == agent }.sorted { $0.updatedAt > $1.updatedAt }
  }

  /// The full key of what clients call `main`, or of a key that is full already.
  static func fullKey(_ key: String, defaultAgent: String) -> String {
    key.hasPrefix("agent:") ? key : "agent:\(defaultAgent):\(key)"
  }

  static func agent(ofKey key: String) -> String {
    let parts = key.split(separator: ":")
    return parts.count > 1 ? String(parts[1]) : "main"
  }
}

/// Rows that describe a session to clients.
enum SessionRow {
  static let thinkingLevels: JSONValue = thinking(["off", "minimal", "low", "medium", "high"])
  private static let onlyOff: JSONValue = thinking(["off"])

  private static func thinking(_ names: [String]) -> JSONValue {
    .array(names.map { ["id": .string($0), "label": .string($0)] })
  }

  /// The thinking members of a model that cannot think.
  static let noThinking: JSONValue = [
    "thinkingLevels": onlyOff, "thinkingOptions": ["off"], "thinkingDefault": "off",
  ]

  static func row(
    _ session: SessionBook.Session, contextTokens: Int64, hasCost: Bool, hasActiveRun: Bool?, isList: Bool = false
  ) -> JSONValue {
    let thinking =
      isList
      ? noThinking
      : [
        "thinkingLevels": thinkingLevels, "thinkingOptions": ["off", "minimal", "low", "medium", "high"],
        "thinkingDefault": "off",
      ]
    let total = isList ? session.inputTokens ?? 0 : 0
    return JSONValue.members([
      "key": .string(session.key), "kind": "direct", "chatType": "direct",
      "origin": ["provider": "webchat", "surface": "webchat", "chatType": "direct"],
      "updatedAt": .integer(session.updatedAt), "sessionId": .string(session.id), "systemSent": true,
      "abortedLastRun": .bool(session.status == "aborted"), "effectiveFastMode": false,
      "effectiveFastModeSource": "default", "fastAutoOnSeconds": 60,
      "inputTokens": isList ? session.inputTokens.map { .integer($0) } : nil,
      "outputTokens": isList ? session.outputTokens.map { .integer($0) } : nil,
      "totalTokens": .integer(total), "totalTokensFresh": true, "estimatedCostUsd": hasCost ? 0 : nil,
      "status": session.status.map { .string($0) }, "startedAt": session.startedAt.map { .integer($0) },
      "endedAt": session.endedAt.map { .integer($0) },
      "runtimeMs": session.endedAt.map { .integer($0 - (session.startedAt ?? $0)) },
      "modelProvider": session.provider.map { .string($0) }, "model": session.model.map { .string($0) },
      "agentRuntime": ["id": "auto", "source": "implicit"], "contextTokens": .integer(contextTokens),
      "deliveryContext": ["channel": "webchat"], "lastChannel": "webchat",
      "hasActiveRun": hasActiveRun.map { .bool($0) },
    ]).merging(thinking)
  }

  /// The members of a row that session events repeat at their top.
  static func flattened(_ row: JSONValue) -> JSONValue {
    var members = row.objectValue ?? [:]
    for key in [
      "key", "thinkingLevels", "thinkingOptions", "thinkingDefault", "effectiveFastMode", "effectiveFastModeSource",
      "fastAutoOnSeconds", "agentRuntime",
    ] { members[key] = nil }
    members["goal"] = .null
    return .object(members)
  }
}
