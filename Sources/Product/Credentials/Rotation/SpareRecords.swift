import Basics
import Fleet
import OpenClaw
import Store

/// The SQL of versions beside the ones that count.
enum SpareRecords {
  static let migrations = [
    Migration(
      "credentials-0004-spare",
      [
        """
        CREATE TABLE credential_spare (
          org TEXT NOT NULL, surface TEXT NOT NULL, class TEXT NOT NULL, ref TEXT NOT NULL, version BIGINT NOT NULL,
          place TEXT NOT NULL, fingerprint TEXT NOT NULL, set_by TEXT NOT NULL, set_at BIGINT NOT NULL, resolved TEXT,
          validation TEXT, gate TEXT, phase TEXT NOT NULL, since BIGINT NOT NULL, used_since BIGINT,
          PRIMARY KEY (org, surface, version))
        """
      ])
  ]

  static func save(_ spare: SpareCredential, in tx: Transaction) throws {
    let credential = spare.credential
    try tx.run(
      """
      INSERT INTO credential_spare (
        org, surface, class, ref, version, place, fingerprint, set_by, set_at, resolved, validation, gate, phase, since,
        used_since, settings)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (org, surface, version) DO UPDATE SET resolved = excluded.resolved,
        validation = excluded.validation, phase = excluded.phase, since = excluded.since,
        used_since = excluded.used_since
      """,
      [
        .id(credential.org), .text(credential.surface.rawValue), .text(credential.reference.kind.rawValue),
        .text(try JSONValue(encoding: credential.reference.ref).canonical), .integer(credential.version),
        .text(try JSONValue(encoding: credential.place).canonical), .text(credential.fingerprint),
        .text(credential.setBy), .time(credential.setAt),
        .text(try credential.lastResolved.map { try JSONValue(encoding: $0).canonical }),
        .text(try credential.lastValidated.map { try JSONValue(encoding: $0).canonical }),
        .text(credential.reference.gate?.text), .text(spare.phase.rawValue), .time(spare.since),
        .integer(spare.wasUsedSince.map { Int($0.millisecondsSince1970) } ?? 0),
        .text(try CredentialsRecords.settings(credential)),
      ])
  }

  static func delete(_ credential: Credential, in tx: Transaction) throws {
    try tx.run(
      "DELETE FROM credential_spare WHERE org = ? AND surface = ? AND version = ?",
      [.id(credential.org), .text(credential.surface.rawValue), .integer(credential.version)])
  }

  /// The newest version that was ever beside the one that counts.
  static func newest(_ surface: CredentialSurface, _ org: OrgID, in tx: Transaction) throws -> Int {
    let row = try tx.run(
      "SELECT MAX(version) AS newest FROM credential_spare WHERE org = ? AND surface = ?",
      [.id(org), .text(surface.rawValue)]
    ).first
    return Int(try row?.optionalInteger("newest") ?? 0)
  }

  /// Those whose value is still there, by version.
  static func of(_ surface: CredentialSurface, _ org: OrgID, in tx: Transaction) throws -> [SpareCredential] {
    try tx.run(
      "SELECT * FROM credential_spare WHERE org = ? AND surface = ? AND phase <> 'forgotten' ORDER BY version",
      [.id(org), .text(surface.rawValue)]
    ).map(read)
  }

  static func find(
    _ surface: CredentialSurface, _ org: OrgID, version: Int, in tx: Transaction
  ) throws -> SpareCredential? {
    try of(surface, org, in: tx).first { $0.credential.version == version }
  }

  /// Every version of an Org that may still be asked for by an Instance, beside those that count.
  static func all(of org: OrgID, in tx: Transaction) throws -> [Credential] {
    try tx.run(
      "SELECT * FROM credential_spare WHERE org = ? AND phase <> 'forgotten' ORDER BY surface, version", [.id(org)]
    ).map { try read($0).credential }
  }

  static func places(in tx: Transaction) throws -> [Credential.Place] {
    try tx.run("SELECT place FROM credential_spare WHERE phase <> 'forgotten'")
      .map { try JSONValue.decode(Credential.Place.self, from: $0.text("place")) }
  }

  private static func read(_ row: SQLRow) throws -> SpareCredential {
    let phase = try row.text("phase")
    guard let known = SpareCredential.Phase(rawValue: phase) else {
      throw AWError(
        .storeFailed, "The database holds a version of a credential in the phase \(phase.quoted).",
        next: "Start the AW that wrote it, or restore a backup.")
    }
    let used = try row.integer("used_since")
    return SpareCredential(
      credential: try CredentialsRecords.read(row), phase: known, since: try row.time("since"),
      wasUsedSince: used == 0 ? nil : Timestamp(millisecondsSince1970: Int64(used)))
  }
}
