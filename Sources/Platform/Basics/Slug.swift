/// A name that people type: of an Org, a Host or an Instance.
///
/// 1 to 40 characters, `a-z`, `0-9` and `-`, neither first nor last a `-`
/// (`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`, the rule of OpenClaw's own fleet command).
public struct Slug: Hashable, Sendable, Comparable, CustomStringConvertible {
  public static let charactersMax = 40

  public let text: String
  public var description: String { text }

  /// - Throws: `ErrorCode.slugInvalid`, with the rule and what broke it.
  public init(_ text: String) throws(AWError) {
    guard let problem = Slug.problem(with: text) else {
      self.text = text
      return
    }
    throw AWError(
      .slugInvalid, "The name \(text.quoted) cannot be used: \(problem).",
      next: "Use 1 to 40 characters, lower-case letters, digits and '-', starting and ending with a letter or digit.")
  }

  static func problem(with text: String) -> String? {
    if text.isEmpty { return "it is empty" }
    if text.utf8.count > charactersMax { return "it has \(text.count) characters, more than \(charactersMax)" }
    let allowed = text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    if !allowed { return "it has a character other than a-z, 0-9 and '-'" }
    if text.hasPrefix("-") || text.hasSuffix("-") { return "it starts or ends with '-'" }
    return nil
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  public static func < (left: Slug, right: Slug) -> Bool { left.text < right.text }
}

extension Slug: Codable {
  public init(from decoder: any Decoder) throws {
    try self.init(try decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

extension String {
  /// The text in double quotes, cut at 80 characters and with control characters escaped: for use in messages.
  public var quoted: String {
    let cut = count > 80 ? String(prefix(80)) + "…" : self
    return cut.debugDescription
  }
}
