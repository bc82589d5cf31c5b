import Basics

/// What a credential is for: a model provider or a channel, by the path of its key in OpenClaw's configuration.
///
/// Closed: a surface is here when AW knows the form of its values. Of most it can ask the vendor too: see `vendor`.
public enum CredentialSurface: String, Codable, Sendable, CaseIterable {
  case openRouter = "models.providers.openrouter.apiKey"
  case openAI = "models.providers.openai.apiKey"
  case anthropic = "models.providers.anthropic.apiKey"
  case gemini = "models.providers.google.apiKey"
  case telegram = "channels.telegram.botToken"
  case telegramWebhook = "channels.telegram.webhookSecret"
  case slack = "channels.slack.botToken"
  case slackApp = "channels.slack.appToken"
  case slackSigning = "channels.slack.signingSecret"
  case discord = "channels.discord.token"
  case teams = "channels.msteams.appPassword"
  case googleChat = "channels.googlechat.serviceAccount"
  case sms = "channels.sms.authToken"
  case matrix = "channels.matrix.accessToken"

  /// - Throws: `surfaceUnknown` with those that there are; of a channel whose device is linked, that there is nothing
  ///   to keep.
  public init(named name: String) throws(AWError) {
    if let surface = CredentialSurface(rawValue: name) {
      self = surface
      return
    }
    if let channel = LinkedChannel.of(name) { throw channel.refusal }
    throw AWError(
      .surfaceUnknown, "There is no credential surface \(name.quoted).",
      next: "Use one of: \(CredentialSurface.allCases.map(\.rawValue).joined(separator: ", ")).")
  }

  /// What a person calls it.
  public var title: String {
    switch self {
    case .openRouter: "OpenRouter API key"
    case .openAI: "OpenAI API key"
    case .anthropic: "Anthropic API key"
    case .gemini: "Gemini API key"
    case .telegram: "Telegram bot token"
    case .telegramWebhook: "Telegram webhook secret"
    case .slack: "Slack bot token"
    case .slackApp: "Slack app-level token"
    case .slackSigning: "Slack signing secret"
    case .discord: "Discord bot token"
    case .teams: "Microsoft Teams client secret"
    case .googleChat: "Google Chat service account key"
    case .sms: "Twilio auth token"
    case .matrix: "Matrix access token"
    }
  }

  public var isModel: Bool { rawValue.hasPrefix("models.") }

  /// Where a model provider is asked for completions in OpenAI's form, behind the vendor's host; nil for channels. All
  /// of the four publish such an endpoint.
  var completions: String? {
    switch self {
    case .openRouter: "/api/v1"
    case .openAI, .anthropic: "/v1"
    case .gemini: "/v1beta/openai"
    default: nil
    }
  }

  /// Who is asked about it; nil when there is nobody: a secret between the channel and OpenClaw alone, which no call
  /// takes. Of such a value AW sees the form, and says no more.
  var vendor: CredentialVendor? {
    switch self {
    case .openRouter: .openRouter
    case .openAI: .openAI
    case .anthropic: .anthropic
    case .gemini: .gemini
    case .telegram: .telegram
    case .slack, .slackApp: .slack
    case .discord: .discord
    case .teams: .microsoft
    case .googleChat: .google
    case .sms: .twilio
    case .matrix: .matrix
    case .telegramWebhook, .slackSigning: nil
    }
  }

  /// - Throws: `credentialUncheckable` when there is nobody to ask.
  func asked() throws(AWError) -> CredentialVendor {
    guard let vendor else {
      throw AWError(
        .credentialUncheckable, "Nobody can be asked whether a \(title) is good: only its form was looked at.",
        next: "Whether it is the right one shows when the channel's first message arrives. "
          + "To replace it, set another value.")
    }
    return vendor
  }
}

/// A channel that has no credential: a device is linked to it, and what that leaves belongs to OpenClaw alone.
public enum LinkedChannel: String, Sendable, CaseIterable {
  case whatsApp = "channels.whatsapp"
  case signal = "channels.signal"

  public var title: String {
    switch self {
    case .whatsApp: "WhatsApp"
    case .signal: "Signal"
    }
  }

  /// Why there is nothing for AW to keep.
  public var words: String {
    switch self {
    case .whatsApp:
      "A linked device, not a stored secret: the Org scans a QR code on the Instance. Two holders of one session "
        + "would throw each other out."
    case .signal:
      "A linked device, not a stored secret: the number is registered with the Instance's own signal-cli."
    }
  }

  /// The channel that a name is below, if it is one of these.
  static func of(_ name: String) -> LinkedChannel? {
    allCases.first { name == $0.rawValue || name.hasPrefix($0.rawValue + ".") }
  }

  var refusal: AWError {
    AWError(
      .surfaceUnknown, "\(title) has no credential that AW could keep. \(words)",
      next: "Link the device on the Instance when it runs. Nothing is to be set here.")
  }
}
