import Basics
import Store

extension EvidenceLog {
  /// The redactable fields of an entry that were not erased and are not in quarantine, sorted by name, each checked
  /// against its commitment.
  public func disclosures(of index: Int64, in tx: Transaction) throws -> [Redactable] {
    guard let record = try record(at: index, in: tx) else { return [] }
    let aside = try Set(quarantine(of: record, in: tx).map(\.field))
    let commitments = Set((record.entry.data["_sd"]?.arrayValue ?? []).compactMap(\.stringValue))
    let rows = try tx.run(
      "SELECT disclosure FROM evidence_disclosure WHERE entry_index = ? ORDER BY field", [.integer(index)])
    let fields = try rows.map { row -> Redactable in
      let disclosure = try row.text("disclosure")
      guard commitments.contains(Redactable.digest(ofDisclosure: disclosure)),
        let field = Redactable(disclosure: disclosure)
      else {
        throw AWError(
          .evidenceBroken, "A value kept beside evidence entry \(index) is not the one that the entry commits to.",
          next: "Somebody changed the database. The entry itself can be trusted if `aw evidence verify` passes.")
      }
      return field
    }
    return fields.filter { !aside.contains($0.name) }
  }

  /// Deletes the value and the salt of one field for good. The log still verifies. False when there was none.
  @discardableResult
  public func erase(_ index: Int64, field: String, in tx: Transaction) throws -> Bool {
    try !tx.run(
      "DELETE FROM evidence_disclosure WHERE entry_index = ? AND field = ? RETURNING field",
      [.integer(index), .text(field)]
    ).isEmpty
  }
}
