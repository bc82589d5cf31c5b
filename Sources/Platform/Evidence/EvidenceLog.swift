import Basics
import Hygiene
import Logging
import Store
import Vault

/// The append-only record of acts, transitions and checks.
///
/// The database is the first home of an entry, in the same transaction as the change it speaks of. `EvidencePublisher`
/// copies it to files that can be checked without AW.
public struct EvidenceLog: Sendable {
  public static let listMax = 500

  public static let migrations = [
    Migration(
      "evidence-0001-log",
      [
        """
        CREATE TABLE evidence_entry (
          entry_index BIGINT PRIMARY KEY, hash BLOB NOT NULL, bytes BLOB NOT NULL, at BIGINT NOT NULL,
          kind TEXT NOT NULL, actor TEXT NOT NULL, subject_type TEXT, subject_id TEXT, org TEXT, act TEXT)
        """,
        "CREATE INDEX evidence_entry_by_org ON evidence_entry (org, entry_index)",
        "CREATE INDEX evidence_entry_by_subject ON evidence_entry (subject_id, entry_index)",
        "CREATE INDEX evidence_entry_by_kind ON evidence_entry (kind, entry_index)",
        "CREATE INDEX evidence_entry_by_act ON evidence_entry (act, entry_index)",
        "CREATE TABLE evidence_tree (id BIGINT PRIMARY KEY, size BIGINT NOT NULL, frontier BLOB NOT NULL)",
        """
        CREATE TABLE evidence_disclosure (
          entry_index BIGINT NOT NULL, field TEXT NOT NULL, disclosure TEXT NOT NULL,
          PRIMARY KEY (entry_index, field))
        """,
      ])
  ]

  /// One element after commits that added entries; several may come as one. For one consumer: the publisher.
  let nudges: AsyncStream<Void>
  private let nudged: AsyncStream<Void>.Continuation
  private let salt: @Sendable () -> [UInt8]
  /// Looks for secrets in what is appended; nil lets everything pass.
  let watch: SecretWatch?
  /// Replaces what OpenClaw masked; nil leaves it.
  let masks: Masks?
  /// What each kind may hold; nil lets everything pass.
  let profiles: FieldProfiles?
  private let logger: Logger?

  /// - Parameters:
  ///   - salt: gives 16 random bytes for each redactable field.
  ///   - watch: of the vault whose values must never be in the log.
  ///   - masks: for text that came from OpenClaw.
  ///   - profiles: what each kind may hold. What they do not know is dropped, and a field that looks like a secret is
  ///     put aside until somebody looks at it.
  ///   - logger: is told of what was dropped: it is a defect.
  public init(
    salt: @escaping @Sendable () -> [UInt8] = { [UInt8].random(count: Redactable.saltBytes) },
    watch: SecretWatch? = nil, masks: Masks? = nil, profiles: FieldProfiles? = nil, logger: Logger? = nil
  ) {
    self.salt = salt
    self.watch = watch
    self.masks = masks
    self.profiles = profiles
    self.logger = logger
    (nudges, nudged) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Asks the publisher to look for new entries.
  public func nudge() { nudged.yield() }

  /// Adds an entry in the caller's transaction and returns its index, counted from 0.
  ///
  /// - Parameters:
  ///   - redactable: fields of `entry.data` that may have to be erased one day.
  ///   - stance: what is done when it would hold a secret.
  /// - Throws: `usage` for an entry that cannot be one, `tooLarge` above 65,535 bytes, `evidenceSecret` when it would
  ///   hold a secret that is not withheld, and what the store throws. The act must then fail with it: there is no act
  ///   without evidence.
  @discardableResult
  public func append(
    _ entry: EvidenceEntry, redactable: [Redactable] = [], secrets stance: SecretStance = .withhold, in tx: Transaction
  ) throws -> Int64 {
    try check(entry, redactable)
    var (entry, redactable, dropped) = closed(entry, redactable)
    if let masks { entry.data = masks.remasked(entry.data) }
    let screened = try screen(entry, redactable, stance)
    (entry, redactable) = quarantined(screened.entry, screened.redactable)
    let index = try write(entry, redactable, in: tx)
    if !dropped.isEmpty {
      logger?.warning(
        "Fields of an evidence entry were dropped, because no profile has them. This is a defect in AW: report it",
        metadata: ["kind": "\(entry.kind)", "entry": "\(index)", "fields": "\(dropped.count)"])
    }
    if !screened.found.isEmpty { try write(withheld(screened.found, in: entry, at: index), [], in: tx) }
    return index
  }

  @discardableResult
  private func write(_ entry: EvidenceEntry, _ redactable: [Redactable], in tx: Transaction) throws -> Int64 {
    var (size, frontier) = try EvidenceLog.tree(tx)
    let committed = Redactable.commit(redactable, to: entry.data, salt: salt)
    var entry = entry
    entry.data = committed.data
    let bytes = entry.bytes(index: size)
    guard bytes.count <= EvidenceEntry.bytesMax else {
      throw AWError(
        .tooLarge, "An evidence entry has \(bytes.count) bytes, more than \(EvidenceEntry.bytesMax).",
        next: "Say less in it, or put the content elsewhere and record its hash.")
    }
    let hash = Merkle.leaf(bytes)
    try tx.run(
      """
      INSERT INTO evidence_entry
        (entry_index, hash, bytes, at, kind, actor, subject_type, subject_id, org, act)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .integer(size), .blob(hash.bytes), .blob(bytes), .time(entry.at), .text(entry.kind.id), .text(entry.actor),
        .text(entry.subject?.type), .text(entry.subject?.id), .text(entry.org), .text(entry.act),
      ])
    for (field, disclosure) in zip(redactable, committed.disclosures) {
      try tx.run(
        "INSERT INTO evidence_disclosure (entry_index, field, disclosure) VALUES (?, ?, ?)",
        [.integer(size), .text(field.name), .text(disclosure)])
    }
    Merkle.push(hash, to: &frontier, size: UInt64(size))
    try tx.run(
      """
      INSERT INTO evidence_tree (id, size, frontier) VALUES (1, ?, ?)
      ON CONFLICT (id) DO UPDATE SET size = excluded.size, frontier = excluded.frontier
      """,
      [.integer(size + 1), .blob(frontier.flatMap(\.bytes))])
    tx.afterCommit { [nudged] in nudged.yield() }
    return size
  }

  private func check(_ entry: EvidenceEntry, _ redactable: [Redactable]) throws {
    func refuse(_ what: String) -> AWError {
      AWError(.usage, "An evidence entry was refused: \(what).", next: "This is a defect in AW: report it.")
    }
    if !entry.kind.isWellFormed { throw refuse("its kind \(entry.kind.id.quoted) has not the form of one") }
    if entry.actor.isEmpty { throw refuse("it has no actor") }
    guard let members = entry.data.objectValue else { throw refuse("its data is not an object") }
    let names = Set(redactable.map(\.name))
    if names.count != redactable.count { throw refuse("two redactable fields have one name") }
    if names.contains(where: { members[$0] != nil }) { throw refuse("a redactable field is also in the clear") }
    if let taken = FieldProfiles.reserved.first(where: { members[$0] != nil || names.contains($0) }) {
      throw refuse("the name \(taken) is taken")
    }
    // RFC 3339 has four digits for the year, and what cannot be read again must not be written.
    if !(0..<253_402_300_800_000).contains(entry.at.millisecondsSince1970) { throw refuse("its time is out of range") }
  }

  /// How many entries there are, and the root hash over them.
  public func head(in tx: Transaction) throws -> (size: Int64, root: MerkleHash) {
    let (size, frontier) = try EvidenceLog.tree(tx)
    return (size, Merkle.root(frontier: frontier))
  }

  private static func tree(_ tx: Transaction) throws -> (size: Int64, frontier: [MerkleHash]) {
    guard let row = try tx.run("SELECT size, frontier FROM evidence_tree WHERE id = 1").first else { return (0, []) }
    let bytes = try row.blob("frontier")
    let size = try row.integer("size")
    let frontier = stride(from: 0, to: bytes.count, by: MerkleHash.byteCount)
      .compactMap { MerkleHash(bytes[$0..<min($0 + MerkleHash.byteCount, bytes.count)]) }
    guard size >= 0, frontier.count == size.nonzeroBitCount, bytes.count == frontier.count * MerkleHash.byteCount
    else {
      throw AWError(
        .evidenceBroken, "The head of the evidence log in the database is damaged.",
        next: "Do not change the database by hand. Run `aw evidence verify` and restore a backup.")
    }
    return (size, frontier)
  }
}
