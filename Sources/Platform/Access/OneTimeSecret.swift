import Basics
import Crypto

/// A random value that is shown once; the database has its SHA-256 only.
public struct OneTimeSecret: Sendable {
  static let byteCount = 32

  public let secret: Secret
  public let hash: [UInt8]

  /// For links and sessions: base64url of 32 random bytes, 43 characters.
  public static func make() -> OneTimeSecret {
    let text = Base64URL.encode([UInt8].random(count: byteCount))
    return OneTimeSecret(secret: Secret(text), hash: digest(text))
  }

  /// For API tokens: see `TokenText`.
  static func makeToken() -> OneTimeSecret {
    let text = TokenText.compose([UInt8].random(count: byteCount))
    return OneTimeSecret(secret: Secret(text), hash: digest(text))
  }

  /// The hash to look a presented secret up with. Comparing it in the database gives nothing away: who controls the
  /// timing does not know the hash.
  public static func hash(of presented: Secret) -> [UInt8] { presented.withText(digest) }

  private static func digest(_ text: String) -> [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}

/// The form of an API token: `aw_`, base64url of 32 bytes, and 6 characters of checksum.
///
/// The checksum lets scanners of leaked secrets be sure without asking, and spares the database typos.
enum TokenText {
  static let prefix = "aw_"
  /// The base64url form of the first four bytes of the SHA-256 of all that stands before.
  static let checksumCharacters = 6

  static func compose(_ bytes: [UInt8]) -> String {
    let body = prefix + Base64URL.encode(bytes)
    return body + checksum(body)
  }

  static func isWellFormed(_ text: String) -> Bool {
    guard text.hasPrefix(prefix), text.utf8.count == prefix.utf8.count + 43 + checksumCharacters else { return false }
    return checksum(String(text.dropLast(checksumCharacters))) == text.suffix(checksumCharacters)
  }

  private static func checksum(_ body: String) -> String {
    Base64URL.encode(SHA256.hash(data: Array(body.utf8)).prefix(4))
  }
}
