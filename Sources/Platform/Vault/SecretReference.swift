import Basics

/// The name of a secret in the vault, such as `instance/0193…/gateway-token`: safe to store, log and show.
///
/// 1 to 8 parts separated by `/`; each part has 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, and starts with a letter
/// or digit.
public struct SecretReference: Hashable, Sendable, Comparable, CustomStringConvertible {
  public static let partsMax = 8
  public static let partCharactersMax = 64

  public let text: String
  public var description: String { text }

  /// - Throws: `usage` when the text does not have the form above.
  public init(_ text: String) throws(AWError) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= SecretReference.partsMax, parts.allSatisfy(SecretReference.isPart) else {
      throw AWError(
        .usage, "The secret reference \(text.quoted) does not have the form of one.",
        next: "Use up to 8 parts separated by '/', each of a-z, 0-9, '-', '_' and '.', starting with a letter or digit."
      )
    }
    self.text = text
  }

  /// A name that the code of this room gives, which has the form.
  static func ofTheVault(_ text: StaticString) -> SecretReference { SecretReference(known: "\(text)") }

  private init(known text: String) { self.text = text }

  private static func isPart(_ part: Substring.UTF8View.SubSequence) -> Bool {
    guard let first = part.first, isAlphanumeric(first), part.count <= partCharactersMax else { return false }
    return part.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  public static func < (left: SecretReference, right: SecretReference) -> Bool { left.text < right.text }
}

extension SecretReference: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(try decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}
