import Access
import Basics
import Crypto
import Events
import Evidence
import Fleet
import Foundation
import Store
import Synchronization

extension EvidenceKind {
  public static let credentialRequested = EvidenceKind("credential.requested")
  public static let intakeReused = EvidenceKind("credential.intake-reused")
  public static let credentialUnfrozen = EvidenceKind("credential.unfrozen")
}

extension EventType {
  public static let intakeReused = EventType("aw.credential.intake-reused")
}

/// Values that come sealed from browsers: from operators, and from customers by one-time links.
public final class IntakeService: Sendable {
  let credentials: CredentialsService
  let keys: SealingKeys
  private let attempts = Mutex(AttemptLimiter(CredentialLimits.intakeAttempts))

  private var store: Store { credentials.store }
  private var clock: WallClock { credentials.clock }

  public init(credentials: CredentialsService) {
    self.credentials = credentials
    keys = SealingKeys(vault: credentials.sealed, store: credentials.store, clock: credentials.clock)
  }

  // MARK: - Operators

  /// Sets a credential with a value that an operator's browser sealed.
  ///
  /// - Throws: `credentialEnvelope`, and what `CredentialsService.set` throws.
  func set(
    _ request: CredentialsService.SetRequest, sealed: String, org: Slug, as actor: Actor
  ) async throws -> Credential {
    let surface = try CredentialSurface(named: request.surface)
    let value = try await keys.open(
      try SealedValue(sealed), for: .init(org: org, surface: surface, purpose: Self.console))
    return try await credentials.set(request, value: value, org: org, as: actor)
  }

  static let console = "console"

  /// What an operator asks a customer for.
  public struct Ask: Codable, Sendable {
    public var surface: String
    /// Nil is a fixture. Another class needs a gate that is open for exactly this Org and surface.
    public var `class`: String?
    /// Who asks, as the customer knows them; nil is the name of whoever is signed in.
    public var from: String?
    /// What for, in words for the customer.
    public var purpose: String?
    /// How long the link works; nil is 24.
    public var hours: Int?

    public init(
      surface: String, class: String? = nil, from: String? = nil, purpose: String? = nil, hours: Int? = nil
    ) {
      (self.surface, self.class, self.from, self.purpose, self.hours) = (surface, `class`, from, purpose, hours)
    }
  }

  /// Makes a one-time link. One that is still open for the same credential does not work any more.
  ///
  /// - Parameter name: of whoever asks.
  /// - Returns: the link, and its secret, which exists nowhere else. In a rehearsal it opens nothing.
  /// - Throws: `orgUnknown`, `surfaceUnknown`, `usage`; `credentialClassRefused` or what the gate says, when none is
  ///   open for this Org, surface and class.
  public func request(
    _ ask: Ask, org slug: Slug, as actor: Actor, named name: String, dryRun: Bool = false
  ) async throws -> (link: IntakeLink, secret: Secret) {
    let surface = try CredentialSurface(named: ask.surface)
    let kind = try ask.class.map { try CredentialClass(named: $0) } ?? .fixture
    let hours = ask.hours ?? CredentialLimits.intakeHoursMax
    guard (1...CredentialLimits.intakeHoursMax).contains(hours) else {
      throw AWError(
        .usage, "A one-time link cannot work for \(hours) hours.",
        next: "Give 1 to \(CredentialLimits.intakeHoursMax).")
    }
    let from = try Self.plain(ask.from ?? name, "name of who asks")
    let purpose = try Self.plain(
      ask.purpose ?? "The \(surface.title) for the OpenClaw that is set up for you.", "purpose")
    let once = OneTimeSecret.make()
    let (org, _) = try await credentials.standing(slug, surface)
    var details: [String: JSONValue] = ["surface": .string(surface.rawValue), "class": .string(kind.rawValue)]
    let use = kind.gated.map { GateUse(org: org.id, surface: surface, class: $0) }
    if let use {
      details["gate"] = try await credentials.gate(
        use, slug, details, .credentialRequested, as: actor, dryRun: dryRun)
    }
    let act = Act(
      .credentialManage, kind: .credentialRequested, subject: CredentialsService.subject(slug, surface),
      org: org.id.text, details: .object(details), scopes: kind.scopes, namesGate: details["gate"] != nil)
    let link = try await credentials.acts.perform(act, as: actor, dryRun: dryRun) { [credentials] tx, context in
      var ends = context.at.advanced(by: .seconds(Int64(hours) * 3_600))
      if let use {
        // No link outlives what allows it.
        let gate = try CredentialsService.openGate(for: use, org: slug, credentials.trust, at: context.at, in: tx)
        ends = min(ends, gate.until)
      }
      let link = IntakeLink(
        id: .make(at: context.at), org: org.id, surface: surface, kind: kind, from: from, purpose: purpose,
        askedBy: actor.text, askedAt: context.at, expiresAt: ends, replacedAt: nil, use: nil)
      try IntakeRecords.forget(
        expiredBefore: context.at.advanced(by: .zero - CredentialLimits.intakeKept), in: tx)
      try IntakeRecords.replace(surface, of: org.id, at: context.at, in: tx)
      try IntakeRecords.insert(link, hash: once.hash, in: tx)
      context.record("link", .string(link.id.text))
      context.record("expires", .string(link.expiresAt.description))
      context.afterCommit(credentials.changed)
      return link
    }
    return (link, once.secret)
  }

  /// The newest links of an Org, newest first.
  ///
  /// - Throws: `orgUnknown`.
  public func links(of slug: Slug) async throws -> [IntakeLink] {
    try await store.read { tx in
      try IntakeRecords.newest(
        of: try CredentialsService.org(slug, in: tx).id, limit: CredentialLimits.intakeLinksShown, in: tx)
    }
  }

  /// Lets a frozen credential be relied on again: for when it is known who used the link twice.
  ///
  /// - Throws: `orgUnknown`, `credentialUnknown`, and `conflict` when it is not frozen.
  @discardableResult
  public func unfreeze(
    _ surface: CredentialSurface, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> CredentialStanding {
    let act = Act(
      .credentialManage, kind: .credentialUnfrozen, subject: CredentialsService.subject(slug, surface),
      details: ["surface": .string(surface.rawValue)])
    return try await credentials.acts.perform(act, as: actor, dryRun: dryRun) { [credentials] tx, context in
      let org = try CredentialsService.org(slug, in: tx)
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw CredentialsService.unknown(surface, slug)
      }
      guard try IntakeRecords.freeze(of: surface, org.id, in: tx)?.version == credential.version else {
        throw AWError(
          .conflict, "The \(surface.title) of '\(slug)' is not frozen.", next: "See 'aw credential show'.")
      }
      context.org = org.id.text
      context.record("version", .integer(Int64(credential.version)))
      try credentials.thaw(surface, of: org.id, at: context.at, in: tx)
      try credentials.settled(org.id, actor, (context.id, act.kind), context.at, tx)
      context.afterCommit(credentials.changed)
      return try CredentialsService.standing(of: credential, credentials.trust, at: context.at, in: tx)
    }
  }

  // MARK: - Customers

  /// Who gives a value: nobody is signed in, and the link is the proof.
  static let actor = Actor.system("intake-link")

  /// What a customer is shown before anything is typed. It does not use the link up.
  ///
  /// - Throws: `intakeUnknown`, `intakeExpired`, `intakeReplaced`, `rateLimited`; `intakeReused` after the incident was
  ///   recorded; what a gate says that is not open any more.
  func look(_ code: Secret, address: String) async throws -> (link: IntakeLink, org: Org) {
    try take(address)
    return try await checked(code, envelope: nil)
  }

  /// Takes the value of a customer: once.
  ///
  /// - Parameter settings: what belongs to it and is no secret.
  /// - Throws: what `look` throws, `credentialEnvelope`, and what is wrong with the value. Of the last two the link can
  ///   still be used.
  func give(
    _ sealed: String, settings: [String: String] = [:], code: Secret, address: String
  ) async throws -> IntakeLink {
    try take(address)
    let envelope = SHA256.hex(Array(sealed.utf8))
    let (link, org) = try await checked(code, envelope: envelope)
    // A browser that asks once more.
    if link.use != nil { return link }
    let value = try await keys.open(
      try SealedValue(sealed), for: .init(org: org.slug, surface: link.surface, purpose: Self.purpose(link)))
    let hash = OneTimeSecret.hash(of: code)
    do {
      _ = try await credentials.set(
        .init(surface: link.surface.rawValue, class: link.kind.rawValue, settings: settings), value: value,
        org: org.slug, as: Self.actor
      ) { tx, context, credential in
        // Of two at once one has used it by now.
        guard let now = try IntakeRecords.find(hash, in: tx) else { throw IntakeDecision.unknown }
        let decision = IntakeDecision.decide(now, envelope: nil, at: context.at)
        if let refusal = decision.refusal(from: now.from) { throw refusal }
        try IntakeRecords.use(
          link.id, .init(at: context.at, version: credential.version, envelope: envelope), in: tx)
        context.record("link", .string(link.id.text))
        context.record("askedBy", .string(link.askedBy))
      }
    } catch let error as AWError where error.code == .intakeReused {
      return try await checked(code, envelope: envelope).link
    }
    return link
  }

  static func purpose(_ link: IntakeLink) -> String { "link/\(link.id)" }

  /// As often as somebody may try to sign in: who guesses a link guesses 32 random bytes, and is slow as well.
  private func take(_ address: String) throws {
    let now = clock.now
    guard let wait = attempts.withLock({ $0.take(address, at: now) }) else { return }
    throw AWError(
      .rateLimited, "There were too many attempts from this address.",
      next: "Wait \(max(1, wait.seconds)) s, then try again.")
  }

  private func checked(_ code: Secret, envelope: String?) async throws -> (link: IntakeLink, org: Org) {
    let (hash, now) = (OneTimeSecret.hash(of: code), clock.now)
    let trust = credentials.trust
    let found = try await store.read { tx -> (IntakeLink, Org, closed: AWError?)? in
      guard let link = try IntakeRecords.find(hash, in: tx), let org = try FleetRecords.org(link.org, in: tx)
      else { return nil }
      return (link, org, try Self.closed(link, org, trust, at: now, in: tx))
    }
    guard let (link, org, closed) = found else { throw IntakeDecision.unknown }
    let decision = IntakeDecision.decide(link, envelope: envelope, at: now)
    if decision == .reused { try await raise(link, org) }
    if let refusal = decision.refusal(from: link.from) { throw refusal }
    if decision == .usable, let closed { throw closed }
    return (link, org)
  }

  /// Why a link's own class is not allowed now, before anybody types anything; nil when it is.
  private static func closed(
    _ link: IntakeLink, _ org: Org, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> AWError? {
    guard let gated = link.kind.gated else { return nil }
    do {
      let use = GateUse(org: org.id, surface: link.surface, class: gated)
      _ = try CredentialsService.openGate(for: use, org: org.slug, trust, at: now, in: tx)
      return nil
    } catch let refusal as AWError {
      return IntakeDecision.closed(link, refusal.code)
    }
  }

  /// A second use: somebody other than the customer may have seen the link, before or after. What it brought is frozen,
  /// if it is still what is there.
  private func raise(_ link: IntakeLink, _ org: Org) async throws {
    guard let use = link.use else { return }
    let act = Act(
      .credentialManage, kind: .intakeReused, subject: CredentialsService.subject(org.slug, link.surface),
      org: org.id.text,
      details: [
        "surface": .string(link.surface.rawValue), "link": .string(link.id.text),
        "code": .string(ErrorCode.intakeReused.id), "usedAt": .string(use.at.description),
        "version": .integer(Int64(use.version)),
      ])
    try await credentials.acts.perform(act, as: Self.actor) { [credentials] tx, context in
      let current = try CredentialsRecords.find(link.surface, of: org.id, in: tx)
      let isThere = current?.version == use.version
      context.record("frozen", .bool(isThere))
      let freeze = CredentialFreeze(
        version: use.version, code: ErrorCode.intakeReused.id, link: link.id, at: context.at)
      if isThere { try IntakeRecords.freeze(link.surface, of: org.id, freeze, in: tx) }
      let since = isThere ? try IntakeRecords.freeze(of: link.surface, org.id, in: tx) : nil
      try credentials.outbox.append(IntakeEvents.reused(link, org, frozen: since, at: context.at), in: tx)
      try credentials.settled(org.id, Self.actor, (context.id, act.kind), context.at, tx)
      context.afterCommit(credentials.changed)
    }
  }

  private static func plain(_ text: String, _ what: String) throws -> String {
    let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
    let isPlain = !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard !text.isEmpty, text.count <= CredentialLimits.intakeTextCharactersMax, isPlain else {
      throw AWError(
        .usage,
        "The \(what) has 1 to \(CredentialLimits.intakeTextCharactersMax) characters, and no control character.",
        next: "Give a shorter one.")
    }
    return text
  }
}

extension CredentialsService {
  /// The end of a freeze, and of the alert that told of it. Nothing happens when there is none.
  func thaw(_ surface: CredentialSurface, of org: OrgID, at now: Timestamp, in tx: Transaction) throws {
    guard let freeze = try IntakeRecords.freeze(of: surface, org, in: tx), let slug = try FleetRecords.org(org, in: tx)
    else { return }
    try IntakeRecords.thaw(surface, of: org, in: tx)
    try outbox.append(IntakeEvents.settled(freeze, surface, slug, at: now), in: tx)
  }
}

/// What is told of one-time links, as events: values in, an event out.
enum IntakeEvents {
  /// - Parameter frozen: what the use froze, now or before: more uses of a link are no news while it is.
  static func reused(_ link: IntakeLink, _ org: Org, frozen: CredentialFreeze?, at now: Timestamp) -> Event {
    var event = about(link.id, link.surface, org, since: frozen?.at, at: now)
    event.title = "A one-time link for the \(link.surface.title) of \(org.slug) was used a second time."
    event.severity = .critical
    event.condition = frozen == nil ? nil : .init(key: key(link.surface, org), isOpen: true)
    return event
  }

  static func settled(_ freeze: CredentialFreeze, _ surface: CredentialSurface, _ org: Org, at now: Timestamp) -> Event
  {
    var event = about(freeze.link, surface, org, since: freeze.at, at: now)
    event.id += "/over"
    event.title = "The \(surface.title) of \(org.slug) is not frozen any more."
    event.condition = .init(key: key(surface, org), isOpen: false)
    return event
  }

  private static func key(_ surface: CredentialSurface, _ org: Org) -> String {
    "credential/\(org.id)/\(surface.rawValue)/frozen"
  }

  private static func about(
    _ link: IntakeLinkID, _ surface: CredentialSurface, _ org: Org, since: Timestamp?, at now: Timestamp
  ) -> Event {
    let data: [String: JSONValue] = [
      EventData.org: .string(org.slug.text), "surface": .string(surface.rawValue), "link": .string(link.text),
      EventData.runbook: "intake-link-reused",
      EventData.page: .string("/orgs/\(org.slug)/credentials/\(surface.rawValue)"),
    ]
    return Event(
      id: "credential-intake/\(link)" + (since.map { "/\($0.millisecondsSince1970)" } ?? ""), type: .intakeReused,
      subject: "org/\(org.id)", time: now, org: org.id.text,
      severity: .info, condition: nil, title: "", data: .object(data))
  }
}
