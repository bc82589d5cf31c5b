import Basics
import Link
import Store
import Synchronization

/// The newest evidence of every Instance in memory, without what only its own page shows, so that a board of 10,000
/// Instances needs one statement and no decoding.
///
/// It holds evidence, never a status: that is derived anew for every reader. The Watchdog notes what it records; what
/// anybody else recorded is seen by its time and read again.
public final class FleetIndex: Sendable {
  /// Instances of one statement that reads evidence anew.
  static let chunk = 500

  private struct Known {
    let at: Timestamp
    let evidence: StatusEvidence
  }

  private let known = Mutex<[String: Known]>([:])

  public init() {}

  /// Takes in what was just recorded. Called after the commit, so that it is never ahead of the database.
  func note(_ evidence: StatusEvidence, of id: InstanceID, at: Timestamp) {
    let compact = evidence.compact
    known.withLock { $0[id.text] = Known(at: at, evidence: compact) }
  }

  /// How each Instance is, derived now.
  func rows(
    policy: StatusPolicy, doubt: SelfDoubt?, now: Timestamp, in tx: Transaction
  ) throws -> [BoardRow] {
    let facts = try BoardRecords.facts(in: tx)
    let outdated = known.withLock { known in
      facts.filter { fact in fact.updatedAt.map { (known[fact.id]?.at ?? .distantPast) < $0 } ?? false }
    }
    for start in stride(from: 0, to: outdated.count, by: Self.chunk) {
      let ids = outdated[start..<min(start + Self.chunk, outdated.count)].map(\.id)
      let read = try BoardRecords.evidence(of: ids, in: tx)
      known.withLock { known in
        for (id, at, evidence) in read where (known[id]?.at ?? .distantPast) < at {
          known[id] = Known(at: at, evidence: evidence.compact)
        }
      }
    }
    let all = known.withLock { known in
      // What is gone is forgotten; twice as many as there are shows that it is time.
      if known.count > 2 * facts.count + 100 {
        let present = Set(facts.map(\.id))
        known = known.filter { present.contains($0.key) }
      }
      return known
    }
    let nothing = StatusEvidence()
    return facts.map { fact in
      let evidence = all[fact.id]?.evidence ?? nothing
      let reading = StatusReading.of(evidence, asked: fact.asked, policy: policy, now: now, doubt: doubt)
      return BoardRow(
        id: fact.id, slug: fact.slug, org: fact.org, host: fact.host, asked: fact.asked, version: fact.version,
        status: reading.status, cause: reading.cause)
    }
  }
}

extension Timestamp {
  fileprivate static let distantPast = Timestamp(millisecondsSince1970: .min)
}

extension StatusEvidence {
  /// Without what the checks saw: the status does not follow from it, and it is most of the bytes.
  var compact: StatusEvidence {
    var compact = self
    compact.newest = newest.mapValues { result in
      CheckResult(
        link: result.link, outcome: result.outcome, at: result.at, durationMilliseconds: result.durationMilliseconds,
        evidence: .null)
    }
    return compact
  }
}

/// The SQL of the board.
enum BoardRecords {
  /// Lets the board see which evidence is newer than what it knows without reading the evidence itself.
  static let migration = Migration(
    "fleet-0003-board", ["CREATE INDEX instance_evidence_updated ON instance_evidence (instance, updated_at)"])

  struct Fact: Sendable {
    let id: String
    let slug: String
    let org: String
    let host: String
    let asked: Instance.State
    let version: String?
    let updatedAt: Timestamp?
  }

  static func facts(in tx: Transaction) throws -> [Fact] {
    try tx.run(
      """
      SELECT i.id, i.slug, o.slug AS org, h.slug AS host, i.state, i.version, e.updated_at FROM instance i
      LEFT JOIN org o ON o.id = i.org LEFT JOIN host h ON h.id = i.host
      LEFT JOIN instance_evidence e ON e.instance = i.id
      """
    ).map { row in
      Fact(
        id: try row.text("id"), slug: try row.text("slug"), org: try row.optionalText("org") ?? "gone",
        host: try row.optionalText("host") ?? "gone",
        asked: try FleetRecords.value(Instance.State(rawValue: row.text("state")), "instance.state"),
        version: try row.optionalText("version"), updatedAt: try row.optionalTime("updated_at"))
    }
  }

  static func evidence(
    of ids: [String], in tx: Transaction
  ) throws -> [(id: String, at: Timestamp, evidence: StatusEvidence)] {
    let marks = ids.map { _ in "?" }.joined(separator: ", ")
    return try tx.run(
      "SELECT instance, evidence, updated_at FROM instance_evidence WHERE instance IN (\(marks))",
      ids.map { .text($0) }
    ).map { row in
      (
        try row.text("instance"), try row.time("updated_at"),
        try JSONValue.decode(StatusEvidence.self, from: row.text("evidence"))
      )
    }
  }
}
