import Access
import Basics
import Events
import Evidence
import Store
import Vault

extension EvidenceKind {
  public static let endpointSaved = EvidenceKind("alert.endpoint-saved")
  public static let endpointRemoved = EvidenceKind("alert.endpoint-removed")
  public static let endpointTested = EvidenceKind("alert.endpoint-tested")
  public static let alertRouteSaved = EvidenceKind("alert.route-saved")
  public static let alertRouteRemoved = EvidenceKind("alert.route-removed")
  public static let silenceMade = EvidenceKind("alert.silence-made")
  public static let silenceEnded = EvidenceKind("alert.silence-ended")
  public static let deliveryReplayed = EvidenceKind("alert.delivery-replayed")
}

/// The acts on endpoints, routes, silences and deliveries. Each is one transaction with its evidence.
public struct AlertsService: Sendable {
  let acts: Acts
  let store: Store
  let vault: Vault
  let clock: WallClock
  /// What is wrong with an endpoint; nil when nothing is.
  let problem: @Sendable (Endpoint) async -> AWError?
  /// Told after every act: the engine looks anew, and so do open pages.
  let changed: @Sendable () -> Void

  public init(
    acts: Acts, store: Store, vault: Vault, clock: WallClock,
    problem: @escaping @Sendable (Endpoint) async -> AWError?, changed: @escaping @Sendable () -> Void
  ) {
    self.acts = acts
    self.store = store
    self.vault = vault
    self.clock = clock
    self.problem = problem
    self.changed = changed
  }

  // MARK: - Endpoints

  /// What an operator asks for. The secret comes beside it and goes to the vault.
  public struct EndpointRequest: Codable, Sendable {
    public var name: Slug
    public var kind: EndpointKind
    public var target: String?
    public var settings: JSONValue?
    public var allowsPrivate: [String]?

    public init(
      name: Slug, kind: EndpointKind, target: String? = nil, settings: JSONValue? = nil,
      allowsPrivate: [String]? = nil
    ) {
      self.name = name
      self.kind = kind
      self.target = target
      self.settings = settings
      self.allowsPrivate = allowsPrivate
    }
  }

  /// Adds an endpoint after a look at what it says. A webhook that comes without a secret gets one made.
  ///
  /// - Returns: the endpoint, and the secret that was made, to be shown once.
  /// - Throws: `slugTaken`, what is wrong with it, and what `Acts` throws. Then nothing of it is left.
  public func add(
    _ request: EndpointRequest, secret given: Secret?, as actor: Actor, dryRun: Bool = false
  ) async throws -> (endpoint: Endpoint, made: Secret?) {
    let made = given == nil && request.kind == .webhook ? EndpointSender.makeSigningSecret() : nil
    let secret = given ?? made
    var endpoint = Endpoint(
      id: .make(at: clock.now), name: request.name, kind: request.kind, target: request.target ?? "",
      settings: request.settings ?? [:], allowsPrivate: request.allowsPrivate ?? [])
    let reference = Self.reference(endpoint.id, 1)
    if secret != nil { endpoint.secrets = [reference] }
    return try await withSecret(secret, at: reference, dryRun: dryRun) {
      if let problem = await problem(endpoint) { throw problem }
      return (try await save(endpoint, isNew: true, as: actor, dryRun: dryRun), made)
    }
  }

  /// Gives an endpoint another secret. The one before stays beside it until the next change, so that a receiver can
  /// change over.
  public func rotate(
    _ name: Slug, secret: Secret, as actor: Actor, dryRun: Bool = false
  ) async throws -> Endpoint {
    var endpoint = try await endpoint(name)
    let number = (endpoint.secrets.first.flatMap(Self.number) ?? 0) + 1
    let reference = Self.reference(endpoint.id, number)
    let dropped = Array(endpoint.secrets.dropFirst(1))
    endpoint.secrets = [reference] + endpoint.secrets.prefix(1)
    return try await withSecret(secret, at: reference, dryRun: dryRun) { [endpoint] in
      if let problem = await problem(endpoint) { throw problem }
      let saved = try await save(endpoint, isNew: false, as: actor, dryRun: dryRun)
      if !dryRun { for old in dropped { try await vault.delete(SecretReference(old)) } }
      return saved
    }
  }

  /// Switches an endpoint on or off. What waits for one that is off is given up.
  public func enable(_ name: Slug, _ isEnabled: Bool, as actor: Actor, dryRun: Bool = false) async throws -> Endpoint {
    var endpoint = try await endpoint(name)
    endpoint.isEnabled = isEnabled
    return try await save(endpoint, isNew: false, as: actor, dryRun: dryRun)
  }

  /// - Throws: `conflict` while a route names it.
  public func remove(_ name: Slug, as actor: Actor, dryRun: Bool = false) async throws {
    let endpoint = try await endpoint(name)
    let act = Act(.alertManage, kind: .endpointRemoved, subject: endpoint.evidence)
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      if let route = try AlertsRecords.routes(in: tx).first(where: { $0.endpoints.contains(name) }) {
        throw AWError(
          .conflict, "The route '\(route.name)' still sends to '\(name)'.",
          next: "Change or remove the route first: 'aw alert route list'.")
      }
      try AlertsRecords.delete(endpoint.id, in: tx)
      context.afterCommit { changed() }
    }
    if !dryRun { for secret in endpoint.secrets { try await vault.delete(SecretReference(secret)) } }
  }

  /// Sends something harmless, to see whether it arrives.
  ///
  /// - Returns: the delivery to look at.
  public func test(_ name: Slug, as actor: Actor, dryRun: Bool = false) async throws -> DeliveryID {
    let endpoint = try await endpoint(name)
    let act = Act(.alertManage, kind: .endpointTested, subject: endpoint.evidence)
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let id = DeliveryID.make(at: context.at)
      let alert = NotifiedAlert(
        key: "test/\(id)", type: "aw.alert.test", title: "A test of the endpoint '\(name)'. Nothing is wrong.",
        severity: .info, subject: "endpoint/\(endpoint.id)", openedAt: context.at, resolvedAt: context.at, data: [:],
        link: nil)
      let notification = Notification(
        id: id.text, groupKey: "test/\(id)", org: nil, at: context.at, alerts: [alert])
      try DeliveryRecords.save(
        Delivery(id: id, endpoint: endpoint.id, notification: notification, isTrial: true, at: context.at), in: tx)
      context.afterCommit { changed() }
      return id
    }
  }

  private func save(_ endpoint: Endpoint, isNew: Bool, as actor: Actor, dryRun: Bool) async throws -> Endpoint {
    let act = Act(
      .alertManage, kind: .endpointSaved, subject: endpoint.evidence,
      details: [
        "kind": .string(endpoint.kind.rawValue), "target": .string(endpoint.target),
        "enabled": .bool(endpoint.isEnabled), "secrets": .array(endpoint.secrets.map { .string($0) }),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let known = try AlertsRecords.endpoints(in: tx)
      if isNew {
        guard !known.contains(where: { $0.name == endpoint.name }) else {
          throw Self.taken("an endpoint", endpoint.name)
        }
        guard known.count < AlertLimits.endpointsMax else { throw Self.tooMany("endpoints", AlertLimits.endpointsMax) }
      }
      try AlertsRecords.save(endpoint, in: tx)
      context.afterCommit { changed() }
      return endpoint
    }
  }

  func endpoint(_ name: Slug) async throws -> Endpoint {
    guard let endpoint = try await store.read({ try AlertsRecords.endpoint(name, in: $0) }) else {
      throw AWError(.notFound, "There is no endpoint '\(name)'.", next: "See 'aw alert endpoint list'.")
    }
    return endpoint
  }

  // MARK: - Secrets

  private static func reference(_ endpoint: EndpointID, _ number: Int) -> String { "alert/\(endpoint)/\(number)" }
  private static func number(_ reference: String) -> Int? { reference.split(separator: "/").last.flatMap { Int($0) } }

  /// Puts a secret into the vault for the time of an act, and leaves it there when the act was carried out.
  private func withSecret<Value>(
    _ secret: Secret?, at reference: String, dryRun: Bool, _ body: () async throws -> Value
  ) async throws -> Value {
    guard let secret else { return try await body() }
    try await vault.put(secret, at: SecretReference(reference))
    do {
      let value = try await body()
      if dryRun { try await vault.delete(SecretReference(reference)) }
      return value
    } catch {
      try await vault.delete(SecretReference(reference))
      throw error
    }
  }

  /// Forgets secrets of endpoints that were never saved, or that are gone: what a crash in between leaves.
  ///
  /// Call it before anybody can add one.
  public func forgetOrphanedSecrets() async throws {
    let known = Set(try await store.read { try AlertsRecords.endpoints(in: $0) }.flatMap(\.secrets))
    for reference in try await vault.references() where reference.text.hasPrefix("alert/") {
      if !known.contains(reference.text) { try await vault.delete(reference) }
    }
  }

  static func taken(_ what: String, _ name: Slug) -> AWError {
    AWError(.slugTaken, "There is \(what) named '\(name)' already.", next: "Choose another name.")
  }

  static func tooMany(_ what: String, _ most: Int) -> AWError {
    AWError(.conflict, "There are \(most) \(what) already, and no more can be made.", next: "Remove one first.")
  }
}

extension Endpoint {
  var evidence: EvidenceSubject { EvidenceSubject(type: "alert-endpoint", id: id.text, slug: name.text) }
}
