import Basics

extension Gateway {
  func cronMethod(_ call: Call) throws -> JSONValue? {
    switch call.method {
    case "cron.status": return cronStatus
    case "cron.list": return cronList(call)
    case "cron.get": return try knownJob(call).job
    case "cron.add": return try cronAdd(call)
    case "cron.update": return try cronUpdate(call)
    case "cron.remove": return try cronRemove(call)
    case "cron.run": return try cronRun(call)
    case "cron.runs": return cronRuns(call)
    default: throw unsupported(call.method)
    }
  }

  private var cronStatus: JSONValue {
    let next = cron.jobs.values.compactMap { $0.at("state", "nextRunAtMs")?.intValue }.min()
    return [
      "enabled": true, "storePath": .string(paths.cronJobs), "storage": "sqlite",
      "sqlitePath": .string(paths.sharedDatabase), "jobs": .int(cron.jobs.count),
      "nextWakeAtMs": next.map { .integer($0) } ?? .null,
    ]
  }

  private func page(_ rows: [JSONValue], _ call: Call, limit standard: Int) -> [String: JSONValue] {
    let limit = max(1, Int(call.params["limit"]?.intValue ?? Int64(standard)))
    let offset = Int(call.params["offset"]?.intValue ?? 0)
    let shown = rows.dropFirst(offset).prefix(limit)
    let end = offset + shown.count
    return [
      "rows": .array(Array(shown)), "total": .int(rows.count), "offset": .int(offset), "limit": .int(limit),
      "hasMore": .bool(end < rows.count), "nextOffset": end < rows.count ? .int(end) : .null,
    ]
  }

  private func cronList(_ call: Call) -> JSONValue {
    let all = cron.listed.filter {
      call.params["includeDisabled"]?.boolValue == true || $0["enabled"]?.boolValue != false
    }
    // Without a limit the page is as long as the list, and 50 when the list is empty.
    var page = page(all, call, limit: all.isEmpty ? 50 : all.count)
    page["jobs"] = page.removeValue(forKey: "rows")
    let previews = all.compactMap { job -> (String, JSONValue)? in
      guard let id = job["id"]?.stringValue, job.at("delivery", "mode")?.stringValue == "announce" else { return nil }
      let detail = channels.isEmpty ? "last -> no route" : "last -> no route, will fail-closed: \(Self.noTarget)"
      return (id, ["label": "announce -> last", "detail": .string(detail)])
    }
    page["deliveryPreviews"] = .object(Dictionary(uniqueKeysWithValues: previews))
    return .object(page)
  }

  private func cronAdd(_ call: Call) throws -> JSONValue {
    let id = freshID()
    let payload = call.params["payload"] ?? [:]
    let isIsolated = call.text("sessionTarget") != "main"
    var job = call.params.merging([
      "id": .string(id), "enabled": call.params["enabled"] ?? true, "createdAtMs": now, "updatedAtMs": now,
      "payload": payload, "state": [:],
    ])
    if isIsolated, job["delivery"] == nil { job = job.setting("delivery", ["mode": "announce"]) }
    job = CronBook.scheduled(job, nowMilliseconds: nowMilliseconds)
    cron.jobs[id] = job
    try cron.save(paths)
    tell(
      job: job, action: "added", ["nextRunAtMs": job.at("state", "nextRunAtMs")])
    return job
  }

  private func cronUpdate(_ call: Call) throws -> JSONValue {
    let known = try knownJob(call)
    let patched = MergePatch.apply(call.params["patch"] ?? [:], to: known.job).setting("updatedAtMs", now)
    let job = CronBook.scheduled(patched, nowMilliseconds: nowMilliseconds)
    cron.jobs[known.id] = job
    try cron.save(paths)
    tell(job: job, action: "updated", ["nextRunAtMs": job.at("state", "nextRunAtMs")])
    return job
  }

  private func cronRemove(_ call: Call) throws -> JSONValue {
    guard let id = call.text("id") ?? call.text("jobId"), let job = cron.jobs.removeValue(forKey: id) else {
      return ["ok": true, "removed": false]
    }
    try cron.save(paths)
    tell(job: job, action: "removed", [:])
    return ["ok": true, "removed": true]
  }

  private func cronRun(_ call: Call) throws -> JSONValue {
    let known = try knownJob(call)
    let runID = "manual:\(known.id):\(nowMilliseconds):\((cron.runs[known.id]?.count ?? 0) + 1)"
    Task { await self.runJob(known.id, runID: runID) }
    return ["ok": true, "enqueued": true, "runId": .string(runID)]
  }

  private func cronRuns(_ call: Call) -> JSONValue {
    let id = call.text("id") ?? call.text("jobId")
    let rows = id.map { cron.runs[$0] ?? [] } ?? cron.runs.values.flatMap { $0 }
    var page = page(rows.reversed(), call, limit: 50)
    page["entries"] = page.removeValue(forKey: "rows")
    return .object(page)
  }

  private func knownJob(_ call: Call) throws(RPCFailure) -> (id: String, job: JSONValue) {
    guard let id = call.text("id") ?? call.text("jobId"), let job = cron.jobs[id] else {
      throw .invalid("unknown cron job id: \(call.text("id") ?? call.text("jobId") ?? "")")
    }
    return (id, job)
  }

  private func tell(job: JSONValue, action: String, _ more: KeyValuePairs<String, JSONValue?>) {
    let base: JSONValue = ["jobId": job["id"] ?? .null, "action": .string(action), "job": job]
    broadcast("cron", base.merging(.members(more)), scope: Scope.read)
  }

  // MARK: Running

  private static let noTarget = "Delivering to IRC requires target <#channel|nick>"

  func runDueJobs() {
    for (id, job) in cron.jobs where job["enabled"]?.boolValue != false {
      guard let next = job.at("state", "nextRunAtMs")?.intValue, next <= nowMilliseconds,
        !cron.running.contains(id)
      else { continue }
      // Taken at once, so that the next look at the clock does not start it again.
      cron.running.insert(id)
      Task { await self.runJob(id, runID: "\(id):\(next)") }
    }
  }

  private func runJob(_ id: String, runID: String) async {
    guard let job = cron.jobs[id] else { return }
    cron.running.insert(id)
    defer { cron.running.remove(id) }
    let began = nowMilliseconds
    let running = job.setting("state", (job["state"] ?? [:]).setting("runningAtMs", .integer(began)))
    tell(job: running, action: "started", ["runAtMs": .integer(began)])
    let session = freshID()
    let agentID = job["agentId"]?.stringValue ?? settings.defaultAgent.id
    let key = "agent:\(agentID):cron:\(id):run:\(session)"
    let message = job.at("payload", "message")?.stringValue ?? job.at("payload", "text")?.stringValue ?? ""
    let turn = Turn(
      runID: session, sessionKey: key, sessionID: session, agentID: agentID, message: message, kind: .cron)
    var answer: ModelAnswer?
    var problem: String?
    var isDeliveryProblem = false
    do {
      answer = try await perform(turn)
      if job.at("delivery", "mode")?.stringValue == "announce" {
        problem = channels.isEmpty ? "Channel is required (no configured channels detected)." : Self.noTarget
        isDeliveryProblem = true
      }
    } catch {
      problem = "\(error)"
    }
    let outcome = CronOutcome(
      began: began, ended: nowMilliseconds, problem: problem, isDeliveryProblem: isDeliveryProblem, answer: answer,
      delivers: job.at("delivery", "mode")?.stringValue == "announce", channel: channels.isEmpty ? nil : "irc",
      model: settings.agent(agentID).flatMap(settings.model(of:)))
    finish(id, outcome, runID: runID, session: session, key: key)
  }

  private func finish(_ id: String, _ outcome: CronOutcome, runID: String, session: String, key: String) {
    guard let current = cron.jobs[id] else { return }
    let state = outcome.state(from: current["state"] ?? [:])
    var job = current.setting("state", state).setting("updatedAtMs", .integer(outcome.ended))
    if job.at("schedule", "kind")?.stringValue == "at" { job = job.setting("enabled", false) }
    job = CronBook.scheduled(job, nowMilliseconds: outcome.ended)
    cron.jobs[id] = job
    let facts = outcome.facts.merging([
      "sessionId": .string(session), "sessionKey": .string(key), "runId": .string(runID),
    ])
    let base: JSONValue = ["jobId": .string(id), "action": "finished"]
    broadcast("cron", base.merging(["job": job]).merging(facts), scope: Scope.read)
    let entry = base.merging(facts).merging(["ts": now, "jobName": job["name"] ?? .null])
    cron.runs[id, default: []].append(entry)
    do {
      try cron.save(paths)
      try StateFile.append(line: entry.canonical, to: "\(paths.cronRuns)/\(id).jsonl")
    } catch {
      note("cron store cannot be written: \(error)", subsystem: "cron", level: "ERROR")
    }
  }
}

/// How a run of a job ended, in the words of its events.
struct CronOutcome: Sendable {
  var began: Int64
  var ended: Int64
  var problem: String?
  var isDeliveryProblem: Bool
  var answer: ModelAnswer?
  var delivers: Bool
  var channel: String?
  var model: Settings.Model?

  private var status: JSONValue { problem == nil ? "ok" : "error" }
  private var deliveryStatus: JSONValue { delivers ? "unknown" : "not-requested" }

  private var diagnostics: JSONValue? {
    problem.map { problem in
      let entry: JSONValue = [
        "ts": .integer(ended), "source": isDeliveryProblem ? "delivery" : "agent", "severity": "error",
        "message": .string(problem),
      ]
      return ["summary": .string(problem), "entries": [entry]]
    }
  }

  func state(from old: JSONValue) -> JSONValue {
    let errors = old["consecutiveErrors"]?.intValue ?? 0
    return JSONValue.members([
      "lastError": problem.map { .string($0) }, "lastRunAtMs": .integer(began), "lastRunStatus": status,
      "lastStatus": status, "lastDurationMs": .integer(ended - began), "lastDiagnostics": diagnostics,
      "lastDiagnosticSummary": problem.map { .string($0) }, "lastDeliveryStatus": deliveryStatus,
      "lastFailureNotificationDeliveryStatus": problem == nil ? nil : "unknown",
      "consecutiveErrors": .integer(problem == nil ? 0 : errors + 1), "consecutiveSkipped": 0,
    ])
  }

  var facts: JSONValue {
    let resolved = JSONValue.members([
      "ok": false, "channel": channel.map { .string($0) }, "to": .null, "source": "last",
      "error": problem.map { .string($0) },
    ])
    let intended: JSONValue = ["channel": "last", "to": nil, "source": "last"]
    return .members([
      "status": status, "error": problem.map { .string($0) }, "summary": answer.map { .string($0.text) },
      "diagnostics": diagnostics, "runAtMs": .integer(began), "durationMs": .integer(ended - began),
      "model": model.map { .string($0.id) }, "provider": model.map { .string($0.provider) },
      "usage": answer.map {
        [
          "input_tokens": .integer($0.inputTokens), "output_tokens": .integer($0.outputTokens),
          "total_tokens": .integer($0.inputTokens + $0.outputTokens),
        ]
      }, "deliveryStatus": deliveryStatus,
      "failureNotificationDelivery": problem == nil ? nil : ["status": "unknown"],
      "delivery": delivers
        ? ["intended": intended, "resolved": resolved, "fallbackUsed": false, "delivered": false] : nil,
    ])
  }
}
