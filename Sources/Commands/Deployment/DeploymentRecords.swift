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

  /// How long a control plane that does not renew its claim keeps it, and how often it renews.
  static let claimLasts = Duration.seconds(30)
  static let claimRenewed = Duration.seconds(10)

  private struct Claim: Codable {
    let node: String
    let until: Timestamp
  }

  /// Takes the database for one control plane, or renews that. The same node may take it again at once, as after a
  /// crash.
  ///
  /// - Throws: `dataInUse` while another node has it.
  static func claim(_ node: String, in store: Store, at now: Timestamp) async throws {
    try await store.write { tx in
      if let text = try value("claim", in: tx) {
        let held = try JSONValue.decode(Claim.self, from: text)
        guard held.node == node || held.until <= now else {
          throw AWError(
            .dataInUse, "Another control plane uses this database.",
            next: "Stop it, or give this one a database of its own. If it crashed, wait half a minute.")
        }
      }
      let claim = Claim(node: node, until: now.advanced(by: claimLasts))
      try set("claim", try JSONValue(encoding: claim).canonical, in: tx)
    }
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
