import Basics

/// A mail address of the plain kind: `name@example.com`, ASCII, without quotes, comments or a name for people.
///
/// That is less than RFC 5321 allows, and nothing in it can end a command or a header early.
struct MailAddress: Hashable, Sendable, CustomStringConvertible {
  let text: String
  var description: String { text }
  var domain: Substring { text[text.index(after: text.lastIndex(of: "@") ?? text.startIndex)...] }

  init?(_ text: String) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...64).contains(parts[0].utf8.count), (1...253).contains(parts[1].utf8.count),
      MailAddress.isDotted(parts[0], MailAddress.isAtom), MailAddress.isDotted(parts[1], MailAddress.isLabel)
    else { return nil }
    self.text = text
  }

  static func reading(_ text: String, as setting: String) throws(AWError) -> MailAddress {
    if let address = MailAddress(text) { return address }
    throw SettingsReader.invalid("'\(setting)' holds \(text.quoted), which is no mail address such as aw@example.com.")
  }

  private static func isDotted(_ text: Substring, _ isPart: (Substring) -> Bool) -> Bool {
    text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isPart)
  }

  /// RFC 5321's Atom.
  private static func isAtom(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-/=?^_`{|}~".utf8.contains($0) }
  }

  private static func isLabel(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.count <= 63 && text.first != "-" && text.last != "-"
      && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
  }
}
