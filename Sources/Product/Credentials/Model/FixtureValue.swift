import Basics
import Crypto

/// Values that look like a vendor's and can never authenticate there: all that an Org may hold in this release.
///
/// The surface's own prefix, then 35 characters: `aw-fixture-`, a name, dashes up to the length, and 8 hexadecimal
/// digits of SHA-256 over what stands before. Of a value that is a whole file, what never changes stands behind. So
/// whoever scans for secrets can tell a fixture from its text alone, and nobody can pass off a real value as one.
public enum FixtureValue {
  static let mark = "aw-fixture-"
  /// Gemini's and Telegram's values have exactly that many behind their prefix.
  static let bodyCharacters = 35
  static let checkCharacters = 8
  /// So that there is a dash before the check.
  static let nameCharactersMax = bodyCharacters - mark.utf8.count - checkCharacters - 1

  /// - Parameter name: 1 to 15 of a-z and 0-9. Fixtures of one name are the same account at the simulated vendors.
  /// - Throws: `usage` for another name.
  public static func make(_ surface: CredentialSurface, name: String) throws(AWError) -> String {
    guard (1...nameCharactersMax).contains(name.utf8.count), name.utf8.allSatisfy(isPlain) else {
      throw AWError(
        .usage, "A fixture cannot have the name \(name.quoted).", next: "Use 1 to \(nameCharactersMax) of a-z and 0-9.")
    }
    let dashes = bodyCharacters - mark.utf8.count - name.utf8.count - checkCharacters
    let front = surface.fixturePrefix + mark + name + String(repeating: "-", count: dashes)
    return front + check(front) + surface.fixtureSuffix
  }

  /// The name in a fixture of this surface; nil when the value is none.
  static func name(in value: String, of surface: CredentialSurface) -> String? {
    let (prefix, suffix) = (surface.fixturePrefix + mark, surface.fixtureSuffix)
    guard value.hasPrefix(prefix), value.hasSuffix(suffix) else { return nil }
    let bytes = Array(value.utf8.dropLast(suffix.utf8.count))
    guard bytes.count == surface.fixturePrefix.utf8.count + bodyCharacters else { return nil }
    let front = String(decoding: bytes.dropLast(checkCharacters), as: UTF8.self)
    guard String(decoding: bytes, as: UTF8.self) == front + check(front) else { return nil }
    let padded = front.dropFirst(prefix.count)
    let name = padded.prefix { $0 != "-" }
    guard !name.isEmpty, name.utf8.allSatisfy(isPlain), padded.dropFirst(name.count).allSatisfy({ $0 == "-" }),
      padded.count > name.count
    else { return nil }
    return String(name)
  }

  private static func check(_ front: String) -> String {
    String(SHA256.hex(Array(front.utf8)).prefix(checkCharacters))
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
