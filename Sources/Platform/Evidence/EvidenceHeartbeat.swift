import Basics
import Logging
import Store

extension EvidenceKind {
  public static let heartbeat = EvidenceKind("evidence.heartbeat")
  /// Written by another control plane, with the id of the lost one in `lostNode`.
  public static let nodeLost = EvidenceKind("node.lost")
}

/// Writes into the log that this control plane is there: when it begins, then at a known interval, and when it ends. So
/// that a time without entries can be told from a time without a control plane.
public struct EvidenceHeartbeat: Sendable {
  /// How often; each entry names it.
  public static let every = Duration.seconds(3_600)
  /// After one that could not be written.
  static let againAfter = Duration.seconds(60)

  private static let actor = "system/evidence"

  private let node: EvidenceSubject
  private let log: EvidenceLog
  private let store: Store
  private let clock: WallClock
  private let logger: Logger

  /// - Parameters:
  ///   - node: this control plane's own id: of several at one database each is a source of its own.
  ///   - name: what people call it.
  public init(node: String, name: String, log: EvidenceLog, store: Store, clock: WallClock, logger: Logger) {
    self.node = EvidenceSubject(type: "node", id: node, slug: name)
    (self.log, self.store, self.clock, self.logger) = (log, store, clock, logger)
  }

  /// The first one of this process.
  ///
  /// - Throws: what the store throws: a control plane that cannot write evidence does not begin.
  public func begin() async throws { try await beat(.began) }

  /// Writes one at each interval. Ends when its task is cancelled.
  public func run(clock: any Clock<Duration> = ContinuousClock()) async {
    var pause = Self.every
    while (try? await clock.sleep(for: pause)) != nil { pause = await tell(.goesOn) ? Self.every : Self.againAfter }
  }

  /// The last one of a clean stop.
  public func end() async { await tell(.ended) }

  @discardableResult
  private func tell(_ phase: EvidenceBeat.Phase) async -> Bool {
    do {
      try await beat(phase)
      return true
    } catch {
      logger.warning("No heartbeat could be written into the evidence log", metadata: ["error": "\(error)"])
      return false
    }
  }

  private func beat(_ phase: EvidenceBeat.Phase) async throws {
    let (log, node, now) = (log, node, clock.now)
    try await store.write { tx in
      let last = try log.list(limit: 1, filter: EvidenceFilter(kind: .heartbeat, subjectID: node.id), in: tx).first
      let beat = EvidenceBeat(
        source: node.id, number: (last.flatMap { EvidenceBeat($0.entry) }?.number ?? 0) + 1, at: now,
        everySeconds: Self.every.components.seconds, phase: phase)
      try log.append(
        EvidenceEntry(kind: .heartbeat, at: now, actor: Self.actor, subject: node, data: beat.data), in: tx)
    }
  }
}
