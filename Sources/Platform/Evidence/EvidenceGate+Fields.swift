import Basics
import Hygiene
import Store

/// The second and third check of hygiene, before anything is written: an entry has the fields of its kind and no
/// others, and what looks like a secret stands in none of them in the clear.
extension EvidenceLog {
  /// The entry without what the profile of its kind does not have, and the names of that.
  func closed(
    _ entry: EvidenceEntry, _ redactable: [Redactable]
  ) -> (entry: EvidenceEntry, redactable: [Redactable], dropped: [String]) {
    guard let profiles else { return (entry, redactable, []) }
    let kept = redactable.filter { profiles.has($0.name, of: entry.kind.id) }
    let others = redactable.map(\.name).filter { !profiles.has($0, of: entry.kind.id) }
    let closed = profiles.closed(entry.data, of: entry.kind.id, and: others)
    var entry = entry
    entry.data = closed.data
    return (entry, kept, closed.names)
  }

  /// The entry with each field put aside in which a rule of patterns finds something: its value becomes a salted
  /// commitment, which verifies whatever becomes of the value. The entry says which fields, and by which rule.
  func quarantined(
    _ entry: EvidenceEntry, _ redactable: [Redactable]
  ) -> (entry: EvidenceEntry, redactable: [Redactable]) {
    guard profiles != nil, var members = entry.data.objectValue else { return (entry, redactable) }
    var (fields, rules) = (redactable, [String: JSONValue]())
    for field in redactable {
      rules[field.name] = PatternRules.rule(in: field.value, named: field.name).map { .string($0) }
    }
    for (name, value) in members.sorted(by: { $0.key < $1.key }) where !FieldProfiles.reserved.contains(name) {
      guard let rule = PatternRules.rule(in: value, named: name) else { continue }
      rules[name] = .string(rule)
      members[name] = nil
      fields.append(Redactable(name, value))
    }
    guard !rules.isEmpty else { return (entry, redactable) }
    members[FieldProfiles.quarantined] = .object(rules)
    var entry = entry
    entry.data = .object(members)
    return (entry, fields)
  }

  /// An entry as it may be shown: one that was written before the profiles closed can have more.
  func shown(_ record: EvidenceRecord) -> EvidenceRecord {
    guard let profiles else { return record }
    var record = record
    record.entry.data = profiles.closed(record.entry.data, of: record.entry.kind.id).data
    return record
  }

  /// A field that nobody is shown until somebody lets it stay, and the rule that put it aside.
  public struct Quarantined: Sendable, Codable, Equatable {
    public let field: String
    public let rule: String
  }

  /// What of an entry is in quarantine, sorted by name: not what was erased, and nothing once it was looked at.
  public func quarantine(of record: EvidenceRecord, in tx: Transaction) throws -> [Quarantined] {
    guard let rules = record.entry.data[FieldProfiles.quarantined]?.objectValue else { return [] }
    let reviews = EvidenceFilter(kind: .evidenceReviewed, subjectID: String(record.index))
    guard try list(limit: 1, filter: reviews, in: tx).isEmpty else { return [] }
    let rows = try tx.run(
      "SELECT field FROM evidence_disclosure WHERE entry_index = ? ORDER BY field", [.integer(record.index)])
    return try rows.compactMap { row in
      let field = try row.text("field")
      return rules[field]?.stringValue.map { Quarantined(field: field, rule: $0) }
    }
  }
}
