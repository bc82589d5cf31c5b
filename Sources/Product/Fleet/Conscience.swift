import Basics
import Evidence
import Link
import Synchronization

extension EvidenceKind {
  public static let disruptionBegan = EvidenceKind("fleet.disruption-began")
  public static let disruptionEnded = EvidenceKind("fleet.disruption-ended")
  public static let scopeDisruptionBegan = EvidenceKind("fleet.scope-disruption-began")
  public static let scopeDisruptionEnded = EvidenceKind("fleet.scope-disruption-ended")
}

/// Remembers what the watch missed and how the watch itself is doing, so that it can blame what is to blame: in memory,
/// because a control plane that starts has seen nothing yet.
public final class Conscience: Sendable {
  /// The time between two looks of the watch; one that comes much later tells that the watch stood still.
  static let lookEvery = ChainWatch.lookEvery
  /// Samples of the lag (four a second, so a minute of them) and of writes.
  static let lagSamples = 240
  static let writeSamples = 100

  fileprivate struct Miss {
    let member: Census.Member
    let since: Timestamp
  }

  fileprivate struct State {
    var missing: [InstanceID: Miss] = [:]
    var lastLook: Timestamp?
    var lateUntil: Timestamp?
    var signs = SelfSigns()
    var lags = Samples(size: Conscience.lagSamples)
    var writes = Samples(size: Conscience.writeSamples)
    var doubt: SelfDoubt?
    /// The wave that the fleet is in, while it is.
    var fleetWave: (since: Timestamp, told: SelfDoubt)?
    var settlesAt: Timestamp?
    var ledger: DisruptionLedger
  }

  private let state: Mutex<State>
  private let interval: Duration

  public init(interval: Duration = StatusPolicy().interval) {
    self.interval = interval
    state = Mutex(State(ledger: DisruptionLedger(interval: interval)))
  }

  /// The doubt in force; nil when the watch believes what it sees.
  public var doubt: SelfDoubt? { state.withLock { $0.doubt } }

  /// By how much deadlines are longer than they are.
  var patience: Double { state.withLock { $0.signs.patience } }

  var score: Int { state.withLock { $0.signs.score } }

  /// Whether something larger than the Instance is told of instead of it.
  func holds(_ instance: Instance) -> Bool { state.withLock { $0.ledger.holds(instance.member) } }

  func note(_ instance: Instance, missingSince: Timestamp?) {
    state.withLock { $0.missing[instance.id] = missingSince.map { Miss(member: instance.member, since: $0) } }
  }

  func forget(_ id: InstanceID) { state.withLock { $0.missing[id] = nil } }

  func noteLag(_ lag: Duration) { state.withLock { $0.lags.add(lag) } }
  func noteWrite(_ took: Duration) { state.withLock { $0.writes.add(took) } }
  /// - Parameter isMost: nil when there are no anchors to dial.
  func noteAnchors(reached isMost: Bool?) {
    guard let isMost else { return }
    state.withLock { $0.signs.anchorMisses = isMost ? 0 : $0.signs.anchorMisses + 1 }
  }
  func noteSentinel(_ answered: Bool) {
    state.withLock { $0.signs.sentinelMisses = answered ? 0 : $0.signs.sentinelMisses + 1 }
  }

  enum Change: Sendable, Equatable {
    case began(SelfDoubt, lost: Int)
    /// What it doubted is over: all is judged anew from now on, and believed an interval later.
    case settling
    case ended
    case scope(DisruptionLedger.News)
  }

  /// One look over all Instances that are meant to run.
  ///
  /// - Parameter unlinked: the Hosts without a link. That is told by itself, for all that is on them.
  /// - Returns: what changed.
  func look(_ census: Census, unlinked: Set<HostID> = [], now: Timestamp) -> [Change] {
    state.withLock { state in
      state.look(at: now)
      let recent = state.missing.values.filter { now.since($0.since) <= SelfDoubt.within }.map(\.member)
      let blame = Disruption.blame(recent, census)
      var scopes: [DisruptionScope: Int] = [:]
      if case .scopes(let blamed) = blame {
        scopes = blamed.filter { scope, _ in
          if case .host(let host) = scope { !unlinked.contains(host) } else { true }
        }
      }
      var lost: [DisruptionScope: Int] = [:]
      for miss in state.missing.values { for scope in miss.member.scopes { lost[scope, default: 0] += 1 } }
      let doubt = state.signs.doubt ?? state.wave(blame, census, now: now)
      return state.ledger.look(blamed: scopes, lost: lost, census, now: now).map { .scope($0) }
        + state.turn(to: doubt, interval: interval, now: now)
    }
  }
}

extension Conscience.State {
  fileprivate mutating func look(at now: Timestamp) {
    let late = lastLook.map { now.since($0) - Conscience.lookEvery } ?? .zero
    lastLook = now
    // What was missed around a standstill stays doubtful until the checks after it have had their turn.
    if late > SelfDoubt.lateMax {
      signs.late = late
      lateUntil = now.advanced(by: SelfDoubt.within)
    }
    if let until = lateUntil, until <= now { (lateUntil, signs.late) = (nil, .zero) }
    (signs.lag, signs.write) = (lags.percentile99, writes.percentile99)
    signs.missedTicks = lags.share { $0 >= ChainWatch.tick }
  }

  /// A wave over the whole fleet lasts until most of it is back, however long that takes.
  fileprivate mutating func wave(_ blame: Disruption.Blame, _ census: Census, now: Timestamp) -> SelfDoubt? {
    if case .fleet(let lost, let hosts) = blame {
      let fresh = SelfDoubt(
        .correlatedLoss,
        "\(lost) of \(census.all) Instances on \(hosts) Hosts were missed within \(Int(SelfDoubt.within.seconds)) s: "
          + "that is more likely the control plane's own network than all of them.")
      fleetWave = fleetWave ?? (now, fresh)
    }
    guard let wave = fleetWave else { return nil }
    let since = wave.since.advanced(by: .zero - SelfDoubt.within)
    guard SelfDoubt.isWave(missing.values.count { $0.since >= since }, of: census.all) else {
      fleetWave = nil
      return nil
    }
    return wave.told
  }

  fileprivate mutating func turn(to doubt: SelfDoubt?, interval: Duration, now: Timestamp) -> [Conscience.Change] {
    switch (self.doubt, doubt) {
    case (nil, let fresh?):
      self.doubt = fresh
      return [.began(fresh, lost: missing.count)]
    case (.some, .some):
      settlesAt = nil
      return []
    case (.some, nil):
      guard let settles = settlesAt else {
        settlesAt = now.advanced(by: interval)
        return [.settling]
      }
      guard settles <= now else { return [] }
      (self.doubt, settlesAt) = (nil, nil)
      return [.ended]
    case (nil, nil): return []
    }
  }
}

/// The newest of so many durations.
struct Samples: Sendable {
  private let size: Int
  private var values: [Duration] = []
  private var next = 0

  init(size: Int) { self.size = size }

  mutating func add(_ value: Duration) {
    if values.count < size { values.append(value) } else { values[next] = value }
    next = (next + 1) % size
  }

  /// Zero while there are too few to say.
  var percentile99: Duration {
    guard values.count >= size / 4 else { return .zero }
    let sorted = values.sorted()
    return sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
  }

  /// The share of those that are so; zero while there are too few to say.
  func share(where isSo: (Duration) -> Bool) -> Double {
    guard values.count >= size / 4 else { return 0 }
    return Double(values.count(where: isSo)) / Double(values.count)
  }
}

extension Instance {
  var member: Census.Member { Census.Member(host: host, release: version) }
}
