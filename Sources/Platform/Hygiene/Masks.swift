import Basics
import Crypto
import Foundation

/// OpenClaw's own mask, which leaves the first six and the last four characters of a value of 18 or more: ten of the
/// 32 characters of a Gateway token. AW takes no such text as it is.
public struct Masks: Sendable {
  static let maskedCharactersMin = 18
  static let frontCharacters = 6
  static let backCharacters = 4
  /// What stands between them: OpenClaw's ellipsis, plain and escaped, and what other masks have there.
  static let gaps = ["…", #"\u2026"#, #"\\u2026"#, "%E2%80%A6", "...", "***"]

  private let key: SymmetricKey

  /// - Parameter key: of this deployment, so that a label cannot be found by trying.
  public init(key: Secret) { self.key = key.withBytes { SymmetricKey(data: $0) } }

  /// The text with every mask replaced by a label of fixed width: `[masked 0a1b2c3d]`. The same mask gets the same
  /// label, so lines can still be told to speak of one value; none of its characters is left.
  public func remasked(_ text: String) -> String {
    guard text.contains("…") || text.contains(#"\u2026"#) else { return text }
    return text.replacing(/[^\s"'`,;:=(){}\[\]<>…\\]{6}(?:…|\\u2026)[^\s"'`,;:=(){}\[\]<>…\\]{4}/) {
      label(for: $0.output)
    }
  }

  /// The value with every text in it so.
  public func remasked(_ value: JSONValue) -> JSONValue {
    switch value {
    case .string(let text): .string(remasked(text))
    case .array(let elements): .array(elements.map(remasked))
    case .object(let members): .object(members.mapValues(remasked))
    default: value
    }
  }

  private func label(for mask: Substring) -> String {
    let plain = mask.replacing(#"\u2026"#, with: "…")
    let code = HMAC<SHA256>.authenticationCode(for: Data("mask\n\(plain)".utf8), using: key)
    return "[masked \(Hex.encode(Array(code).prefix(4)))]"
  }
}
