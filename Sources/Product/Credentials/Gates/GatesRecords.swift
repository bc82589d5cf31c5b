import Basics
import Fleet
import Store

/// The SQL of gates.
enum GatesRecords {
  static let migrations = [
    Migration(
      "credentials-0002-gates",
      [
        "CREATE TABLE credential_gate (id TEXT PRIMARY KEY NOT NULL, org TEXT NOT NULL, record TEXT NOT NULL)",
        "CREATE INDEX credential_gate_org ON credential_gate (org, id)",
        "ALTER TABLE credential ADD COLUMN gate TEXT",
      ])
  ]

  static func save(_ record: GateRecord, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO credential_gate (id, org, record) VALUES (?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET record = excluded.record
      """,
      [.id(record.request.id), .id(record.request.org), .text(try JSONValue(encoding: record).canonical)])
  }

  static func find(_ id: GateID, in tx: Transaction) throws -> GateRecord? {
    try tx.run("SELECT record FROM credential_gate WHERE id = ?", [.id(id)]).first.map(read)
  }

  /// The gates of an Org, newest first: their ids sort by time.
  static func of(_ org: OrgID, in tx: Transaction) throws -> [GateRecord] {
    try tx.run(
      "SELECT record FROM credential_gate WHERE org = ? ORDER BY id DESC LIMIT ?",
      [.id(org), .integer(GateLimits.perOrgMax)]
    ).map(read)
  }

  /// The newest gates of all Orgs.
  static func newest(in tx: Transaction) throws -> [GateRecord] {
    try tx.run("SELECT record FROM credential_gate ORDER BY id DESC LIMIT ?", [.integer(GateLimits.perOrgMax)])
      .map(read)
  }

  private static func read(_ row: SQLRow) throws -> GateRecord {
    try JSONValue.decode(GateRecord.self, from: row.text("record"))
  }
}
