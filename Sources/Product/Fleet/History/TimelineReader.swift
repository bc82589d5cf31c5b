import Basics
import Evidence
import Link
import Store
import Web
import Work

extension FleetReader {
  /// What happened to an Instance, newest first.
  ///
  /// - Parameter before: the evidence entry of the last item of the page before. Entries are only ever added, so pages
  ///   follow each other whatever happens meanwhile.
  func timeline(of slug: Slug, before: Int64?, limit: Int) async throws -> [TimelineItem] {
    try await store.read { tx in
      guard let instance = try FleetRecords.instance(slug, in: tx) else { throw FleetService.unknown(slug) }
      return try timeline(of: instance, before: before, limit: limit, in: tx)
    }
  }

  private func timeline(
    of instance: Instance, before: Int64?, limit: Int, in tx: Transaction
  ) throws -> [TimelineItem] {
    // What its Host and the Watchdog did before there was such an Instance is not its history.
    let filters = [
      EvidenceFilter(kinds: TimelineItem.ofInstance, subjectID: instance.id.text),
      EvidenceFilter(kinds: TimelineItem.ofHost, subjectID: instance.host.text, since: instance.createdAt),
      EvidenceFilter(kinds: TimelineItem.ofWatchdog, since: instance.createdAt),
    ]
    let records = try filters.flatMap { try evidence.list(before: before, limit: limit, filter: $0, in: tx) }
    let scopes = Set(instance.member.scopes.map(\.text))
    // As the Instance is now: what was lost of a release that it has left does not explain it any more.
    let disruptions = try concerning(instance, TimelineItem.ofScopes, before: before, limit: limit, in: tx) { record in
      guard let scope = record.entry.data["scope"]?.stringValue, scopes.contains(scope) else { return nil }
      return TimelineItem(record, loss: nil, operation: nil)
    }
    let told = try others(instance, before: before, limit: limit, in: tx)
    let own = try records.sorted { $0.index > $1.index }.prefix(limit).compactMap { record in
      let loss = try record.entry.data["loss"]?.stringValue.flatMap { LossID($0) }
        .flatMap { try LossRecords.find($0, in: tx) }
      let operation =
        try record.entry.kind == .operationEnded
        ? record.entry.act.flatMap { OperationID($0) }.flatMap { try WorkRecords.find($0, in: tx) } : nil
      return TimelineItem(record, loss: loss, operation: operation.map { OperationView($0) })
    }
    return Array((own + disruptions + told).sorted { $0.index > $1.index }.prefix(limit))
  }

  private func others(
    _ instance: Instance, before: Int64?, limit: Int, in tx: Transaction
  ) throws -> [TimelineItem] {
    guard let org = try FleetRecords.org(instance.org, in: tx)?.slug else { return [] }
    return try sources.flatMap { source in
      try concerning(instance, source.kinds, before: before, limit: limit, in: tx) { record in
        source.line(record.entry, org, instance.id).map { TimelineItem(record, $0) }
      }
    }
  }

  /// Items of entries that are about more than one Instance, newest first: as many as there are of this one, so that a
  /// page is never short of them because others had more.
  private func concerning(
    _ instance: Instance, _ kinds: [EvidenceKind], before: Int64?, limit: Int, in tx: Transaction,
    _ item: (EvidenceRecord) -> TimelineItem?
  ) throws -> [TimelineItem] {
    let filter = EvidenceFilter(kinds: kinds, since: instance.createdAt)
    var (items, last) = ([TimelineItem](), before)
    while items.count < limit {
      let records = try evidence.list(before: last, limit: EvidenceLog.listMax, filter: filter, in: tx)
      items += records.compactMap(item)
      guard records.count == EvidenceLog.listMax, let oldest = records.last?.index else { break }
      last = oldest
    }
    return Array(items.prefix(limit))
  }

  /// The statuses that were recorded since a time, oldest first, and the one before them.
  func transitions(
    of instance: InstanceID, since: Timestamp, in tx: Transaction
  ) throws -> [StatusSpan.Transition] {
    let kinds: [EvidenceKind] = [.instanceStatusChanged, .instanceFlappingBegan, .instanceFlappingEnded]
    var records = try evidence.list(
      limit: EvidenceLog.listMax, filter: EvidenceFilter(kinds: kinds, subjectID: instance.text, since: since), in: tx)
    records += try evidence.list(
      before: records.last?.index, limit: 1, filter: EvidenceFilter(kinds: kinds, subjectID: instance.text), in: tx)
    return records.reversed().compactMap { record in
      let (entry, data) = (record.entry, record.entry.data)
      return data["to"]?.stringValue.flatMap(Status.init).map { status in
        StatusSpan.Transition(at: entry.at, to: status, flapping: entry.kind == .instanceFlappingBegan)
      }
    }
  }
}
