import Basics

/// The chain from the control plane to a model's answer, link by link. Each link stands on the one before.
public enum ChainLink: String, Codable, CodingKeyRepresentable, Sendable, CaseIterable {
  /// The way to the Host: its link, or another control path.
  case host
  /// The process or container on the Host.
  case runtime
  /// `/healthz` answers `{"ok":true,"status":"live"}`.
  case live = "healthz"
  /// `/readyz` answers `{"ready":true}`.
  case ready = "readyz"
  /// The Gateway WebSocket says hello-ok, through the tunnel, to AW's own paired device.
  case hello
  /// The `health` call, looked into: its own `ok` proves nothing.
  case health
  /// One real model turn, whose answer carries the nonce that was asked for.
  case turn

  /// What the Host itself can tell, without a stream: looked at every 15 s.
  public static let light: [ChainLink] = [.host, .runtime, .live]
  /// All but the model turn, which costs tokens.
  public static let deep: [ChainLink] = [.host, .runtime, .live, .ready, .hello, .health]
  /// What is left to look at when the Host has told the rest a moment ago.
  public static let beyondLight: [ChainLink] = [.host, .ready, .hello, .health]

  /// What the link is called on screen.
  public var title: String {
    switch self {
    case .host: "Control path"
    case .runtime: "Runtime"
    case .live: "Liveness probe"
    case .ready: "Readiness probe"
    case .hello: "Gateway WebSocket"
    case .health: "Health report"
    case .turn: "Model turn"
    }
  }
}

/// What one check of one link found.
public struct CheckResult: Sendable, Equatable {
  public enum Outcome: Sendable, Equatable {
    case passed
    /// Works, but not as it should: shown, and it makes the Instance degraded.
    case degraded(CheckFailure)
    case failed(CheckFailure)
    /// Not tried, because an earlier link failed.
    case skipped

    public enum Word: String, Codable, Sendable {
      case passed, degraded, failed, skipped
    }

    /// What it is called, in the evidence and in metrics.
    public var word: Word {
      switch self {
      case .passed: .passed
      case .degraded: .degraded
      case .failed: .failed
      case .skipped: .skipped
      }
    }

    public var failure: CheckFailure? {
      switch self {
      case .degraded(let failure), .failed(let failure): failure
      case .passed, .skipped: nil
      }
    }
  }

  public let link: ChainLink
  public let outcome: Outcome
  /// When the check ended, by the control plane's clock.
  public let at: Timestamp
  public let durationMilliseconds: Int64
  /// What was seen, safe for evidence.
  public let evidence: JSONValue

  public init(link: ChainLink, outcome: Outcome, at: Timestamp, durationMilliseconds: Int64, evidence: JSONValue) {
    self.link = link
    self.outcome = outcome
    self.at = at
    self.durationMilliseconds = durationMilliseconds
    self.evidence = evidence
  }
}

/// As it stands in the evidence and in the database: one flat object, for programs that know nothing of Swift.
extension CheckResult: Codable {
  private enum Keys: String, CodingKey {
    case link, outcome, failure, at, durationMilliseconds, evidence
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: Keys.self)
    let outcome: Outcome =
      switch try members.decode(Outcome.Word.self, forKey: .outcome) {
      case .passed: .passed
      case .skipped: .skipped
      case .degraded: .degraded(try members.decode(CheckFailure.self, forKey: .failure))
      case .failed: .failed(try members.decode(CheckFailure.self, forKey: .failure))
      }
    self.init(
      link: try members.decode(ChainLink.self, forKey: .link), outcome: outcome,
      at: try members.decode(Timestamp.self, forKey: .at),
      durationMilliseconds: try members.decode(Int64.self, forKey: .durationMilliseconds),
      evidence: try members.decode(JSONValue.self, forKey: .evidence))
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: Keys.self)
    try members.encode(link, forKey: .link)
    try members.encode(outcome.word, forKey: .outcome)
    try members.encodeIfPresent(outcome.failure, forKey: .failure)
    try members.encode(at, forKey: .at)
    try members.encode(durationMilliseconds, forKey: .durationMilliseconds)
    try members.encode(evidence, forKey: .evidence)
  }
}

/// Why a link is not right: code, what, and what to do next.
public struct CheckFailure: Codable, Sendable, Equatable {
  public let code: String
  public let message: String
  public let next: String

  public init(code: String, message: String, next: String) {
    self.code = code
    self.message = message
    self.next = next
  }

  public init(_ error: AWError) { self.init(code: error.code.id, message: error.message, next: error.next) }
}

/// One walk along the chain.
public struct ChainReport: Codable, Sendable, Equatable {
  /// In the order of the chain. A light check ends with the liveness probe, a deep one with the health report.
  public let results: [CheckResult]

  public init(results: [CheckResult]) { self.results = results }

  public func result(_ link: ChainLink) -> CheckResult? { results.first { $0.link == link } }

  /// Every link of the whole chain was tried and passed.
  public var isVerified: Bool { ChainLink.allCases.allSatisfy { result($0)?.outcome == .passed } }

  /// The first link that is not right: where to look.
  public var broken: (link: ChainLink, failure: CheckFailure)? {
    results.lazy.compactMap { result in result.outcome.failure.map { (result.link, $0) } }.first
  }

  /// Whether AW reached the Instance's Gateway and was let in, with whatever it then found amiss.
  public var isReached: Bool {
    switch result(.hello)?.outcome {
    case .passed, .degraded: true
    case .failed, .skipped, nil: false
    }
  }

  /// Some link did not pass and is not only degraded.
  public var hasFailed: Bool {
    results.contains { if case .failed = $0.outcome { true } else { false } }
  }

  /// It did not look further than the Host itself can tell.
  public var isLight: Bool { results.allSatisfy { ChainLink.light.contains($0.link) } }

  public var at: Timestamp? { results.map(\.at).max() }
}
