import Basics
import Crypto
import Foundation

/// A key of HMAC; it shows nothing of itself.
typealias SigningKey = SymmetricKey

/// Signatures after Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.
enum StandardWebhooks {
  static let secretPrefix = "whsec_"
  static let keyBytes = 24...64

  /// The key in a secret's text `whsec_` and base64; nil when it is not one of 24 to 64 bytes.
  static func key(_ secret: Secret) -> SigningKey? {
    secret.withText { text in
      guard text.hasPrefix(secretPrefix), let bytes = Data(base64Encoded: String(text.dropFirst(secretPrefix.count))),
        keyBytes.contains(bytes.count)
      else { return nil }
      return SymmetricKey(data: bytes)
    }
  }

  /// The three headers. One signature for each key, in their order: while a key is replaced, both are valid.
  static func headers(
    id: String, at now: Timestamp, body: String, keys: [SigningKey]
  ) -> [(name: String, value: String)] {
    let seconds = String(now.millisecondsSince1970 / 1_000)
    let signed = Data("\(id).\(seconds).\(body)".utf8)
    let signatures = keys.map { key in
      "v1," + Data(HMAC<SHA256>.authenticationCode(for: signed, using: key)).base64EncodedString()
    }
    return [
      ("webhook-id", id), ("webhook-timestamp", seconds), ("webhook-signature", signatures.joined(separator: " ")),
    ]
  }

  /// An identifier that may stand in a header and has no dot, which separates the signed parts: the text itself, or a
  /// digest of it.
  static func identifier(_ text: String) -> String {
    let isPlain = text.wholeMatch(of: /[A-Za-z0-9_-]{1,80}/) != nil
    return isPlain ? text : "aw_" + Base64URL.encode(SHA256.hash(data: Data(text.utf8))).prefix(32)
  }
}
