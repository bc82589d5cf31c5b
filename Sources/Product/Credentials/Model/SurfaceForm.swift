import Basics

/// What values of a surface look like. It says nothing of whether they work.
extension CredentialSurface {
  /// Whether a value has the form that the vendor gives out (the patterns of trufflehog's detectors and of the vendors'
  /// own pages).
  func looksReal(_ value: String) -> Bool {
    switch self {
    case .openRouter: value.wholeMatch(of: /sk-or-v1-[0-9a-f]{64}/) != nil
    case .openAI: value.wholeMatch(of: /sk-(proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}/) != nil && !isOther(value)
    case .anthropic: value.wholeMatch(of: /sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{20,}/) != nil
    case .gemini: value.wholeMatch(of: /AIza[0-9A-Za-z_-]{35}/) != nil
    case .telegram: value.wholeMatch(of: /[0-9]{8,10}:[A-Za-z0-9_-]{35}/) != nil
    // Whoever sets up the webhook makes it up; Telegram only says which characters.
    case .telegramWebhook: value.wholeMatch(of: /[A-Za-z0-9_-]{1,256}/) != nil
    case .slack: value.wholeMatch(of: /xoxb-[0-9]{8,}-[0-9]{8,}-[A-Za-z0-9]{20,}/) != nil
    case .slackApp: value.wholeMatch(of: /xapp-[0-9]-[A-Z0-9]{8,}-[0-9]{8,}-[a-z0-9]{20,}/) != nil
    case .slackSigning: value.wholeMatch(of: /[0-9a-f]{32}/) != nil
    case .discord: value.wholeMatch(of: /[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}/) != nil
    // The mark "Q~" behind a digit is in every client secret that Entra makes since 2021.
    case .teams: value.wholeMatch(of: /[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}/) != nil
    case .googleChat: GoogleServiceAccount(parsing: value) != nil
    case .sms: value.wholeMatch(of: /[0-9a-f]{32}/) != nil
    // The specification calls it opaque; every server's has no space and is long enough not to be guessed.
    case .matrix: value.wholeMatch(of: /[!-~]{16,512}/) != nil
    }
  }

  /// Whether the form alone tells whose value it is. Other forms are of nearly anything.
  var hasTellingForm: Bool {
    switch self {
    case .telegramWebhook, .slackSigning, .sms, .matrix: false
    default: true
    }
  }

  /// The surface whose form a value has: this one's, but a form that tells counts before one that does not.
  func formed(_ value: String) -> CredentialSurface? {
    let telling = CredentialSurface.allCases.filter { $0.hasTellingForm && $0 != self }
    return (hasTellingForm ? [self] + telling : telling + [self]).first { $0.looksReal(value) }
  }

  /// OpenAI's prefix begins those of others.
  private func isOther(_ value: String) -> Bool { value.hasPrefix("sk-or-") || value.hasPrefix("sk-ant-") }

  /// What a fixture of it begins with: the form of the vendor's own values, with an account that cannot exist.
  var fixturePrefix: String {
    switch self {
    case .openRouter: "sk-or-v1-"
    case .openAI: "sk-proj-"
    case .anthropic: "sk-ant-api03-"
    case .gemini: "AIza"
    case .telegram: "0000000000:"
    case .telegramWebhook: "telegram-webhook-"
    case .slack: "xoxb-000000000000-000000000000-"
    case .slackApp: "xapp-1-A0000000000-000000000000-"
    case .slackSigning: "slack-signing-"
    // The first part is base64 of the bot's id, eighteen zeros.
    case .discord: "MDAwMDAwMDAwMDAwMDAwMDAw.AAAAAA."
    case .teams: "0000Q~"
    case .googleChat: #"{"type":"service_account","client_email":""#
    case .sms: "twilio-"
    // Synapse's form; the middle is base64 of "aw-fixture".
    case .matrix: "syt_YXctZml4dHVyZQ_"
    }
  }

  /// What stands behind the part that makes it a fixture.
  var fixtureSuffix: String {
    self == .googleChat
      ? #"@aw-fixture.iam.gserviceaccount.com","private_key":""# + GoogleServiceAccount.fixtureKey + #""}"# : ""
  }
}
