import Basics

/// What a config file may hold. Strict where OpenClaw is: unknown keys and wrong types stop the start.
enum ConfigRules {
  static func issues(in config: JSONValue) -> [ConfigFile.Issue] {
    guard let members = config.objectValue else {
      return [.init(path: "", message: "Invalid input: expected object")]
    }
    var found: [ConfigFile.Issue] = []
    let unknown = members.keys.filter { root[$0] == nil }.sorted()
    if !unknown.isEmpty {
      found.append(.init(path: "", message: "Unrecognized key\(unknown.count > 1 ? "s" : ""): " + quoted(unknown)))
    }
    for (key, value) in members.sorted(by: { $0.key < $1.key }) {
      if let rule = root[key] { check(value, rule, at: key, into: &found) }
    }
    return found
  }

  indirect enum Rule: Sendable {
    case any, text, flag, secret
    case number(minimum: Double)
    case oneOf([String])
    case list(Rule)
    case map(Rule)
    case closed([String: Rule])
    case open([String: Rule])
  }

  private static func quoted(_ keys: [String]) -> String { keys.map { "\"\($0)\"" }.joined(separator: ", ") }

  private static func check(_ value: JSONValue, _ rule: Rule, at path: String, into found: inout [ConfigFile.Issue]) {
    func wrong(_ expected: String) { found.append(.init(path: path, message: "Invalid input: expected \(expected)")) }
    switch rule {
    case .any: return
    case .text: if value.stringValue == nil { wrong("string") }
    case .flag: if value.boolValue == nil { wrong("boolean") }
    case .secret:
      let isReference = ["source", "provider", "id"].allSatisfy { value[$0]?.stringValue != nil }
      if value.stringValue == nil && !isReference { wrong("string or SecretRef") }
    case .number(let minimum):
      guard let number = value.doubleValue else { return wrong("number") }
      if number < minimum { found.append(.init(path: path, message: "Too small: expected number to be >=\(minimum)")) }
    case .oneOf(let allowed):
      if value.stringValue.map(allowed.contains) != true {
        found.append(.init(path: path, message: "Invalid option: expected one of " + quoted(allowed)))
      }
    case .list(let element):
      guard let elements = value.arrayValue else { return wrong("array") }
      for (index, item) in elements.enumerated() { check(item, element, at: "\(path).\(index)", into: &found) }
    case .map(let element):
      guard let members = value.objectValue else { return wrong("object") }
      for (key, member) in members.sorted(by: { $0.key < $1.key }) {
        check(member, element, at: "\(path).\(key)", into: &found)
      }
    case .closed(let known), .open(let known):
      guard let members = value.objectValue else { return wrong("object") }
      if case .closed = rule {
        let unknown = members.keys.filter { known[$0] == nil }.sorted()
        if !unknown.isEmpty { found.append(.init(path: path, message: "Unrecognized keys: " + quoted(unknown))) }
      }
      for (key, member) in members.sorted(by: { $0.key < $1.key }) {
        if let rule = known[key] { check(member, rule, at: "\(path).\(key)", into: &found) }
      }
    }
  }

  private static let root: [String: Rule] = {
    var rules: [String: Rule] = ["$schema": .text, "bindings": .list(.open([:]))]
    let objects = """
      meta env wizard diagnostics logging cli update browser ui secrets auth acp nodeHost tools broadcast audio media \
      messages commands approvals session cron hooks web discovery canvasHost talk memory mcp skills tts surfaces \
      proxy security
      """
    for key in objects.split(separator: " ") { rules[String(key)] = .open([:]) }
    rules["gateway"] = gateway
    rules["models"] = models
    rules["agents"] = agents
    rules["channels"] = .map(.any)
    rules["plugins"] = .closed([
      "enabled": .flag, "allow": .list(.text), "deny": .list(.text), "load": .open([:]), "slots": .open([:]),
      "installs": .open([:]), "entries": .map(.open(["enabled": .flag])),
    ])
    rules["logging"] = .open(["file": .text, "level": .text])
    rules["update"] = .open(["checkOnStart": .flag])
    return rules
  }()

  private static let gateway = Rule.closed([
    "mode": .oneOf(["local", "remote"]), "port": .number(minimum: 1),
    "bind": .oneOf(["auto", "lan", "loopback", "custom", "tailnet"]), "customBindHost": .text, "publicOrigin": .text,
    "auth": .closed([
      "mode": .oneOf(["none", "token", "password", "trusted-proxy"]), "token": .secret, "password": .secret,
      "allowTailscale": .flag, "rateLimit": .open([:]), "trustedProxy": .open([:]), "identityScopes": .open([:]),
    ]),
    "trustedProxies": .list(.text), "allowRealIpFallback": .flag, "tls": .open(["enabled": .flag]),
    "tailscale": .open([:]), "controlUi": .open(["enabled": .flag, "allowedOrigins": .list(.text)]),
    "terminal": .open(["enabled": .flag]), "reload": .open([:]), "http": .open([:]), "tools": .open([:]),
    "nodes": .open([:]), "push": .open([:]), "remote": .open([:]), "channelHealthCheckMinutes": .number(minimum: 0),
  ])

  private static let models = Rule.closed([
    "mode": .oneOf(["merge", "replace"]), "pricing": .open(["enabled": .flag]),
    "providers": .map(
      .open([
        "baseUrl": .text, "apiKey": .secret, "api": .text,
        "models": .list(.open(["id": .text, "name": .text, "contextWindow": .number(minimum: 1)])),
      ])),
  ])

  private static let agents = Rule.closed([
    "defaults": .open(["workspace": .text, "skipBootstrap": .flag, "userTimezone": .text]),
    "list": .list(.open(["id": .text, "default": .flag, "name": .text, "workspace": .text])),
    "entries": .map(.open([:])),
  ])
}
