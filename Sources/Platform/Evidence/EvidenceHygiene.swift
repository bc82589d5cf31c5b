import Basics
import Crypto
import Hygiene
import Store
import Vault

extension EvidenceKind {
  public static let evidenceScanned = EvidenceKind("evidence.scanned")
  public static let evidenceReviewed = EvidenceKind("evidence.reviewed")
  public static let evidenceErased = EvidenceKind("evidence.erased")
}

/// The newest verdict of hygiene, and whether it still speaks of the whole log.
public struct HygieneReading: Sendable, Codable, Equatable {
  public let verdict: HygieneVerdict
  /// The entry that records it.
  public let entry: Int64
  /// How many entries were added that it did not look at, but for heartbeats and verdicts.
  public let added: Int64
  /// Whether there are such entries: then it is no verdict on the log as it is.
  public var isStale: Bool { added > 0 }
}

/// Runs the four checks over the log: a gate that was run, not a sentence that somebody wrote.
public struct EvidenceHygiene: Sendable {
  /// Entries read from the database at a time.
  private static let entriesPerRead = 512

  private let log: EvidenceLog
  private let store: Store
  private let watch: SecretWatch
  private let profiles: FieldProfiles
  private let kinds: ProvenanceRegistry.Kinds

  public init(
    log: EvidenceLog, store: Store, watch: SecretWatch, profiles: FieldProfiles, kinds: ProvenanceRegistry.Kinds
  ) {
    (self.log, self.store, self.watch, self.profiles, self.kinds) = (log, store, watch, profiles, kinds)
  }

  /// Looks at every entry, or at those below `size`.
  ///
  /// - Throws: `vaultUnreadable` when the values are not known, `evidenceBroken`, what the store throws, and
  ///   `CancellationError`.
  public func run(below size: Int64? = nil) async throws -> HygieneRun {
    var run = HygieneRun(
      scanner: try watch.current(), profiles: profiles, kinds: kinds, rules: rules)
    let log = log
    let end = try await store.read { tx in min(size ?? .max, try log.head(in: tx).size) }
    for start in stride(from: Int64(0), to: end, by: Self.entriesPerRead) {
      try Task.checkCancellation()
      let stop = min(end, start + Int64(Self.entriesPerRead))
      let part = try await store.read { tx in try log.held(start..<stop, in: tx) }
      for held in part {
        run.take(held.item, bytes: held.bytes, beside: held.beside)
        if held.item.kind == EvidenceKind.evidenceReviewed.id, let entry = held.item.data["entry"]?.intValue {
          run.review(entry)
        }
      }
    }
    return run
  }

  public func verdict(at now: Timestamp) async throws -> HygieneVerdict {
    try await run().verdict(at: now, tooPlain: try watch.standing().tooPlain)
  }

  /// The newest verdict that is on record, with what was added since; nil before the first.
  public func newest(in tx: Transaction) throws -> HygieneReading? {
    guard let (verdict, entry) = try recorded(in: tx) else { return nil }
    return HygieneReading(verdict: verdict, entry: entry, added: try added(after: verdict.items, in: tx)?.count ?? 0)
  }

  /// What an entry of a verdict holds.
  public static func record(of verdict: HygieneVerdict) throws -> JSONValue {
    ["outcome": .string(verdict.outcome.rawValue), "verdict": try JSONValue(encoding: verdict)]
  }

  /// The newest verdict that is on record, and the entry of it.
  func recorded(in tx: Transaction) throws -> (verdict: HygieneVerdict, entry: Int64)? {
    guard let record = try log.list(limit: 1, filter: EvidenceFilter(kind: .evidenceScanned), in: tx).first,
      let verdict = try? record.entry.data["verdict"]?.decode(HygieneVerdict.self)
    else { return nil }
    return (verdict, record.index)
  }

  /// Of what each check goes by, so that a verdict can be told from one by other rules.
  private var rules: [HygieneLayer: String] {
    let kinds = (kinds.orgs.sorted() + kinds.others.sorted()).joined(separator: " ")
    return [
      .exactValues: ExactScanner.version, .patterns: PatternRules.description,
      .personalData: PersonalDataRules.version + "\n" + profiles.text,
      .provenance: ProvenanceRegistry.version + "\n" + kinds,
    ].mapValues { SHA256.hex(Array($0.utf8)) }
  }
}

extension EvidenceLog {
  struct Held {
    let item: HygieneItem
    let bytes: [UInt8]
    /// The disclosures by the name of the field, as JSON.
    let beside: [String: String]
  }

  /// Entries as the checks need them, oldest first.
  func held(_ range: Range<Int64>, in tx: Transaction) throws -> [Held] {
    let bounds: [SQLValue] = [.integer(range.lowerBound), .integer(range.upperBound)]
    let rows = try tx.run(
      "SELECT entry_index, hash, bytes FROM evidence_entry WHERE entry_index >= ? AND entry_index < ? "
        + "ORDER BY entry_index", bounds)
    let disclosures = try tx.run(
      "SELECT entry_index, field, disclosure FROM evidence_disclosure "
        + "WHERE entry_index >= ? AND entry_index < ?", bounds)
    var beside: [Int64: [String: String]] = [:]
    for row in disclosures {
      let text = Base64URL.decode(try row.text("disclosure")).map { String(decoding: $0, as: UTF8.self) }
      beside[try row.integer("entry_index"), default: [:]][try row.text("field")] = text
    }
    return try rows.map { row in
      let record = try record(row)
      let (entry, subject) = (record.entry, record.entry.subject)
      return Held(
        item: HygieneItem(
          index: record.index, kind: entry.kind.id, actor: entry.actor, subject: subject.map { ($0.type, $0.id) },
          org: entry.org, data: entry.data),
        bytes: record.bytes, beside: beside[record.index] ?? [:])
    }
  }
}
