import Basics

/// The cheapest call at a vendor that shows whether a credential works, and what its answers mean: pure functions of
/// the vendors' published truth tables.
struct VendorCheck: Sendable {
  let surface: CredentialSurface

  /// A GET at the vendor. Header values and paths may hold the credential, so both are secrets.
  struct Question: Sendable {
    let path: Secret
    let headers: [(name: String, value: Secret)]
  }

  /// What an answer shows by itself.
  enum Reading: Equatable, Sendable {
    /// The vendor let it in. The identity is whom it belongs to there; nil when the vendor does not say.
    case accepted(identity: String?)
    /// The vendor says that the credential is not good: its own word for it.
    case refused(String)
    /// Anything else proves nothing, neither way.
    case unclear(String)
  }

  struct Answer: Sendable {
    var status: Int
    var headers: [String: String] = [:]
    var body: [UInt8] = []
  }

  /// The vendor's part of the address: what stands before the path at the simulated vendors.
  var vendor: String {
    switch surface {
    case .openRouter: "openrouter"
    case .openAI: "openai"
    case .anthropic: "anthropic"
    case .gemini: "gemini"
    case .telegram: "telegram"
    case .slack: "slack"
    case .discord: "discord"
    }
  }

  func question(with value: Secret) -> Question {
    func bearer(_ scheme: String = "Bearer") -> [(name: String, value: Secret)] {
      [("authorization", value.withText { Secret("\(scheme) \($0)") })]
    }
    switch surface {
    // Not /api/v1/models, which takes any key (NangoHQ/nango#7532).
    case .openRouter: return Question(path: Secret("/api/v1/key"), headers: bearer())
    case .openAI: return Question(path: Secret("/v1/me"), headers: bearer())
    case .anthropic:
      return Question(
        path: Secret("/v1/models?limit=1"),
        headers: [("x-api-key", value), ("anthropic-version", Secret("2023-06-01"))])
    // In a header, though `?key=` works too: addresses are kept in more places.
    case .gemini: return Question(path: Secret("/v1beta/models?pageSize=1"), headers: [("x-goog-api-key", value)])
    // Telegram takes its token nowhere else than in the path.
    case .telegram: return Question(path: value.withText { Secret("/bot\($0)/getMe") }, headers: [])
    case .slack: return Question(path: Secret("/api/auth.test"), headers: bearer())
    case .discord: return Question(path: Secret("/api/v10/users/@me"), headers: bearer("Bot"))
    }
  }

  func reading(of answer: Answer) -> Reading {
    if answer.status == 429 { return .unclear("the vendor asks to come back later (429)") }
    if answer.status >= 500 { return .unclear("the vendor is not well (\(answer.status))") }
    if (300..<400).contains(answer.status) { return .unclear("something sends elsewhere (\(answer.status))") }
    // A captive portal or a proxy answers in the vendor's place: what is no JSON is not the vendor.
    guard let body = try? JSONValue(parsing: answer.body), body.objectValue != nil else {
      return .unclear("what answers is not the vendor: it sends no JSON (\(answer.status))")
    }
    let reading: Reading? =
      switch surface {
      case .openRouter: openRouter(answer.status, body)
      case .openAI: openAI(answer.status, body)
      case .anthropic: anthropic(answer.status, body, answer.headers)
      case .gemini: gemini(answer.status, body)
      case .telegram: telegram(answer.status, body)
      case .slack: slack(answer.status, body)
      case .discord: discord(answer.status, body)
      }
    return reading ?? .unclear("the vendor's answer (\(answer.status)) has no form that AW knows")
  }

  // MARK: - Truth tables

  private func openRouter(_ status: Int, _ body: JSONValue) -> Reading? {
    switch status {
    // Its `label` holds the ends of the key, so it is left alone.
    case 200: body["data"]?["label"].map { _ in .accepted(identity: body["data"]?["creator_user_id"]?.stringValue) }
    case 401: body["error"]?["code"]?.intValue == 401 ? .refused("401") : nil
    default: nil
    }
  }

  private func openAI(_ status: Int, _ body: JSONValue) -> Reading? {
    switch (status, body["error"]?["code"]?.stringValue) {
    case (200, _): body["object"] == "user" ? body["id"]?.stringValue.map { .accepted(identity: $0) } : nil
    case (401, "invalid_api_key"), (401, "account_deactivated"):
      .refused(body["error"]?["code"]?.stringValue ?? "401")
    case (403, _) where body["error"]?["message"]?.stringValue?.contains("issing scopes") == true:
      .unclear("the key is let in, but not to say whose it is")
    default: nil
    }
  }

  private func anthropic(_ status: Int, _ body: JSONValue, _ headers: [String: String]) -> Reading? {
    switch (status, body["error"]?["type"]?.stringValue) {
    case (200, _): body["data"]?.arrayValue.map { _ in .accepted(identity: headers["anthropic-organization-id"]) }
    case (401, "authentication_error"): .refused("authentication_error")
    default: nil
    }
  }

  private func gemini(_ status: Int, _ body: JSONValue) -> Reading? {
    let reasons = body["error"]?["details"]?.arrayValue?.compactMap { $0["reason"]?.stringValue } ?? []
    switch status {
    case 200: return body["models"]?.arrayValue.map { _ in .accepted(identity: nil) }
    // Google calls a bad key a bad request, and other requests too.
    case 400: return reasons.contains("API_KEY_INVALID") ? .refused("API_KEY_INVALID") : nil
    default: return nil
    }
  }

  private func telegram(_ status: Int, _ body: JSONValue) -> Reading? {
    switch (status, body["ok"]) {
    case (200, .bool(true)):
      body["result"]?["is_bot"] == true
        ? body["result"]?["id"]?.intValue.map { .accepted(identity: String($0)) } : nil
    // 404 is what it says to a token without its form.
    case (401, .bool(false)), (404, .bool(false)): .refused(String(status))
    default: nil
    }
  }

  /// Slack answers 200 whatever it says: only the body counts.
  private func slack(_ status: Int, _ body: JSONValue) -> Reading? {
    guard status == 200 else { return nil }
    switch (body["ok"], body["error"]?.stringValue) {
    case (.bool(true), _):
      guard let team = body["team_id"]?.stringValue, let user = body["user_id"]?.stringValue else { return nil }
      return .accepted(identity: "\(team)/\(body["bot_id"]?.stringValue ?? user)")
    case (.bool(false), let error?) where Self.slackRefusals.contains(error): return .refused(error)
    case (.bool(false), let error?):
      return .unclear("Slack says \(String(error.prefix(40)).quoted), which proves nothing")
    default: return nil
    }
  }

  /// The errors of `auth.test` that are about the token (Slack's own page of the method).
  private static let slackRefusals: Set = [
    "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_authed",
  ]

  private func discord(_ status: Int, _ body: JSONValue) -> Reading? {
    switch status {
    case 200: body["id"]?.stringValue.map { .accepted(identity: $0) }
    case 401: body["message"] == "401: Unauthorized" ? .refused("401") : nil
    default: nil
    }
  }
}
