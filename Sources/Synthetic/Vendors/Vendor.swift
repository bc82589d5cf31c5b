import Basics
import Crypto

/// One simulated vendor: where it is asked, how it is shown a credential, and what it says.
enum Vendor: String, CaseIterable {
  case openrouter, openai, anthropic, gemini, telegram, slack, discord

  private var prefix: String {
    switch self {
    case .openrouter: "sk-or-v1-"
    case .openai: "sk-proj-"
    case .anthropic: "sk-ant-api03-"
    case .gemini: "AIza"
    case .telegram: "0000000000:"
    case .slack: "xoxb-000000000000-000000000000-"
    case .discord: "MDAwMDAwMDAwMDAwMDAwMDAw.AAAAAA."
    }
  }

  func serves(_ path: String) -> Bool {
    switch self {
    case .openrouter: path == "/api/v1/key"
    case .openai: path == "/v1/me"
    case .anthropic: path == "/v1/models"
    case .gemini: path == "/v1beta/models"
    case .telegram: path.hasPrefix("/bot") && path.hasSuffix("/getMe")
    case .slack: path == "/api/auth.test"
    case .discord: path == "/api/v10/users/@me"
    }
  }

  /// Where it answers in OpenAI's form, with the key as a bearer; nil for vendors of no models.
  var completions: String? {
    switch self {
    case .openrouter: "/api/v1/chat/completions"
    case .openai, .anthropic: "/v1/chat/completions"
    case .gemini: "/v1beta/openai/chat/completions"
    case .telegram, .slack, .discord: nil
    }
  }

  /// What it was shown; empty when nothing.
  func credential(_ request: Vendors.Request, _ path: String) -> String {
    func after(_ scheme: String) -> String {
      let header = request.headers["authorization"] ?? ""
      return header.hasPrefix(scheme + " ") ? String(header.dropFirst(scheme.count + 1)) : ""
    }
    if path == completions { return after("Bearer") }
    switch self {
    case .openrouter, .openai, .slack: return after("Bearer")
    case .discord: return after("Bot")
    case .anthropic: return request.headers["anthropic-version"] == nil ? "" : request.headers["x-api-key"] ?? ""
    case .gemini: return request.headers["x-goog-api-key"] ?? ""
    case .telegram: return String(path.dropFirst("/bot".count).dropLast("/getMe".count))
    }
  }

  /// The name that a fixture claims, whole or not; nil when it is not even the beginning of one.
  func claimed(_ shown: String) -> String? {
    let front = prefix + "aw-fixture-"
    guard shown.hasPrefix(front) else { return nil }
    return String(shown.dropFirst(front.count).prefix { $0 != "-" })
  }

  /// The name of a whole fixture: 35 characters behind the prefix, of which the last 8 are a check over the rest.
  func name(in shown: String) -> String? {
    let bytes = Array(shown.utf8)
    guard let name = claimed(shown), !name.isEmpty, bytes.count == prefix.utf8.count + 35 else { return nil }
    let check = SHA256.hex(Array(bytes.dropLast(8))).prefix(8)
    return check == String(decoding: bytes.suffix(8), as: UTF8.self) ? name : nil
  }

  /// A number that follows from a name, for vendors that count their accounts.
  private func number(_ name: String) -> Int64 {
    SHA256.hash(data: Array("\(rawValue)/\(name)".utf8)).prefix(6).reduce(0) { $0 << 8 | Int64($1) }
  }

  func welcome(_ name: String) -> Vendors.Answer {
    let number = number(name)
    switch self {
    case .openrouter:
      return .json(
        200,
        [
          "data": [
            "label": .string("sk-or-v1-aw-...\(number % 1_000)"), "limit": 100, "usage": .number(25.5),
            "is_free_tier": false,
            "creator_user_id": .string("user_\(name)"),
          ]
        ])
    case .openai:
      return .json(
        200,
        [
          "object": "user", "id": .string("user-\(name)"), "name": .string(name),
          "orgs": ["object": "list", "data": [["object": "organization", "id": .string("org-\(name)")]]],
        ])
    case .anthropic:
      return .json(
        200, ["data": [["type": "model", "id": "claude-fixture"]], "has_more": false],
        [("anthropic-organization-id", "org-\(name)"), ("request-id", "req_fixture")])
    case .gemini: return .json(200, ["models": [["name": "models/gemini-fixture"]]])
    case .telegram:
      return .json(
        200,
        [
          "ok": true,
          "result": [
            "id": .integer(number), "is_bot": true, "first_name": .string(name), "username": .string(name + "_bot"),
          ],
        ])
    case .slack:
      return .json(
        200,
        [
          "ok": true, "url": "https://fixture.slack.com/", "team": .string(name), "user": "bot",
          "team_id": .string("T\(number)"), "user_id": .string("U\(number)"), "bot_id": .string("B\(number)"),
        ])
    case .discord: return .json(200, ["id": .string(String(number)), "username": .string(name), "bot": true])
    }
  }

  /// How the vendor says that a credential is not good.
  func refusal(_ shown: String) -> Vendors.Answer {
    switch self {
    case .openrouter: return .json(401, ["error": ["code": 401, "message": "User not found."]])
    case .openai:
      let error: JSONValue = [
        "message": "Incorrect API key provided.", "type": "invalid_request_error", "param": nil,
        "code": "invalid_api_key",
      ]
      return .json(401, ["error": error])
    case .anthropic:
      return .json(
        401, ["type": "error", "error": ["type": "authentication_error", "message": "invalid x-api-key"]])
    case .gemini:
      let detail: JSONValue = [
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com",
      ]
      let error: JSONValue = [
        "code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
        "details": [detail],
      ]
      return .json(400, ["error": error])
    case .telegram:
      guard shown.contains(":") else {
        return .json(404, ["ok": false, "error_code": 404, "description": "Not Found"])
      }
      return .json(401, ["ok": false, "error_code": 401, "description": "Unauthorized"])
    // 200 all the same: that is the trap.
    case .slack: return .json(200, ["ok": false, "error": shown.isEmpty ? "not_authed" : "invalid_auth"])
    case .discord: return .json(401, ["message": "401: Unauthorized", "code": 0])
    }
  }
}
