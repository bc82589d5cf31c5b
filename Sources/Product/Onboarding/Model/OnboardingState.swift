import Basics

/// Where an onboarding is. The words are the customer's own, spelled so everywhere.
public enum OnboardingState: String, Codable, Sendable, CaseIterable {
  case draft
  case credentialsPending = "credentials pending"
  case validationPending = "validation pending"
  case readyToProvision = "ready to provision"
  case provisioning
  case verified
  case blocked
}

/// The proof that an Instance works as it was wanted: the whole chain, a real model turn included.
public struct FirstRunReport: Codable, Sendable, Equatable {
  public struct Check: Codable, Sendable, Equatable {
    public let link: String
    public let outcome: String
  }

  /// A channel that has a credential, as the Instance was started with it.
  public struct Channel: Codable, Sendable, Equatable {
    /// `telegram`.
    public let channel: String
    public let isOn: Bool
    /// Why it is switched off; nil when it is on.
    public let reason: String?
  }

  /// Of the desired state that was carried out.
  public let digest: String
  public let passed: Bool
  public let at: Timestamp
  public let checks: [Check]
  /// The operation whose steps it comes from, which is in the evidence.
  public let operation: String
  public var channels: [Channel]?
}

/// Everything that an onboarding's state follows from.
struct OnboardingFacts: Sendable, Equatable {
  /// The newest provisioning, if one was asked for and its Instance was not removed since.
  enum Job: Sendable, Equatable {
    case none
    case running
    case succeeded(FirstRunReport)
    /// Of this desired state, for this reason.
    case failed(digest: String, Requirement.Problem)
  }

  var requirements: [Requirement]
  var job: Job
  var hold: OnboardingRecord.Hold?
  /// Of the desired state as it is now.
  var digest: String
  /// For the words of what to do next.
  var org: String
}

/// The state, and if it is blocked by what.
public struct OnboardingStanding: Codable, Sendable, Equatable {
  /// What keeps an onboarding from going on. Whoever removes it finds the onboarding where `resumesTo` says.
  public struct Block: Codable, Sendable, Equatable {
    public let code: String
    public let message: String
    public let who: Requirement.Party
    public let next: String
    public let resumesTo: OnboardingState
  }

  public let state: OnboardingState
  /// There when, and only when, the state is `blocked`.
  public let block: Block?

  /// The state as a pure function: nobody sets it.
  ///
  /// | state | when, the first that fits |
  /// |---|---|
  /// | blocked | it is held; a requirement is invalid or expired; the provisioning of this desired state failed |
  /// | draft | who, what or which surfaces is not said yet |
  /// | credentials pending | a credential is missing |
  /// | validation pending | a credential was not shown to be good, or an exception not approved |
  /// | provisioning | the operation runs |
  /// | verified | the first-run report passed, for the desired state as it is now |
  /// | ready to provision | none of these |
  static func of(_ facts: OnboardingFacts) -> OnboardingStanding {
    let open = unblocked(facts)
    guard let problem = obstacle(facts) else { return OnboardingStanding(state: open, block: nil) }
    return OnboardingStanding(
      state: .blocked,
      block: Block(
        code: problem.code, message: problem.message, who: problem.who, next: problem.next, resumesTo: open))
  }

  private static func obstacle(_ facts: OnboardingFacts) -> Requirement.Problem? {
    if let hold = facts.hold {
      return .init(
        code: .onboardingHeld, "It is held: \(hold.reason)", who: .operator,
        next: "When the reason is gone: 'aw org onboard \(facts.org) --release'.")
    }
    if let bad = facts.requirements.first(where: { $0.status == .invalid || $0.status == .expired }) {
      return bad.problem
        ?? .init(
          code: .onboardingIncomplete, "\(bad.title) is \(bad.status.rawValue).", who: .operator,
          next: "Give it anew: 'aw org onboard \(facts.org)'.")
    }
    if case .failed(let digest, let problem) = facts.job, digest == facts.digest { return problem }
    return nil
  }

  /// The state without what blocks it.
  private static func unblocked(_ facts: OnboardingFacts) -> OnboardingState {
    let (credentials, others) = (
      facts.requirements.filter { $0.kind.isProven }, facts.requirements.filter { !$0.kind.isProven }
    )
    if others.contains(where: { !$0.status.isMet }) { return .draft }
    if credentials.contains(where: { $0.status == .missing }) { return .credentialsPending }
    if credentials.contains(where: { !$0.status.isMet }) { return .validationPending }
    switch facts.job {
    case .running: return .provisioning
    case .succeeded(let report) where report.passed && report.digest == facts.digest: return .verified
    case .none, .succeeded, .failed: return .readyToProvision
    }
  }

  /// Whether provisioning may be asked for now: when everything is ready, or to try again what failed.
  static func mayProvision(_ facts: OnboardingFacts) -> Bool {
    let isBad = facts.requirements.contains { $0.status == .invalid || $0.status == .expired }
    return facts.hold == nil && !isBad && unblocked(facts) == .readyToProvision
  }
}

/// One change of state, as the evidence has it.
public struct OnboardingTransition: Codable, Sendable, Equatable {
  /// Nil for the first.
  public let from: OnboardingState?
  public let to: OnboardingStanding

  /// What is to be recorded: nil when nothing changed.
  static func between(_ recorded: OnboardingStanding?, _ now: OnboardingStanding) -> OnboardingTransition? {
    recorded == now ? nil : OnboardingTransition(from: recorded?.state, to: now)
  }

  /// What the log says the state is, from its transitions alone.
  ///
  /// - Returns: nil when it does not hang together: a transition that does not begin where the one before ended.
  static func replay(_ transitions: [OnboardingTransition]) -> OnboardingStanding? {
    var standing: OnboardingStanding?
    for transition in transitions {
      guard transition.from == standing?.state else { return nil }
      standing = transition.to
    }
    return standing
  }
}
