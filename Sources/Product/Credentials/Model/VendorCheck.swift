import Basics
import Foundation

/// The cheapest call at a vendor that shows whether a credential works, and what its answers mean: pure functions of
/// the vendors' published truth tables.
struct VendorCheck: Sendable {
  let surface: CredentialSurface
  let vendor: CredentialVendor
  /// What stands beside the value: see `CredentialSetting`.
  let settings: [String: String]

  /// - Throws: `credentialUncheckable` when there is nobody to ask.
  init(_ surface: CredentialSurface, _ settings: [String: String] = [:]) throws(AWError) {
    (self.surface, self.settings) = (surface, settings)
    vendor = try surface.asked()
  }

  /// What is sent to the vendor. Each part may hold the credential, so all are secrets.
  struct Question: Sendable {
    enum Method: Sendable { case get, post }

    var method = Method.get
    let path: Secret
    var headers: [(name: String, value: Secret)] = []
    /// Of a POST: a form.
    var body: Secret?
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

  // MARK: - What is shown

  /// What the vendor is shown: the value itself, or what is signed with it. Nil when the value can sign nothing.
  func proof(of value: Secret, at now: Timestamp) -> Secret? {
    guard surface == .googleChat else { return value }
    return value.withText { GoogleServiceAccount(parsing: $0) }?.assertion(at: now)
  }

  /// A copy of a proof with one character changed, which the vendor has to refuse.
  func corrupted(_ proof: Secret) -> Secret? {
    guard surface == .googleChat else { return ValidationVerdict.corrupted(proof) }
    // Of the last character of a signature only two bits count: changing the others would change nothing.
    return proof.withBytes { bytes in
      ValidationVerdict.corrupted(Secret(bytes: Array(bytes.dropLast())))?
        .withBytes { Secret(bytes: $0 + bytes.suffix(1)) }
    }
  }

  /// Whom the value and its settings say it belongs to. It counts when a vendor let it in that does not say it itself.
  func claim(of value: Secret) -> String? {
    switch surface {
    // xapp-1-APP-…: the token of an app, whichever workspaces have that.
    case .slackApp:
      return value.withText { text in
        let parts = text.split(separator: "-")
        return parts.count > 2 ? String(parts[2]) : nil
      }
    case .googleChat: return value.withText { GoogleServiceAccount(parsing: $0) }?.email
    case .teams: return "\(settings["tenantId"] ?? "")/\(settings["appId"] ?? "")"
    default: return nil
    }
  }

  // MARK: - The question

  func question(with proof: Secret) -> Question {
    func bearer(_ scheme: String = "Bearer") -> [(name: String, value: Secret)] {
      [("authorization", proof.withText { Secret("\(scheme) \($0)") })]
    }
    switch surface {
    // Not /api/v1/models, which takes any key (NangoHQ/nango#7532).
    case .openRouter: return Question(path: Secret("/api/v1/key"), headers: bearer())
    case .openAI: return Question(path: Secret("/v1/me"), headers: bearer())
    case .anthropic:
      return Question(
        path: Secret("/v1/models?limit=1"),
        headers: [("x-api-key", proof), ("anthropic-version", Secret("2023-06-01"))])
    // In a header, though `?key=` works too: addresses are kept in more places.
    case .gemini: return Question(path: Secret("/v1beta/models?pageSize=1"), headers: [("x-goog-api-key", proof)])
    // Telegram takes its token nowhere else than in the path.
    case .telegram: return Question(path: proof.withText { Secret("/bot\($0)/getMe") })
    case .slack: return Question(path: Secret("/api/auth.test"), headers: bearer())
    // The address that it answers with is not connected to, so no connection of the app is used up.
    case .slackApp:
      return Question(method: .post, path: Secret("/api/apps.connections.open"), headers: bearer(), body: Secret(""))
    case .discord: return Question(path: Secret("/api/v10/users/@me"), headers: bearer("Bot"))
    case .teams:
      return .form(
        "/\(settings["tenantId"] ?? "")/oauth2/v2.0/token",
        [
          ("grant_type", Secret("client_credentials")), ("client_id", Secret(settings["appId"] ?? "")),
          ("client_secret", proof), ("scope", Secret("https://api.botframework.com/.default")),
        ])
    case .googleChat:
      return .form(
        "/token", [("grant_type", Secret("urn:ietf:params:oauth:grant-type:jwt-bearer")), ("assertion", proof)])
    case .sms:
      let sid = settings["accountSid"] ?? ""
      let basic = proof.withText { Secret("Basic " + Data("\(sid):\($0)".utf8).base64EncodedString()) }
      return Question(path: Secret("/2010-04-01/Accounts/\(sid).json"), headers: [("authorization", basic)])
    case .matrix: return Question(path: Secret("/_matrix/client/v3/account/whoami"), headers: bearer())
    // There is nobody to ask, so there is no check of these: see `init`.
    case .telegramWebhook, .slackSigning: return Question(path: Secret("/"))
    }
  }
}

extension VendorCheck.Question {
  fileprivate static func form(_ path: String, _ fields: [(name: String, value: Secret)]) -> Self {
    let body = fields.map { name, value in "\(name)=" + value.withText { escaped($0) } }.joined(separator: "&")
    return Self(
      method: .post, path: Secret(path),
      headers: [("content-type", Secret("application/x-www-form-urlencoded"))], body: Secret(body))
  }

  /// All but RFC 3986's unreserved characters.
  private static func escaped(_ text: String) -> String {
    text.utf8.map { byte in
      let character = Character(UnicodeScalar(byte))
      let isPlain = byte < 128 && (character.isLetter || character.isNumber || "-._~".contains(character))
      return isPlain ? String(character) : "%" + Hex.encode([byte]).uppercased()
    }.joined()
  }
}
