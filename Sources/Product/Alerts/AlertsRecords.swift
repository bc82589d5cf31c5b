import Basics
import Events
import Store

/// The SQL of alerts, of who is told, and of what was told.
public enum AlertsRecords {
  public static let migrations = [
    Migration(
      "alerts-0001",
      [
        """
        CREATE TABLE alert (
          id TEXT PRIMARY KEY NOT NULL, alert_key TEXT NOT NULL, org TEXT, severity TEXT NOT NULL, inhibits TEXT,
          scopes TEXT NOT NULL, alert TEXT NOT NULL, opened_at BIGINT NOT NULL, resolved_at BIGINT, muted_by TEXT)
        """,
        "CREATE INDEX alert_by_key ON alert (alert_key, resolved_at)",
        "CREATE INDEX alert_by_time ON alert (resolved_at, opened_at)",
        """
        CREATE TABLE alert_endpoint (
          id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL)
        """,
        """
        CREATE TABLE alert_route (
          id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE, position BIGINT NOT NULL, route TEXT NOT NULL)
        """,
        "CREATE TABLE silence (id TEXT PRIMARY KEY NOT NULL, ends_at BIGINT NOT NULL, silence TEXT NOT NULL)",
        """
        CREATE TABLE alert_group (
          route TEXT NOT NULL, org TEXT NOT NULL, state TEXT NOT NULL, due_at BIGINT, PRIMARY KEY (route, org))
        """,
        "CREATE INDEX alert_group_due ON alert_group (due_at)",
        """
        CREATE TABLE alert_delivery (
          id TEXT PRIMARY KEY NOT NULL, endpoint TEXT NOT NULL, group_key TEXT NOT NULL, state TEXT NOT NULL,
          next_at BIGINT NOT NULL, created_at BIGINT NOT NULL, ended_at BIGINT, delivery TEXT NOT NULL,
          leased_by TEXT, leased_until BIGINT NOT NULL)
        """,
        "CREATE INDEX alert_delivery_due ON alert_delivery (state, next_at)",
        "CREATE INDEX alert_delivery_group ON alert_delivery (endpoint, group_key, state)",
        """
        CREATE TABLE alert_attempt (
          delivery TEXT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, outcome TEXT NOT NULL,
          detail TEXT NOT NULL, milliseconds BIGINT NOT NULL, PRIMARY KEY (delivery, number))
        """,
        "CREATE TABLE alert_cursor (id BIGINT PRIMARY KEY NOT NULL, sequence BIGINT NOT NULL)",
        "INSERT INTO alert_cursor (id, sequence) VALUES (1, 0)",
      ])
  ]

  private static func json(_ value: some Encodable) throws -> SQLValue {
    .text(try JSONValue(encoding: value).canonical)
  }

  private static func value<Value: Decodable>(_ row: SQLRow, _ column: String, _ type: Value.Type) throws -> Value {
    try JSONValue.decode(type, from: row.text(column))
  }

  // MARK: - The place in the outbox

  static func cursor(in tx: Transaction) throws -> Int64 {
    try tx.run("SELECT sequence FROM alert_cursor WHERE id = 1").first?.integer("sequence") ?? 0
  }

  static func move(to sequence: Int64, in tx: Transaction) throws {
    try tx.run("UPDATE alert_cursor SET sequence = ? WHERE id = 1", [.integer(sequence)])
  }

  // MARK: - Alerts

  static func save(_ alert: Alert, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO alert (id, alert_key, org, severity, inhibits, scopes, alert, opened_at, resolved_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, inhibits = excluded.inhibits,
        alert = excluded.alert, resolved_at = excluded.resolved_at
      """,
      [
        .id(alert.id), .text(alert.key), .text(alert.org), .text(alert.severity.rawValue), .text(alert.inhibits),
        .text(fenced(alert.told(publicURL: nil).scopes)), try json(alert), .time(alert.openedAt),
        .time(alert.resolvedAt),
      ])
  }

  static func openAlert(_ key: String, in tx: Transaction) throws -> Alert? {
    try tx.run("SELECT alert FROM alert WHERE alert_key = ? AND resolved_at IS NULL", [.text(key)]).first
      .map { try value($0, "alert", Alert.self) }
  }

  /// The open alerts that stand for others.
  static func parents(in tx: Transaction) throws -> [Alert] {
    try tx.run("SELECT alert FROM alert WHERE resolved_at IS NULL AND inhibits IS NOT NULL ORDER BY opened_at, id")
      .map { try value($0, "alert", Alert.self) }
  }

  /// How many open alerts are part of a scope.
  static func openCount(in scope: String, in tx: Transaction) throws -> Int {
    let rows = try tx.run(
      "SELECT COUNT(*) AS n FROM alert WHERE resolved_at IS NULL AND inhibits IS NULL AND scopes LIKE ?",
      [.text("%\(fenced([scope]))%")])
    return Int(try rows.first?.integer("n") ?? 0)
  }

  /// Scopes as one text in which each can be found whole.
  private static func fenced(_ scopes: [String]) -> String { scopes.map { "|\($0)|" }.joined() }

  static func setMuted(_ key: String, by what: String?, in tx: Transaction) throws {
    try tx.run(
      "UPDATE alert SET muted_by = ? WHERE alert_key = ? AND resolved_at IS NULL", [.text(what), .text(key)])
  }

  /// An alert with what keeps it from being told; nil when nothing does.
  struct Row: Sendable {
    let alert: Alert
    let mutedBy: String?
  }

  static func find(_ id: AlertID, in tx: Transaction) throws -> Row? {
    try tx.run("SELECT alert, muted_by FROM alert WHERE id = ?", [.id(id)]).first.map(row)
  }

  /// Alerts, newest first.
  ///
  /// - Parameter before: the time and id of the last one of the page before.
  static func list(
    open: Bool?, org: String?, before: (at: Timestamp, id: String)?, limit: Int, in tx: Transaction
  ) throws -> [Row] {
    var (conditions, values): ([String], [SQLValue]) = ([], [])
    if let open { conditions.append(open ? "resolved_at IS NULL" : "resolved_at IS NOT NULL") }
    if let org {
      conditions.append("org = ?")
      values.append(.text(org))
    }
    if let before {
      conditions.append("(opened_at < ? OR (opened_at = ? AND id < ?))")
      values += [.time(before.at), .time(before.at), .text(before.id)]
    }
    let clause = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
    return try tx.run(
      "SELECT alert, muted_by FROM alert \(clause) ORDER BY opened_at DESC, id DESC LIMIT ?",
      values + [.integer(limit)]
    ).map(row)
  }

  private static func row(_ row: SQLRow) throws -> Row {
    Row(alert: try value(row, "alert", Alert.self), mutedBy: try row.optionalText("muted_by"))
  }

  // MARK: - Endpoints, routes, silences

  static func save(_ endpoint: Endpoint, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO alert_endpoint (id, name, endpoint) VALUES (?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, endpoint = excluded.endpoint
      """,
      [.id(endpoint.id), .text(endpoint.name.text), try json(endpoint)])
  }

  static func endpoints(in tx: Transaction) throws -> [Endpoint] {
    try tx.run("SELECT endpoint FROM alert_endpoint ORDER BY name").map { try value($0, "endpoint", Endpoint.self) }
  }

  static func endpoint(_ name: Slug, in tx: Transaction) throws -> Endpoint? {
    try tx.run("SELECT endpoint FROM alert_endpoint WHERE name = ?", [.text(name.text)]).first
      .map { try value($0, "endpoint", Endpoint.self) }
  }

  static func endpoint(_ id: EndpointID, in tx: Transaction) throws -> Endpoint? {
    try tx.run("SELECT endpoint FROM alert_endpoint WHERE id = ?", [.id(id)]).first
      .map { try value($0, "endpoint", Endpoint.self) }
  }

  static func delete(_ endpoint: EndpointID, in tx: Transaction) throws {
    try tx.run("DELETE FROM alert_endpoint WHERE id = ?", [.id(endpoint)])
  }

  static func save(_ route: AlertRoute, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO alert_route (id, name, position, route) VALUES (?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, position = excluded.position, route = excluded.route
      """,
      [.id(route.id), .text(route.name.text), .integer(route.position), try json(route)])
  }

  /// In the order in which they are asked.
  static func routes(in tx: Transaction) throws -> [AlertRoute] {
    try tx.run("SELECT route FROM alert_route ORDER BY position, name").map { try value($0, "route", AlertRoute.self) }
  }

  /// A route goes with its groups: who was told of a beginning by it is not told of the end.
  static func delete(_ route: AlertRouteID, in tx: Transaction) throws {
    try tx.run("DELETE FROM alert_group WHERE route = ?", [.id(route)])
    try tx.run("DELETE FROM alert_route WHERE id = ?", [.id(route)])
  }

  static func save(_ silence: Silence, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO silence (id, ends_at, silence) VALUES (?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, silence = excluded.silence
      """,
      [.id(silence.id), .time(silence.endsAt), try json(silence)])
  }

  static func silence(_ id: SilenceID, in tx: Transaction) throws -> Silence? {
    try tx.run("SELECT silence FROM silence WHERE id = ?", [.id(id)]).first.map {
      try value($0, "silence", Silence.self)
    }
  }

  /// Those that end after a time, the next to end first.
  static func silences(endingAfter time: Timestamp, in tx: Transaction) throws -> [Silence] {
    try tx.run("SELECT silence FROM silence WHERE ends_at > ? ORDER BY ends_at, id", [.time(time)])
      .map { try value($0, "silence", Silence.self) }
  }

  // MARK: - Groups

  static func group(_ route: AlertRouteID, org: String, in tx: Transaction) throws -> AlertGroup? {
    try tx.run("SELECT state FROM alert_group WHERE route = ? AND org = ?", [.id(route), .text(org)]).first
      .map { try value($0, "state", AlertGroup.self) }
  }

  /// The routes that have a group of an Org.
  static func groups(of org: String, in tx: Transaction) throws -> [(route: AlertRouteID, group: AlertGroup)] {
    try tx.run("SELECT route, state FROM alert_group WHERE org = ?", [.text(org)])
      .map { (try $0.id("route"), try value($0, "state", AlertGroup.self)) }
  }

  static func save(
    _ group: AlertGroup, of route: AlertRouteID, org: String, dueAt: Timestamp?, in tx: Transaction
  ) throws {
    guard !group.isEmpty else {
      try tx.run("DELETE FROM alert_group WHERE route = ? AND org = ?", [.id(route), .text(org)])
      return
    }
    try tx.run(
      """
      INSERT INTO alert_group (route, org, state, due_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (route, org) DO UPDATE SET state = excluded.state, due_at = excluded.due_at
      """,
      [.id(route), .text(org), try json(group), .time(dueAt)])
  }

  static func dueGroups(at now: Timestamp, in tx: Transaction) throws -> [(route: AlertRouteID, org: String)] {
    try tx.run("SELECT route, org FROM alert_group WHERE due_at <= ? ORDER BY due_at", [.time(now)])
      .map { (try $0.id("route"), try $0.text("org")) }
  }
}
