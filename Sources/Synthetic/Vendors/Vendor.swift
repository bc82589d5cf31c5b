import Basics
import Crypto
import Foundation

/// What is asked of one simulated vendor: where, how it is shown a credential, and whose that is.
enum Vendor: String, CaseIterable {
  case openrouter, openai, anthropic, gemini, telegram, slack, slackApp, discord, teams, googleChat, sms, matrix

  /// The first part of the address, as the vendor is named.
  var host: String {
    switch self {
    case .slackApp: "slack"
    case .teams: "microsoft"
    case .googleChat: "google"
    case .sms: "twilio"
    default: rawValue
    }
  }

  var prefix: String {
    switch self {
    case .openrouter: "sk-or-v1-"
    case .openai: "sk-proj-"
    case .anthropic: "sk-ant-api03-"
    case .gemini: "AIza"
    case .telegram: "0000000000:"
    case .slack: "xoxb-000000000000-000000000000-"
    case .slackApp: "xapp-1-A0000000000-000000000000-"
    case .discord: "MDAwMDAwMDAwMDAwMDAwMDAw.AAAAAA."
    case .teams: "0000Q~"
    case .googleChat: #"{"type":"service_account","client_email":""#
    case .sms: "twilio-"
    case .matrix: "syt_YXctZml4dHVyZQ_"
    }
  }

  /// How it is asked.
  var method: String {
    switch self {
    case .slackApp, .teams, .googleChat: "POST"
    default: "GET"
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
    case .slackApp: path == "/api/apps.connections.open"
    case .discord: path == "/api/v10/users/@me"
    case .teams: path.wholeMatch(of: /\/[0-9a-f-]{36}\/oauth2\/v2\.0\/token/) != nil
    case .googleChat: path == "/token"
    case .sms: Self.account(path) != nil
    case .matrix: path == "/_matrix/client/v3/account/whoami"
    }
  }

  /// Where it answers in OpenAI's form, with the key as a bearer; nil for vendors of no models.
  var completions: String? {
    switch self {
    case .openrouter: "/api/v1/chat/completions"
    case .openai, .anthropic: "/v1/chat/completions"
    case .gemini: "/v1beta/openai/chat/completions"
    default: nil
    }
  }

  /// Twilio's account in a path.
  static func account(_ path: String) -> String? {
    path.wholeMatch(of: /\/2010-04-01\/Accounts\/(AC[0-9a-f]{32})\.json/).map { String($0.output.1) }
  }

  /// What it was shown; empty when nothing.
  ///
  /// - Parameter known: what was given out, of which one may have signed what is shown.
  func credential(_ request: Vendors.Request, _ path: String, _ known: [String]) -> String {
    func after(_ scheme: String) -> String {
      let header = request.headers["authorization"] ?? ""
      return header.hasPrefix(scheme + " ") ? String(header.dropFirst(scheme.count + 1)) : ""
    }
    if path == completions { return after("Bearer") }
    switch self {
    case .openrouter, .openai, .slack, .slackApp, .matrix: return after("Bearer")
    case .discord: return after("Bot")
    case .anthropic: return request.headers["anthropic-version"] == nil ? "" : request.headers["x-api-key"] ?? ""
    case .gemini: return request.headers["x-goog-api-key"] ?? ""
    case .telegram: return String(path.dropFirst("/bot".count).dropLast("/getMe".count))
    case .teams:
      let form = request.form
      let isAsked = form["grant_type"] == "client_credentials" && form["client_id"]?.isEmpty == false
      return isAsked ? form["client_secret"] ?? "" : ""
    case .sms:
      let pair = Data(base64Encoded: after("Basic")).map { String(decoding: $0, as: UTF8.self) } ?? ""
      let parts = pair.split(separator: ":", maxSplits: 1).map(String.init)
      return parts.count == 2 && parts[0] == Self.account(path) ? parts[1] : ""
    case .googleChat: return GoogleAssertion(request).shown(prefix, known)
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
}

extension Vendors.Request {
  /// A form's fields.
  var form: [String: String] {
    let pairs = String(decoding: body, as: UTF8.self).split(separator: "&").compactMap { field -> (String, String)? in
      let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, let value = parts[1].removingPercentEncoding else { return nil }
      return (parts[0], value)
    }
    return Dictionary(pairs) { first, _ in first }
  }
}
