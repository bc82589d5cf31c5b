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

/// Takes a walk along the chain into the stored evidence, and records what follows from it: one transaction.
///
/// A walk with a model turn is an entry of the evidence log, and so is each change of the derived status. Light walks
/// are not: their newest results are kept beside the Instance.
struct ChainRecorder: Sendable {
  let store: Store
  let evidence: EvidenceLog
  let outbox: EventOutbox
  let clock: WallClock
  var policy = StatusPolicy()
  /// Told of what was recorded after the commit, so that the board need not read it.
  var index: FleetIndex?
  /// Told after the commit, with the Instance.
  var changed: @Sendable (InstanceID) -> Void = { _ in }

  static let actor = "system/watchdog"

  /// - Returns: the evidence as it is now.
  @discardableResult
  func record(
    _ report: ChainReport, of id: InstanceID, doubt: SelfDoubt? = nil
  ) async throws -> StatusEvidence {
    let now = clock.now
    return try await store.write { tx in
      var known = try FleetRecords.evidence(of: id, in: tx)
      // Removed meanwhile: there is nothing to record it with.
      guard let instance = try FleetRecords.instance(id, in: tx) else { return known }
      known.take(report)
      if report.result(.turn) != nil { try append(.instanceChecked, try summary(report), instance, at: now, in: tx) }
      let reading = StatusReading.of(known, asked: instance.state, policy: policy, now: now, doubt: doubt)
      if doubt == nil { try announce(reading, &known, instance, at: now, in: tx) }
      try FleetRecords.save(known, of: id, at: now, in: tx)
      tx.afterCommit { [known, index] in
        index?.note(known, of: id, at: now)
        changed(id)
      }
      return known
    }
  }

  /// Records a change of status once; one that goes back and forth is recorded as that, once.
  ///
  /// Not called while the watch doubts itself: then no single Instance's change is news.
  private func announce(
    _ reading: StatusReading, _ known: inout StatusEvidence, _ instance: Instance, at now: Timestamp, in tx: Transaction
  ) throws {
    // An Instance of which nothing was recorded yet is one that AW does not know.
    let before = known.announced?.status ?? .unknown
    var flapping = known.flapping ?? Flapping()
    let news = flapping.look(changed: before != reading.status, at: now)
    try tell(reading, &known, news, isFlapping: flapping.isFlapping, instance, at: now, in: tx)
    switch news {
    case .none: break
    case .change:
      let change: JSONValue = [
        "from": .string(before.rawValue), "to": .string(reading.status.rawValue), "reason": .string(reading.reason),
        "link": reading.link.map { .string($0.rawValue) } ?? .null,
      ]
      try append(.instanceStatusChanged, change, instance, at: now, in: tx)
    case .began:
      let data: JSONValue = [
        "changes": .integer(Int64(flapping.changes.count)), "to": .string(reading.status.rawValue),
        "reason": .string(reading.reason),
      ]
      try append(.instanceFlappingBegan, data, instance, at: now, in: tx)
    case .ended:
      try append(.instanceFlappingEnded, ["to": .string(reading.status.rawValue)], instance, at: now, in: tx)
    }
    known.flapping = flapping
    if before != reading.status { known.announced = .init(status: reading.status, at: now) }
  }

  /// Queues what people are told. While a status goes back and forth they are told that, and nothing else.
  private func tell(
    _ reading: StatusReading, _ known: inout StatusEvidence, _ news: Flapping.News, isFlapping: Bool,
    _ instance: Instance, at now: Timestamp, in tx: Transaction
  ) throws {
    if news == .began || news == .ended {
      let names = try FleetEvents.Names(of: instance, in: tx)
      try outbox.append(FleetEvents.flapping(instance, names, began: news == .began, at: now), in: tx)
    }
    guard !isFlapping else { return }
    var hard = known.hard ?? HardStatus()
    if let status = hard.look(reading.status, at: now) {
      let code = reading.link.flatMap { known.newest[$0]?.outcome.failure?.code }
      let names = try FleetEvents.Names(of: instance, in: tx)
      try outbox.append(
        FleetEvents.statusChanged(instance, names, to: status, reading, code: code, at: now), in: tx)
    }
    known.hard = hard
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
}
