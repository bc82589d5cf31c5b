import Basics
import Crypto

/// What a simulated vendor says: welcome, and no.
extension Vendor {
  /// A number that follows from a name, for vendors that count their accounts.
  private func number(_ name: String) -> Int64 {
    SHA256.hash(data: Array("\(host)/\(name)".utf8)).prefix(6).reduce(0) { $0 << 8 | Int64($1) }
  }

  /// - Parameter path: where it was asked, which of some vendors names the account.
  func welcome(_ name: String, at path: String) -> Vendors.Answer {
    let number = number(name)
    switch self {
    case .openrouter:
      let data: JSONValue = [
        "label": .string("sk-or-v1-aw-...\(number % 1_000)"), "limit": 100, "usage": .number(25.5),
        "is_free_tier": false, "creator_user_id": .string("user_\(name)"),
      ]
      return .json(200, ["data": data])
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
      let bot: JSONValue = [
        "id": .integer(number), "is_bot": true, "first_name": .string(name), "username": .string(name + "_bot"),
      ]
      return .json(200, ["ok": true, "result": bot])
    case .slack:
      return .json(
        200,
        [
          "ok": true, "url": "https://fixture.slack.com/", "team": .string(name), "user": "bot",
          "team_id": .string("T\(number)"), "user_id": .string("U\(number)"), "bot_id": .string("B\(number)"),
        ])
    case .slackApp:
      let url = "wss://wss-primary.slack.com/link/?ticket=fixture&app_id=\(Hex.encode(Array("\(number)".utf8)))"
      return .json(200, ["ok": true, "url": .string(url)])
    case .discord: return .json(200, ["id": .string(String(number)), "username": .string(name), "bot": true])
    case .teams:
      return .json(
        200, ["token_type": "Bearer", "expires_in": 3_599, "ext_expires_in": 3_599, "access_token": "aw-fixture"])
    case .googleChat:
      return .json(200, ["access_token": "aw-fixture", "expires_in": 3_599, "token_type": "Bearer"])
    case .sms:
      return .json(
        200,
        [
          "sid": .string(Vendor.account(path) ?? ""), "friendly_name": .string(name), "status": "active",
          "type": "Full",
        ])
    case .matrix:
      return .json(
        200, ["user_id": .string("@\(name):matrix.invalid"), "device_id": "AWFIXTURE", "is_guest": false])
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
    case .slack, .slackApp:
      return .json(200, ["ok": false, "error": shown.isEmpty ? "not_authed" : "invalid_auth"])
    case .discord: return .json(401, ["message": "401: Unauthorized", "code": 0])
    case .teams: return Self.entra(shown)
    case .googleChat: return Self.google(shown)
    case .sms:
      return .json(
        401,
        [
          "code": 20_003, "message": "Authenticate", "more_info": "https://www.twilio.com/docs/errors/20003",
          "status": 401,
        ])
    case .matrix:
      let code = shown.isEmpty ? "M_MISSING_TOKEN" : "M_UNKNOWN_TOKEN"
      return .json(401, ["errcode": .string(code), "error": "Unrecognised access token", "soft_logout": false])
    }
  }

  /// What Entra says to a form without a secret is about the request, not about the secret.
  private static func entra(_ shown: String) -> Vendors.Answer {
    let (name, code) = shown.isEmpty ? ("invalid_request", 900_144) : ("invalid_client", 7_000_215)
    return .json(
      shown.isEmpty ? 400 : 401,
      [
        "error": .string(name), "error_description": .string("AADSTS\(code): Invalid client secret provided."),
        "error_codes": [.integer(Int64(code))], "trace_id": "fixture", "correlation_id": "fixture",
      ])
  }

  /// One error for a wrong signature, a wrong clock and an account that is not there: its description tells.
  private static func google(_ shown: String) -> Vendors.Answer {
    let words =
      if shown.hasSuffix(GoogleAssertion.badTime) {
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
          + "Check your iat and exp values in the JWT claim."
      } else if shown.hasSuffix(GoogleAssertion.badSignature) {
        "Invalid JWT Signature."
      } else {
        "Invalid grant: account not found"
      }
    return .json(400, ["error": "invalid_grant", "error_description": .string(words)])
  }
}
