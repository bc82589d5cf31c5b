import Basics

/// What governed settings say in OpenClaw's own `policy.jsonc`, for `openclaw policy check` and `policy compare`.
public enum PolicyFile {
  /// The document. It has a rule for every setting that the policy language has one for.
  public static func make(_ settings: [String: JSONValue]) -> JSONValue {
    var document: JSONValue = [
      "gateway": [
        "auth": ["requireAuth": true], "exposure": ["allowTailscaleFunnel": false], "remote": ["allow": false],
      ],
      "ingress": ["channels": ["denyOpenGroups": true]],
    ]
    for (path, value) in settings {
      guard let key = GovernedKey.named(path) else { continue }
      for rule in rules(key, value) { document = document.setting(rule.value, at: rule.path) }
    }
    let endpoints = ["chatCompletions", "responses"].filter {
      settings["gateway.http.endpoints.\($0).enabled"]?.boolValue == false
    }
    return document.setting(.array(endpoints.map { .string($0) }), at: "gateway.http.denyEndpoints")
  }

  private static func rules(_ key: GovernedKey, _ value: JSONValue) -> [(path: String, value: JSONValue)] {
    switch key.path {
    case "session.dmScope": [("ingress.session.requireDmScope", value)]
    case "tools.deny": [("tools.denyTools", value)]
    case "tools.elevated.enabled" where value.boolValue == false: [("tools.elevated.allow", false)]
    case "tools.exec.ask": [("tools.exec.requireAsk", allowed(key, value))]
    case "tools.exec.security": [("tools.exec.allowSecurity", allowed(key, value))]
    case "tools.fs.workspaceOnly" where value.boolValue == true: [("tools.fs.requireWorkspaceOnly", true)]
    case "tools.profile": [("tools.profiles.allow", allowed(key, value))]
    default: []
    }
  }

  /// The value and everything that is stricter.
  private static func allowed(_ key: GovernedKey, _ value: JSONValue) -> JSONValue {
    guard case .ranked(let words) = key.order else { return .array([value]) }
    return .array(
      words.map { JSONValue.string($0) }.filter { key.order.verdict(of: $0, against: value).isAtLeastAsStrict })
  }
}
