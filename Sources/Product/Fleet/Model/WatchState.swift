import Basics
import Link

/// Who is watched and when: the Watchdog's memory beside the evidence, as a value.
struct WatchState: Sendable {
  private(set) var watched: [InstanceID: Instance] = [:] {
    didSet { counted = nil }
  }
  private var counted: Census?
  private var busy: Set<InstanceID> = []
  private var byHost: [HostID: Set<InstanceID>] = [:]
  var schedule: WatchSchedule
  var outages: HostOutages

  init(policy: StatusPolicy, seed: UInt64) {
    var limits = WatchSchedule.Limits()
    (limits.light, limits.deep) = (policy.interval, policy.deepInterval)
    schedule = WatchSchedule(limits: limits, seed: seed)
    outages = HostOutages(policy: policy)
  }

  var hosts: [HostID] { Array(byHost.keys) }

  /// All that are meant to run, by what they share. Counted anew only when somebody came, went or changed.
  mutating func census() -> Census {
    if let counted { return counted }
    let census = Census(watched.values.lazy.filter { $0.state == .active }.map(\.member))
    counted = census
    return census
  }

  /// Those that are reached by the Host's link, and that no operation is at work on.
  func instances(on host: HostID) -> [Instance] {
    (byHost[host] ?? []).compactMap { busy.contains($0) ? nil : watched[$0] }.filter(\.usesLink)
  }

  /// Whether its Host's outage tells of it. An Instance with another path goes on being looked at over that.
  func isOut(_ instance: Instance) -> Bool { instance.usesLink && outages.contains(instance.host) }

  /// The Instance, unless an operation is at work on it or its Host's outage tells of it.
  func free(_ id: InstanceID) -> Instance? {
    guard let instance = watched[id], !busy.contains(id), !isOut(instance) else { return nil }
    return instance
  }

  mutating func watch(_ instance: Instance, isBusy: Bool, turn: Timestamp?, now: Timestamp) {
    let id = instance.id
    if watched[id] != instance { watched[id] = instance }
    byHost[instance.host, default: []].insert(id)
    if isBusy { busy.insert(id) } else { busy.remove(id) }
    guard !isOut(instance) else { return schedule.leave(id) }
    schedule.enter(id, runs: instance.state == .active, turn: turn ?? now, now: now)
  }

  mutating func forget(_ id: InstanceID) {
    schedule.leave(id)
    busy.remove(id)
    guard let host = watched.removeValue(forKey: id)?.host else { return }
    byHost[host]?.remove(id)
    if byHost[host]?.isEmpty == true { byHost[host] = nil }
  }

  /// Another control plane watches this Host, or is to be seen anew.
  ///
  /// - Returns: the Instances to forget.
  mutating func leave(_ host: HostID, now: Timestamp) -> Set<InstanceID> {
    _ = outages.note(host, linked: true, now: now)
    return byHost[host] ?? []
  }

  mutating func note(_ host: HostID, linked: Bool, now: Timestamp) {
    guard outages.note(host, linked: linked, now: now) else { return }
    for id in byHost[host] ?? [] {
      guard let instance = watched[id], !isOut(instance) else {
        schedule.leave(id)
        continue
      }
      schedule.enter(id, runs: instance.state == .active, turn: nil, now: now)
      schedule.nudge(id, now: now)
    }
  }

  /// - Returns: those of them that are on that Host and may be judged: a Host has no say over another's.
  mutating func told(_ ids: [InstanceID], by host: HostID, isWell: Bool, now: Timestamp) -> [Instance] {
    ids.compactMap { id in
      guard let instance = watched[id], instance.host == host, instance.usesLink, !busy.contains(id) else {
        return nil
      }
      if isWell || instance.state != .active { schedule.heard(id, now: now) }
      return instance
    }
  }
}
