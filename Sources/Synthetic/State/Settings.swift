import Basics
import Foundation

/// What the Gateway reads out of its config: the few settings that change what it does.
struct Settings: Sendable {
  struct Agent: Sendable, Equatable {
    var id: String
    var name: String?
    var isDefault: Bool
    var workspace: String
    /// `provider/model`.
    var model: String?
  }

  struct Model: Sendable, Equatable {
    var provider: String
    var id: String
    var name: String
    var api: String
    var contextWindow: Int64
    var reasoning: Bool
    var input: [String]
  }

  let config: JSONValue
  let paths: OpenClawPaths

  var agents: [Agent] {
    let defaults = config.at("agents", "defaults")
    let workspace = defaults?["workspace"]?.stringValue ?? paths.stateDirectory + "/workspace"
    let model = primary(defaults?["model"])
    let listed = config.at("agents", "list")?.arrayValue ?? []
    let entries = listed.isEmpty ? [["id": "main", "default": true]] : listed
    let chosen = entries.firstIndex { $0["default"]?.boolValue == true } ?? 0
    return entries.enumerated().map { index, entry in
      let id = entry["id"]?.stringValue ?? "main"
      return Agent(
        id: id, name: entry["name"]?.stringValue, isDefault: index == chosen,
        workspace: entry["workspace"]?.stringValue ?? (index == chosen ? workspace : "\(workspace)/\(id)"),
        model: primary(entry["model"]) ?? model)
    }
  }

  var defaultAgent: Agent {
    let all = agents
    return all.first(where: \.isDefault) ?? all.first
      ?? Agent(id: "main", name: nil, isDefault: true, workspace: paths.stateDirectory + "/workspace", model: nil)
  }

  func agent(_ id: String?) -> Agent? {
    guard let id else { return defaultAgent }
    return agents.first { $0.id == id }
  }

  var models: [Model] {
    let providers = (config.at("models", "providers")?.objectValue ?? [:]).sorted { $0.key < $1.key }
    return providers.flatMap { name, provider in
      (provider["models"]?.arrayValue ?? []).compactMap { model in
        guard let id = model["id"]?.stringValue else { return nil }
        return Model(
          provider: name, id: id, name: model["name"]?.stringValue ?? id,
          api: model["api"]?.stringValue ?? provider["api"]?.stringValue ?? "openai-completions",
          contextWindow: model["contextWindow"]?.intValue ?? 200_000, reasoning: model["reasoning"]?.boolValue ?? false,
          input: model["input"]?.strings ?? ["text"])
      }
    }
  }

  /// The model an agent runs on, when its provider lists it.
  func model(of agent: Agent) -> Model? {
    guard let name = agent.model else { return models.first }
    return models.first { "\($0.provider)/\($0.id)" == name }
  }

  func provider(_ name: String) -> JSONValue? { config.at("models", "providers", name) }

  /// Resolves a SecretInput: a literal, `${NAME}`, `$NAME` or a SecretRef to the environment, or to an exec provider
  /// whose values are in the snapshot; nil when unresolved.
  static func secret(
    _ input: JSONValue?, environment: [String: String], secrets: SecretSnapshot = SecretSnapshot()
  ) -> Secret? {
    func variable(_ name: String) -> Secret? {
      environment[name].flatMap { $0.isEmpty ? nil : Secret($0) }
    }
    guard let input else { return nil }
    if let text = input.stringValue {
      if text.hasPrefix("${"), text.hasSuffix("}") { return variable(String(text.dropFirst(2).dropLast())) }
      if text.hasPrefix("$"), text.dropFirst().allSatisfy({ $0.isUppercase || $0.isNumber || $0 == "_" }) {
        return variable(String(text.dropFirst()))
      }
      return text.isEmpty ? nil : Secret(text)
    }
    guard let id = input["id"]?.stringValue else { return nil }
    switch input["source"]?.stringValue {
    case "env": return variable(id)
    case "exec": return secrets.value(of: input)
    default: return nil
    }
  }

  private func primary(_ model: JSONValue?) -> String? { model?["primary"]?.stringValue ?? model?.stringValue }
}

/// How clients prove themselves to the Gateway.
struct GatewayAuth: Sendable {
  enum Mode: String, Sendable { case none, token, password, trustedProxy = "trusted-proxy" }

  var mode: Mode
  var secret: Secret?

  enum Failure: Error, Equatable {
    case unresolved(String)
    case ambiguous
  }

  /// Decides from config and environment; a configured value stands before the environment.
  static func resolve(
    _ config: JSONValue, environment: [String: String], secrets: SecretSnapshot = SecretSnapshot()
  ) throws(Failure) -> GatewayAuth {
    let auth = config.at("gateway", "auth")
    let (token, password) = (auth?["token"], auth?["password"])
    if auth?["mode"] == nil, token != nil, password != nil { throw .ambiguous }
    let named = auth?["mode"]?.stringValue.flatMap(Mode.init(rawValue:))
    let mode = named ?? (password != nil ? .password : .token)
    func value(_ configured: JSONValue?, _ name: String, _ variable: String) throws(Failure) -> Secret? {
      guard let configured else { return environment[variable].flatMap { $0.isEmpty ? nil : Secret($0) } }
      guard let secret = Settings.secret(configured, environment: environment, secrets: secrets) else {
        throw .unresolved("gateway.auth.\(name)")
      }
      return secret
    }
    switch mode {
    case .none, .trustedProxy: return GatewayAuth(mode: mode, secret: nil)
    case .token: return GatewayAuth(mode: mode, secret: try value(token, "token", "OPENCLAW_GATEWAY_TOKEN"))
    case .password:
      return GatewayAuth(mode: mode, secret: try value(password, "password", "OPENCLAW_GATEWAY_PASSWORD"))
    }
  }
}
