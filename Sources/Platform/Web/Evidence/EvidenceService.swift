import Access
import Basics
import Evidence
import Hygiene
import Store

/// What people do with the record itself: scan it, look at what a scan found, erase a field, take a part of it along.
public struct EvidenceService: Sendable {
  /// Characters of a reason.
  public static let reasonCharactersMax = 500

  let acts: Acts
  let log: EvidenceLog
  let store: Store
  let hygiene: EvidenceHygiene
  let exporter: EvidenceExporter
  private let clock: WallClock

  public init(
    acts: Acts, log: EvidenceLog, store: Store, hygiene: EvidenceHygiene, publisher: EvidencePublisher, clock: WallClock
  ) {
    (self.acts, self.log, self.store, self.hygiene, self.clock) = (acts, log, store, hygiene, clock)
    exporter = EvidenceExporter(log: log, store: store, hygiene: hygiene, publisher: publisher, clock: clock)
  }

  /// Runs the checks over the whole log, and records what they found.
  ///
  /// - Returns: the reading as it is afterwards: entries that were added meanwhile make it stale.
  public func scan(as actor: Actor) async throws -> HygieneReading {
    try await store.read { tx in try acts.authorise(.evidenceManage, as: actor, in: tx) }
    let verdict = try await hygiene.verdict(at: clock.now)
    let hygiene = hygiene
    let details = try EvidenceHygiene.record(of: verdict)
    try await acts.perform(Act(.evidenceManage, kind: .evidenceScanned, details: details), as: actor) { _, _ in }
    guard let reading = try await store.read({ try hygiene.newest(in: $0) }) else {
      throw AWError(.internalFailure, "The verdict is not on record.", next: "Scan again.")
    }
    return reading
  }

  /// The newest verdict; nil before the first scan.
  public func newest() async throws -> HygieneReading? {
    let hygiene = hygiene
    return try await store.read { try hygiene.newest(in: $0) }
  }

  /// Says that what was found in an entry may stay. What was in quarantine in it is shown from then on.
  ///
  /// - Throws: `notFound` when there is no such entry, `usage` without a reason.
  public func review(_ index: Int64, reason: String, as actor: Actor, dryRun: Bool = false) async throws {
    let (reason, log) = (try Self.reason(reason), log)
    let act = Act(.evidenceManage, kind: .evidenceReviewed, subject: Self.subject(index))
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let record = try Self.record(index, log, tx)
      context.org = record.entry.org
      context.record("entry", .integer(index))
      context.record("reason", .string(reason))
    }
  }

  /// Deletes the value and the salt of a redactable field for good. The log still verifies; that it was done, by whom
  /// and why, is an entry of its own.
  ///
  /// - Throws: `notFound`, `evidenceFieldUnknown` when it is not there or was erased, `usage` without a reason.
  public func erase(_ index: Int64, field: String, reason: String, as actor: Actor, dryRun: Bool = false) async throws {
    let (reason, log) = (try Self.reason(reason), log)
    let act = Act(
      .evidenceManage, kind: .evidenceErased, subject: Self.subject(index),
      details: ["entry": .integer(index), "field": .string(field), "reason": .string(reason)])
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let record = try Self.record(index, log, tx)
      guard try log.erase(index, field: field, in: tx) else {
        throw AWError(
          .evidenceFieldUnknown, "Entry \(index) has no field \(field.quoted) that can be erased, or has it no more.",
          next: "See 'aw evidence show \(index)'.")
      }
      context.org = record.entry.org
    }
  }

  /// The redactable fields of an entry: what is left of them, what is in quarantine, and how many were erased.
  public func fields(_ index: Int64) async throws -> EvidenceFieldsView {
    let log = log
    return try await store.read { tx in
      let record = try Self.record(index, log, tx)
      let commitments = record.entry.data["_sd"]?.arrayValue?.count ?? 0
      let kept = try log.disclosures(of: index, in: tx)
      let aside = try log.quarantine(of: record, in: tx)
      return EvidenceFieldsView(
        fields: kept.map { EvidenceFieldsView.Field(name: $0.name, value: $0.value) }, quarantined: aside,
        erased: commitments - kept.count - aside.count)
    }
  }

  private static func record(_ index: Int64, _ log: EvidenceLog, _ tx: Transaction) throws -> EvidenceRecord {
    guard let record = try log.record(at: index, in: tx) else {
      throw WebErrors.notFound("There is no evidence entry \(index).")
    }
    return record
  }

  private static func subject(_ index: Int64) -> EvidenceSubject { EvidenceSubject(type: "evidence", id: "\(index)") }

  private static func reason(_ text: String) throws -> String {
    let text = text.trimmingPrefix { $0.isWhitespace }
    guard (1...reasonCharactersMax).contains(text.count) else {
      throw WebErrors.usage("A reason has 1 to \(reasonCharactersMax) characters.")
    }
    return String(text)
  }
}

/// The redactable fields of an entry.
public struct EvidenceFieldsView: Codable, Sendable, Equatable {
  public struct Field: Codable, Sendable, Equatable {
    public let name: String
    public let value: JSONValue
  }

  public let fields: [Field]
  /// Fields that look like a secret: nobody is shown what is in them until the entry was reviewed.
  public let quarantined: [EvidenceLog.Quarantined]
  /// How many more it had.
  public let erased: Int

  static let schema = JSONSchema.object([
    "fields": JSONSchema.array(of: JSONSchema.object(["name": JSONSchema.text, "value": JSONSchema.any])),
    "quarantined": JSONSchema.array(of: JSONSchema.object(["field": JSONSchema.text, "rule": JSONSchema.text])),
    "erased": JSONSchema.integer,
  ])
}
