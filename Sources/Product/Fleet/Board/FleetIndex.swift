import Basics
import Link
import Store
import Synchronization

/// The newest evidence of every Instance in memory: what the Watchdog works on, and what the board is derived from
/// without decoding anything.
///
/// It holds evidence, never a status: that is derived anew for every reader. The Watchdog alone changes it here; it
/// writes what matters at once and the rest some seconds later, so memory may be ahead of the database. What another
/// control plane recorded is seen by its time and read again.
public final class FleetIndex: Sendable {
  /// Instances of one statement.
  static let chunk = 500
  /// Instances that are written in one transaction, so that a writer who waits does not wait long.
  static let pendingMax = 1_000

  fileprivate struct Known {
    var evidence = StatusEvidence()
    /// When the stored evidence was written, as far as this index knows.
    var storedAt = Timestamp.distantPast
    var goodStoredAt = Timestamp.distantPast
  }

  fileprivate struct State {
    var known: [String: Known] = [:]
    /// Those that say something else than what is stored, and those that only say it again.
    var changed: Set<String> = []
    var confirmed: Set<String> = []
  }

  private let state = Mutex(State())

  public init() {}

  // MARK: - The Watchdog

  func evidence(of id: InstanceID) -> StatusEvidence? { state.withLock { $0.known[id.text]?.evidence } }

  /// Changes the evidence of one Instance.
  ///
  /// - Parameter body: changes it, and answers whether it says something else now than it did.
  func change<Answer>(
    _ id: InstanceID, _ body: (inout StatusEvidence) -> (isNew: Bool, isNews: Answer)
  ) -> (isNew: Bool, isNews: Answer) {
    state.withLock { state in
      let outcome = body(&state.known[id.text, default: Known()].evidence)
      if outcome.isNew { state.changed.insert(id.text) } else { state.confirmed.insert(id.text) }
      return outcome
    }
  }

  /// Takes note that this evidence was written. What came in meanwhile stays.
  func stored(_ written: StatusEvidence, of id: InstanceID, at now: Timestamp) {
    state.withLock { state in
      var known = state.known[id.text] ?? Known()
      (known.evidence.announced, known.evidence.flapping, known.evidence.hard) =
        (written.announced, written.flapping, written.hard)
      if known.evidence == written { state.changed.remove(id.text) }
      (known.storedAt, known.goodStoredAt) = (now, now)
      state.known[id.text] = known
    }
  }

  /// What is to be written.
  struct Pending: Sendable {
    var whole: [(id: String, evidence: StatusEvidence)] = []
    /// Those of which only the time of the newest good check has moved.
    var good: [Timestamp: [String]] = [:]

    var isEmpty: Bool { whole.isEmpty && good.isEmpty }
  }

  /// - Parameter apart: what was written less long ago is left for later.
  func pending(now: Timestamp, apart: Duration) -> Pending {
    state.withLock { state in
      var pending = Pending()
      for id in state.changed where pending.whole.count < Self.pendingMax {
        guard let known = state.known[id], now.since(known.storedAt) >= apart else { continue }
        pending.whole.append((id, known.evidence))
      }
      let whole = Set(pending.whole.map(\.id))
      var left = Self.pendingMax
      for id in state.confirmed where left > 0 && !whole.contains(id) && !state.changed.contains(id) {
        guard let known = state.known[id], let goodAt = known.evidence.goodAt,
          now.since(known.goodStoredAt) >= apart
        else { continue }
        pending.good[goodAt, default: []].append(id)
        left -= 1
      }
      return pending
    }
  }

  func stored(_ pending: Pending, at now: Timestamp) {
    state.withLock { state in
      for (id, written) in pending.whole {
        guard var known = state.known[id] else { continue }
        if known.evidence == written { state.changed.remove(id) }
        state.confirmed.remove(id)
        (known.storedAt, known.goodStoredAt) = (now, now)
        state.known[id] = known
      }
      for id in pending.good.values.joined() {
        state.confirmed.remove(id)
        state.known[id]?.goodStoredAt = now
      }
    }
  }

  func forget(_ id: InstanceID) {
    state.withLock { state in
      state.known[id.text] = nil
      state.changed.remove(id.text)
      state.confirmed.remove(id.text)
    }
  }

  /// Reads the evidence of those that are not known yet.
  func load(_ ids: [InstanceID], from store: Store) async throws {
    let missing = state.withLock { state in ids.map(\.text).filter { state.known[$0] == nil } }
    for start in stride(from: 0, to: missing.count, by: Self.chunk) {
      let chunk = Array(missing[start..<min(start + Self.chunk, missing.count)])
      let read = try await store.read { try BoardRecords.evidence(of: chunk, in: $0) }
      state.withLock { state in
        for id in chunk where state.known[id] == nil { state.known[id] = Known() }
        for one in read { state.take(one) }
      }
    }
  }

  // MARK: - Readers

  /// The newest evidence of one Instance: from memory, or from the database when that is ahead.
  func evidence(of id: InstanceID, in tx: Transaction) throws -> StatusEvidence {
    let known = state.withLock { $0.known[id.text] }
    guard let stored = try BoardRecords.times(of: id.text, in: tx) else { return known?.evidence ?? StatusEvidence() }
    if let known, known.storedAt >= stored { return known.evidence }
    return try FleetRecords.evidence(of: id, in: tx)
  }

  /// How each Instance is, derived now.
  func rows(
    policy: StatusPolicy, doubt: SelfDoubt?, now: Timestamp, in tx: Transaction
  ) throws -> [BoardRow] {
    let facts = try BoardRecords.facts(in: tx)
    let outdated = state.withLock { state in
      facts.filter { fact in
        fact.updatedAt.map { (state.known[fact.id]?.storedAt ?? .distantPast) < $0 } ?? false
      }
    }
    for start in stride(from: 0, to: outdated.count, by: Self.chunk) {
      let ids = outdated[start..<min(start + Self.chunk, outdated.count)].map(\.id)
      let read = try BoardRecords.evidence(of: ids, in: tx)
      state.withLock { state in for one in read { state.take(one) } }
    }
    let all = state.withLock { state in
      for fact in facts { state.confirm(fact) }
      // What is gone is forgotten; twice as many as there are shows that it is time.
      if state.known.count > 2 * facts.count + 100 {
        let present = Set(facts.map(\.id))
        state.known = state.known.filter { present.contains($0.key) }
      }
      return state.known
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

extension FleetIndex.State {
  /// Takes what is stored for what is known, unless this is newer.
  fileprivate mutating func take(_ read: BoardRecords.Stored) {
    guard (known[read.id]?.storedAt ?? .distantPast) < read.at, !changed.contains(read.id) else { return }
    known[read.id] = .init(evidence: read.evidence, storedAt: read.at, goodStoredAt: read.at)
  }

  /// Another control plane was told that it is well.
  fileprivate mutating func confirm(_ fact: BoardRecords.Fact) {
    guard let goodAt = fact.goodAt, var entry = known[fact.id], entry.evidence.misses == 0,
      entry.evidence.lastGoodAt.map({ $0 < goodAt }) ?? false
    else { return }
    entry.evidence.goodAt = goodAt
    known[fact.id] = entry
  }
}

extension Timestamp {
  fileprivate static let distantPast = Timestamp(millisecondsSince1970: .min / 2)
}

/// The SQL of the board.
enum BoardRecords {
  /// Lets the board see which evidence is newer than what it knows without reading the evidence itself.
  static let migration = Migration(
    "fleet-0003-board", ["CREATE INDEX instance_evidence_updated ON instance_evidence (instance, updated_at)"])

  /// What most checks tell is that all is as it was: then only this moves, of many Instances in one statement.
  static let goodMigration = Migration(
    "fleet-0004-good", ["ALTER TABLE instance_evidence ADD COLUMN good_at BIGINT"])

  struct Fact: Sendable {
    let id: String
    let slug: String
    let org: String
    let host: String
    let asked: Instance.State
    let version: String?
    let updatedAt: Timestamp?
    let goodAt: Timestamp?
  }

  struct Stored: Sendable {
    let id: String
    let at: Timestamp
    let evidence: StatusEvidence
  }

  static func facts(in tx: Transaction) throws -> [Fact] {
    try tx.run(
      """
      SELECT i.id, i.slug, o.slug AS org, h.slug AS host, i.state, i.version, e.updated_at, e.good_at
      FROM instance i
      LEFT JOIN org o ON o.id = i.org LEFT JOIN host h ON h.id = i.host
      LEFT JOIN instance_evidence e ON e.instance = i.id
      """
    ).map { row in
      Fact(
        id: try row.text("id"), slug: try row.text("slug"), org: try row.optionalText("org") ?? "gone",
        host: try row.optionalText("host") ?? "gone",
        asked: try FleetRecords.value(Instance.State(rawValue: row.text("state")), "instance.state"),
        version: try row.optionalText("version"), updatedAt: try row.optionalTime("updated_at"),
        goodAt: try row.optionalTime("good_at"))
    }
  }

  /// When the evidence of an Instance was written.
  static func times(of id: String, in tx: Transaction) throws -> Timestamp? {
    try tx.run("SELECT updated_at FROM instance_evidence WHERE instance = ?", [.text(id)]).first?.time("updated_at")
  }

  static func evidence(of ids: [String], in tx: Transaction) throws -> [Stored] {
    let marks = ids.map { _ in "?" }.joined(separator: ", ")
    return try tx.run(
      "SELECT instance, evidence, updated_at, good_at FROM instance_evidence WHERE instance IN (\(marks))",
      ids.map { .text($0) }
    ).map { row in
      Stored(id: try row.text("instance"), at: try row.time("updated_at"), evidence: try FleetRecords.evidence(row))
    }
  }
}
