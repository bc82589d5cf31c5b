import Basics
import Store

/// An entry as it stands in the log.
public struct EvidenceRecord: Sendable {
  /// Counted from 0; also the cursor of a list.
  public let index: Int64
  public internal(set) var entry: EvidenceEntry
  /// The leaf hash (RFC 6962).
  public let hash: MerkleHash
  /// The canonical JSON that is hashed. What no profile knows is in it, if it was written before the profiles closed.
  let bytes: [UInt8]
}

/// Which entries to list: all that is given must hold.
public struct EvidenceFilter: Sendable {
  public var kind: EvidenceKind?
  /// One of these; empty for any.
  public var kinds: [EvidenceKind]
  public var org: String?
  public var subjectID: String?
  public var act: String?
  public var actor: String?
  /// The earliest time, included.
  public var since: Timestamp?

  public init(
    kind: EvidenceKind? = nil, kinds: [EvidenceKind] = [], org: String? = nil, subjectID: String? = nil,
    act: String? = nil,
    actor: String? = nil, since: Timestamp? = nil
  ) {
    self.kind = kind
    self.kinds = kinds
    self.org = org
    self.subjectID = subjectID
    self.act = act
    self.actor = actor
    self.since = since
  }

  /// A filter for a kind that came as text, such as from a query; it matches nothing when there is no such kind.
  public static func kind(named id: String) -> EvidenceFilter { EvidenceFilter(kind: EvidenceKind(stored: id)) }

  private var anyKind: [(String, [SQLValue])] {
    let marks = kinds.map { _ in "?" }.joined(separator: ", ")
    return kinds.isEmpty ? [] : [("kind IN (\(marks))", kinds.map { .text($0.id) })]
  }

  fileprivate var conditions: [(String, [SQLValue])] {
    let all: [(String, SQLValue?)] = [
      ("kind = ?", kind.map { .text($0.id) }), ("org = ?", org.map { .text($0) }),
      ("subject_id = ?", subjectID.map { .text($0) }), ("act = ?", act.map { .text($0) }),
      ("actor = ?", actor.map { .text($0) }), ("at >= ?", since.map { .time($0) }),
    ]
    return all.compactMap { condition in condition.1.map { (condition.0, [$0]) } } + anyKind
  }
}

extension EvidenceLog {
  /// Entries, newest first.
  ///
  /// - Parameters:
  ///   - before: the index of the last entry of the previous page; nil for the first page.
  ///   - limit: at most `EvidenceLog.listMax`.
  public func list(
    before: Int64? = nil, limit: Int, filter: EvidenceFilter = EvidenceFilter(), in tx: Transaction
  ) throws -> [EvidenceRecord] {
    var conditions = filter.conditions
    if let before { conditions.append(("entry_index < ?", [.integer(before)])) }
    let whereClause = conditions.isEmpty ? "" : "WHERE " + conditions.map(\.0).joined(separator: " AND ")
    let rows = try tx.run(
      "SELECT entry_index, hash, bytes FROM evidence_entry \(whereClause) ORDER BY entry_index DESC LIMIT ?",
      conditions.flatMap(\.1) + [.integer(min(max(1, limit), EvidenceLog.listMax))])
    return try rows.map { shown(try record($0)) }
  }

  /// The entry at `index`; nil when there is none.
  public func record(at index: Int64, in tx: Transaction) throws -> EvidenceRecord? {
    try tx.run("SELECT entry_index, hash, bytes FROM evidence_entry WHERE entry_index = ?", [.integer(index)])
      .first.map { shown(try record($0)) }
  }

  func record(_ row: SQLRow) throws -> EvidenceRecord {
    let index = try row.integer("entry_index")
    let bytes = try row.blob("bytes")
    guard let hash = MerkleHash(try row.blob("hash")), hash == Merkle.leaf(bytes),
      let entry = try? EvidenceEntry(parsing: bytes, index: index)
    else { throw EvidenceLog.broken(entry: index) }
    return EvidenceRecord(index: index, entry: entry, hash: hash, bytes: bytes)
  }

  static func broken(entry index: Int64) -> AWError {
    AWError(
      .evidenceBroken, "Evidence entry \(index) in the database was changed after it was written.",
      next: "Find out who can write to the database. The published log still has the entry: run `aw evidence verify`.")
  }
}
