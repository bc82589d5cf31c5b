import Basics
import Link
import Store

/// The SQL of the authorities: how far a rotation has come, and whom each Host trusts.
enum AuthorityRecords {
  static let migration = Migration(
    "fleet-authority-0001",
    [
      "CREATE TABLE link_authority (id BIGINT PRIMARY KEY NOT NULL, rotation TEXT NOT NULL)",
      "CREATE TABLE host_trust (host TEXT PRIMARY KEY NOT NULL, report TEXT NOT NULL, told_at BIGINT NOT NULL)",
    ])

  static func rotation(in tx: Transaction) throws -> AuthorityRotation? {
    try tx.run("SELECT rotation FROM link_authority WHERE id = 1").first.map {
      try JSONValue.decode(AuthorityRotation.self, from: $0.text("rotation"))
    }
  }

  static func save(_ rotation: AuthorityRotation, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO link_authority (id, rotation) VALUES (1, ?)
      ON CONFLICT (id) DO UPDATE SET rotation = excluded.rotation
      """, [.text(try JSONValue(encoding: rotation).canonical)])
  }

  /// - Parameter report: nil for a Connector that does not tell.
  static func save(_ report: TrustReport?, of host: HostID, at now: Timestamp, in tx: Transaction) throws {
    guard let report else { return try delete(host, in: tx) }
    try tx.run(
      """
      INSERT INTO host_trust (host, report, told_at) VALUES (?, ?, ?)
      ON CONFLICT (host) DO UPDATE SET report = excluded.report, told_at = excluded.told_at
      """, [.id(host), .text(try JSONValue(encoding: report).canonical), .time(now)])
  }

  static func delete(_ host: HostID, in tx: Transaction) throws {
    try tx.run("DELETE FROM host_trust WHERE host = ?", [.id(host)])
  }

  struct Row: Sendable {
    let id: HostID
    let slug: Slug
    let report: TrustReport?
  }

  /// The Hosts that have enrolled, by name.
  static func hosts(in tx: Transaction) throws -> [Row] {
    try tx.run(
      """
      SELECT host.id AS id, host.slug AS slug, host_trust.report AS report
      FROM host LEFT JOIN host_trust ON host_trust.host = host.id
      WHERE host.state <> 'invited' ORDER BY host.slug
      """
    ).map { row in
      Row(
        id: try row.id("id"), slug: try Slug(row.text("slug")),
        report: try row.optionalText("report").map { try JSONValue.decode(TrustReport.self, from: $0) })
    }
  }
}
