import Basics

/// Who is asked about credentials. The name stands in the file of addresses, and before the path at the simulated ones.
enum CredentialVendor: String, CaseIterable, Sendable {
  case openRouter = "openrouter"
  case openAI = "openai"
  case anthropic
  case gemini
  case telegram
  case slack
  case discord
  /// Entra, which gives bots of Teams their tokens.
  case microsoft
  /// Google's endpoint for tokens of service accounts.
  case google
  case twilio
  case matrix

  /// Its own address; nil of Matrix, where each customer has a server of their own.
  var published: String? {
    switch self {
    case .openRouter: "https://openrouter.ai"
    case .openAI: "https://api.openai.com"
    case .anthropic: "https://api.anthropic.com"
    case .gemini: "https://generativelanguage.googleapis.com"
    case .telegram: "https://api.telegram.org"
    case .slack: "https://slack.com"
    case .discord: "https://discord.com"
    case .microsoft: "https://login.microsoftonline.com"
    case .google: "https://oauth2.googleapis.com"
    case .twilio: "https://api.twilio.com"
    case .matrix: nil
    }
  }

  /// What AW spends there from one address.
  var budget: BanBudget {
    switch self {
    // Banned for 10,000 answers of 401, 403 or 429 in 10 minutes (Discord's page on rate limits).
    case .discord: BanBudget(counts: .refusals, most: 100, window: .seconds(600))
    // Hundreds a minute are granted to auth.test, by workspace, and one to apps.connections.open, by app; a token that
    // is not good has none.
    case .slack: BanBudget(counts: .questions, most: 20, window: .seconds(60))
    // 30 messages a second are granted to a bot; what is not let in is not published.
    case .telegram: BanBudget(counts: .refusals, most: 30, window: .seconds(60))
    // Entra locks out an address that fails too often, without saying how often that is.
    case .microsoft: BanBudget(counts: .refusals, most: 10, window: .seconds(60))
    // None of them publishes what it does about refused keys; each Matrix server has its own ways.
    case .openRouter, .openAI, .anthropic, .gemini, .google, .twilio, .matrix:
      BanBudget(counts: .refusals, most: 30, window: .seconds(60))
    }
  }
}
