import Basics
import Foundation

/// Which passwords are taken: length before composition rules (NIST SP 800-63B section 5.1.1.2).
public enum PasswordRule {
  /// Characters.
  public static let charactersMin = 12
  /// Bytes of UTF-8: bounds the work of hashing.
  public static let bytesMax = 1_024

  /// Lower-case beginnings of what is tried first and long enough to pass.
  private static let denied: Set<String> = [
    "password1234", "passwordpassword", "123456789012", "1234567890123", "12345678901234", "qwertyuiop123",
    "qwertyuiopas", "qwertyuiopasdf", "qwerty123456", "letmeinletmein", "administrator", "administrator1",
    "changeme1234", "changemechangeme", "iloveyou1234", "welcome12345", "abcdefghijkl", "abcdefghijklm",
    "correcthorsebatterystaple", "openclawopenclaw", "111111111111", "000000000000",
  ]

  /// What is wrong with a password, as the end of a sentence; nil when nothing is.
  public static func problem(with password: Secret, name: Slug) -> String? {
    password.withText { text in
      if text.count < charactersMin { return "it has fewer than \(charactersMin) characters" }
      if text.utf8.count > bytesMax { return "it has more than \(bytesMax) bytes" }
      let lower = text.lowercased()
      if lower.contains(name.text) { return "it contains the name of the operator" }
      if Set(lower).count < 4 { return "it repeats too few characters" }
      if denied.contains(lower) { return "it is one of the first that are tried" }
      return nil
    }
  }

  /// The bytes to hash: the same password typed on two keyboards can differ in Unicode composition.
  static func normalised(_ password: Secret) -> [UInt8] {
    password.withText { Array($0.precomposedStringWithCanonicalMapping.utf8) }
  }
}
