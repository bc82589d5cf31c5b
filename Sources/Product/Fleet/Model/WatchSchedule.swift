import Basics
import Link

/// When each Instance is walked along next: values in, values out.
///
/// | what happens | the next walk |
/// | --- | --- |
/// | seen for the first time | at once; many at once are spread over one interval |
/// | a walk began | not before it ended |
/// | a walk ended well | an interval after its beginning |
/// | a walk found something broken | sooner, while that is new: see `ConfirmDecision` |
/// | a walk was not made | at the next look |
/// | nudged | at once, or as soon as the walk under way has ended |
struct WatchSchedule: Sendable {
  /// Instances that are new together are at least this far apart, when the interval has the room.
  static let spacing = Duration.milliseconds(50)

  private struct Entry {
    var next: Timestamp
    var isUnderWay = false
    var isNudged = false
  }

  let interval: Duration
  private var entries: [InstanceID: Entry] = [:]

  init(interval: Duration) { self.interval = interval }

  /// The Instances to walk along now, out of all there are; the others are forgotten.
  mutating func due(among all: [InstanceID], now: Timestamp) -> [InstanceID] {
    let known = Set(all)
    entries = entries.filter { known.contains($0.key) || $0.value.isUnderWay }
    let newcomers = all.filter { entries[$0] == nil }
    let apart = newcomers.isEmpty ? .zero : min(Self.spacing, interval / newcomers.count)
    for (position, id) in newcomers.enumerated() {
      entries[id] = Entry(next: now.advanced(by: apart * position))
    }
    let ready = all.filter { id in entries[id].map { !$0.isUnderWay && $0.next <= now } ?? false }
    for id in ready {
      entries[id]?.isUnderWay = true
      entries[id]?.next = now.advanced(by: interval)
    }
    return ready
  }

  /// - Parameter again: how long until the next walk; nil leaves it to the interval.
  mutating func ended(_ id: InstanceID, again: Duration?, now: Timestamp) {
    entries[id]?.isUnderWay = false
    if let again, let next = entries[id]?.next { entries[id]?.next = min(next, now.advanced(by: again)) }
    if entries[id]?.isNudged == true {
      entries[id]?.isNudged = false
      entries[id]?.next = now
    }
  }

  mutating func nudge(_ id: InstanceID, now: Timestamp) {
    guard let entry = entries[id] else { return }
    if entry.isUnderWay { entries[id]?.isNudged = true } else { entries[id]?.next = min(entry.next, now) }
  }
}

/// How soon a walk that found something broken is repeated: what is new is confirmed or cleared within seconds, what
/// lasts is looked at by the interval.
enum ConfirmDecision {
  static let newFor = Duration.seconds(60)
  static let step = Duration.seconds(2)
  static let stepsMax = 2
  /// How soon a status that people were not told of yet is looked at again.
  static let confirmAfter = Duration.seconds(5)

  /// Nil leaves it to the interval.
  static func again(_ evidence: StatusEvidence, now: Timestamp) -> Duration? {
    if evidence.misses == 0, evidence.hard?.isConfirming == true { return confirmAfter }
    guard evidence.misses > 0, let since = evidence.missingSince, now.since(since) < newFor else { return nil }
    return step * min(evidence.misses, stepsMax)
  }
}

/// Whether a walk ends with a model turn, which costs tokens.
enum TurnDecision {
  /// A turn that failed is tried again sooner than one that passed is repeated.
  static let retryAfter = Duration.seconds(60)

  static func isDue(_ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp) -> Bool {
    guard let last = evidence.newest[.turn] else { return true }
    let wait = last.outcome == .passed ? policy.turnInterval : min(policy.turnInterval, retryAfter)
    return now.since(last.at) >= wait
  }
}
