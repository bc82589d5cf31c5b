import Basics

/// One turn of an agent.
struct Turn: Sendable {
  enum Kind: Sendable, Equatable {
    case chat(sender: String)
    case agent
    case cron
  }

  var runID: String
  var sessionKey: String
  var sessionID: String
  var agentID: String
  var message: String
  var kind: Kind

  var isCron: Bool { kind == .cron }

  /// What the model is sent: chat surfaces put a note about the sender before the text.
  var prompt: String {
    guard case .chat(let sender) = kind else { return message }
    return "Sender (untrusted metadata):\n```json\n{\n  \"label\": \"\(sender)\",\n  \"id\": \"\(sender)\"\n}\n```\n\n"
      + message
  }
}

extension Gateway {
  /// Runs a turn from the first event to the last, and gives the model's answer.
  ///
  /// - Throws: `ModelFailure` or what the HTTP client threw, after the error events went out.
  func perform(_ turn: Turn) async throws -> ModelAnswer {
    let began = nowMilliseconds
    let model = settings.agent(turn.agentID).flatMap(settings.model(of:))
    begin(turn, model, began)
    do {
      let answer = try await ask(turn, model)
      try Task.checkCancellation()
      try finish(turn, model, answer, began)
      return answer
    } catch {
      await fail(turn, error, isAborted: runs[turn.runID]?.isAborted ?? false)
      throw error
    }
  }

  private func ask(_ turn: Turn, _ model: Settings.Model?) async throws -> ModelAnswer {
    if faults.current.modelFails { throw ModelFailure(description: "503 the model provider is unavailable") }
    guard let model, let provider = settings.provider(model.provider) else {
      throw ModelFailure(description: "No model is configured for agent \"\(turn.agentID)\"")
    }
    if secrets.cold.contains(where: { $0.kind == "provider" && $0.id == model.provider }) {
      throw ModelFailure(
        description: "SECRET_SURFACE_UNAVAILABLE: models.providers.\(model.provider).apiKey is not available")
    }
    let key =
      provider["apiKey"].flatMap { secrets.value(of: $0) }
      ?? Settings.secret(provider["apiKey"], environment: environment)
    if provider["apiKey"] != nil, key == nil {
      throw ModelFailure(description: "No API key found for provider \"\(model.provider)\"")
    }
    var messages: [JSONValue] = [
      ["role": "system", "content": "You are a personal assistant running inside OpenClaw."]
    ]
    let earlier = sessions.byKey[turn.sessionKey]?.messages ?? []
    messages += earlier.dropLast().suffix(20).map { message in
      ["role": message["role"] ?? "user", "content": .string(Self.text(of: message))]
    }
    messages.append(["role": "user", "content": .string(turn.prompt)])
    return try await ModelClient(http: http)
      .complete(provider: provider, key: key, model: model.id, messages: messages)
  }

  private static func text(of message: JSONValue) -> String {
    message["content"]?.stringValue
      ?? (message["content"]?.arrayValue ?? []).compactMap { $0["text"]?.stringValue }.joined()
  }

  // MARK: Events

  private func begin(_ turn: Turn, _ model: Settings.Model?, _ began: Int64) {
    var session =
      sessions.byKey[turn.sessionKey]
      ?? SessionBook.Session(key: turn.sessionKey, agent: turn.agentID, id: turn.sessionID, updatedAt: began)
    (session.updatedAt, session.provider, session.model) = (began, model?.provider, model?.id)
    (session.status, session.startedAt, session.endedAt, session.isRunning) = ("running", began, nil, true)
    let user = JSONValue.members([
      "role": "user", "content": .string(turn.message), "timestamp": .integer(began),
      "idempotencyKey": .string(turn.runID + ":user"),
    ])
    sessions.byKey[turn.sessionKey] = session
    agentEvent(turn, seq: 1, lifecycle: ["phase": "start", "startedAt": .integer(began)])
    guard !turn.isCron else {
      append(user, to: turn.sessionKey)
      return
    }
    sessionsChanged(turn, phase: "start", hasCost: false)
    let message = append(user, to: turn.sessionKey)
    sessionMessage(turn, message, isRunning: false)
  }

  private func finish(_ turn: Turn, _ model: Settings.Model?, _ answer: ModelAnswer, _ began: Int64) throws {
    let first = answer.pieces.first ?? ""
    let rest = answer.pieces.dropFirst().joined()
    assistant(turn, seq: 2, text: first, delta: first)
    chat(turn, seq: 2, state: "delta", text: first, delta: first, isLast: false)
    let message = append(assistantMessage(answer, model), to: turn.sessionKey)
    if !turn.isCron { sessionMessage(turn, message, isRunning: true) }
    if !rest.isEmpty { assistant(turn, seq: 4, text: answer.text, delta: rest) }
    let ended = nowMilliseconds
    let facts: JSONValue = [
      "stopReason": .string(answer.stopReason), "aborted": false, "livenessState": "working",
      "endedAt": .integer(ended),
    ]
    var seq: Int64 = 5
    if !turn.isCron {
      agentEvent(turn, seq: seq, lifecycle: facts.setting("phase", "finishing"))
      seq += 1
    }
    let end = facts.setting("phase", "end").setting("replayInvalid", turn.isCron ? nil : false)
    agentEvent(turn, seq: seq, lifecycle: end, namesAgent: turn.isCron)
    if !rest.isEmpty { chat(turn, seq: seq, state: "delta", text: answer.text, delta: rest, isLast: true) }
    chat(turn, seq: seq, state: "final", text: answer.text, stopReason: answer.stopReason, isLast: true)
    close(turn, status: "done", at: ended) { session in
      (session.inputTokens, session.outputTokens) = (answer.inputTokens, answer.outputTokens)
    }
    if !turn.isCron { sessionsChanged(turn, phase: "end", hasCost: true) }
    try sessions.saveIndex(agent: turn.agentID, paths)
  }

  /// A failed run says so twice, with different numbers and words: that is what the real one does.
  private func fail(_ turn: Turn, _ error: any Error, isAborted: Bool) async {
    let ended = nowMilliseconds
    close(turn, status: isAborted ? "aborted" : "error", at: ended) { _ in }
    if isAborted {
      agentEvent(turn, seq: 3, lifecycle: ["phase": "end", "aborted": true, "endedAt": .integer(ended)])
      chat(turn, seq: 3, state: "aborted", isLast: true)
    } else {
      let text = "\(error)"
      agentEvent(
        turn, seq: 4, lifecycle: ["phase": "error", "error": .string(text), "endedAt": .integer(ended)])
      chat(turn, seq: 4, state: "error", problem: text, isLast: true)
      chat(turn, seq: 1, state: "error", problem: "Error: \(text)", isLast: true)
    }
    if !turn.isCron { sessionsChanged(turn, phase: isAborted ? "end" : "error", hasCost: false) }
    do {
      try sessions.saveIndex(agent: turn.agentID, paths)
    } catch {
      note("the session store cannot be written: \(error)", subsystem: "sessions", level: "ERROR")
    }
  }

  private func close(
    _ turn: Turn, status: String, at ended: Int64, _ change: (inout SessionBook.Session) -> Void
  ) {
    guard var session = sessions.byKey[turn.sessionKey] else { return }
    (session.status, session.endedAt, session.updatedAt, session.isRunning) = (status, ended, ended, false)
    change(&session)
    sessions.byKey[turn.sessionKey] = session
  }

  private func assistantMessage(_ answer: ModelAnswer, _ model: Settings.Model?) -> JSONValue {
    .members([
      "role": "assistant", "content": [["type": "text", "text": .string(answer.text)]],
      "api": model.map { .string($0.api) }, "provider": model.map { .string($0.provider) },
      "model": model.map { .string($0.id) },
      "usage": [
        "input": .integer(answer.inputTokens), "output": .integer(answer.outputTokens),
        "totalTokens": .integer(answer.inputTokens + answer.outputTokens), "cacheRead": 0, "cacheWrite": 0,
        "cost": ["total": 0],
      ],
      "stopReason": .string(answer.stopReason), "timestamp": now,
      "responseId": answer.responseID.map { .string($0) },
    ])
  }

  /// Puts a message into the session and its transcript; gives it back with its place.
  @discardableResult
  private func append(_ message: JSONValue, to key: String) -> JSONValue {
    guard var session = sessions.byKey[key] else { return message }
    let place: JSONValue = [
      "id": .string(Hex.encode([UInt8].random(count: 4))), "recordTimestampMs": now,
      "seq": .int(session.messages.count + 1),
    ]
    let placed = message.setting("__openclaw", place)
    session.messages.append(placed)
    sessions.byKey[key] = session
    let line: JSONValue = ["type": "message", "id": place["id"] ?? .null, "timestamp": now, "message": placed]
    do {
      try StateFile.append(line: line.canonical, to: paths.transcript(agent: session.agent, session: session.id))
    } catch {
      note("the transcript cannot be written: \(error)", subsystem: "sessions", level: "ERROR")
    }
    // The event names the place only, not when it was written.
    return message.setting("__openclaw", place.setting("recordTimestampMs", nil))
  }
}
