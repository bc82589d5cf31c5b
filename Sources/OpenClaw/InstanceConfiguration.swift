import Basics

/// Writes the `openclaw.json` of an Instance: strict, so only keys that the version at hand knows.
public enum InstanceConfiguration {
  /// What differs from Instance to Instance.
  public struct Settings: Sendable, Equatable {
    public enum Bind: String, Sendable {
      /// The process runtime: reachable from the Host itself only.
      case loopback
      /// The docker runtime: reachable from the container's own network, published on the Host's loopback.
      case lan
    }

    public var port: Int
    public var bind: Bind
    public var workspace: String?
    /// Of the Instance's own; not used when its Org has a model provider.
    public var model: Model?
    /// Governed keys and their values, by dotted path.
    public var hardening: [String: JSONValue]
    /// Whether the Host resolves secrets for it, through the provider `aw`.
    public var resolvesSecrets = false
    /// What it is to have from that provider.
    public var secrets: [Collected] = []

    /// Whether a model provider of its Org is among the secrets.
    public var hasOwnModel: Bool { resolvesSecrets && secrets.contains { $0.completions != nil } }

    public init(
      port: Int, bind: Bind, workspace: String? = nil, model: Model? = nil, hardening: [String: JSONValue] = [:]
    ) {
      self.port = port
      self.bind = bind
      self.workspace = workspace
      self.model = model
      self.hardening = hardening
    }
  }

  /// A model provider that speaks OpenAI's completions.
  public struct Model: Sendable, Equatable {
    public var provider: String
    public var baseURL: String
    public var id: String
    /// The environment variable of the Instance that holds the provider's key.
    public var keyVariable: String

    public init(provider: String, baseURL: String, id: String, keyVariable: String) {
      self.provider = provider
      self.baseURL = baseURL
      self.id = id
      self.keyVariable = keyVariable
    }
  }

  /// A secret that the provider `aw` resolves.
  public struct Collected: Sendable, Equatable {
    /// `models.providers.NAME.apiKey`, or `channels.NAME.KEY`.
    public var path: String
    public var ref: SecretRef
    /// Where a model provider is asked, in the form of OpenAI's completions; nil leaves it out of the configuration.
    public var completions: String?
    /// Of a channel: what stands beside the key and is no secret.
    public var settings: [String: String]

    public init(path: String, ref: SecretRef, completions: String?, settings: [String: String] = [:]) {
      self.path = path
      self.ref = ref
      self.completions = completions
      self.settings = settings
    }
  }

  public static let tokenVariable = "OPENCLAW_GATEWAY_TOKEN"
  /// From this release on the terminal can be switched off.
  static let terminalSince = GatewayVersion(2026, 7, 2)
  /// From this release on Google Chat's account is a reference by the name of its key; before it had one beside it.
  static let googleChatSince = GatewayVersion(2026, 8, 0)

  /// - Parameter version: the release that will read it; nil when it is not known yet: then only keys that every
  ///   supported release knows are written.
  public static func make(_ settings: Settings, for version: GatewayVersion?) -> JSONValue {
    var gateway: [String: JSONValue] = [
      "mode": "local", "port": .integer(Int64(settings.port)), "bind": .string(settings.bind.rawValue),
      "auth": ["mode": "token", "token": environmentReference(tokenVariable)],
      "controlUi": ["enabled": false],
    ]
    if let version, version >= terminalSince { gateway["terminal"] = ["enabled": false] }
    var document: [String: JSONValue] = [
      "gateway": .object(gateway), "update": ["checkOnStart": false], "discovery": ["mdns": ["mode": "off"]],
      "session": ["dmScope": "per-channel-peer"],
    ]
    var defaults: [String: JSONValue] = ["skipBootstrap": true]
    if let workspace = settings.workspace { defaults["workspace"] = .string(workspace) }
    if settings.resolvesSecrets { document["secrets"] = secretProviders }
    let (providers, primary) = modelProviders(settings)
    if !providers.isEmpty {
      defaults["model"] = primary.map { ["primary": .string($0)] }
      document["models"] = ["pricing": ["enabled": false], "providers": .object(providers)]
    }
    let channels = channels(settings, version)
    if !channels.isEmpty { document["channels"] = .object(channels) }
    // Agents are a list before 2026.8 and a map after it. The agent `main` is there without being named in either.
    document["agents"] = ["defaults": .object(defaults)]
    return GovernedKey.known(settings.hardening, to: version).reduce(.object(document)) {
      $0.setting($1.value, at: $1.key)
    }
  }

  /// The providers, and the model that agents run on: of the Org's own if there is one.
  private static func modelProviders(_ settings: Settings) -> (providers: [String: JSONValue], primary: String?) {
    guard let model = settings.model else { return ([:], nil) }
    var providers: [String: JSONValue] = [:]
    var primary: String?
    if settings.resolvesSecrets {
      for secret in settings.secrets {
        let parts = secret.path.split(separator: ".").map(String.init)
        guard parts.count == 4, parts[0] == "models", let address = secret.completions else { continue }
        providers[parts[2]] = provider(at: address, model: model.id, key: reference(secret.ref))
        primary = primary ?? "\(parts[2])/\(model.id)"
      }
    }
    guard providers.isEmpty else { return (providers, primary) }
    let own = provider(at: model.baseURL, model: model.id, key: environmentReference(model.keyVariable))
    return ([model.provider: own], "\(model.provider)/\(model.id)")
  }

  /// Channels have their credential, and are switched off: what is a fixture is not to be sent to a real vendor.
  private static func channels(_ settings: Settings, _ version: GatewayVersion?) -> [String: JSONValue] {
    guard settings.resolvesSecrets else { return [:] }
    var channels: [String: [String: JSONValue]] = [:]
    for secret in settings.secrets {
      let parts = secret.path.split(separator: ".").map(String.init)
      guard parts.count == 3, parts[0] == "channels" else { continue }
      // A channel can have several: a bot's token and that of its app.
      channels[parts[1], default: ["enabled": false]][key(of: secret.path, version) ?? parts[2]] =
        reference(secret.ref)
      for (name, value) in secret.settings { channels[parts[1]]?[name] = .string(value) }
    }
    return channels.mapValues { .object($0) }
  }

  /// What a key is called in a release that calls it otherwise; nil when it is the last part of its path.
  private static func key(of path: String, _ version: GatewayVersion?) -> String? {
    guard path == "channels.googlechat.serviceAccount", let version, version < googleChatSince else { return nil }
    return "serviceAccountRef"
  }

  /// AW as OpenClaw's exec provider. The Connector sets the variable, which OpenClaw puts in: where the program lies on
  /// a Host or in a container is no matter of the configuration.
  private static var secretProviders: JSONValue {
    let directory = "${\(secretsVariable)}"
    return [
      "providers": [
        "aw": [
          "source": "exec", "command": .string(directory + "/aw-secret-exec"),
          "args": ["--socket", .string(directory + "/socket")], "timeoutMs": 5_000, "noOutputTimeoutMs": 5_000,
          "maxOutputBytes": 1_048_576, "jsonOnly": true, "trustedDirs": [.string(directory)],
        ]
      ]
    ]
  }

  /// Set by the Connector, to the directory with the program and the socket.
  public static let secretsVariable = "AW_SECRETS"

  static func reference(_ ref: SecretRef) -> JSONValue {
    ["source": .string(ref.source.rawValue), "provider": .string(ref.provider), "id": .string(ref.id)]
  }

  private static func provider(at address: String, model: String, key: JSONValue) -> JSONValue {
    [
      "baseUrl": .string(address), "apiKey": key,
      "api": "openai-completions",
      "models": [
        [
          "id": .string(model), "name": .string(model), "contextWindow": 32_000, "maxTokens": 4_096,
          "input": ["text"], "cost": ["input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0], "reasoning": false,
        ]
      ],
    ]
  }

  /// A SecretRef to one of the Instance's own environment variables.
  static func environmentReference(_ variable: String) -> JSONValue {
    ["source": "env", "provider": "default", "id": .string(variable)]
  }
}
