import Basics
import Logging

extension Gateway {
  /// Takes one message of an admitted client.
  func dispatch(_ frame: JSONValue, from id: String) async {
    if let problem = Schema.requestFrame.problem(in: frame) {
      let requestID = frame["id"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? "invalid"
      return send(Frame.response(id: requestID, failure: .invalid("invalid request frame: \(problem)")), to: id)
    }
    let requestID = frame["id"]?.stringValue ?? "invalid"
    let method = frame["method"]?.stringValue ?? ""
    do {
      try authorise(method, id)
      let params = frame["params"] ?? [:]
      if let problem = MethodSchemas.table[method]?.problem(in: params) {
        throw RPCFailure.invalid("invalid \(method) params: \(problem)")
      }
      refreshConfig()
      let call = Call(method: method, params: params, requestID: requestID, connection: id)
      if let payload = try await answer(call) { send(Frame.response(id: requestID, payload: payload), to: id) }
    } catch let failure as RPCFailure {
      send(Frame.response(id: requestID, failure: failure), to: id)
    } catch {
      logger.error("method failed", metadata: ["method": "\(method)", "error": "\(error)"])
      send(Frame.response(id: requestID, failure: .unavailable("\(error)")), to: id)
    }
  }

  /// One request on its way.
  struct Call: Sendable {
    var method: String
    var params: JSONValue
    var requestID: String
    var connection: String

    func text(_ key: String) -> String? { params[key]?.stringValue }
  }

  private func authorise(_ method: String, _ id: String) throws(RPCFailure) {
    if method == "connect" { throw .invalid("connect is only valid as the first request") }
    let scopes = connections[id]?.scopes ?? []
    guard Catalogue.methods.contains(method) else {
      // This release authorises before it looks the name up.
      if !Scope.allows(scopes, Scope.admin) { throw .invalid("missing scope: \(Scope.admin)") }
      throw .invalid("unknown method: \(method)")
    }
    if let needed = Scope.needed(for: method), !Scope.allows(scopes, needed) {
      throw .invalid("missing scope: \(needed)")
    }
  }

  /// The payload of the answer; nil when the method answers by itself.
  private func answer(_ call: Call) async throws -> JSONValue? {
    switch call.method.split(separator: ".").first.map(String.init) ?? "" {
    case "config": return try configMethod(call)
    case "device": return try deviceMethod(call)
    case "cron": return try cronMethod(call)
    case "agents": return try agentsMethod(call)
    case "channels": return try channelsMethod(call)
    case "chat", "agent", "sessions": return try turnMethod(call)
    default: return try generalMethod(call)
    }
  }

  func unsupported(_ method: String) -> RPCFailure {
    .unavailable("\(method) is not available on this gateway")
  }
}

/// The parameter objects that are checked. A method without a line takes whatever it is sent.
enum MethodSchemas {
  static let table: [String: Schema] = [
    "health": .open(required: [], ["probe": .boolean]),
    "sessions.list": .object(
      required: [],
      [
        "limit": .integer(minimum: 1), "offset": .count, "activeMinutes": .integer(minimum: 1),
        "includeGlobal": .boolean, "includeUnknown": .boolean, "configuredAgentsOnly": .boolean,
        "includeDerivedTitles": .boolean, "includeLastMessage": .boolean, "label": .text, "spawnedBy": .name,
        "agentId": .name, "search": .text,
      ]),
    "logs.tail": .object(
      required: [], ["cursor": .count, "limit": .integer(minimum: 1), "maxBytes": .integer(minimum: 1)]),
    "config.get": .object(required: [], [:]),
    "config.set": .object(required: ["raw"], ["raw": .name, "baseHash": .name]),
    "config.patch": write, "config.apply": write,
    "config.schema.lookup": .object(required: ["path"], ["path": .name]),
    "device.pair.list": .object(required: [], [:]),
    "device.pair.approve": .object(required: ["requestId"], ["requestId": .name]),
    "device.pair.reject": .object(required: ["requestId"], ["requestId": .name]),
    "device.pair.remove": .object(required: ["deviceId"], ["deviceId": .name]),
    "device.token.rotate": .object(
      required: ["deviceId", "role"], ["deviceId": .name, "role": .name, "scopes": .array(.name)]),
    "device.token.revoke": .object(required: ["deviceId", "role"], ["deviceId": .name, "role": .name]),
    "agents.list": .object(required: [], [:]),
    "agents.create": .object(
      required: ["name", "workspace"],
      ["name": .name, "workspace": .name, "model": .name, "emoji": .text, "avatar": .text]),
    "agents.update": .object(
      required: ["agentId"],
      ["agentId": .name, "name": .name, "workspace": .name, "model": .name, "emoji": .text, "avatar": .text]),
    "agents.delete": .object(required: ["agentId"], ["agentId": .name, "deleteFiles": .boolean]),
    "agents.files.get": .object(required: ["agentId", "name"], ["agentId": .name, "name": .name]),
    "agents.files.set": .object(
      required: ["agentId", "name", "content"], ["agentId": .name, "name": .name, "content": .text]),
    "agents.files.list": .object(required: ["agentId"], ["agentId": .name]),
    "channels.status": .object(required: [], ["probe": .boolean, "timeoutMs": .count, "channel": .name]),
    "channels.start": account, "channels.stop": account, "channels.logout": account,
    "cron.add": .open(
      required: ["name", "schedule", "sessionTarget", "wakeMode", "payload"],
      [
        "name": .name, "schedule": .open(required: ["kind"], ["kind": .oneOf(["at", "every", "cron"])]),
        "sessionTarget": .name, "wakeMode": .oneOf(["next-heartbeat", "now"]),
        "payload": .open(required: ["kind"], ["kind": .oneOf(["systemEvent", "agentTurn"])]),
      ]),
    "cron.update": .open(required: ["patch"], ["id": .name, "jobId": .name, "patch": .open(required: [], [:])]),
    "chat.send": .open(
      required: ["sessionKey", "message", "idempotencyKey"],
      ["sessionKey": .name, "message": .text, "idempotencyKey": .name, "timeoutMs": .count]),
    "chat.history": .open(required: ["sessionKey"], ["sessionKey": .name, "limit": .integer(minimum: 1)]),
    "chat.abort": .open(required: ["sessionKey"], ["sessionKey": .name, "runId": .name]),
    "agent": .open(
      required: ["message", "idempotencyKey"],
      ["message": .name, "idempotencyKey": .name, "agentId": .name, "sessionKey": .text, "sessionId": .text]),
  ]

  private static let write = Schema.object(
    required: ["raw"],
    [
      "raw": .name, "baseHash": .name, "sessionKey": .text, "deliveryContext": .any, "note": .text,
      "restartDelayMs": .count, "replacePaths": .array(.name),
    ])
  private static let account = Schema.object(required: ["channel"], ["channel": .name, "accountId": .name])
}
