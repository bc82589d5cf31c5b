import Basics
import Store

/// The SQL of deliveries and of the tries that were made.
enum DeliveryRecords {
  static func save(_ delivery: Delivery, in tx: Transaction) throws {
    let body = try JSONValue(encoding: delivery).canonical
    try tx.run(
      """
      INSERT INTO alert_delivery (
        id, endpoint, group_key, state, next_at, created_at, ended_at, delivery, leased_until)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, next_at = excluded.next_at,
        ended_at = excluded.ended_at, delivery = excluded.delivery
      """,
      [
        .id(delivery.id), .id(delivery.endpoint), .text(delivery.notification.groupKey),
        .text(delivery.state.rawValue), .time(delivery.nextAt), .time(delivery.createdAt), .time(delivery.endedAt),
        .text(body),
      ])
  }

  static func find(_ id: DeliveryID, in tx: Transaction) throws -> Delivery? {
    try tx.run("SELECT delivery FROM alert_delivery WHERE id = ?", [.id(id)]).first.map(read)
  }

  private static func read(_ row: SQLRow) throws -> Delivery {
    try JSONValue.decode(Delivery.self, from: row.text("delivery"))
  }

  /// The newest delivery of a group to an endpoint that waits and that nobody is sending.
  static func newestWaiting(
    _ endpoint: EndpointID, group: String, at now: Timestamp, in tx: Transaction
  ) throws -> Delivery? {
    try tx.run(
      """
      SELECT delivery FROM alert_delivery
      WHERE endpoint = ? AND group_key = ? AND state = 'waiting' AND leased_until <= ?
      ORDER BY created_at DESC, id DESC LIMIT 1
      """, [.id(endpoint), .text(group), .time(now)]
    ).first.map(read)
  }

  /// What waits for an endpoint and is not due yet.
  static func delayed(for endpoint: EndpointID, at now: Timestamp, in tx: Transaction) throws -> [Delivery] {
    try tx.run(
      """
      SELECT delivery FROM alert_delivery WHERE endpoint = ? AND state = 'waiting' AND next_at > ?
      ORDER BY created_at, id
      """, [.id(endpoint), .time(now)]
    ).map(read)
  }

  /// Takes deliveries that are due, for a while: the first one of each group and endpoint, so that nobody hears of an
  /// end before the beginning.
  ///
  /// - Parameters:
  ///   - sender: who takes them.
  ///   - resting: endpoints that are left alone now.
  static func lease(
    for sender: String, resting: [EndpointID], limit: Int, at now: Timestamp, in tx: Transaction
  ) throws -> [Delivery] {
    let marks = resting.map { _ in "?" }.joined(separator: ", ")
    let others = resting.isEmpty ? "" : "AND d.endpoint NOT IN (\(marks))"
    let due = try heads(
      "d.next_at <= ? \(others)", [.time(now)] + resting.map { .id($0) }, limit: limit, at: now, in: tx)
    for delivery in due { try lease(delivery.id, to: sender, at: now, in: tx) }
    return due
  }

  /// Takes for each endpoint that makes deliveries wait one of them before its time, to see whether it answers again.
  ///
  /// - Parameter isAsked: which endpoints may be asked now.
  static func leaseEarly(
    for sender: String, at now: Timestamp, in tx: Transaction, isAsked: (EndpointID) -> Bool
  ) throws -> [Delivery] {
    let endpoints: [EndpointID] = try tx.run(
      "SELECT DISTINCT endpoint FROM alert_delivery WHERE state = 'waiting' AND next_at > ?", [.time(now)]
    ).map { try $0.id("endpoint") }
    var taken: [Delivery] = []
    for endpoint in endpoints where isAsked(endpoint) {
      let delayed = try heads(
        "d.next_at > ? AND d.endpoint = ?", [.time(now), .id(endpoint)], limit: AlertLimits.sendsMax, at: now, in: tx)
      guard let first = delayed.first(where: { $0.maySound(at: now) }) else { continue }
      try lease(first.id, to: sender, at: now, in: tx)
      taken.append(first)
    }
    return taken
  }

  /// The first deliveries of their group and endpoint that nobody is sending, the longest due first.
  private static func heads(
    _ condition: String, _ values: [SQLValue], limit: Int, at now: Timestamp, in tx: Transaction
  ) throws -> [Delivery] {
    try tx.run(
      """
      SELECT d.delivery FROM alert_delivery d
      WHERE d.state = 'waiting' AND d.leased_until <= ? AND \(condition) AND NOT EXISTS (
        SELECT 1 FROM alert_delivery e
        WHERE e.endpoint = d.endpoint AND e.group_key = d.group_key AND e.state = 'waiting'
          AND (e.created_at < d.created_at OR (e.created_at = d.created_at AND e.id < d.id)))
      ORDER BY d.next_at, d.id LIMIT ?
      """, [.time(now)] + values + [.integer(limit)]
    ).map(read)
  }

  private static func lease(_ id: DeliveryID, to sender: String, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "UPDATE alert_delivery SET leased_by = ?, leased_until = ? WHERE id = ?",
      [.text(sender), .time(now.advanced(by: AlertLimits.lease)), .id(id)])
  }

  /// Whether a delivery is still the sender's; another one took it when it took too long.
  static func isLeased(_ id: DeliveryID, to sender: String, in tx: Transaction) throws -> Bool {
    try !tx.run(
      "SELECT id FROM alert_delivery WHERE id = ? AND leased_by = ?", [.id(id), .text(sender)]
    ).isEmpty
  }

  static func release(_ id: DeliveryID, in tx: Transaction) throws {
    try tx.run("UPDATE alert_delivery SET leased_by = NULL, leased_until = 0 WHERE id = ?", [.id(id)])
  }

  /// One try, for the delivery log.
  struct Attempt: Codable, Sendable, Equatable {
    let number: Int
    let at: Timestamp
    let outcome: String
    let detail: String
    let milliseconds: Int64
  }

  static func insert(_ attempt: Attempt, of delivery: DeliveryID, in tx: Transaction) throws {
    // Numbers go on after a replay.
    let next = try tx.run(
      "SELECT COALESCE(MAX(number), 0) + 1 AS next FROM alert_attempt WHERE delivery = ?", [.id(delivery)]
    ).first?.integer("next")
    try tx.run(
      "INSERT INTO alert_attempt (delivery, number, at, outcome, detail, milliseconds) VALUES (?, ?, ?, ?, ?, ?)",
      [
        .id(delivery), .integer(next ?? Int64(attempt.number)), .time(attempt.at), .text(attempt.outcome),
        .text(attempt.detail), .integer(attempt.milliseconds),
      ])
  }

  static func attempts(of delivery: DeliveryID, in tx: Transaction) throws -> [Attempt] {
    try tx.run("SELECT * FROM alert_attempt WHERE delivery = ? ORDER BY number", [.id(delivery)]).map { row in
      Attempt(
        number: Int(try row.integer("number")), at: try row.time("at"), outcome: try row.text("outcome"),
        detail: try row.text("detail"), milliseconds: try row.integer("milliseconds"))
    }
  }

  /// Deliveries, newest first.
  ///
  /// - Parameter before: the time and id of the last one of the page before.
  static func list(
    endpoint: EndpointID?, state: Delivery.State?, before: (at: Timestamp, id: String)?, limit: Int,
    in tx: Transaction
  ) throws -> [Delivery] {
    var (conditions, values): ([String], [SQLValue]) = ([], [])
    if let endpoint {
      conditions.append("endpoint = ?")
      values.append(.id(endpoint))
    }
    if let state {
      conditions.append("state = ?")
      values.append(.text(state.rawValue))
    }
    if let before {
      conditions.append("(created_at < ? OR (created_at = ? AND id < ?))")
      values += [.time(before.at), .time(before.at), .text(before.id)]
    }
    let clause = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
    return try tx.run(
      "SELECT delivery FROM alert_delivery \(clause) ORDER BY created_at DESC, id DESC LIMIT ?",
      values + [.integer(limit)]
    ).map(read)
  }

  static func count(_ state: Delivery.State, in tx: Transaction) throws -> Int {
    Int(
      try tx.run("SELECT COUNT(*) AS n FROM alert_delivery WHERE state = ?", [.text(state.rawValue)]).first?
        .integer("n") ?? 0)
  }

  /// Forgets what ended before a time.
  static func forget(endedBefore time: Timestamp, in tx: Transaction) throws {
    try tx.run(
      """
      DELETE FROM alert_attempt WHERE delivery IN (
        SELECT id FROM alert_delivery WHERE ended_at IS NOT NULL AND ended_at < ?)
      """, [.time(time)])
    try tx.run("DELETE FROM alert_delivery WHERE ended_at IS NOT NULL AND ended_at < ?", [.time(time)])
  }
}
