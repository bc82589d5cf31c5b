import Basics
import Events
import Store

/// What one turn of the engine does to the records: each in one transaction, with the time given.
struct AlertTurns: Sendable {
  /// What links begin with; nil leaves them out.
  let publicURL: String?

  // MARK: - Events become alerts

  /// Takes in what is new in the outbox.
  ///
  /// - Returns: how many events were taken.
  func takeEvents(in tx: Transaction, at now: Timestamp) throws -> Int {
    let cursor = try AlertsRecords.cursor(in: tx)
    let entries = try EventOutbox.after(cursor, limit: AlertLimits.eventsPerTurnMax, in: tx)
    guard let last = entries.last else { return 0 }
    var groups = GroupBook(routes: try AlertsRecords.routes(in: tx))
    for entry in entries { try take(entry.event, &groups, in: tx, at: now) }
    try groups.save(in: tx)
    try AlertsRecords.move(to: last.sequence, in: tx)
    return entries.count
  }

  private func take(_ event: Event, _ groups: inout GroupBook, in tx: Transaction, at now: Timestamp) throws {
    guard let condition = event.condition else { return try groups.tell(notice(event), event, in: tx, at: now) }
    if var alert = try AlertsRecords.openAlert(condition.key, in: tx) {
      let worse = alert.take(event)
      try AlertsRecords.save(alert, in: tx)
      let told = alert.told(publicURL: publicURL)
      if alert.resolvedAt != nil { return try groups.end(told, in: tx, at: now) }
      return try groups.tell(told, event, worse: worse, in: tx, at: now)
    }
    // A resolve of what is not open changes nothing.
    guard let alert = Alert(.make(at: now), openedBy: event) else { return }
    try AlertsRecords.save(alert, in: tx)
    try groups.tell(alert.told(publicURL: publicURL), event, in: tx, at: now)
  }

  /// A notice is over as soon as it is told.
  private func notice(_ event: Event) -> NotifiedAlert {
    let page = event.data[EventData.page]?.stringValue
    return NotifiedAlert(
      key: event.id, type: event.type.rawValue, title: event.title, severity: event.severity, subject: event.subject,
      openedAt: event.time, resolvedAt: event.time, data: event.data,
      link: page.flatMap { page in publicURL.map { $0 + page } })
  }

  // MARK: - Alerts become notifications

  /// Tells the groups that are due.
  ///
  /// - Returns: how many notifications were queued.
  func flush(in tx: Transaction, at now: Timestamp) throws -> Int {
    let due = try AlertsRecords.dueGroups(at: now, in: tx)
    guard !due.isEmpty else { return 0 }
    let routes = try AlertsRecords.routes(in: tx)
    let endpoints = try AlertsRecords.endpoints(in: tx)
    let silences = try AlertsRecords.silences(endingAfter: now, in: tx)
    let parents = try AlertsRecords.parents(in: tx)
    var queued = 0
    for (id, org) in due {
      guard let route = routes.first(where: { $0.id == id }), var group = try AlertsRecords.group(id, org: org, in: tx)
      else { continue }
      var muted: [String: String] = [:]
      let told = group.flush(route.pace, at: now) { alert in
        let why = Self.muting(alert, silences, parents, at: now)
        muted[alert.key] = why
        return why != nil
      }
      for alert in told { try AlertsRecords.setMuted(alert.key, by: nil, in: tx) }
      for (key, why) in muted { try AlertsRecords.setMuted(key, by: why, in: tx) }
      try AlertsRecords.save(group, of: id, org: org, dueAt: group.due(route.pace), in: tx)
      let full = try told.map { try Self.counted($0, in: tx) }
      for endpoint in endpoints where route.endpoints.contains(endpoint.name) && endpoint.isEnabled {
        queued += try queue(full, to: endpoint, route, org, in: tx, at: now)
      }
    }
    return queued
  }

  /// What keeps an alert from being told; nil when nothing does.
  private static func muting(
    _ alert: NotifiedAlert, _ silences: [Silence], _ parents: [Alert], at now: Timestamp
  ) -> String? {
    if let silence = silences.first(where: { $0.mutes(alert, at: now) }) { return "silence/\(silence.id)" }
    return Inhibition.parent(of: alert, among: parents).map { "alert/\($0.id)" }
  }

  /// A parent says how many alerts it stands for.
  private static func counted(_ alert: NotifiedAlert, in tx: Transaction) throws -> NotifiedAlert {
    guard let scope = alert.data[EventData.inhibits]?.stringValue, var data = alert.data.objectValue else {
      return alert
    }
    var alert = alert
    data["inhibited"] = .integer(Int64(try AlertsRecords.openCount(in: scope, in: tx)))
    alert.data = .object(data)
    return alert
  }

  private func queue(
    _ alerts: [NotifiedAlert], to endpoint: Endpoint, _ route: AlertRoute, _ org: String, in tx: Transaction,
    at now: Timestamp
  ) throws -> Int {
    let key = "\(route.name)/\(org.isEmpty ? "platform" : org)"
    var rest = alerts[...]
    if !rest.isEmpty, var waiting = try DeliveryRecords.newestWaiting(endpoint.id, group: key, at: now, in: tx) {
      let room = max(0, AlertLimits.alertsPerNotificationMax - waiting.notification.alerts.count)
      let known = Set(waiting.notification.alerts.map(\.key))
      // What is known there takes no room, and must not be told of twice.
      let fitting = rest.filter { known.contains($0.key) } + rest.filter { !known.contains($0.key) }.prefix(room)
      if waiting.take(Array(fitting)) {
        try DeliveryRecords.save(waiting, in: tx)
        rest = rest.filter { !fitting.contains($0) }[...]
      }
    }
    var queued = 0
    while !rest.isEmpty {
      let part = Array(rest.prefix(AlertLimits.alertsPerNotificationMax))
      rest = rest.dropFirst(part.count)
      let id = DeliveryID.make(at: now)
      let notification = Notification(
        id: id.text, groupKey: key, org: try? Slug(org), at: now, alerts: part,
        runbookBase: publicURL.map { $0 + "/runbooks/" })
      try DeliveryRecords.save(Delivery(id: id, endpoint: endpoint.id, notification: notification, at: now), in: tx)
      queued += 1
    }
    return queued
  }

  // MARK: - What is over

  static func sweep(at now: Timestamp, in tx: Transaction) throws {
    let old = Timestamp(millisecondsSince1970: now.millisecondsSince1970 - AlertLimits.keepFor.milliseconds)
    let read = Timestamp(millisecondsSince1970: now.millisecondsSince1970 - AlertLimits.eventsKeptFor.milliseconds)
    try tx.run("DELETE FROM alert WHERE resolved_at IS NOT NULL AND resolved_at < ?", [.time(old)])
    try tx.run("DELETE FROM silence WHERE ends_at < ?", [.time(old)])
    try DeliveryRecords.forget(endedBefore: old, in: tx)
    try EventOutbox.forget(olderThan: read, upTo: try AlertsRecords.cursor(in: tx), in: tx)
  }
}

/// The groups of one turn: each is read once and written once, however many events touch it.
private struct GroupBook {
  private struct Key: Hashable {
    let route: AlertRouteID
    let org: String
  }

  private let routes: [AlertRoute]
  private var groups: [Key: AlertGroup] = [:]
  private var known: Set<String> = []
  private var changed: Set<Key> = []

  init(routes: [AlertRoute]) { self.routes = routes }

  private mutating func read(_ org: String, in tx: Transaction) throws {
    guard known.insert(org).inserted else { return }
    for (route, group) in try AlertsRecords.groups(of: org, in: tx) { groups[Key(route: route, org: org)] = group }
  }

  mutating func tell(
    _ alert: NotifiedAlert, _ event: Event, worse: Bool = false, in tx: Transaction, at now: Timestamp
  ) throws {
    try read(alert.orgText, in: tx)
    for route in AlertRoute.taking(event, among: routes) {
      let key = Key(route: route.id, org: alert.orgText)
      groups[key, default: AlertGroup()].take(alert, worse: worse, at: now)
      changed.insert(key)
    }
  }

  /// The end of an alert goes to every group that holds it, whatever the routes have become since it began.
  mutating func end(_ alert: NotifiedAlert, in tx: Transaction, at now: Timestamp) throws {
    try read(alert.orgText, in: tx)
    for key in groups.keys where key.org == alert.orgText {
      guard groups[key]?.holds(alert) == true else { continue }
      groups[key]?.take(alert, at: now)
      changed.insert(key)
    }
  }

  func save(in tx: Transaction) throws {
    for key in changed {
      guard let route = routes.first(where: { $0.id == key.route }), let group = groups[key] else { continue }
      try AlertsRecords.save(group, of: key.route, org: key.org, dueAt: group.due(route.pace), in: tx)
    }
  }
}
