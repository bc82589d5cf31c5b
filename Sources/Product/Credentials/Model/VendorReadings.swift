import Basics

/// What a vendor's answer shows: its published truth table. What is in none of them proves nothing.
extension VendorCheck {
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
      case .slackApp: slackApp(answer.status, body)
      case .discord: discord(answer.status, body)
      case .teams: entra(answer.status, body)
      case .googleChat: google(answer.status, body)
      case .sms: twilio(answer.status, body)
      case .matrix: matrix(answer.status, body)
      case .telegramWebhook, .slackSigning: nil
      }
    return reading ?? .unclear("the vendor's answer (\(answer.status)) has no form that AW knows")
  }

  // MARK: - Models

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

  // MARK: - Channels

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

  private func slack(_ status: Int, _ body: JSONValue) -> Reading? {
    slackAnswer(status, body, refusals: Self.slackRefusals) { body in
      guard let team = body["team_id"]?.stringValue, let user = body["user_id"]?.stringValue else { return nil }
      return .accepted(identity: "\(team)/\(body["bot_id"]?.stringValue ?? user)")
    }
  }

  /// What it answers with holds a ticket for a connection: nothing of it is kept.
  private func slackApp(_ status: Int, _ body: JSONValue) -> Reading? {
    // Without `connections:write` it is no token for what it is kept for.
    let refusals = Self.slackRefusals.union(["not_allowed_token_type", "missing_scope"])
    return slackAnswer(status, body, refusals: refusals) { body in
      guard let url = body["url"]?.stringValue, url.hasPrefix("wss://") else { return nil }
      // Slack's own mark of the app, where it gives one.
      return .accepted(identity: url.firstMatch(of: /[?&]app_id=([A-Za-z0-9]+)/).map { String($0.output.1) })
    }
  }

  /// Slack answers 200 whatever it says: only the body counts.
  private func slackAnswer(
    _ status: Int, _ body: JSONValue, refusals: Set<String>, _ accepted: (JSONValue) -> Reading?
  ) -> Reading? {
    guard status == 200 else { return nil }
    switch (body["ok"], body["error"]?.stringValue) {
    case (.bool(true), _): return accepted(body)
    case (.bool(false), let error?) where refusals.contains(error): return .refused(error)
    case (.bool(false), let error?):
      return .unclear("Slack says \(String(error.prefix(40)).quoted), which proves nothing")
    default: return nil
    }
  }

  /// The errors that are about the token (Slack's own pages of the methods).
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

  /// The token is not kept; that Entra gave one is enough.
  private func entra(_ status: Int, _ body: JSONValue) -> Reading? {
    switch status {
    case 200:
      let isToken = body["access_token"]?.stringValue?.isEmpty == false && body["token_type"] == "Bearer"
      return isToken ? .accepted(identity: nil) : nil
    case 400, 401:
      let codes = (body["error_codes"]?.arrayValue ?? []).compactMap(\.intValue)
      if let code = codes.first(where: { Self.entraRefusals.contains($0) }) { return .refused("AADSTS\(code)") }
      return codes.first.map { .unclear("Entra says AADSTS\($0), which proves nothing") }
    default: return nil
    }
  }

  /// The errors that are about the secret, its application or its tenant (Microsoft's page of AADSTS codes): the secret
  /// is wrong, or has ended; the application is not in that tenant, or switched off; there is no such tenant.
  private static let entraRefusals: Set<Int64> = [7_000_215, 7_000_222, 700_016, 7_000_112, 90_002]

  private func google(_ status: Int, _ body: JSONValue) -> Reading? {
    switch (status, body["error"]?.stringValue) {
    case (200, _): return body["access_token"]?.stringValue.map { _ in .accepted(identity: nil) }
    // Google says the same of a wrong signature and of a clock that is wrong.
    case (400, "invalid_grant") where body["error_description"]?.stringValue?.contains("reasonable timeframe") == true:
      return .unclear("Google finds that the clock of this control plane is wrong")
    case (400, "invalid_grant"), (400, "disabled_client"), (401, "disabled_client"), (401, "deleted_client"):
      return .refused(body["error"]?.stringValue ?? "invalid_grant")
    default: return nil
    }
  }

  private func twilio(_ status: Int, _ body: JSONValue) -> Reading? {
    switch (status, body["code"]?.intValue) {
    case (200, _):
      // The account can be let in and be of no use.
      switch (body["sid"]?.stringValue, body["status"]?.stringValue) {
      case (let sid?, "active") where sid == settings["accountSid"]: return .accepted(identity: sid)
      case (_, "suspended"), (_, "closed"): return .refused("the account is \(body["status"]?.stringValue ?? "")")
      default: return nil
      }
    case (401, 20_003): return .refused("20003")
    case (403, 20_008): return .unclear("it is the token for Twilio's tests, which may not say whose it is")
    default: return nil
    }
  }

  private func matrix(_ status: Int, _ body: JSONValue) -> Reading? {
    switch (status, body["errcode"]?.stringValue) {
    case (200, _):
      guard let user = body["user_id"]?.stringValue, user.hasPrefix("@"), user.contains(":") else { return nil }
      return .accepted(identity: user)
    case (401, "M_UNKNOWN_TOKEN"), (401, "M_MISSING_TOKEN"), (403, "M_USER_DEACTIVATED"):
      return .refused(body["errcode"]?.stringValue ?? "")
    case (401, "M_USER_LOCKED"): return .unclear("the account is locked, and may be opened again")
    default: return nil
    }
  }
}
