import Basics
import Link

/// The Hosts without a link, as a value: one look at the Host tells of all its Instances, so none of them is checked.
///
/// | what happens | next |
/// |---|---|
/// | a Host has no link | a look at once, then after 5 s while it is new, later by the light interval |
/// | it has one again | none: its Instances are checked themselves |
struct HostOutages: Sendable {
  private struct Outage {
    let since: Timestamp
    var next: Timestamp
  }

  let policy: StatusPolicy
  private var outages: [HostID: Outage] = [:]

  init(policy: StatusPolicy) { self.policy = policy }

  var hosts: Set<HostID> { Set(outages.keys) }

  func contains(_ host: HostID) -> Bool { outages[host] != nil }

  /// - Returns: whether that is news.
  mutating func note(_ host: HostID, linked: Bool, now: Timestamp) -> Bool {
    if linked { return outages.removeValue(forKey: host) != nil }
    guard outages[host] == nil else { return false }
    outages[host] = Outage(since: now, next: now)
    return true
  }

  /// The Hosts to look at now.
  mutating func due(now: Timestamp) -> [HostID] {
    var due: [HostID] = []
    for (host, outage) in outages where outage.next <= now {
      let isNew = now.since(outage.since) < ConfirmDecision.newFor
      outages[host]?.next = now.advanced(by: isNew ? ConfirmDecision.retry : policy.interval)
      due.append(host)
    }
    return due
  }
}

/// Which links a check looks at: a pure decision.
enum CheckPlan {
  /// What the Host told this long ago need not be asked again.
  static let toldFor = Duration.seconds(20)

  static func links(_ depth: WatchSchedule.Depth, _ evidence: StatusEvidence, now: Timestamp) -> [ChainLink] {
    if depth == .light { return ChainLink.light }
    let isTold =
      evidence.isSound && evidence.misses == 0 && (evidence.goodAt.map { now.since($0) <= toldFor } ?? false)
    return (isTold ? ChainLink.beyondLight : ChainLink.deep) + (depth == .turn ? [.turn] : [])
  }
}

/// What a Connector's word about an Instance means for the chain: a pure translation.
enum ToldChain {
  private static let evidence: JSONValue = ["toldBy": "connector"]

  /// - Parameter short: what the link that brought the word is short of; nil when of nothing, or when the Instance is
  ///   not reached by it.
  /// - Returns: nil while there is nothing to conclude from it.
  static func report(_ facts: InstanceFacts, short: AWError? = nil, at now: Timestamp) -> ChainReport? {
    func result(_ link: ChainLink, _ error: AWError?, degraded: AWError? = nil) -> CheckResult {
      let outcome = error.map { CheckResult.Outcome.failed(CheckFailure($0)) }
      return CheckResult(
        link: link, outcome: outcome ?? degraded.map { .degraded(CheckFailure($0)) } ?? .passed, at: now,
        durationMilliseconds: 0, evidence: evidence)
    }
    guard facts.phase == .running else {
      let state = RunState(phase: facts.phase, exitCode: facts.exitCode, outOfMemory: facts.outOfMemory)
      return ChainReport(results: [
        result(.host, nil, degraded: short), result(.runtime, ChainWalk.notRunning(state)),
      ])
    }
    guard let answer = facts.answer else { return nil }
    let drift = facts.configurationDrifted ? ChainWalk.configurationDrifted : nil
    return ChainReport(results: [
      result(.host, nil, degraded: short), result(.runtime, nil, degraded: drift), result(.live, failure(answer)),
    ])
  }

  private static func failure(_ answer: InstanceFacts.Answer) -> AWError? {
    switch answer {
    case .live: nil
    case .wrong:
      AWError(
        .gatewayUnreachable, "What answers /healthz on its Host is not a healthy Gateway.",
        next: "Check what listens on the Instance's port.")
    case .refused:
      AWError(
        .gatewayUnreachable, "Nothing listens on its port on the Host.", next: "Look at the Instance's log.")
    case .timeout:
      AWError(
        .gatewayUnreachable, "It does not answer /healthz in time, not even on its own Host.",
        next: "Look at the Instance's log and at the load of its Host.")
    }
  }
}
