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
    public var model: Model?
    /// Governed keys and their values, by dotted path.
    public var hardening: [String: JSONValue]

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

  public static let tokenVariable = "OPENCLAW_GATEWAY_TOKEN"
  /// From this release on the terminal can be switched off.
  static let terminalSince = GatewayVersion(2026, 7, 2)

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
    if let model = settings.model {
      defaults["model"] = ["primary": .string("\(model.provider)/\(model.id)")]
      document["models"] = ["pricing": ["enabled": false], "providers": .object([model.provider: provider(model)])]
    }
    // Agents are a list before 2026.8 and a map after it. The agent `main` is there without being named in either.
    document["agents"] = ["defaults": .object(defaults)]
    return GovernedKey.known(settings.hardening, to: version).reduce(.object(document)) {
      $0.setting($1.value, at: $1.key)
    }
  }

  private static func provider(_ model: Model) -> JSONValue {
    [
      "baseUrl": .string(model.baseURL), "apiKey": environmentReference(model.keyVariable),
      "api": "openai-completions",
      "models": [
        [
          "id": .string(model.id), "name": .string(model.id), "contextWindow": 32_000, "maxTokens": 4_096,
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
