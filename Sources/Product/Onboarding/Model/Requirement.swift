import Basics

/// One thing that an onboarding needs, and how it stands.
public struct Requirement: Codable, Sendable, Equatable {
  public enum Kind: String, Codable, Sendable, CaseIterable {
    /// Who speaks for the Org.
    case identity
    /// What is to be provisioned: the Instance's name, its runtime, its Host.
    case instance
    /// Which models and channels the Org is to have.
    case surfaces
    /// A credential.
    case secretRef = "secret-ref"
    /// The OpenClaw settings that the Instance has at least.
    case baseline
    /// A setting that is weaker than the baseline's, for a time.
    case exception

    /// Being there is not enough: it has to be shown, or approved.
    var isProven: Bool { self == .secretRef || self == .exception }
  }

  /// The Stripe model's words: what is asked for, and what came of it.
  public enum Status: String, Codable, Sendable, CaseIterable {
    case missing
    /// There, and nobody has looked whether it is good.
    case present
    case valid
    case invalid
    /// Looked at, and nothing was proven.
    case indeterminate
    case expired
    /// There, and nobody can be asked whether it is good: its form is all that is known.
    case waived

    /// Whether nothing more is to be done about it.
    public var isMet: Bool { self == .valid || self == .waived }
  }

  /// Who has to do something.
  public enum Party: String, Codable, Sendable, CaseIterable {
    case `operator`
    case contact = "Org's contact"
  }

  /// What is wrong: a code of `docs/errors.md`, and the same for people.
  public struct Problem: Codable, Sendable, Equatable {
    public let code: String
    public let message: String
    public let who: Party
    public let next: String

    public init(code: ErrorCode, _ message: String, who: Party, next: String) {
      self.init(code: code.id, message, who: who, next: next)
    }

    init(code: String, _ message: String, who: Party, next: String) {
      self.code = code
      self.message = message
      self.who = who
      self.next = next
    }
  }

  /// `identity.contact`, `models.providers.openai.apiKey`.
  public let id: String
  public let kind: Kind
  public let title: String
  public let status: Status
  /// What is wrong, or what is to be done; nil when it is met.
  public let problem: Problem?

  public init(id: String, kind: Kind, title: String, status: Status, problem: Problem?) {
    self.id = id
    self.kind = kind
    self.title = title
    self.status = status
    self.problem = problem
  }
}

/// A credential as onboarding sees it.
public struct CredentialFact: Sendable, Equatable {
  public let surface: String
  public let title: String
  /// The SecretRef with its version, so that another version is another desired state.
  public let reference: String
  public let status: Requirement.Status
  public let problem: Requirement.Problem?

  public init(
    surface: String, title: String, reference: String, status: Requirement.Status, problem: Requirement.Problem?
  ) {
    self.surface = surface
    self.title = title
    self.reference = reference
    self.status = status
    self.problem = problem
  }
}
