import Addresses
import Basics
import Foundation
import Logging
import NIOSSL
import Vault

/// Sends notifications to endpoints: chooses the adapter by kind, fetches the secrets, checks the address, and says how
/// it ended. It never throws, and nothing secret is in what it says.
public struct EndpointSender: Sendable {
  private let vault: Vault
  private let resolver: AddressResolver
  private let times: DeliveryTimes
  private let logger: Logger

  public init(vault: Vault, logger: Logger) { self.init(vault: vault, logger: logger, resolver: .system) }

  init(vault: Vault, logger: Logger, resolver: AddressResolver, times: DeliveryTimes = DeliveryTimes()) {
    self.times = times
    self.vault = vault
    self.resolver = resolver
    self.logger = logger
  }

  /// A new secret for the signatures of a webhook: `whsec_` and base64 of 32 bytes.
  public static func makeSigningSecret() -> Secret {
    Secret(StandardWebhooks.secretPrefix + Data([UInt8].random(count: 32)).base64EncodedString())
  }

  /// Delivers once. Takes at most `EndpointLimits.deliveryWithin` and a little.
  public func send(_ notification: Notification, to endpoint: Endpoint, at now: Timestamp) async -> DeliveryOutcome {
    let outcome: DeliveryOutcome
    do {
      let form = try EndpointForm(endpoint)
      let secrets = try await secrets(of: endpoint, for: form)
      outcome = try await deliver(notification, endpoint, form, secrets, at: now)
    } catch let error as AWError {
      outcome = EndpointSender.outcome(of: error)
    } catch {
      outcome = .retry(after: nil, detail: DeliveryFailure.words(error))
    }
    logger.debug(
      "notification sent",
      metadata: [
        "endpoint": "\(endpoint.name)", "kind": "\(endpoint.kind.rawValue)", "notification": "\(notification.id)",
        "outcome": "\(outcome.detail)",
      ])
    return outcome
  }

  /// What is wrong with an endpoint before it is saved: a setting, a template, a secret, an address. Nil when nothing.
  public func problem(with endpoint: Endpoint) async -> AWError? {
    do {
      let form = try EndpointForm(endpoint)
      let trust = try DeliveryTrust.configuration(endpoint.settings["ca"]?.stringValue)
      let secrets = try await secrets(of: endpoint, for: form)
      if let url = try EndpointSender.url(form, secrets) {
        let addresses = try await resolver.addresses(of: url, allowing: endpoint.allowsPrivate)
        if case .email(let mail) = form { try EndpointSender.check(mail, addresses) }
      }
      if case .webhook = form { _ = try EndpointSender.keys(secrets) }
      if case .command(let command) = form, let problem = CommandRunner.problem(with: command) {
        throw SettingsReader.invalid("The command \(command.program.quoted) cannot be run: \(problem).")
      }
      _ = try NIOSSLContext(configuration: trust)
      return nil
    } catch {
      return AWError.wrapping(error, doing: "Checking the endpoint")
    }
  }

  // MARK: - Delivery

  private func deliver(
    _ notification: Notification, _ endpoint: Endpoint, _ form: EndpointForm, _ secrets: [Secret], at now: Timestamp
  ) async throws -> DeliveryOutcome {
    guard let url = try EndpointSender.url(form, secrets) else { return await run(form, notification, endpoint) }
    let trust = try DeliveryTrust.configuration(endpoint.settings["ca"]?.stringValue)
    let addresses = try await resolver.addresses(of: url, allowing: endpoint.allowsPrivate)
    if case .email(let mail) = form {
      try EndpointSender.check(mail, addresses)
      let courier = SMTPCourier(
        addresses: addresses, form: mail, trust: trust, password: secrets.first, times: times)
      return await courier.send(MailMessage.make(notification, mail, at: now))
    }
    let requests = try EndpointSender.requests(notification, endpoint, form, secrets, url, at: now)
    let courier = HTTPCourier(addresses: addresses, trust: trust, secrets: secrets, times: times)
    let outcome = try await Deadline.run(times.whole) { await courier.send(requests, at: now) }
    return outcome
      ?? .retry(after: nil, detail: "\(requests.count) requests did not end within \(times.whole.words)")
  }

  private static func requests(
    _ notification: Notification, _ endpoint: Endpoint, _ form: EndpointForm, _ secrets: [Secret], _ url: EndpointURL,
    at now: Timestamp
  ) throws -> [DeliveryRequest] {
    switch form {
    case .webhook(let form):
      WebhookRequests.make(notification, form, endpoint: endpoint.id, keys: try keys(secrets), at: now)
    case .alertmanager(let form): AlertmanagerRequests.make(notification, form, secret: secrets.first, at: now)
    case .pagerDuty:
      PagerDutyRequests.make(notification, url: url, endpoint: endpoint.id, key: secrets.first ?? Secret(""))
    case .slack(let template): [SlackRequest.make(notification, url: url, template: template)]
    case .email, .command: []
    }
  }

  private func run(_ form: EndpointForm, _ notification: Notification, _ endpoint: Endpoint) async -> DeliveryOutcome {
    guard case .command(let command) = form else { return .rejected(detail: "the endpoint has no address") }
    let end = await CommandRunner.run(command, input: CommandInput.text(notification, endpoint: endpoint))
    if !end.output.isEmpty {
      logger.info("a command said", metadata: ["endpoint": "\(endpoint.name)", "output": "\(end.output)"])
    }
    return end.outcome
  }

  /// A mail without TLS leaves this machine in no case.
  private static func check(_ form: EmailForm, _ addresses: [AddressResolver.Checked]) throws(AWError) {
    guard form.encryption == .off else { return }
    guard addresses.allSatisfy({ AddressGuard.kind(of: $0.address) == "loopback" }) else {
      throw AWError(
        .endpointAddressRefused, "The mail server \(form.server.host.quoted) is another machine, and STARTTLS is off.",
        next: "Set 'starttls' to 'required'. Without TLS, mail goes to this machine's own loopback only.")
    }
  }

  // MARK: - Secrets

  private func secrets(of endpoint: Endpoint, for form: EndpointForm) async throws(AWError) -> [Secret] {
    guard endpoint.secrets.count <= 2 else {
      throw SettingsReader.invalid("An endpoint has one secret, or two while one replaces the other.")
    }
    guard endpoint.secrets.count >= form.secretsNeeded else {
      throw AWError(
        .endpointSecretMissing, "An endpoint of the kind '\(endpoint.kind.rawValue)' needs a secret, and has none.",
        next: "Give it one: by standard input or a file, never as an argument.")
    }
    var secrets: [Secret] = []
    for text in endpoint.secrets {
      do {
        secrets.append(try await vault.get(try SecretReference(text)))
      } catch {
        throw AWError(
          .endpointSecretMissing, "The vault has no secret for the endpoint \(endpoint.name.text.quoted).",
          next: "Give the endpoint its secret again, or restore the vault.", cause: error)
      }
    }
    return secrets
  }

  private static func keys(_ secrets: [Secret]) throws(AWError) -> [SigningKey] {
    let keys = secrets.compactMap { StandardWebhooks.key($0) }
    guard keys.count == secrets.count else {
      throw AWError(
        .endpointInvalid, "A secret that signs webhooks is 'whsec_' and base64 of 24 to 64 bytes; this one is not.",
        next: "Let AW make one, or take one of that form from the receiver.")
    }
    return keys
  }

  /// Where to connect; nil for a command. Slack's URL is its secret.
  private static func url(_ form: EndpointForm, _ secrets: [Secret]) throws -> EndpointURL? {
    guard case .slack = form, let secret = secrets.first else { return form.url }
    return try secret.withText { try EndpointURL($0, schemes: [.https, .http]) }
  }

  /// What cannot be sent now and may be later: a secret that is restored, a name that resolves again.
  private static func outcome(of error: AWError) -> DeliveryOutcome {
    switch error.code {
    case .endpointNameUnknown, .endpointSecretMissing: .retry(after: nil, detail: error.message)
    default: .rejected(detail: error.message)
    }
  }
}
