import Basics

/// How often AW may ask a vendor from one address, so that it never comes near a ban: pure decisions.
///
/// Every control plane behind one address shares what the vendor grants it. AW takes a hundredth of what is published,
/// or less, because the customers' own Instances leave by the same address.
struct BanBudget: Equatable, Sendable {
  enum Counts: Equatable, Sendable {
    /// Only questions that were not let in. A corrupted copy always is one.
    case refusals
    case questions
  }

  let counts: Counts
  let most: Int
  let window: Duration

  static func of(_ surface: CredentialSurface) -> BanBudget {
    switch surface {
    // Banned for 10,000 answers of 401, 403 or 429 in 10 minutes (Discord's page on rate limits).
    case .discord: BanBudget(counts: .refusals, most: 100, window: .seconds(600))
    // Hundreds a minute are granted to auth.test, by workspace; a token that is not good has none.
    case .slack: BanBudget(counts: .questions, most: 20, window: .seconds(60))
    // 30 messages a second are granted to a bot; what is not let in is not published.
    case .telegram: BanBudget(counts: .refusals, most: 30, window: .seconds(60))
    // None of them publishes what it does about refused keys.
    case .openRouter, .openAI, .anthropic, .gemini: BanBudget(counts: .refusals, most: 30, window: .seconds(60))
    }
  }

  enum Decision: Equatable, Sendable {
    case ask
    /// Nothing is asked before this moment.
    case skip(until: Timestamp)
  }

  /// - Parameter spent: when the questions that count were asked.
  func decide(_ spent: [Timestamp], at now: Timestamp) -> Decision {
    let counted = spent.filter { now.since($0) < window }.sorted()
    guard counted.count >= most else { return .ask }
    return .skip(until: counted[counted.count - most].advanced(by: window))
  }

  /// Whether a question that was answered stays counted.
  func keeps(_ reading: VendorCheck.Reading) -> Bool {
    switch (counts, reading) {
    case (.questions, _), (.refusals, .refused), (.refusals, .unclear): true
    case (.refusals, .accepted): false
    }
  }

  /// What is said of a question that was not asked.
  func reason(_ surface: CredentialSurface, until: Timestamp) -> String {
    let what = counts == .refusals ? "refusals" : "questions"
    return "not asked before \(until): \(most) \(what) in \(window.words) is as many as AW spends at this vendor"
  }
}
