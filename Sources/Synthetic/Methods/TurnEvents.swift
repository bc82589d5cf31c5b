import Basics

/// The events of a turn, in the recorded shapes.
extension Gateway {
  func agentEvent(_ turn: Turn, seq: Int64, lifecycle data: JSONValue, namesAgent: Bool? = nil) {
    let isEnd = data["phase"]?.stringValue == "end"
    let payload = JSONValue.members([
      "runId": .string(turn.runID), "sessionKey": .string(turn.sessionKey), "sessionId": .string(turn.sessionID),
      "agentId": namesAgent ?? !isEnd ? .string(turn.agentID) : nil, "stream": "lifecycle", "data": data,
      "seq": .integer(seq), "ts": now, "isHeartbeat": turn.isCron ? nil : false,
    ])
    broadcast("agent", payload, scope: Scope.read)
  }

  func assistant(_ turn: Turn, seq: Int64, text: String, delta: String) {
    let payload = JSONValue.members([
      "runId": .string(turn.runID), "stream": "assistant",
      "data": ["text": .string(text), "delta": .string(delta)], "sessionKey": .string(turn.sessionKey),
      "seq": .integer(seq), "ts": now, "isHeartbeat": turn.isCron ? nil : false,
    ])
    broadcast("agent", payload, scope: Scope.read)
  }

  func chat(
    _ turn: Turn, seq: Int64, state: String, text: String? = nil, delta: String? = nil, problem: String? = nil,
    stopReason: String? = nil, isLast: Bool
  ) {
    let message = text.map { text -> JSONValue in
      ["role": "assistant", "content": [["type": "text", "text": .string(text)]], "timestamp": now]
    }
    let payload = JSONValue.members([
      "runId": .string(turn.runID), "sessionKey": .string(turn.sessionKey),
      "agentId": turn.isCron && isLast ? .string(turn.agentID) : nil, "seq": .integer(seq), "state": .string(state),
      "deltaText": delta.map { .string($0) }, "message": message, "errorMessage": problem.map { .string($0) },
      "stopReason": stopReason.map { .string($0) },
    ])
    broadcast("chat", payload, scope: Scope.read)
  }

  private func row(_ turn: Turn, hasCost: Bool, hasActiveRun: Bool?, showsRun: Bool = true) -> JSONValue {
    guard var session = sessions.byKey[turn.sessionKey] else { return [:] }
    if !showsRun { (session.status, session.startedAt) = (nil, nil) }
    let model = settings.agent(turn.agentID).flatMap(settings.model(of:))
    return SessionRow.row(
      session, contextTokens: model?.contextWindow ?? 200_000, hasCost: hasCost, hasActiveRun: hasActiveRun)
  }

  func sessionsChanged(_ turn: Turn, phase: String, hasCost: Bool) {
    let row = row(turn, hasCost: hasCost, hasActiveRun: nil)
    let base = JSONValue.members([
      "sessionKey": .string(turn.sessionKey), "agentId": phase == "start" ? .string(turn.agentID) : nil,
      "phase": .string(phase), "runId": .string(turn.runID), "ts": now, "session": row,
    ])
    tell("sessions.changed", base.merging(SessionRow.flattened(row))) { $0.isSubscribedToSessions }
  }

  /// - Parameter isRunning: whether the row already shows the run; it does not yet for the user's own message.
  func sessionMessage(_ turn: Turn, _ message: JSONValue, isRunning: Bool) {
    let row = row(turn, hasCost: isRunning, hasActiveRun: true, showsRun: isRunning)
    let base = JSONValue.members([
      "sessionKey": .string(turn.sessionKey), "agentId": .string(turn.agentID), "message": message,
      "messageId": message.at("__openclaw", "id"), "messageSeq": message.at("__openclaw", "seq"), "session": row,
    ])
    tell("session.message", base.merging(SessionRow.flattened(row))) { connection in
      connection.isSubscribedToSessions || connection.subscribedSessions.contains(turn.sessionKey)
    }
  }
}
