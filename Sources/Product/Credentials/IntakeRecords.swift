import Basics
import Fleet
import Store

/// The SQL of one-time links and of what they froze.
enum IntakeRecords {
  static let migrations = [
    Migration(
      "credentials-intake-0001",
      [
        """
        CREATE TABLE credential_intake (
          id TEXT PRIMARY KEY NOT NULL, hash BLOB NOT NULL UNIQUE, org TEXT NOT NULL, surface TEXT NOT NULL,
          sender TEXT NOT NULL, purpose TEXT NOT NULL, asked_by TEXT NOT NULL, asked_at BIGINT NOT NULL,
          expires_at BIGINT NOT NULL, replaced_at BIGINT, used_at BIGINT, version BIGINT, envelope TEXT)
        """,
        "CREATE INDEX credential_intake_org ON credential_intake (org, surface)",
        """
        CREATE TABLE credential_freeze (
          org TEXT NOT NULL, surface TEXT NOT NULL, version BIGINT NOT NULL, code TEXT NOT NULL, link TEXT NOT NULL,
          at BIGINT NOT NULL, PRIMARY KEY (org, surface))
        """,
      ])
  ]

  static func insert(_ link: IntakeLink, hash: [UInt8], in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO credential_intake (id, hash, org, surface, sender, purpose, asked_by, asked_at, expires_at, class)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .id(link.id), .blob(hash), .id(link.org), .text(link.surface.rawValue), .text(link.from), .text(link.purpose),
        .text(link.askedBy), .time(link.askedAt), .time(link.expiresAt), .text(link.kind.rawValue),
      ])
  }

  static func find(_ hash: [UInt8], in tx: Transaction) throws -> IntakeLink? {
    try tx.run("SELECT * FROM credential_intake WHERE hash = ?", [.blob(hash)]).first.map(read)
  }

  /// The newest of an Org, newest first.
  static func newest(of org: OrgID, limit: Int, in tx: Transaction) throws -> [IntakeLink] {
    try tx.run("SELECT * FROM credential_intake WHERE org = ? ORDER BY id DESC LIMIT ?", [.id(org), .integer(limit)])
      .map(read)
  }

  /// Those that are open do not work any more.
  static func replace(_ surface: CredentialSurface, of org: OrgID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      """
      UPDATE credential_intake SET replaced_at = ?
      WHERE org = ? AND surface = ? AND replaced_at IS NULL AND used_at IS NULL
      """, [.time(now), .id(org), .text(surface.rawValue)])
  }

  static func use(_ id: IntakeLinkID, _ use: IntakeLink.Use, in tx: Transaction) throws {
    try tx.run(
      "UPDATE credential_intake SET used_at = ?, version = ?, envelope = ? WHERE id = ?",
      [.time(use.at), .integer(use.version), .text(use.envelope), .id(id)])
  }

  /// What happened to links that ended long ago is in the evidence.
  static func forget(expiredBefore time: Timestamp, in tx: Transaction) throws {
    try tx.run("DELETE FROM credential_intake WHERE expires_at < ?", [.time(time)])
  }

  private static func read(_ row: SQLRow) throws -> IntakeLink {
    let use = try row.optionalTime("used_at").map {
      IntakeLink.Use(at: $0, version: Int(try row.integer("version")), envelope: try row.text("envelope"))
    }
    return IntakeLink(
      id: try row.id("id"), org: try row.id("org"), surface: try CredentialSurface(named: row.text("surface")),
      kind: try row.optionalText("class").map { try CredentialClass(named: $0) } ?? .fixture,
      from: try row.text("sender"), purpose: try row.text("purpose"), askedBy: try row.text("asked_by"),
      askedAt: try row.time("asked_at"), expiresAt: try row.time("expires_at"),
      replacedAt: try row.optionalTime("replaced_at"), use: use)
  }

  // MARK: - Freezes

  static func freeze(
    _ surface: CredentialSurface, of org: OrgID, _ freeze: CredentialFreeze, in tx: Transaction
  ) throws {
    try tx.run(
      """
      INSERT INTO credential_freeze (org, surface, version, code, link, at) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (org, surface) DO NOTHING
      """,
      [
        .id(org), .text(surface.rawValue), .integer(freeze.version), .text(freeze.code), .id(freeze.link),
        .time(freeze.at),
      ])
  }

  static func freeze(of surface: CredentialSurface, _ org: OrgID, in tx: Transaction) throws -> CredentialFreeze? {
    try tx.run("SELECT * FROM credential_freeze WHERE org = ? AND surface = ?", [.id(org), .text(surface.rawValue)])
      .first.map {
        CredentialFreeze(
          version: Int(try $0.integer("version")), code: try $0.text("code"), link: try $0.id("link"),
          at: try $0.time("at"))
      }
  }

  static func thaw(_ surface: CredentialSurface, of org: OrgID, in tx: Transaction) throws {
    try tx.run("DELETE FROM credential_freeze WHERE org = ? AND surface = ?", [.id(org), .text(surface.rawValue)])
  }
}
