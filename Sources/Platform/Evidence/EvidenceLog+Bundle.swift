import Basics
import Store

extension EvidenceFilter {
  init(_ scope: EvidenceBundle.Scope) {
    self.init(org: scope.org, subjectID: scope.subject, act: scope.act, since: scope.since)
  }
}

extension EvidenceLog {
  /// Puts what a scope holds into a bundle, with proofs against a checkpoint.
  ///
  /// - Parameters:
  ///   - note: the signed checkpoint. Entries after it are left out.
  ///   - withheld: of which entries only the hash may go out, and why.
  /// - Throws: `notFound` when nothing is in the scope, `tooLarge` when more than `EvidenceBundle.entriesMax` entries
  ///   are, `evidenceBroken`.
  func bundle(
    _ scope: EvidenceBundle.Scope, checkpoint note: [UInt8], key: EvidenceVerifierKey, hygiene: JSONValue,
    withheld: [Int64: String], at now: Timestamp, in tx: Transaction
  ) throws -> EvidenceBundle {
    let checkpoint = try EvidenceCheckpoint(note: note, key: key)
    let text = String(decoding: note, as: UTF8.self)
    let tree = MerkleTree(try leaves(below: Int64(checkpoint.size), in: tx))
    let records = try records(in: scope, below: Int64(checkpoint.size), tx)
    let items = try records.map { record -> EvidenceBundle.Item in
      let why = withheld[record.index]
      let proof = InclusionProofText(
        index: Int(record.index), hashes: tree.inclusionProof(Int(record.index)), checkpoint: text)
      return EvidenceBundle.Item(
        index: Int(record.index),
        entry: why == nil ? String(decoding: record.bytes, as: UTF8.self) : nil,
        hash: why == nil ? nil : Hex.encode(record.hash.bytes), withheld: why, proof: proof.text,
        disclosures: why == nil ? try keptDisclosures(of: record, in: tx) : [])
    }
    return EvidenceBundle(
      made: now, scope: scope, log: key, checkpoint: text, entries: items, hygiene: hygiene)
  }

  private func records(in scope: EvidenceBundle.Scope, below size: Int64, _ tx: Transaction) throws -> [EvidenceRecord]
  {
    var records: [EvidenceRecord] = []
    var before = size
    while true {
      let page = try list(before: before, limit: Self.listMax, filter: EvidenceFilter(scope), in: tx)
      records += page.filter { scope.holds($0.entry) }
      guard records.count <= EvidenceBundle.entriesMax else {
        throw AWError(
          .tooLarge, "More than \(EvidenceBundle.entriesMax) entries are of that.",
          next: "Ask for less time with --since and --until, and make several bundles.")
      }
      guard page.count == Self.listMax, let last = page.last else { break }
      before = last.index
    }
    guard !records.isEmpty else {
      throw AWError(.notFound, "No published entry is of that.", next: "See 'aw evidence list'.")
    }
    return records.reversed()
  }

  private func leaves(below size: Int64, in tx: Transaction) throws -> [MerkleHash] {
    let rows = try tx.run(
      "SELECT hash FROM evidence_entry WHERE entry_index < ? ORDER BY entry_index", [.integer(size)])
    let hashes = try rows.compactMap { MerkleHash(try $0.blob("hash")) }
    guard hashes.count == Int(size) else { throw Self.broken(entry: Int64(hashes.count)) }
    return hashes
  }

  func keptDisclosures(of record: EvidenceRecord, in tx: Transaction) throws -> [String] {
    let aside = try Set(quarantine(of: record, in: tx).map(\.field))
    let rows = try tx.run(
      "SELECT field, disclosure FROM evidence_disclosure WHERE entry_index = ? ORDER BY field",
      [.integer(record.index)])
    return try rows.filter { !aside.contains(try $0.text("field")) }.map { try $0.text("disclosure") }
  }
}

/// A whole tree in memory, for many proofs: the hashes of its perfect subtrees, level by level.
struct MerkleTree {
  private let levels: [[MerkleHash]]

  init(_ leaves: [MerkleHash]) {
    var levels = [leaves]
    while let last = levels.last, last.count > 1 {
      levels.append(stride(from: 0, to: last.count - 1, by: 2).map { Merkle.node(last[$0], last[$0 + 1]) })
    }
    self.levels = levels
  }

  /// The same as `Merkle.inclusionProof`, in the time of a few hashes.
  func inclusionProof(_ index: Int) -> [MerkleHash] { path(index, 0..<levels[0].count) }

  private func path(_ index: Int, _ range: Range<Int>) -> [MerkleHash] {
    guard range.count > 1 else { return [] }
    let split = range.lowerBound + Self.splitPoint(range.count)
    if index < split { return path(index, range.lowerBound..<split) + [root(split..<range.upperBound)] }
    return path(index, split..<range.upperBound) + [root(range.lowerBound..<split)]
  }

  private func root(_ range: Range<Int>) -> MerkleHash {
    if range.count.nonzeroBitCount == 1, range.lowerBound.isMultiple(of: range.count) {
      return levels[range.count.trailingZeroBitCount][range.lowerBound / range.count]
    }
    let split = range.lowerBound + Self.splitPoint(range.count)
    return Merkle.node(root(range.lowerBound..<split), root(split..<range.upperBound))
  }

  /// The largest power of two that is smaller than `count`.
  private static func splitPoint(_ count: Int) -> Int { 1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount) }
}
