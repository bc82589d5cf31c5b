import Basics
import Hygiene
import Store

/// Makes bundles: publishes first, runs the checks of hygiene, and lets nothing out that they did not pass.
public struct EvidenceExporter: Sendable {
  private let log: EvidenceLog
  private let store: Store
  private let hygiene: EvidenceHygiene
  private let publisher: EvidencePublisher
  private let clock: WallClock

  public init(
    log: EvidenceLog, store: Store, hygiene: EvidenceHygiene, publisher: EvidencePublisher, clock: WallClock
  ) {
    (self.log, self.store, self.hygiene, self.publisher, self.clock) = (log, store, hygiene, publisher, clock)
  }

  /// What a scope holds, up to the newest checkpoint.
  ///
  /// An entry that waits for a review goes out as its hash alone, and so does one with a field that no profile has,
  /// whoever looked at it: its proof still verifies.
  ///
  /// - Throws: `evidenceUnpublished`, `evidenceUnclean` when a check failed in one of the entries, `notFound`,
  ///   `tooLarge`, and what reading throws.
  public func bundle(_ scope: EvidenceBundle.Scope) async throws -> EvidenceBundle {
    let published = await publisher.publish()
    guard published.problem == nil, let note = try await publisher.checkpointNote() else {
      throw AWError(
        .evidenceUnpublished, "The log is not published as far as it goes, so nothing can be proven of its end.",
        next: "The Evidence page says what keeps it back. Then try again.", cause: published.problem)
    }
    let run = try await hygiene.run(below: Int64(published.size))
    let now = clock.now
    let waiting = run.open(.patterns).union(run.open(.personalData))
    let withheld = Dictionary(uniqueKeysWithValues: waiting.map { ($0, "it waits for a review") })
      .merging(run.unknown.map { ($0, "it has a field that no profile knows") }) { $1 }
    let checks = try JSONValue(encoding: run.verdict(at: now, tooPlain: []).checks)
    let (log, key) = (log, publisher.verifierKey)
    let bundle = try await store.read { tx in
      try log.bundle(
        scope, checkpoint: note, key: key, hygiene: ["at": .string(now.description), "checks": checks],
        withheld: withheld, at: now, in: tx)
    }
    let failed = run.open(.exactValues).union(run.open(.provenance))
    if let first = bundle.entries.first(where: { failed.contains(Int64($0.index)) }) {
      throw AWError(
        .evidenceUnclean, "Entry \(first.index) does not pass the checks of hygiene, so nothing was exported.",
        next: "See 'aw evidence scan'. If it holds a secret, rotate that.")
    }
    return bundle
  }
}
