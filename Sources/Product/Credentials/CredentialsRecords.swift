import Basics
import Fleet
import OpenClaw
import Store

/// The SQL of credentials: what is known of them, and never a value.
public enum CredentialsRecords {
  public static let migrations =
    [
      Migration(
        "credentials-0001",
        [
          """
          CREATE TABLE credential (
            org TEXT NOT NULL, surface TEXT NOT NULL, class TEXT NOT NULL, ref TEXT NOT NULL, version BIGINT NOT NULL,
            place TEXT NOT NULL, fingerprint TEXT NOT NULL, set_by TEXT NOT NULL, set_at BIGINT NOT NULL, resolved TEXT,
            validation TEXT, identity TEXT, removed_at BIGINT, PRIMARY KEY (org, surface))
          """,
          // The identity stands beside the validation that found it, because it is searched for.
          "CREATE INDEX credential_identity ON credential (surface, identity)",
        ])
    ] + GatesRecords.migrations + EgressBudget.migrations + SpareRecords.migrations + IntakeRecords.migrations
    + [
      Migration(
        "credentials-0005-settings",
        [
          "ALTER TABLE credential ADD COLUMN settings TEXT", "ALTER TABLE credential_spare ADD COLUMN settings TEXT",
          // The class of what a link asks for; of those that there were it is a fixture.
          "ALTER TABLE credential_intake ADD COLUMN class TEXT",
        ])
    ] + SealingKeyRecords.migrations

  static func save(_ credential: Credential, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO credential (
        org, surface, class, ref, version, place, fingerprint, set_by, set_at, resolved, validation, identity,
        gate, settings, removed_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
      ON CONFLICT (org, surface) DO UPDATE SET class = excluded.class, ref = excluded.ref,
        version = excluded.version, place = excluded.place, fingerprint = excluded.fingerprint,
        set_by = excluded.set_by, set_at = excluded.set_at, resolved = excluded.resolved,
        validation = excluded.validation, identity = excluded.identity, gate = excluded.gate,
        settings = excluded.settings, removed_at = NULL
      """,
      [
        .id(credential.org), .text(credential.surface.rawValue), .text(credential.reference.kind.rawValue),
        .text(try JSONValue(encoding: credential.reference.ref).canonical), .integer(credential.version),
        .text(try JSONValue(encoding: credential.place).canonical), .text(credential.fingerprint),
        .text(credential.setBy), .time(credential.setAt),
        .text(try credential.lastResolved.map { try JSONValue(encoding: $0).canonical }),
        .text(try credential.lastValidated.map { try JSONValue(encoding: $0).canonical }),
        .text(credential.identity), .text(credential.reference.gate?.text), .text(try settings(credential)),
      ])
  }

  /// Nil of a surface that has none.
  static func settings(_ credential: Credential) throws -> String? {
    credential.settings.isEmpty ? nil : try JSONValue(encoding: credential.settings).canonical
  }

  /// When and for whom a version was read; nothing if another one is there by now.
  static func save(_ resolution: Credential.Resolution, of credential: Credential, in tx: Transaction) throws {
    try tx.run(
      "UPDATE credential SET resolved = ? WHERE org = ? AND surface = ? AND version = ? AND removed_at IS NULL",
      [
        .text(try JSONValue(encoding: resolution).canonical), .id(credential.org), .text(credential.surface.rawValue),
        .integer(credential.version),
      ])
  }

  /// The record stays, so that versions go on counting: a name that once meant a value never means another.
  static func remove(_ surface: CredentialSurface, of org: OrgID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "UPDATE credential SET removed_at = ? WHERE org = ? AND surface = ?",
      [.time(now), .id(org), .text(surface.rawValue)])
  }

  /// The other Orgs with a credential for the same surface that proved the same identity; of what proves none, those
  /// with the same value.
  static func sharing(_ credential: Credential, in tx: Transaction) throws -> [OrgID] {
    let isAsked = credential.surface.vendor != nil
    guard let mark = isAsked ? credential.identity : credential.fingerprint else { return [] }
    return try tx.run(
      """
      SELECT org FROM credential
      WHERE surface = ? AND \(isAsked ? "identity" : "fingerprint") = ? AND org <> ? AND removed_at IS NULL ORDER BY org
      """, [.text(credential.surface.rawValue), .text(mark), .id(credential.org)]
    ).map { try $0.id("org") }
  }

  static func version(_ surface: CredentialSurface, of org: OrgID, in tx: Transaction) throws -> Int {
    let row = try tx.run(
      "SELECT version FROM credential WHERE org = ? AND surface = ?", [.id(org), .text(surface.rawValue)]
    ).first
    return max(Int(try row?.integer("version") ?? 0), try SpareRecords.newest(surface, org, in: tx))
  }

  static func find(_ surface: CredentialSurface, of org: OrgID, in tx: Transaction) throws -> Credential? {
    try tx.run(
      "SELECT * FROM credential WHERE org = ? AND surface = ? AND removed_at IS NULL",
      [.id(org), .text(surface.rawValue)]
    ).first.map(read)
  }

  /// The credentials of an Org, by surface.
  public static func all(of org: OrgID, in tx: Transaction) throws -> [Credential] {
    try tx.run("SELECT * FROM credential WHERE org = ? AND removed_at IS NULL ORDER BY surface", [.id(org)]).map(read)
  }

  /// Whatever text is kept of an Org's credentials, those that were removed and that wait included, a row each: for who
  /// looks for values in it.
  public static func texts(of org: OrgID, in tx: Transaction) throws -> [String] {
    let columns = ["class", "ref", "place", "fingerprint", "set_by", "resolved", "validation", "gate", "settings"]
    let tables = [
      ("credential", columns), ("credential_spare", columns), ("credential_intake", ["purpose", "envelope"]),
    ]
    return try tables.flatMap { table, columns in
      try tx.run("SELECT \(columns.joined(separator: ", ")) FROM \(table) WHERE org = ?", [.id(org)]).map { row in
        try columns.compactMap { try row.optionalText($0) }.joined(separator: "\n")
      }
    }
  }

  /// Where AW put the values of all Orgs.
  static func places(in tx: Transaction) throws -> [Credential.Place] {
    try tx.run("SELECT place FROM credential WHERE removed_at IS NULL")
      .map { try JSONValue.decode(Credential.Place.self, from: $0.text("place")) } + SpareRecords.places(in: tx)
  }

  static func read(_ row: SQLRow) throws -> Credential {
    let ref = try JSONValue.decode(SecretRef.self, from: row.text("ref"))
    return Credential(
      org: try row.id("org"), surface: try CredentialSurface(named: row.text("surface")),
      reference: try reference(ref, row.text("class"), row.optionalText("gate")),
      version: Int(try row.integer("version")),
      place: try JSONValue.decode(Credential.Place.self, from: row.text("place")),
      settings: try row.optionalText("settings").map { try JSONValue.decode([String: String].self, from: $0) } ?? [:],
      fingerprint: try row.text("fingerprint"), setBy: try row.text("set_by"), setAt: try row.time("set_at"),
      lastResolved: try row.optionalText("resolved").map {
        try JSONValue.decode(Credential.Resolution.self, from: $0)
      },
      lastValidated: try row.optionalText("validation").map { try JSONValue.decode(Validation.self, from: $0) })
  }

  private static func reference(_ ref: SecretRef, _ name: String, _ gate: String?) throws -> CredentialRef {
    guard let kind = CredentialClass(rawValue: name),
      let kept = CredentialRef.kept(ref, kind, gate: gate.flatMap { GateID($0) })
    else {
      throw AWError(
        .storeFailed, "The database holds a credential of the class \(name.quoted) without its gate.",
        next: "Start the AW that wrote it, or restore a backup.")
    }
    return kept
  }
}
