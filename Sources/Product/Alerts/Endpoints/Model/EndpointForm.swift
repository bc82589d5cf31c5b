import Addresses
import Basics

/// What an endpoint's settings say, read and checked. What reads here can be sent to, as far as the text alone tells.
enum EndpointForm: Sendable {
  case webhook(WebhookForm)
  case alertmanager(AlertmanagerForm)
  case pagerDuty(EndpointURL)
  case slack(text: MessageTemplate?)
  case email(EmailForm)
  case command(CommandForm)

  /// - Throws: `endpointInvalid`, `endpointTemplateInvalid`.
  init(_ endpoint: Endpoint) throws(AWError) {
    var settings = try SettingsReader(endpoint.settings, of: endpoint.kind)
    switch endpoint.kind {
    case .webhook: self = .webhook(try WebhookForm(endpoint, &settings))
    case .alertmanager: self = .alertmanager(try AlertmanagerForm(endpoint, &settings))
    case .pagerduty:
      let target = endpoint.target.isEmpty ? EndpointForm.pagerDutyTarget : endpoint.target
      self = .pagerDuty(try EndpointURL(base: target))
    case .slack:
      guard endpoint.target.isEmpty else {
        throw SettingsReader.invalid("The URL of an incoming webhook is a secret and does not belong in the target.")
      }
      self = .slack(text: try settings.template("text"))
    case .email: self = .email(try EmailForm(endpoint, &settings))
    case .command: self = .command(try CommandForm(endpoint, &settings))
    }
    _ = try settings.text("ca")
    try settings.finish()
    for range in endpoint.allowsPrivate where NetworkRange(range) == nil {
      throw SettingsReader.invalid("The private range \(range.quoted) is no range of addresses such as 10.20.0.0/16.")
    }
  }

  static let pagerDutyTarget = "https://events.pagerduty.com"

  /// How many secrets the vault has to hold for it.
  var secretsNeeded: Int {
    switch self {
    case .webhook, .pagerDuty, .slack: 1
    case .alertmanager(let form): form.authentication == .none ? 0 : 1
    case .email(let form): form.user == nil ? 0 : 1
    case .command: 0
    }
  }

  /// Where it connects to, when the settings alone say so.
  var url: EndpointURL? {
    switch self {
    case .webhook(let form): form.url
    case .alertmanager(let form): form.url
    case .pagerDuty(let url): url
    case .email(let form): form.server
    case .slack, .command: nil
    }
  }
}

/// Where CloudEvents go.
struct WebhookForm: Sendable {
  enum Format: String, CaseIterable, Sendable {
    /// One event for each notification, which holds its alerts.
    case cloudevents
    /// One event for each alert, several in a request.
    case batch
  }

  let url: EndpointURL
  let format: Format

  init(_ endpoint: Endpoint, _ settings: inout SettingsReader) throws(AWError) {
    url = try EndpointURL(endpoint.target, schemes: [.https, .http])
    format = try settings.choice("format", Format.self) ?? .cloudevents
  }
}

struct AlertmanagerForm: Sendable {
  enum Authentication: Equatable, Sendable {
    case none, bearer
    case basic(user: String)
  }

  let url: EndpointURL
  let authentication: Authentication
  /// Labels that every alert of this endpoint gets, such as `severity`.
  let labels: [String: String]

  /// Names of labels that AW gives itself.
  static let reserved: Set = ["alertname", "aw_key", "aw_subject", "org"]

  init(_ endpoint: Endpoint, _ settings: inout SettingsReader) throws(AWError) {
    url = try EndpointURL(base: endpoint.target)
    switch (try settings.text("auth") ?? "none", try settings.text("username")) {
    case ("none", nil): authentication = .none
    case ("bearer", nil): authentication = .bearer
    case ("basic", let user?) where !user.isEmpty && !user.contains(":"): authentication = .basic(user: user)
    default:
      throw SettingsReader.invalid("'auth' is none of 'none', 'bearer', and 'basic' with a 'username' (without ':').")
    }
    labels = try settings.texts("labels")
    for name in labels.keys.sorted() {
      guard AlertmanagerForm.isLabel(name), !AlertmanagerForm.reserved.contains(name) else {
        throw SettingsReader.invalid("The label \(name.quoted) is no name for a label, or one that AW sets itself.")
      }
    }
  }

  /// Prometheus' rule for names of labels.
  private static func isLabel(_ name: String) -> Bool {
    name.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_]*/) != nil && !name.hasPrefix("__")
  }
}

struct EmailForm: Sendable {
  enum Encryption: String, Sendable {
    /// The connection becomes TLS before anything is said (`smtps://`).
    case implicit
    /// The server must offer STARTTLS.
    case required
    /// In the clear: to the loopback of this machine only.
    case off
  }

  let server: EndpointURL
  let encryption: Encryption
  let from: MailAddress
  let recipients: [MailAddress]
  /// Set when the server wants a password.
  let user: String?
  let subject: MessageTemplate?
  let body: MessageTemplate?

  init(_ endpoint: Endpoint, _ settings: inout SettingsReader) throws(AWError) {
    server = try EndpointURL(endpoint.target, schemes: [.smtp, .smtps])
    switch (server.scheme, try settings.text("starttls")) {
    case (.smtps, nil): encryption = .implicit
    case (.smtps, _):
      throw SettingsReader.invalid("'starttls' has no meaning with smtps://, which is TLS from the start.")
    case (_, nil), (_, "required"): encryption = .required
    case (_, "off"): encryption = .off
    default: throw SettingsReader.invalid("'starttls' is neither 'required' nor 'off'.")
    }
    from = try MailAddress.reading(try settings.text("from") ?? "", as: "from")
    let recipients = try settings.list("to")
    guard (1...EndpointLimits.mailRecipientsMax).contains(recipients.count) else {
      throw SettingsReader.invalid("'to' needs 1 to \(EndpointLimits.mailRecipientsMax) mail addresses.")
    }
    self.recipients = try recipients.map { text throws(AWError) in try MailAddress.reading(text, as: "to") }
    user = try settings.text("username")
    if encryption == .off, user != nil {
      throw SettingsReader.invalid("A password is never sent without TLS: 'username' goes with 'starttls': 'required'.")
    }
    subject = try settings.template("subject")
    body = try settings.template("body")
  }
}

struct CommandForm: Sendable {
  let program: String
  let arguments: [String]

  init(_ endpoint: Endpoint, _ settings: inout SettingsReader) throws(AWError) {
    guard endpoint.org == nil else {
      throw SettingsReader.invalid("A local command runs as the control plane itself, so no Org can have one.")
    }
    program = endpoint.target
    guard program.hasPrefix("/"), !program.utf8.contains(0), program.utf8.count <= EndpointLimits.urlBytesMax else {
      throw SettingsReader.invalid("A local command is named by its absolute path.")
    }
    arguments = try settings.list("arguments")
    guard arguments.count <= EndpointLimits.commandArgumentsMax, !arguments.contains(where: { $0.utf8.contains(0) })
    else { throw SettingsReader.invalid("A command takes at most \(EndpointLimits.commandArgumentsMax) arguments.") }
  }
}

/// Reads settings by name, and refuses those that nobody read: a misspelt setting must not be silence.
struct SettingsReader {
  private var members: [String: JSONValue]
  private let kind: EndpointKind

  init(_ settings: JSONValue, of kind: EndpointKind) throws(AWError) {
    self.kind = kind
    switch settings {
    case .null: members = [:]
    case .object(let object): members = object
    default: throw SettingsReader.invalid("The settings are no JSON object.")
    }
  }

  mutating func text(_ name: String) throws(AWError) -> String? {
    guard let value = members.removeValue(forKey: name), !value.isNull else { return nil }
    guard let text = value.stringValue else { throw SettingsReader.invalid("'\(name)' is no text.") }
    return text
  }

  mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: String, _ type: Choice.Type
  ) throws(AWError) -> Choice? where Choice.RawValue == String {
    guard let text = try text(name) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      let names = Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: " or ")
      throw SettingsReader.invalid("'\(name)' is not \(names).")
    }
    return choice
  }

  mutating func list(_ name: String) throws(AWError) -> [String] {
    guard let value = members.removeValue(forKey: name), !value.isNull else { return [] }
    let texts = value.arrayValue?.compactMap(\.stringValue)
    guard let texts, texts.count == value.arrayValue?.count else {
      throw SettingsReader.invalid("'\(name)' is no list of texts.")
    }
    return texts
  }

  mutating func texts(_ name: String) throws(AWError) -> [String: String] {
    guard let value = members.removeValue(forKey: name), !value.isNull else { return [:] }
    let texts = value.objectValue?.compactMapValues(\.stringValue)
    guard let texts, texts.count == value.objectValue?.count, texts.count <= EndpointLimits.labelsMax else {
      throw SettingsReader.invalid("'\(name)' does not give each of at most \(EndpointLimits.labelsMax) names a text.")
    }
    return texts
  }

  mutating func template(_ name: String) throws(AWError) -> MessageTemplate? {
    guard let text = try text(name) else { return nil }
    return try MessageTemplate(text, named: name)
  }

  func finish() throws(AWError) {
    guard let unknown = members.keys.min() else { return }
    throw SettingsReader.invalid("There is no setting \(unknown.quoted) for the kind '\(kind.rawValue)'.")
  }

  static func invalid(_ message: String) -> AWError {
    AWError(
      .endpointInvalid, message, next: "Correct the endpoint (docs/endpoints.md has its settings), then save it again.")
  }
}
