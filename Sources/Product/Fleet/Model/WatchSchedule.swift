import Basics
import Link

/// When each Instance is checked next, and how deeply: values in, values out.
///
/// | what happens | the next check |
/// | --- | --- |
/// | enters | at the next point of its own grid, so that the first sweep is spread as every other is |
/// | a check ended well | at the next point of the grid |
/// | a check found something broken | after `again`, give or take a twentieth, from its beginning |
/// | its Host told that it is well | the light one is not needed for a while |
/// | nudged | at once, or as soon as the check under way has ended |
/// | leaves | none; a check under way keeps its slot until it ends |
///
/// An Instance's grid is `hash(instance) ^ seed` modulo the interval, so checks are spread evenly whenever Instances
/// come. What is due waits in its lane for a slot and for the budget, first come first served. Checks that took long
/// have a lane of their own with a quarter of the slots, so that black holes cannot keep the rest waiting; so have
/// model turns, because a model takes its time.
struct WatchSchedule: Sendable {
  /// How far along the chain a check goes. Each contains the ones before it.
  enum Depth: Int, Sendable, Comparable, CaseIterable {
    case light, deep, turn

    static func < (left: Depth, right: Depth) -> Bool { left.rawValue < right.rawValue }
  }

  enum Lane: Sendable, CaseIterable {
    case brisk, slow, turn
  }

  /// Sources: the design of the Watchdog, and its budget on two cores.
  struct Limits: Sendable, Equatable {
    var light = Duration.seconds(15)
    var deep = Duration.seconds(60)
    /// Checks that may begin in a second.
    var perSecond = 400.0
    /// Checks under way at once, in all lanes together.
    var slots = 256
    /// The share of the slots that the slow lane may have, and as much for model turns.
    var laneShare = 0.25
    /// A retry is moved by up to this share of its wait, so that what failed together is not retried together.
    var jitter = 0.05
    /// Not sooner after the end of the check before.
    var pauseMin = Duration.seconds(1)
    /// Heartbeats this many light intervals apart still make light checks unnecessary.
    var heartbeatIntervals = 1.5

    func slots(of lane: Lane) -> Int { lane == .brisk ? slots : Int(Double(slots) * laneShare) }
  }

  struct Check: Sendable, Equatable {
    let id: InstanceID
    let depth: Depth
    let lane: Lane
  }

  private struct Entry {
    let offset: UInt64
    var light: Timestamp
    /// Nil for one that is not meant to run: there is nothing deep to check.
    var deep: Timestamp?
    var turn: Timestamp?
    var isSlow = false
    var isWaiting = false
    var nudged: Depth?
    var ticket: UInt64 = 0
    var retries: UInt64 = 0

    var next: Timestamp { [light, deep, turn].compactMap { $0 }.min() ?? light }

    func depth(at now: Timestamp) -> Depth? {
      if let turn, turn <= now { return .turn }
      if let deep, deep <= now { return .deep }
      return light <= now ? .light : nil
    }
  }

  private struct Running {
    let depth: Depth
    let lane: Lane
    let beganAt: Timestamp
  }

  let limits: Limits
  private let seed: UInt64
  private var entries: [InstanceID: Entry] = [:]
  private var queue = DueQueue()
  private var lines: [Lane: Line<InstanceID>] = [:]
  private var running: [InstanceID: Running] = [:]
  private var used: [Lane: Int] = [:]
  private var bucket: TokenBucket

  init(limits: Limits = Limits(), seed: UInt64) {
    self.limits = limits
    self.seed = seed
    bucket = TokenBucket(perSecond: limits.perSecond, burst: limits.perSecond / 4)
  }

  var count: Int { entries.count }
  var underWay: Int { running.count }

  // MARK: - Who is checked

  /// Takes an Instance in, or changes how deeply it is checked. One that is in keeps its times.
  ///
  /// - Parameters:
  ///   - runs: whether it is meant to run, so that there is something deep to check.
  ///   - turn: when the next model turn is due; nil for none.
  mutating func enter(_ id: InstanceID, runs: Bool, turn: Timestamp?, now: Timestamp) {
    if var entry = entries[id] {
      guard (entry.deep != nil) != runs else { return }
      entry.deep = runs ? now : nil
      entry.turn = runs ? turn : nil
      put(id, entry)
      return
    }
    let offset = Self.hash(id) ^ seed
    put(
      id,
      Entry(
        offset: offset, light: Self.next(after: now, every: limits.light, offset),
        deep: runs ? Self.next(after: now, every: limits.deep, offset) : nil,
        turn: runs ? turn.map { max($0, Self.next(after: now, every: limits.deep, offset)) } : nil))
  }

  mutating func leave(_ id: InstanceID) { entries[id] = nil }

  // MARK: - What is due

  /// The checks to begin now.
  mutating func take(now: Timestamp) -> [Check] {
    bucket.fill(at: now)
    while let due = queue.pop(by: now) {
      guard var entry = entries[due.id], entry.ticket == due.ticket, !entry.isWaiting, running[due.id] == nil else {
        continue
      }
      guard let depth = entry.depth(at: now) else {
        put(due.id, entry)
        continue
      }
      entry.isWaiting = true
      entries[due.id] = entry
      lines[entry.isSlow ? .slow : depth == .turn ? .turn : .brisk, default: Line()].append(due.id)
    }
    // The slow lanes get their share of the budget first, and what the brisk one leaves: neither waits for ever.
    let share = Int(Double(bucket.whole) * limits.laneShare)
    var checks: [Check] = []
    for (lane, most) in [(Lane.slow, share), (.turn, share), (.brisk, .max), (.turn, .max), (.slow, .max)] {
      begin(lane, most, &checks, now: now)
    }
    return checks
  }

  private mutating func begin(_ lane: Lane, _ most: Int, _ checks: inout [Check], now: Timestamp) {
    var left = most
    while left > 0, !bucket.isEmpty, running.count < limits.slots, used[lane, default: 0] < limits.slots(of: lane),
      let id = lines[lane]?.popFirst()
    {
      guard var entry = entries[id] else { continue }
      entry.isWaiting = false
      // It may have been told well meanwhile; and what entered anew is in the queue again.
      guard running[id] == nil, let depth = entry.depth(at: now) else {
        put(id, entry)
        continue
      }
      entries[id] = entry
      bucket.take()
      left -= 1
      used[lane, default: 0] += 1
      running[id] = Running(depth: depth, lane: lane, beganAt: now)
      checks.append(Check(id: id, depth: depth, lane: lane))
    }
  }

  // MARK: - What happened

  /// - Parameters:
  ///   - slow: the check took so long that the next one belongs in the slow lane.
  ///   - again: how long after its beginning it is to be repeated; nil leaves it to the grid.
  ///   - turn: when the next model turn is due; nil for none.
  mutating func ended(_ id: InstanceID, slow: Bool, again: Duration?, turn: Timestamp?, now: Timestamp) {
    guard let check = running.removeValue(forKey: id) else { return }
    used[check.lane, default: 0] -= 1
    guard var entry = entries[id] else { return }
    entry.isSlow = slow
    entry.light = Self.next(after: now, every: limits.light, entry.offset)
    if entry.deep != nil {
      if check.depth >= .deep { entry.deep = Self.next(after: now, every: limits.deep, entry.offset) }
      entry.turn = turn.map { max($0, now.advanced(by: limits.pauseMin)) }
      if let again {
        entry.retries &+= 1
        let wait = again * (1 + limits.jitter * Self.unit(entry.offset &+ entry.retries))
        let retry = max(check.beganAt.advanced(by: wait), now.advanced(by: limits.pauseMin))
        entry.deep = min(entry.deep ?? retry, retry)
      }
    }
    if let depth = entry.nudged {
      entry.nudged = nil
      Self.bring(&entry, depth, now)
    }
    put(id, entry)
  }

  /// Its Host told that it is well.
  mutating func heard(_ id: InstanceID, now: Timestamp) {
    entries[id]?.light = now.advanced(by: limits.light * limits.heartbeatIntervals)
  }

  mutating func nudge(_ id: InstanceID, _ depth: Depth = .deep, now: Timestamp) {
    guard var entry = entries[id] else { return }
    if running[id] != nil {
      entries[id]?.nudged = max(entry.nudged ?? depth, depth)
      return
    }
    Self.bring(&entry, depth, now)
    if entry.isWaiting { entries[id] = entry } else { put(id, entry) }
  }

  private static func bring(_ entry: inout Entry, _ depth: Depth, _ now: Timestamp) {
    if depth >= .deep, entry.deep != nil { entry.deep = min(entry.deep ?? now, now) }
    if depth == .turn, entry.deep != nil { entry.turn = min(entry.turn ?? now, now) }
    if entry.deep == nil || depth == .light { entry.light = min(entry.light, now) }
  }

  private mutating func put(_ id: InstanceID, _ entry: Entry) {
    var entry = entry
    entry.ticket &+= 1
    entries[id] = entry
    guard !entry.isWaiting else { return }
    queue.insert(.init(at: entry.next, id: id, ticket: entry.ticket))
  }

  // MARK: - The grid

  /// The first point after `now` that is `offset` past a multiple of the interval.
  static func next(after now: Timestamp, every interval: Duration, _ offset: UInt64) -> Timestamp {
    let step = max(1, interval.milliseconds)
    let phase = Int64(offset % UInt64(step))
    let since = (now.millisecondsSince1970 - phase) % step
    return now.advanced(by: .milliseconds(step - (since < 0 ? since + step : since)))
  }

  /// FNV-1a, then mixed, so that neighbours in time are far apart.
  static func hash(_ id: InstanceID) -> UInt64 { hash(id.text) }

  static func hash(_ text: String) -> UInt64 {
    mix(text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
  }

  /// SplitMix64's finish.
  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// From -1 to 1.
  private static func unit(_ value: UInt64) -> Double { Double(mix(value) >> 11) / Double(1 << 52) - 1 }
}

/// How soon a check that found something broken is repeated: what is new is confirmed or cleared within seconds, what
/// lasts is looked at by the light interval.
enum ConfirmDecision {
  static let newFor = Duration.seconds(60)
  static let retry = Duration.seconds(5)

  /// Nil leaves it to the schedule's grid.
  static func again(_ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp) -> Duration? {
    if evidence.misses == 0 { return evidence.hard?.isConfirming == true ? retry : nil }
    guard let since = evidence.missingSince, now.since(since) < newFor else { return policy.interval }
    return retry
  }
}

/// Whether a check ends with a model turn, which costs tokens.
enum TurnDecision {
  /// A turn that failed is tried again sooner than one that passed is repeated.
  static let retryAfter = Duration.seconds(60)

  /// When the next one is due; nil to begin with, which is at once.
  static func due(_ evidence: StatusEvidence, policy: StatusPolicy) -> Timestamp? {
    guard let last = evidence.newest[.turn] else { return nil }
    let wait = last.outcome == .passed ? policy.turnInterval : min(policy.turnInterval, retryAfter)
    return last.at.advanced(by: wait)
  }
}
