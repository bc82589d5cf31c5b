import Basics
import Events
import Evidence
import Link
import Store

extension EvidenceKind {
  public static let instanceChecked = EvidenceKind("instance.checked")
  public static let instanceFlappingBegan = EvidenceKind("instance.flapping-began")
  public static let instanceFlappingEnded = EvidenceKind("instance.flapping-ended")
  public static let instanceStatusChanged = EvidenceKind("instance.status-changed")
}

/// Takes checks into the evidence, and records what follows from them.
///
/// The newest evidence lives in `FleetIndex`. What only confirms what was known stays there and is written later, many
/// Instances in one transaction. A change of status is written at once with its entry and its event, in one
/// transaction, and is taken for recorded only when that has committed: when it cannot be written, the next check
/// finds the change again. A check with a model turn is an entry of the evidence log, and so is each change.
struct ChainRecorder: Sendable {
  let store: Store
  let evidence: EvidenceLog
  let outbox: EventOutbox
  let clock: WallClock
  var policy = StatusPolicy()
  let index: FleetIndex
  /// What this control plane may write; nil when there is no other that could.
  var share: FleetShare?
  /// Told of every Instance whose evidence says something else than before.
  var changed: @Sendable (InstanceID) -> Void = { _ in }

  static let actor = "system/watchdog"
  /// Changes of one transaction.
  static let batchMax = 500

  struct Finding: Sendable {
    let id: InstanceID
    /// What AW was asked to make of it, as the finder knew.
    let asked: Instance.State
    let report: ChainReport
    /// Something larger than the Instance is told of instead of it: its change is recorded, and nobody is told.
    var isHeld = false
    /// By which the finder holds the Instance's Host; nil when it does not.
    var token: Int64?
  }

  /// - Returns: the evidence as it is now.
  @discardableResult
  func record(_ report: ChainReport, of instance: Instance, doubt: SelfDoubt? = nil) async throws -> StatusEvidence {
    try await index.load([instance.id], from: store)
    let finding = Finding(
      id: instance.id, asked: instance.state, report: report, token: share?.token(of: instance.host))
    try await record([finding], doubt: doubt)
    return index.evidence(of: instance.id) ?? StatusEvidence()
  }

  /// Takes in what was found of Instances that the index has loaded.
  ///
  /// - Returns: whether something was written.
  /// - Throws: when a change could not be recorded. The evidence itself is kept in memory all the same.
  @discardableResult
  func record(_ findings: [Finding], doubt: SelfDoubt?) async throws -> Bool {
    let now = clock.now
    var news: [Finding] = []
    for finding in findings {
      let outcome = index.change(finding.id) { evidence -> (isNew: Bool, isNews: Bool) in
        let isNew = evidence.take(finding.report)
        if finding.report.result(.turn) != nil { return (true, true) }
        guard doubt == nil else { return (isNew, false) }
        var looked = evidence
        let reading = StatusReading.of(looked, asked: finding.asked, policy: policy, now: now)
        guard looked.look(reading, at: now, isHeld: finding.isHeld).isEmpty else { return (true, true) }
        evidence = looked
        return (isNew, false)
      }
      if outcome.isNews { news.append(finding) }
      if outcome.isNew { changed(finding.id) }
    }
    for start in stride(from: 0, to: news.count, by: Self.batchMax) {
      try await write(Array(news[start..<min(start + Self.batchMax, news.count)]), doubt: doubt, at: now)
    }
    return !news.isEmpty
  }

  private func write(_ findings: [Finding], doubt: SelfDoubt?, at now: Timestamp) async throws {
    let fenced = try await store.write { tx in
      let held = try share.map { try NodeRecords.held(findings.map(\.id.text), run: $0.run, in: tx) }
      var fenced: [InstanceID] = []
      for finding in findings {
        // Removed meanwhile: there is nothing to record it with.
        guard let instance = try FleetRecords.instance(finding.id, in: tx), var known = index.evidence(of: finding.id)
        else { continue }
        // Another control plane holds its Host by a newer token: this verdict does not count.
        if let held, finding.token == nil || held[finding.id.text]?.token != finding.token {
          fenced.append(finding.id)
          continue
        }
        if finding.report.result(.turn) != nil {
          try append(.instanceChecked, try summary(finding.report), instance, at: now, in: tx)
        }
        if doubt == nil {
          let reading = StatusReading.of(known, asked: instance.state, policy: policy, now: now)
          try tell(known.look(reading, at: now, isHeld: finding.isHeld), known, instance, at: now, in: tx)
        }
        try FleetRecords.save(known, of: finding.id, at: now, in: tx)
        tx.afterCommit { [known, index] in
          index.stored(known, of: finding.id, at: now)
          changed(finding.id)
        }
      }
      return fenced
    }
    giveUp(fenced)
  }

  /// Forgets what was seen of Instances that another control plane has: what that one records is read instead.
  private func giveUp(_ fenced: [InstanceID]) {
    share?.fenced(fenced.count)
    for id in fenced { index.forget(id) }
  }

  /// Records a change of status once; one that goes back and forth is recorded as that, once.
  private func tell(
    _ news: StatusNews, _ known: StatusEvidence, _ instance: Instance, at now: Timestamp, in tx: Transaction
  ) throws {
    let reading = news.reading
    switch news.change {
    case .none: break
    case .change:
      let change: JSONValue = [
        "from": .string(news.from.rawValue), "to": .string(reading.status.rawValue),
        "reason": .string(reading.reason), "link": reading.link.map { .string($0.rawValue) } ?? .null,
        "chain": try known.chain,
      ]
      try append(.instanceStatusChanged, change, instance, at: now, in: tx)
    case .began:
      let data: JSONValue = [
        "changes": .integer(Int64(known.flapping?.changes.count ?? 0)), "to": .string(reading.status.rawValue),
        "reason": .string(reading.reason), "chain": try known.chain,
      ]
      try append(.instanceFlappingBegan, data, instance, at: now, in: tx)
    case .ended:
      try append(.instanceFlappingEnded, ["to": .string(reading.status.rawValue)], instance, at: now, in: tx)
    }
    if news.change == .began || news.change == .ended {
      let names = try FleetEvents.Names(of: instance, in: tx)
      try outbox.append(FleetEvents.flapping(instance, names, began: news.change == .began, at: now), in: tx)
    }
    if let hard = news.hard {
      let code = reading.link.flatMap { known.newest[$0]?.outcome.failure?.code }
      let names = try FleetEvents.Names(of: instance, in: tx)
      try outbox.append(FleetEvents.statusChanged(instance, names, to: hard, reading, code: code, at: now), in: tx)
    }
  }

  private func summary(_ report: ChainReport) throws -> JSONValue {
    ["verified": .bool(report.isVerified), "chain": try JSONValue(encoding: report.results)]
  }

  private func append(
    _ kind: EvidenceKind, _ data: JSONValue, _ instance: Instance, at now: Timestamp, in tx: Transaction
  ) throws {
    try evidence.append(
      EvidenceEntry(
        kind: kind, at: now, actor: Self.actor, subject: instance.subject, org: instance.org.text, data: data),
      in: tx)
  }

  /// Writes what was only confirmed: each Instance at most once in an interval.
  ///
  /// - Parameter all: also what was written a moment ago, for a shutdown.
  /// - Returns: whether something was written.
  @discardableResult
  func flush(all: Bool = false) async throws -> Bool {
    let now = clock.now
    var wrote = false
    while case let pending = index.pending(now: now, apart: all ? .zero : policy.interval), !pending.isEmpty {
      let fenced = try await store.write { tx in
        let all = pending.whole.map(\.id) + pending.good.values.joined()
        // What was removed meanwhile must not come back.
        let mine = try writable(all, in: tx)
        for (id, evidence) in pending.whole where mine.contains(id) {
          try FleetRecords.save(evidence, of: id, at: now, in: tx)
        }
        for (goodAt, ids) in pending.good {
          let ids = ids.filter(mine.contains)
          if !ids.isEmpty { try FleetRecords.save(goodAt: goodAt, of: ids, in: tx) }
        }
        tx.afterCommit { index.stored(pending, at: now) }
        return all.filter { !mine.contains($0) }.compactMap { InstanceID($0) }
      }
      giveUp(fenced)
      wrote = true
    }
    return wrote
  }

  /// Those of these Instances that are there and that this control plane may write of.
  private func writable(_ ids: [String], in tx: Transaction) throws -> Set<String> {
    guard let share else { return try FleetRecords.present(ids, in: tx) }
    let held = try NodeRecords.held(ids, run: share.run, in: tx)
    return Set(held.filter { share.token(of: $0.value.host) == $0.value.token }.keys)
  }
}
