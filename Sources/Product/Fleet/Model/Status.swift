import Basics

/// What AW knows of an Instance. Nothing else is ever shown.
public enum Status: String, Codable, Sendable, CaseIterable {
  case current
  case stale
  case unreachable
  case degraded
  case unknown

  /// Worst first, as the Fleet page sorts: what needs a person comes before what AW does not know.
  public var severity: Int {
    switch self {
    case .unreachable: 4
    case .degraded: 3
    case .unknown: 2
    case .stale: 1
    case .current: 0
    }
  }
}

/// The numbers by which evidence becomes status. Seconds; from the design of the Watchdog (I = 15 s).
public struct StatusPolicy: Sendable, Equatable {
  /// The time between two light checks: tunnel, runtime, liveness.
  public var interval: Duration
  /// The time between two deep checks: through the Gateway WebSocket to the health report.
  public var deepInterval: Duration
  /// The time between two model turns.
  public var turnInterval: Duration
  /// Evidence older than this many intervals is stale: one walk may be lost without a word.
  public var staleAfterIntervals: Double
  /// Evidence older than this many intervals says nothing any more.
  public var unknownAfterIntervals: Double
  /// This many failed walks in a row, over at least `unreachableAfter`, prove that the Instance cannot be reached.
  public var failuresToUnreachable: Int
  public var unreachableAfter: Duration

  public init(
    interval: Duration = .seconds(15), deepInterval: Duration = .seconds(60), turnInterval: Duration = .seconds(600),
    staleAfterIntervals: Double = 2.5, unknownAfterIntervals: Double = 8, failuresToUnreachable: Int = 3,
    unreachableAfter: Duration = .seconds(10)
  ) {
    self.interval = interval
    self.deepInterval = deepInterval
    self.turnInterval = turnInterval
    self.staleAfterIntervals = staleAfterIntervals
    self.unknownAfterIntervals = unknownAfterIntervals
    self.failuresToUnreachable = failuresToUnreachable
    self.unreachableAfter = unreachableAfter
  }

  public var staleAfter: Duration { interval * staleAfterIntervals }
  public var unknownAfter: Duration { interval * unknownAfterIntervals }
  public var deepStaleAfter: Duration { deepInterval * staleAfterIntervals }
  public var turnStaleAfter: Duration { turnInterval * staleAfterIntervals }
}

/// The stored evidence that a status is derived from. A status itself is never stored.
public struct StatusEvidence: Codable, Sendable, Equatable {
  /// The newest result of each link.
  public var newest: [ChainLink: CheckResult]
  /// When AW last reached the Gateway WebSocket.
  public var lastReachedAt: Timestamp?
  /// The newest check, light or deep, that found nothing to keep AW from reaching it, with no miss since.
  public var goodAt: Timestamp?
  /// How many checks in a row missed it, and when the first of them ended. Only a deep check that reaches it ends them.
  public var misses: Int
  public var missingSince: Timestamp?
  /// Some of them were of the Instance itself, not only of its Host's link.
  public var missedItself: Bool?
  /// The last transition that was recorded: what the evidence log says, so that it says each one once.
  public var announced: Announcement?
  /// Whether its status goes back and forth; nil until it first changed.
  public var flapping: Flapping?
  /// What people were told of it; nil until its first walk.
  public var hard: HardStatus?

  public struct Announcement: Codable, Sendable, Equatable {
    public var status: Status
    public var at: Timestamp

    public init(status: Status, at: Timestamp) {
      self.status = status
      self.at = at
    }
  }

  public init() {
    newest = [:]
    misses = 0
  }

  /// Takes in one check. A skipped link keeps the result it had: it was not looked at.
  ///
  /// - Returns: whether it told more than that all is as it was.
  @discardableResult
  public mutating func take(_ report: ChainReport) -> Bool {
    guard let at = report.at else { return false }
    if report.isLight, report.broken == nil, misses == 0, isSound {
      goodAt = at
      return false
    }
    for result in report.results where result.outcome != .skipped { newest[result.link] = result }
    if report.isLight, !report.hasFailed {
      // What answers its port may still not let AW in: only a deep check tells. But of an Instance that was missed
      // because its Host had no link, nothing bad was ever seen.
      if missedItself != true { found(at) }
    } else if report.isReached {
      lastReachedAt = at
      found(at)
    } else {
      let isItself = report.broken?.link != .host
      // Its Host is back and it is not: that is another matter than the link, and is proven anew.
      if isItself, misses > 0, missedItself != true { pardon() }
      misses += 1
      missingSince = missingSince ?? at
      if isItself { missedItself = true }
    }
    return true
  }

  private mutating func found(_ at: Timestamp) {
    goodAt = at
    pardon()
  }

  /// Begins to count anew, because what was missed may have had another cause.
  mutating func pardon() {
    misses = 0
    (missingSince, missedItself) = (nil, nil)
  }

  /// Every link that a light check looks at passed when it was looked at last.
  public var isSound: Bool { ChainLink.light.allSatisfy { newest[$0]?.outcome == .passed } }

  /// When something was last looked at.
  var newestAt: Timestamp? { (newest.values.map(\.at) + [goodAt].compactMap { $0 }).max() }

  /// When the status was last known to be good; of what an earlier AW stored, when it was last reached.
  var lastGoodAt: Timestamp? { goodAt ?? lastReachedAt }
}

/// A status with the reason a person reads beside it.
public struct StatusReading: Codable, Sendable, Equatable {
  public let status: Status
  /// One sentence: why, and what AW last knew.
  public let reason: String
  /// The link to look at, when one is broken.
  public let link: ChainLink?
  /// The age of this evidence is what the screen shows.
  public let evidenceAt: Timestamp?

  public init(_ status: Status, _ reason: String, link: ChainLink? = nil, evidenceAt: Timestamp?) {
    self.status = status
    self.reason = reason
    self.link = link
    self.evidenceAt = evidenceAt
  }

  /// The status of an Instance: a pure function of evidence, of what AW was asked to make of it, of policy, of now, and
  /// of whether the watch doubts itself.
  public static func of(
    _ evidence: StatusEvidence, asked: Instance.State, policy: StatusPolicy, now: Timestamp, doubt: SelfDoubt? = nil
  ) -> StatusReading {
    switch asked {
    case .active: running(evidence, policy: policy, now: now).doubted(doubt)
    case .stopped: stopped(evidence, policy: policy, now: now)
    case .provisioning: .init(.unknown, "It is being provisioned.", evidenceAt: nil)
    case .removing: .init(.unknown, "It is being removed.", evidenceAt: nil)
    case .failed:
      .init(.unreachable, "It was never made: provisioning failed and was undone.", evidenceAt: nil)
    }
  }

  /// A stopped Instance cannot be reached, and that is what its Org sees, whoever asked for it.
  private static func stopped(_ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp) -> StatusReading {
    guard let runtime = evidence.newest[.runtime] else {
      return .init(.unreachable, "It was stopped on request.", link: .runtime, evidenceAt: nil)
    }
    let age = now.since(runtime.at)
    if age > policy.unknownAfter {
      return .init(
        .unknown, "It was stopped on request, and the last look at it was \(age.words) ago.", link: .runtime,
        evidenceAt: runtime.at)
    }
    if runtime.outcome == .passed {
      return .init(.degraded, "It runs, although it was asked to stop.", link: .runtime, evidenceAt: runtime.at)
    }
    return .init(.unreachable, "It was stopped on request.", link: .runtime, evidenceAt: runtime.at)
  }

  /// The status of an Instance that is meant to run.
  private static func running(_ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp) -> StatusReading {
    guard let newestAt = evidence.newestAt else {
      return .init(.unknown, "No check has reached this Instance yet.", evidenceAt: nil)
    }
    let age = now.since(newestAt)
    if age > policy.unknownAfter {
      return .init(.unknown, "The last check was \(age.words) ago: AW no longer knows.", evidenceAt: newestAt)
    }
    if let unreachable = unreachable(evidence, policy: policy, now: now, newestAt: newestAt) { return unreachable }
    guard let reachedAt = evidence.lastReachedAt else {
      return .init(
        .unknown, "AW has not reached its Gateway WebSocket yet (\(evidence.misses) tries).",
        link: broken(evidence)?.link, evidenceAt: newestAt)
    }
    let goodAt = evidence.lastGoodAt ?? reachedAt
    let (goodAge, reachedAge) = (now.since(goodAt), now.since(reachedAt))
    if goodAge > policy.staleAfter {
      return .init(
        .stale, "AW last reached it \(goodAge.words) ago.", link: broken(evidence)?.link, evidenceAt: goodAt)
    }
    if let broken = broken(evidence), evidence.misses == 0 {
      return .init(.degraded, broken.failure.message, link: broken.link, evidenceAt: newestAt)
    }
    if reachedAge > policy.deepStaleAfter {
      return .init(
        .stale, "Its port answers, but AW last got through to its Gateway WebSocket \(reachedAge.words) ago.",
        link: .hello, evidenceAt: reachedAt)
    }
    return turn(evidence, policy: policy, now: now, goodAt: goodAt)
  }

  private static func unreachable(
    _ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp, newestAt: Timestamp
  ) -> StatusReading? {
    guard evidence.misses >= policy.failuresToUnreachable, let since = evidence.missingSince,
      newestAt.since(since) >= policy.unreachableAfter
    else { return nil }
    let broken = broken(evidence)
    let why = broken.map { "\($0.link.title): \($0.failure.message)" } ?? "Every try fails."
    return .init(
      .unreachable, "\(why) (\(evidence.misses) tries in a row.)", link: broken?.link, evidenceAt: newestAt)
  }

  private static func turn(
    _ evidence: StatusEvidence, policy: StatusPolicy, now: Timestamp, goodAt: Timestamp
  ) -> StatusReading {
    guard let turn = evidence.newest[.turn] else {
      return .init(
        .degraded, "No model turn has succeeded yet: the model's answer is not proven.", link: .turn,
        evidenceAt: goodAt)
    }
    let age = now.since(turn.at)
    guard age <= policy.turnStaleAfter else {
      return .init(.degraded, "The last model turn was \(age.words) ago.", link: .turn, evidenceAt: turn.at)
    }
    let confirming = evidence.misses > 0 ? " The newest check failed; AW is confirming." : ""
    return .init(.current, "Every link of the chain passed.\(confirming)", evidenceAt: goodAt)
  }

  /// The first link of the chain whose newest result is not right.
  private static func broken(_ evidence: StatusEvidence) -> (link: ChainLink, failure: CheckFailure)? {
    ChainReport(results: ChainLink.allCases.compactMap { evidence.newest[$0] }).broken
  }
}
