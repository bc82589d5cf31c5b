import Basics
import Store

/// What a deployment remembers of itself.
public enum DeploymentRecords {
  public static let migrations = [
    Migration(
      "deployment-0001-setting",
      ["CREATE TABLE deployment_setting (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)"])
  ]

  enum Tag {}

  static func value(_ name: String, in tx: Transaction) throws -> String? {
    try tx.run("SELECT value FROM deployment_setting WHERE name = ?", [.text(name)]).first?.text("value")
  }

  static func set(_ name: String, _ value: String, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO deployment_setting (name, value) VALUES (?, ?)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value
      """, [.text(name), .text(value)])
  }

  /// Holds this control plane's vault against the database: the first one settles which vault the deployment has, by
  /// the key that checks its evidence.
  ///
  /// - Throws: `nodeVaultForeign` when this one has another.
  static func check(vault key: String, in store: Store) async throws {
    try await store.write { tx in
      guard let known = try value("vault", in: tx) else { return try set("vault", key, in: tx) }
      guard known == key else {
        throw AWError(
          .nodeVaultForeign, "The vault of this control plane is not the one that this database belongs to.",
          next: "Name the vault of the control plane that is there with --vault. The authority that Hosts trust "
            + "and the secrets of the Instances are in it.")
      }
    }
  }

  /// When the deployment was made, as its id tells.
  static func founded(_ identity: String) -> Timestamp {
    ID<Tag>(identity)?.madeAt ?? Timestamp(millisecondsSince1970: 0)
  }

  /// The deployment's id, made on first use. It names the evidence log.
  static func identity(in store: Store, at now: Timestamp) async throws -> String {
    try await store.write { tx in
      if let known = try value("id", in: tx) { return known }
      let made = ID<Tag>.make(at: now).text
      try set("id", made, in: tx)
      return made
    }
  }
}
