import Basics

/// The values of the SecretRefs to exec providers, as they were when the configuration was activated. Nothing is
/// resolved later.
struct SecretSnapshot: Sendable {
  /// A SecretRef in the configuration, and whom it is for.
  struct Reference: Sendable, Equatable {
    var path: String
    var provider: String
    var id: String
    var isActive: Bool
    /// `gateway` for its own authentication: without that nothing starts.
    var ownerKind: String
    var ownerID: String
  }

  /// Somebody whose secret is not there. What it does is refused; it takes no other credential instead.
  struct ColdOwner: Sendable, Equatable {
    var kind: String
    var id: String
    var paths: [String]
    var reason: String

    var json: JSONValue {
      [
        "ownerKind": .string(kind), "ownerId": .string(id), "state": "unavailable", "degradationState": "cold",
        "paths": .strings(paths), "reason": .string(reason),
      ]
    }
  }

  private var values: [String: Secret] = [:]
  private(set) var cold: [ColdOwner] = []
  /// Lines for the log, by their codes.
  private(set) var notes: [String] = []

  init() {}

  /// The value for a SecretRef as it stands in the configuration; nil when it was not resolved.
  func value(of input: JSONValue) -> Secret? {
    guard let provider = input["provider"]?.stringValue, let id = input["id"]?.stringValue else { return nil }
    return values[Self.key(provider, id)]
  }

  /// Resolves everything that is active, with one call to each provider.
  ///
  /// - Throws: `StartRefusal` for what only a person can mend: a malformed reference, a provider that is not
  ///   configured, a secret of the Gateway's own authentication.
  static func activate(_ config: JSONValue, environment: [String: String]) async throws -> SecretSnapshot {
    var snapshot = SecretSnapshot()
    let all = references(in: config)
    for inactive in all where !inactive.isActive {
      snapshot.notes.append("SECRETS_REF_IGNORED_INACTIVE_SURFACE \(inactive.path)")
    }
    let active = all.filter(\.isActive)
    for reference in active where !isWellFormed(reference) {
      throw StartRefusal(exitCode: 1, message: "Gateway failed to start: \(reference.path) SecretRef is malformed")
    }
    for (alias, wanted) in Dictionary(grouping: active, by: \.provider).sorted(by: { $0.key < $1.key }) {
      guard let configured = config.at("secrets", "providers", alias),
        let provider = SecretProvider(alias: alias, configured, environment: environment)
      else {
        throw StartRefusal(
          exitCode: 1, message: "Gateway failed to start: secrets.providers.\(alias) is not an exec provider")
      }
      try await snapshot.take(wanted, from: provider)
    }
    return snapshot
  }

  private mutating func take(_ wanted: [Reference], from provider: SecretProvider) async throws {
    var seen: Set<String> = []
    let ids = wanted.map(\.id).filter { seen.insert($0).inserted }
    var answers: [String: Result<Secret, SecretError>] = [:]
    var trouble: String?
    do {
      answers = try await provider.resolve(ids)
    } catch {
      trouble = "\(error)"
      notes.append("SECRETS_PROVIDER_DEGRADED \(provider.alias): \(error)")
    }
    for reference in wanted {
      switch answers[reference.id] {
      case .success(let value): values[Self.key(provider.alias, reference.id)] = value
      case .failure(let error):
        try fail(reference, SecretError.shown.contains(error.code) ? error.code : "unresolved")
      case nil: try fail(reference, trouble ?? "unresolved")
      }
    }
  }

  private mutating func fail(_ reference: Reference, _ reason: String) throws {
    guard reference.ownerKind != "gateway" else {
      throw StartRefusal(exitCode: 1, message: "Gateway failed to start: \(reference.path) SecretRef is unresolved")
    }
    notes.append("SECRETS_DEGRADED \(reference.ownerKind)/\(reference.ownerID) \(reference.path): \(reason)")
    if let index = cold.firstIndex(where: { $0.kind == reference.ownerKind && $0.id == reference.ownerID }) {
      cold[index].paths.append(reference.path)
    } else {
      cold.append(
        ColdOwner(kind: reference.ownerKind, id: reference.ownerID, paths: [reference.path], reason: reason))
    }
  }

  private static func key(_ provider: String, _ id: String) -> String { provider + ":" + id }

  private static func isWellFormed(_ reference: Reference) -> Bool {
    reference.provider.wholeMatch(of: /[a-z][a-z0-9_-]{0,63}/) != nil
      && reference.id.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._:\/#-]{0,255}/) != nil
      && !reference.id.split(separator: "/").contains { $0 == "." || $0 == ".." }
  }

  /// The SecretRefs to exec providers on the surfaces that a Gateway knows.
  static func references(in config: JSONValue) -> [Reference] {
    var found: [Reference] = []
    func add(_ input: JSONValue?, _ path: String, _ kind: String, _ owner: String, isActive: Bool) {
      guard let input, input["source"]?.stringValue == "exec", let provider = input["provider"]?.stringValue,
        let id = input["id"]?.stringValue
      else { return }
      found.append(
        Reference(path: path, provider: provider, id: id, isActive: isActive, ownerKind: kind, ownerID: owner))
    }
    for name in ["token", "password"] {
      add(config.at("gateway", "auth", name), "gateway.auth.\(name)", "gateway", "gateway.auth", isActive: true)
    }
    for (name, provider) in (config.at("models", "providers")?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      add(provider["apiKey"], "models.providers.\(name).apiKey", "provider", name, isActive: true)
    }
    for (name, channel) in (config["channels"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
      let isActive = channel["enabled"]?.boolValue ?? true
      for (key, value) in (channel.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
        add(value, "channels.\(name).\(key)", "account", name, isActive: isActive)
      }
    }
    return found
  }
}
