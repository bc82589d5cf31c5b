import Basics
import Evidence
import Link
import Synchronization

extension EvidenceKind {
  public static let disruptionBegan = EvidenceKind("fleet.disruption-began")
  public static let disruptionEnded = EvidenceKind("fleet.disruption-ended")
}

/// Remembers what the watch missed, so that it can doubt itself: in memory, because a control plane that starts has
/// seen nothing yet.
public final class Conscience: Sendable {
  /// The time between two looks of the watch; one that comes much later tells that the watch stood still.
  static let lookEvery = ChainWatch.lookEvery

  private struct State {
    var missing: [InstanceID: Timestamp] = [:]
    var lastLook: Timestamp?
    var lateUntil: Timestamp?
    var late = Duration.zero
    var doubt: SelfDoubt?
  }

  private let state = Mutex(State())

  public init() {}

  /// The doubt in force; nil when the watch believes what it sees.
  public var doubt: SelfDoubt? { state.withLock { $0.doubt } }

  func note(_ instance: InstanceID, missingSince: Timestamp?) {
    state.withLock { $0.missing[instance] = missingSince }
  }

  enum Change: Sendable, Equatable {
    case began(SelfDoubt)
    case ended

    var entry: (kind: EvidenceKind, data: JSONValue) {
      switch self {
      case .began(let doubt):
        (.disruptionBegan, ["cause": .string(doubt.cause.rawValue), "reason": .string(doubt.reason)])
      case .ended: (.disruptionEnded, [:])
      }
    }
  }

  /// One look over all Instances that are meant to run.
  ///
  /// - Returns: what changed; nil when nothing did.
  func look(at active: [Instance], now: Timestamp) -> Change? {
    state.withLock { state in
      let late = state.lastLook.map { now.since($0) - Self.lookEvery } ?? .zero
      state.lastLook = now
      // What was missed around a standstill stays doubtful until the walks after it have had their turn.
      if late > SelfDoubt.lateMax {
        state.late = late
        state.lateUntil = now.advanced(by: SelfDoubt.within)
      }
      if let until = state.lateUntil, until <= now { state.lateUntil = nil }
      let known = Set(active.map(\.id))
      state.missing = state.missing.filter { known.contains($0.key) }
      let watched = active.map { SelfDoubt.Watched(host: $0.host, missingSince: state.missing[$0.id]) }
      let doubt = SelfDoubt.judge(watched, late: state.lateUntil == nil ? .zero : state.late, now: now)
      defer { state.doubt = doubt }
      switch (state.doubt, doubt) {
      case (nil, let fresh?): return .began(fresh)
      case (.some, nil): return .ended
      default: return nil
      }
    }
  }
}
