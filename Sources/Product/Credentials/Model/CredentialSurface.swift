import Basics

/// What a credential is for: a model provider or a channel, by the path of its key in OpenClaw's configuration.
///
/// Closed: a surface is here when AW knows the form of its values and can validate them.
public enum CredentialSurface: String, Codable, Sendable, CaseIterable {
  case openRouter = "models.providers.openrouter.apiKey"
  case openAI = "models.providers.openai.apiKey"
  case anthropic = "models.providers.anthropic.apiKey"
  case gemini = "models.providers.google.apiKey"
  case telegram = "channels.telegram.botToken"
  case slack = "channels.slack.botToken"
  case discord = "channels.discord.token"

  /// - Throws: `surfaceUnknown` with those that there are.
  public init(named name: String) throws(AWError) {
    guard let surface = CredentialSurface(rawValue: name) else {
      throw AWError(
        .surfaceUnknown, "There is no credential surface \(name.quoted).",
        next: "Use one of: \(CredentialSurface.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    self = surface
  }

  /// What a person calls it.
  public var title: String {
    switch self {
    case .openRouter: "OpenRouter API key"
    case .openAI: "OpenAI API key"
    case .anthropic: "Anthropic API key"
    case .gemini: "Gemini API key"
    case .telegram: "Telegram bot token"
    case .slack: "Slack bot token"
    case .discord: "Discord bot token"
    }
  }

  public var isModel: Bool {
    switch self {
    case .openRouter, .openAI, .anthropic, .gemini: true
    case .telegram, .slack, .discord: false
    }
  }

  /// Where a model provider is asked for completions in OpenAI's form, behind the vendor's host; nil for channels. All
  /// of the four publish such an endpoint.
  var completions: String? {
    switch self {
    case .openRouter: "/api/v1"
    case .openAI, .anthropic: "/v1"
    case .gemini: "/v1beta/openai"
    case .telegram, .slack, .discord: nil
    }
  }

  /// What a fixture of it begins with: the form of the vendor's own values, with an account that cannot exist.
  var fixturePrefix: String {
    switch self {
    case .openRouter: "sk-or-v1-"
    case .openAI: "sk-proj-"
    case .anthropic: "sk-ant-api03-"
    case .gemini: "AIza"
    case .telegram: "0000000000:"
    case .slack: "xoxb-000000000000-000000000000-"
    // The first part is base64 of the bot's id, eighteen zeros.
    case .discord: "MDAwMDAwMDAwMDAwMDAwMDAw.AAAAAA."
    }
  }

  /// Whether a value has the form that the vendor gives out (the patterns of trufflehog's detectors and of the vendors'
  /// own pages). It says what a value looks like, never that it works.
  func looksReal(_ value: String) -> Bool {
    switch self {
    case .openRouter: value.wholeMatch(of: /sk-or-v1-[0-9a-f]{64}/) != nil
    case .openAI: value.wholeMatch(of: /sk-(proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}/) != nil && !isOther(value)
    case .anthropic: value.wholeMatch(of: /sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{20,}/) != nil
    case .gemini: value.wholeMatch(of: /AIza[0-9A-Za-z_-]{35}/) != nil
    case .telegram: value.wholeMatch(of: /[0-9]{8,10}:[A-Za-z0-9_-]{35}/) != nil
    case .slack: value.wholeMatch(of: /xoxb-[0-9]{8,}-[0-9]{8,}-[A-Za-z0-9]{20,}/) != nil
    case .discord: value.wholeMatch(of: /[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}/) != nil
    }
  }

  /// OpenAI's prefix begins those of others.
  private func isOther(_ value: String) -> Bool { value.hasPrefix("sk-or-") || value.hasPrefix("sk-ant-") }
}
