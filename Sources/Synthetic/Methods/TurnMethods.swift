import Basics

extension Gateway {
  func turnMethod(_ call: Call) throws -> JSONValue? {
    switch call.method {
    case "chat.send": return try chatSend(call)
    case "chat.history": return chatHistory(call)
    case "chat.abort": return chatAbort(call)
    case "agent": return try agentCall(call)
    case "sessions.list": return sessionsList(call)
    case "sessions.describe": return sessionsDescribe(call)
    case "sessions.subscribe", "sessions.unsubscribe":
      let isOn = call.method == "sessions.subscribe"
      connections[call.connection]?.isSubscribedToSessions = isOn
      return ["subscribed": .bool(isOn)]
    case "sessions.messages.subscribe", "sessions.messages.unsubscribe": return try subscribeMessages(call)
    default: throw unsupported(call.method)
    }
  }

  private func fullKey(_ call: Call) -> String {
    SessionBook.fullKey(call.text("sessionKey") ?? "main", defaultAgent: settings.defaultAgent.id)
  }

  private func subscribeMessages(_ call: Call) throws -> JSONValue {
    guard let key = call.text("key") else {
      throw RPCFailure.invalid("invalid \(call.method) params: must have required property 'key'")
    }
    let isOn = call.method == "sessions.messages.subscribe"
    if isOn {
      connections[call.connection]?.subscribedSessions.insert(key)
    } else {
      connections[call.connection]?.subscribedSessions.remove(key)
    }
    return ["subscribed": .bool(isOn), "key": .string(key)]
  }

  // MARK: chat

  private func chatSend(_ call: Call) throws -> JSONValue? {
    let runID = call.text("idempotencyKey") ?? ""
    if let answer = answered[runID] { return answer }
    if runs[runID] != nil { return ["runId": .string(runID), "status": "in_flight"] }
    let key = fullKey(call)
    let agentID = SessionBook.agent(ofKey: key)
    guard settings.agent(agentID) != nil else { throw RPCFailure.invalid("agent \"\(agentID)\" not found") }
    let turn = Turn(
      runID: runID, sessionKey: key, sessionID: sessions.byKey[key]?.id ?? freshID(), agentID: agentID,
      message: call.text("message") ?? "", kind: .chat(sender: connections[call.connection]?.client?.id ?? "cli"))
    runs[runID] = Run(sessionKey: key)
    send(
      Frame.response(id: call.requestID, payload: ["runId": .string(runID), "status": "started"]),
      to: call.connection)
    runs[runID]?.task = Task {
      do { _ = try await self.perform(turn) } catch {
        self.note("chat run \(runID) failed: \(error)", subsystem: "gateway/chat", level: "ERROR")
      }
      self.runs[runID] = nil
      self.remember(runID, ["runId": .string(runID), "status": "ok"])
    }
    return nil
  }

  /// Keeps an answer for the same idempotency key, a thousand at most.
  func remember(_ key: String, _ answer: JSONValue) {
    if answered.count >= 1_000 { answered.removeAll() }
    answered[key] = answer
  }

  private func chatHistory(_ call: Call) -> JSONValue {
    let key = fullKey(call)
    let session = sessions.byKey[key]
    let limit = Int(call.params["limit"]?.intValue ?? 200)
    let agent = settings.agent(SessionBook.agent(ofKey: key)) ?? settings.defaultAgent
    let model = settings.model(of: agent)
    return .members([
      "sessionKey": call.params["sessionKey"], "sessionId": session.map { .string($0.id) },
      "messages": .array(Array((session?.messages ?? []).suffix(limit))), "defaults": sessionDefaults(model),
      "sessionInfo": session.map {
        SessionRow.row(
          $0, contextTokens: model?.contextWindow ?? 200_000, hasCost: true, hasActiveRun: $0.isRunning, isList: true)
      }, "thinkingLevel": "off",
    ])
  }

  private func chatAbort(_ call: Call) -> JSONValue {
    let key = fullKey(call)
    let wanted = call.text("runId")
    let ended = runs.filter { $0.value.sessionKey == key && (wanted == nil || wanted == $0.key) }
    for (runID, run) in ended {
      runs[runID]?.isAborted = true
      run.task?.cancel()
    }
    return ["ok": true, "aborted": .bool(!ended.isEmpty), "runIds": .strings(ended.keys.sorted())]
  }

  // MARK: agent

  private func agentCall(_ call: Call) throws -> JSONValue? {
    let runID = call.text("idempotencyKey") ?? ""
    if runs[runID] != nil { return ["runId": .string(runID), "status": "in_flight"] }
    if let answer = answered[runID] { return answer }
    let agentID = call.text("agentId") ?? call.text("sessionKey").map(SessionBook.agent) ?? settings.defaultAgent.id
    guard settings.agent(agentID) != nil else { throw RPCFailure.invalid("unknown agent id \"\(agentID)\"") }
    let key = SessionBook.fullKey(call.text("sessionKey") ?? "main", defaultAgent: agentID)
    let turn = Turn(
      runID: runID, sessionKey: key, sessionID: call.text("sessionId") ?? sessions.byKey[key]?.id ?? freshID(),
      agentID: agentID, message: call.text("message") ?? "", kind: .agent)
    runs[runID] = Run(sessionKey: key)
    let accepted: JSONValue = ["runId": .string(runID), "status": "accepted", "acceptedAt": now]
    send(Frame.response(id: call.requestID, payload: accepted), to: call.connection)
    runs[runID]?.task = Task { await self.finishAgent(turn, call) }
    return nil
  }

  /// The second answer to the same request.
  private func finishAgent(_ turn: Turn, _ call: Call) async {
    let began = nowMilliseconds
    do {
      let answer = try await perform(turn)
      let model = settings.agent(turn.agentID).flatMap(settings.model(of:))
      let payload: JSONValue = [
        "runId": .string(turn.runID), "status": "ok", "summary": "completed",
        "result": [
          "payloads": [["text": .string(answer.text), "mediaUrl": nil]],
          "meta": [
            "durationMs": .integer(nowMilliseconds - began), "aborted": false,
            "agentMeta": .members([
              "sessionId": .string(turn.sessionID), "provider": model.map { .string($0.provider) },
              "model": model.map { .string($0.id) },
              "usage": [
                "input": .integer(answer.inputTokens), "output": .integer(answer.outputTokens),
                "total": .integer(answer.inputTokens + answer.outputTokens),
              ],
            ]),
          ],
        ],
      ]
      runs[turn.runID] = nil
      remember(turn.runID, payload)
      send(Frame.response(id: call.requestID, payload: payload), to: call.connection)
    } catch {
      runs[turn.runID] = nil
      let text = "\(error)"
      let payload: JSONValue = ["runId": .string(turn.runID), "status": "error", "summary": .string(text)]
      send(Frame.response(id: call.requestID, failure: .unavailable(text), payload: payload), to: call.connection)
    }
  }

  // MARK: sessions

  func sessionDefaults(_ model: Settings.Model?) -> JSONValue {
    JSONValue.members([
      "modelProvider": model.map { .string($0.provider) }, "model": model.map { .string($0.id) },
      "contextTokens": model.map { .integer($0.contextWindow) },
    ]).merging(SessionRow.noThinking)
  }

  private func sessionsList(_ call: Call) -> JSONValue {
    let limit = Int(call.params["limit"]?.intValue ?? 100)
    let offset = Int(call.params["offset"]?.intValue ?? 0)
    let model = settings.model(of: settings.defaultAgent)
    let wanted = call.text("agentId")
    let all = sessions.byKey.values.filter { wanted == nil || $0.agent == wanted }
      .sorted { $0.updatedAt > $1.updatedAt }
    let shown = all.dropFirst(offset).prefix(limit)
    let end = offset + shown.count
    let path = settings.agents.count > 1 ? "(multiple)" : paths.sessionsIndex(agent: settings.defaultAgent.id)
    return [
      "ts": now, "path": .string(path), "count": .int(shown.count), "totalCount": .int(all.count),
      "limitApplied": .int(limit), "nextOffset": end < all.count ? .int(end) : .null,
      "hasMore": .bool(end < all.count), "defaults": sessionDefaults(model),
      "sessions": .array(
        shown.map {
          SessionRow.row(
            $0, contextTokens: model?.contextWindow ?? 200_000, hasCost: true, hasActiveRun: $0.isRunning, isList: true)
        }),
    ]
  }

  private func sessionsDescribe(_ call: Call) -> JSONValue {
    guard let session = call.text("key").flatMap({ sessions.byKey[$0] }) else { return ["session": nil] }
    let row = SessionRow.row(
      session, contextTokens: settings.model(of: settings.defaultAgent)?.contextWindow ?? 200_000, hasCost: true,
      hasActiveRun: session.isRunning, isList: true)
    return ["session": row]
  }
}
