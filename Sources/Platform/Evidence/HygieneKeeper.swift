import Basics
import Hygiene
import Logging
import Store

/// When a control plane looks at the log by itself: a decision, without clock or database.
public enum HygieneRhythm {
  /// So long nothing was added: what belongs together is looked at together.
  public static let quietFor = Duration.seconds(300)
  /// Not sooner after a verdict, whoever asked for that.
  public static let everyMin = Duration.seconds(3_600)
  /// So long the first of the added entries waits at most, if it never gets quiet.
  public static let waitMax = Duration.seconds(21_600)
  /// How often it is asked whether it is time.
  static let lookEvery = Duration.seconds(60)

  /// Entries that the newest verdict did not look at, but for heartbeats and verdicts.
  struct Added: Sendable, Equatable {
    let count: Int64
    let first: Timestamp
    let last: Timestamp
  }

  /// - Parameters:
  ///   - scannedAt: the time of the newest verdict; nil before the first.
  ///   - added: nil for none.
  static func isDue(at now: Timestamp, scannedAt: Timestamp?, added: Added?) -> Bool {
    guard let added else { return false }
    // A verdict of later than now is from before a clock was set back, and keeps nobody waiting.
    if let scannedAt, scannedAt <= now, now.since(scannedAt) < everyMin { return false }
    return now.since(added.last) >= quietFor || now.since(added.first) >= waitMax
  }
}

extension EvidenceHygiene {
  /// What the control plane says of itself at its intervals. It is looked at as everything is, but no verdict gets
  /// stale by it, or there would never be one that is not.
  private static let own: [EvidenceKind] = [.heartbeat, .evidenceScanned]

  /// What was added after the first `items` entries; nil for nothing.
  func added(after items: Int64, in tx: Transaction) throws -> HygieneRhythm.Added? {
    let marks = Self.own.map { _ in "?" }.joined(separator: ", ")
    let row = try tx.run(
      "SELECT COUNT(*) AS added, MIN(at) AS first_at, MAX(at) AS last_at FROM evidence_entry "
        + "WHERE entry_index >= ? AND kind NOT IN (\(marks))",
      [.integer(items)] + Self.own.map { .text($0.id) }
    ).first
    guard let row, let first = try row.optionalTime("first_at"), let last = try row.optionalTime("last_at") else {
      return nil
    }
    return HygieneRhythm.Added(count: try row.integer("added"), first: first, last: last)
  }
}

/// Keeps the verdict of hygiene fresh, so that nobody has to think of it.
public struct HygieneKeeper: Sendable {
  private static let actor = "system/hygiene"

  private let hygiene: EvidenceHygiene
  private let log: EvidenceLog
  private let store: Store
  private let clock: WallClock
  private let logger: Logger

  public init(hygiene: EvidenceHygiene, log: EvidenceLog, store: Store, clock: WallClock, logger: Logger) {
    (self.hygiene, self.log, self.store, self.clock, self.logger) = (hygiene, log, store, clock, logger)
  }

  /// Looks whenever it is time. Ends when its task is cancelled.
  public func run(clock: any Clock<Duration> = ContinuousClock()) async {
    while (try? await clock.sleep(for: HygieneRhythm.lookEvery)) != nil {
      do {
        try await look()
      } catch is CancellationError {
        return
      } catch {
        logger.warning("The checks of hygiene could not be run over the record", metadata: ["error": "\(error)"])
      }
    }
  }

  /// Runs the checks and records the verdict, if it is time. Of several control planes at one database the first to end
  /// records, and the others leave it at that.
  ///
  /// - Returns: whether a verdict was recorded.
  @discardableResult
  func look() async throws -> Bool {
    let (hygiene, log, now) = (hygiene, log, clock.now)
    let (before, added) = try await store.read { tx in
      let before = try hygiene.recorded(in: tx)
      return (before, try hygiene.added(after: before?.verdict.items ?? 0, in: tx))
    }
    guard HygieneRhythm.isDue(at: now, scannedAt: before?.verdict.at, added: added) else { return false }
    let verdict = try await hygiene.verdict(at: now)
    let data = try EvidenceHygiene.record(of: verdict)
    let isRecorded = try await store.write { tx in
      guard try hygiene.recorded(in: tx)?.entry == before?.entry else { return false }
      try log.append(EvidenceEntry(kind: .evidenceScanned, at: now, actor: Self.actor, data: data), in: tx)
      return true
    }
    if isRecorded, verdict.outcome == .failed {
      logger.warning("The record does not pass the checks of hygiene: see 'aw evidence scan --last'")
    }
    return isRecorded
  }
}
