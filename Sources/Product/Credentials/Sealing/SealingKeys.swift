import Basics
import Crypto
import Store
import Vault

/// The keys that browsers seal values to. Their private halves are in the sealed file of the data directory and nowhere
/// else; whoever serves pages passes sealed values here, and never holds one in clear.
///
/// One of them is shown to browsers. Those before it open what was sealed to them for a time that a page may still be
/// open for, and are forgotten after that.
struct SealingKeys: Sendable {
  let vault: Vault
  let store: Store
  let clock: WallClock

  /// Where the first one lies, which is made at its first use and has no record until it is replaced.
  static let firstPlace = "deployment/sealing-key"

  typealias PrivateKey = Curve25519.KeyAgreement.PrivateKey

  /// A key with the vault's name for it.
  struct Kept: Sendable {
    let place: String
    let key: PrivateKey
    /// What sealed values call it.
    var name: String { SealedValue.name(of: key.publicKey) }
  }

  /// What a page needs to seal a value.
  struct Public: Sendable, Equatable {
    /// base64url of 32 bytes.
    let key: String
    let name: String
  }

  /// - Throws: `credentialEnvelope` when it was sealed to a key that is none of these, or not any more.
  func open(_ sealed: SealedValue, for binding: SealedValue.Binding) async throws -> Secret {
    let record = try await store.read { try SealingKeyRecords.find(sealed.key, in: $0) }
    guard let record else { return try sealed.open(with: try await present.key, for: binding) }
    guard record.opens(at: clock.now) else { throw SealedValue.refusal("it was sealed to a key that was replaced") }
    return try sealed.open(with: try Self.key(try await vault.get(SecretReference(record.place))), for: binding)
  }

  var publicKey: Public {
    get async throws {
      let kept = try await present
      return Public(key: Base64URL.encode(kept.key.publicKey.rawRepresentation), name: kept.name)
    }
  }

  /// The one that browsers are shown.
  var present: Kept {
    get async throws {
      if let record = try await store.read({ try SealingKeyRecords.present(in: $0) }) {
        return Kept(place: record.place, key: try Self.key(try await vault.get(SecretReference(record.place))))
      }
      let first = try await vault.putIfAbsent(try SecretReference(Self.firstPlace)) { Self.secret(PrivateKey()) }
      return Kept(place: Self.firstPlace, key: try Self.key(first))
    }
  }

  /// Puts another one into the vault. Nobody is shown it before it is recorded.
  func make() async throws -> Kept {
    let key = PrivateKey()
    let place = "\(Self.firstPlace)/\(SealedValue.name(of: key.publicKey))"
    try await vault.put(Self.secret(key), at: try SecretReference(place))
    return Kept(place: place, key: key)
  }

  func forget(_ kept: Kept) async throws { try await vault.delete(try SecretReference(kept.place)) }

  /// Forgets those to which nothing that opens can be sealed any more.
  func sweep() async throws {
    let now = clock.now
    for record in try await store.read({ try SealingKeyRecords.all(in: $0) }) where !record.opens(at: now) {
      try await vault.delete(try SecretReference(record.place))
      try await store.write { try SealingKeyRecords.delete(record.name, in: $0) }
    }
  }

  private static func key(_ secret: Secret) throws -> PrivateKey {
    try secret.withBytes { try PrivateKey(rawRepresentation: $0) }
  }

  private static func secret(_ key: PrivateKey) -> Secret { Secret(bytes: Array(key.rawRepresentation)) }
}

/// What is known of a key that browsers sealed to, without the key.
struct SealingKeyRecord: Sendable, Equatable {
  let name: String
  /// The vault's name for it.
  let place: String
  let madeAt: Timestamp
  /// Nil while browsers are shown it.
  let retiredAt: Timestamp?

  func opens(at now: Timestamp) -> Bool {
    retiredAt.map { now < $0.advanced(by: CredentialLimits.sealingOverlap) } ?? true
  }
}

/// The SQL of them.
enum SealingKeyRecords {
  static let migrations = [
    Migration(
      "credentials-0006-sealing",
      [
        """
        CREATE TABLE sealing_key (
          name TEXT PRIMARY KEY NOT NULL, place TEXT NOT NULL, made_at BIGINT NOT NULL, retired_at BIGINT)
        """
      ])
  ]

  static func insert(_ record: SealingKeyRecord, in tx: Transaction) throws {
    try tx.run(
      "INSERT INTO sealing_key (name, place, made_at, retired_at) VALUES (?, ?, ?, ?)",
      [.text(record.name), .text(record.place), .time(record.madeAt), .time(record.retiredAt)])
  }

  static func present(in tx: Transaction) throws -> SealingKeyRecord? {
    try tx.run("SELECT * FROM sealing_key WHERE retired_at IS NULL").first.map(read)
  }

  static func find(_ name: String, in tx: Transaction) throws -> SealingKeyRecord? {
    try tx.run("SELECT * FROM sealing_key WHERE name = ?", [.text(name)]).first.map(read)
  }

  static func all(in tx: Transaction) throws -> [SealingKeyRecord] {
    try tx.run("SELECT * FROM sealing_key ORDER BY made_at, name").map(read)
  }

  static func retire(_ name: String, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE sealing_key SET retired_at = ? WHERE name = ?", [.time(now), .text(name)])
  }

  static func delete(_ name: String, in tx: Transaction) throws {
    try tx.run("DELETE FROM sealing_key WHERE name = ?", [.text(name)])
  }

  private static func read(_ row: SQLRow) throws -> SealingKeyRecord {
    SealingKeyRecord(
      name: try row.text("name"), place: try row.text("place"), madeAt: try row.time("made_at"),
      retiredAt: try row.optionalTime("retired_at"))
  }
}
