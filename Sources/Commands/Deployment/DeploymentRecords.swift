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
