import Basics
import Link
import Web
import Work

/// What the API shows of the fleet. The CLI reads the same types.
public struct OrgView: Codable, Sendable, Equatable {
  public let id: OrgID
  public let slug: Slug
  public let name: String
  public let sort: Org.Sort
  public let instances: Int
  public let createdAt: Timestamp

  init(_ org: Org, instances: Int) {
    id = org.id
    slug = org.slug
    name = org.name
    sort = org.sort
    self.instances = instances
    createdAt = org.createdAt
  }
}

public struct HostView: Codable, Sendable, Equatable {
  public let id: HostID
  public let slug: Slug
  public let state: Host.State
  /// Whether it has a link to this control plane now.
  public let connected: Bool
  /// How many connections that link has; two keep it up when one breaks.
  public let connections: Int
  public let connectedAt: Timestamp?
  public let disconnectedAt: Timestamp?
  /// How the last link ended, in the classes of the link.
  public let lastLoss: String?
  public let machine: String?
  public let program: String?
  public let runtimes: [RuntimeAvailability]
  public let instances: Int
  public let createdAt: Timestamp

  /// The runtimes that can be used, for people.
  public var offers: String { runtimes.filter(\.available).map(\.kind.rawValue).joined(separator: ", ") }

  init(_ host: Host, connections: Int, instances: Int) {
    id = host.id
    slug = host.slug
    state = host.state
    connected = connections > 0
    self.connections = connections
    connectedAt = host.connectedAt
    disconnectedAt = host.disconnectedAt
    lastLoss = host.lastLoss
    machine = host.machine
    program = host.program
    runtimes = host.runtimes
    self.instances = instances
    createdAt = host.createdAt
  }
}

/// A Host to be, with the line that makes a machine it. Shown once.
public struct InvitationView: Codable, Sendable {
  public let host: HostView
  public let line: String
  public let expiresAt: Timestamp
}

/// A link of the chain, as last seen.
public struct CheckView: Codable, Sendable, Equatable {
  public let link: ChainLink
  public let title: String
  /// `passed`, `degraded` or `failed`.
  public let outcome: String
  /// True when an earlier link failed since: this one was not looked at again.
  public let behindFailure: Bool
  public let at: Timestamp
  public let durationMilliseconds: Int64
  public let code: String?
  public let message: String?
  public let next: String?
  public let evidence: JSONValue

  init(_ result: CheckResult, at: Timestamp, behindFailure: Bool) {
    link = result.link
    title = result.link.title
    self.behindFailure = behindFailure
    self.at = at
    durationMilliseconds = result.durationMilliseconds
    evidence = result.evidence
    outcome = result.outcome.word.rawValue
    let failure = result.outcome.failure
    (code, message, next) = (failure?.code, failure?.message, failure?.next)
  }

  /// The chain as last seen, in order. Links that were never looked at are not in it.
  static func chain(_ evidence: StatusEvidence) -> [CheckView] {
    var failedAt: Timestamp?
    return ChainLink.allCases.compactMap { link in
      guard let result = evidence.newest[link] else { return nil }
      // What the Host keeps telling is as fresh as its word.
      let told = ChainLink.light.contains(link) && result.outcome == .passed ? evidence.goodAt : nil
      let behind = failedAt.map { $0 > result.at } ?? false
      if case .failed = result.outcome, !behind { failedAt = max(failedAt ?? result.at, result.at) }
      return CheckView(result, at: max(result.at, told ?? result.at), behindFailure: behind)
    }
  }
}

public struct StatusView: Codable, Sendable, Equatable {
  public let status: Status
  /// One sentence: why, and what AW last knew.
  public let reason: String
  /// The link of the chain to look at, when one is broken.
  public let link: ChainLink?
  /// What is to be mended; nil when nothing is.
  public let primaryCause: PrimaryCause?
  /// The links behind a failed one: nothing can be said of them until it is mended.
  public let suppressed: [ChainLink]
  /// The age of this is what a screen shows.
  public let evidenceAt: Timestamp?
  /// Whether it goes back and forth: more than six changes within ten minutes, and no ten minutes of calm since.
  public let flapping: Bool
  /// Since when the status is this one, as recorded; nil when AW has not recorded it.
  public let since: Timestamp?

  init(_ reading: StatusReading, _ evidence: StatusEvidence, doubted: Bool) {
    let announced = evidence.announced
    flapping = evidence.flapping?.isFlapping ?? false
    status = reading.status
    reason = reading.reason
    link = reading.link
    primaryCause = reading.primaryCause(evidence, doubted: doubted)
    let isBroken = reading.status != .current
    suppressed =
      isBroken ? reading.link.map { PrimaryCause.suppressed(by: $0, evidence.newest[$0]?.outcome) } ?? [] : []
    evidenceAt = reading.evidenceAt
    since = announced?.status == reading.status ? announced?.at : nil
  }
}

public struct InstanceView: Codable, Sendable, Equatable {
  public let id: InstanceID
  public let slug: Slug
  public let org: Slug
  public let host: Slug
  public let runtime: RuntimeKind
  public let image: String?
  /// What AW was asked to make of it. How it is doing is its status.
  public let state: Instance.State
  public let port: Int?
  public let version: String?
  public let dataDirectory: String?
  /// How it is reached.
  public let path: PathView
  public let createdAt: Timestamp
  public let status: StatusView
  public let chain: [CheckView]
  /// The newest operation on it.
  public let operation: OperationView?
}

public struct OperationView: Codable, Sendable, Equatable {
  public struct Step: Codable, Sendable, Equatable {
    public let name: String
    public let title: String
    public let state: OperationProgress.StepState
    public let startedAt: Timestamp?
    public let finishedAt: Timestamp?
    public let attempts: Int
    /// Why it is being tried again, while it is.
    public let waitingFor: String?
    public let detail: JSONValue

    /// How long it took; nil until it has ended.
    public var milliseconds: Int64? {
      startedAt.flatMap { startedAt in finishedAt.map { $0.since(startedAt).milliseconds } }
    }
  }

  public let id: OperationID
  public let kind: String
  /// The id of what it is about.
  public let subject: String
  public let actor: String
  public let state: OperationProgress.State
  public let steps: [Step]
  public let failure: OperationProgress.Failure?
  public let createdAt: Timestamp
  public let updatedAt: Timestamp

  public var isFinished: Bool { state == .succeeded || state == .failed }

  public init(_ operation: WorkOperation) {
    id = operation.id
    kind = operation.kind
    subject = operation.subject
    actor = operation.actor
    state = operation.progress.state
    steps = operation.progress.steps.map { step in
      Step(
        name: step.name, title: InstanceStep(rawValue: step.name)?.title ?? step.name, state: step.state,
        startedAt: step.startedAt, finishedAt: step.finishedAt, attempts: step.attempts, waitingFor: step.waitingFor,
        detail: step.detail)
    }
    failure = operation.progress.failure
    createdAt = operation.createdAt
    updatedAt = operation.updatedAt
  }
}

/// What was asked for, and the operation that does it.
public struct RequestedView: Codable, Sendable {
  public let instance: InstanceView
  public let operation: OperationView
}

/// The whole fleet in a few numbers.
public struct FleetSummary: Codable, Sendable, Equatable {
  /// How many Instances have each status; every status is there.
  public let statuses: [String: Int]
  public let instances: Int
  public let hosts: Int
  public let hostsConnected: Int
  /// The worst status of all; nil without Instances.
  public let worst: Status?
  /// Why the Watchdog doubts what it sees; nil when it does not. Then nothing is called unreachable.
  public let doubt: String?
  /// The time of the control plane that ages are counted from.
  public let now: Timestamp
}
