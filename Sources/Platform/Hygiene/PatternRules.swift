import Basics

/// Texts that look like secrets: rules by shape, and what is allowed by shape and field. A pure function.
///
/// Patterns find what nobody knew of, and miss what has no shape of its own; so they never stand for the exact check,
/// and what they find is looked at by a person.
public enum PatternRules {
  /// Changes with the rules.
  public static var description: String { "patterns/1\n\(rules)" }

  struct Rule: Sendable {
    let id: String
    let prefixes: [String]
    /// How many characters of `letters` follow.
    let count: ClosedRange<Int>
    let letters: Letters
  }

  enum Letters: Sendable {
    case hex, plain, url, upper

    func holds(_ byte: UInt8) -> Bool {
      let isDigit = (0x30...0x39).contains(byte)
      let isUpper = (0x41...0x5A).contains(byte)
      let isLower = (0x61...0x7A).contains(byte)
      return switch self {
      case .hex: isDigit || (0x61...0x66).contains(byte)
      case .plain: isDigit || isUpper || isLower
      case .url: isDigit || isUpper || isLower || byte == 0x2D || byte == 0x5F
      case .upper: isDigit || isUpper
      }
    }
  }

  /// The forms that vendors publish. More particular ones stand first.
  static let rules = [
    Rule(id: "openrouter-key", prefixes: ["sk-or-v1-"], count: 64...64, letters: .hex),
    Rule(id: "anthropic-key", prefixes: ["sk-ant-"], count: 20...200, letters: .url),
    Rule(id: "openai-key", prefixes: ["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-"], count: 20...200, letters: .url),
    Rule(id: "google-key", prefixes: ["AIza"], count: 35...35, letters: .url),
    Rule(id: "slack-token", prefixes: ["xoxb-", "xoxp-", "xoxa-", "xoxs-", "xapp-"], count: 20...200, letters: .url),
    Rule(
      id: "github-token", prefixes: ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"], count: 36...120,
      letters: .url),
    Rule(id: "aws-key-id", prefixes: ["AKIA", "ASIA"], count: 16...16, letters: .upper),
    Rule(id: "stripe-key", prefixes: ["sk_live_", "rk_live_", "whsec_"], count: 20...120, letters: .plain),
    Rule(id: "matrix-token", prefixes: ["syt_"], count: 20...200, letters: .url),
  ]

  public static func findings(in item: HygieneItem) -> [HygieneFinding] {
    item.texts.compactMap { path, text in
      guard let id = rule(for: text, at: path) else { return nil }
      return HygieneFinding(
        .patterns, item.index, path.joined(separator: "."), id, "The text has the form of a secret (\(id)).")
    }
  }

  /// The first rule that a text somewhere in a member meets; nil for none.
  public static func rule(in value: JSONValue, named name: String) -> String? {
    for (path, text) in HygieneItem.texts(in: value, path: [name]) {
      if let rule = rule(for: text, at: path) { return rule }
    }
    return nil
  }

  /// Places in a list are no names.
  private static func rule(for text: String, at path: [String]) -> String? {
    rule(for: text, field: path.last { Int($0) == nil } ?? "")
  }

  /// The first rule that a text meets; nil for none.
  static func rule(for text: String, field: String) -> String? {
    if text.contains("PRIVATE KEY-----") { return "private-key" }
    if hasPassword(text) { return "url-with-password" }
    for word in words(text) where !isAllowed(word, field: field) {
      if let rule = rules.first(where: { matches(word, $0) }) { return rule.id }
      if isBotToken(word) { return "bot-token" }
      if isJWT(word) { return "jwt" }
      if saysSecret(field), looksRandom(word) { return "secret-field" }
    }
    return nil
  }

  // MARK: - Shapes

  /// What stands between the characters that no secret has.
  private static func words(_ text: String) -> [Substring] {
    text.split { " \t\r\n\"'`<>()[]{},;=&?/\\|".contains($0) }.filter { $0.utf8.count >= shortest }
  }

  private static let shortest = 16

  private static func matches(_ word: Substring, _ rule: Rule) -> Bool {
    rule.prefixes.contains { prefix in
      guard word.hasPrefix(prefix) else { return false }
      let rest = word.utf8.dropFirst(prefix.utf8.count).prefix { rule.letters.holds($0) }
      return rule.count.contains(rest.count)
    }
  }

  /// Telegram's, also behind the `bot` of its paths; and Discord's.
  private static func isBotToken(_ word: Substring) -> Bool {
    let parts = word.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2 {
      let id = parts[0].hasPrefix("bot") ? parts[0].dropFirst(3) : parts[0]
      return (8...10).contains(id.count) && id.utf8.allSatisfy { (0x30...0x39).contains($0) }
        && parts[1].utf8.count == 35 && parts[1].utf8.allSatisfy(Letters.url.holds)
    }
    let dotted = word.split(separator: ".", omittingEmptySubsequences: false)
    return dotted.count == 3 && (23...28).contains(dotted[0].utf8.count) && (6...7).contains(dotted[1].utf8.count)
      && (27...40).contains(dotted[2].utf8.count) && dotted.allSatisfy { $0.utf8.allSatisfy(Letters.url.holds) }
  }

  private static func isJWT(_ word: Substring) -> Bool {
    let parts = word.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 3 && parts[0].hasPrefix("eyJ") && parts[1].hasPrefix("eyJ") && parts[2].utf8.count >= 20
  }

  private static func hasPassword(_ text: String) -> Bool {
    text.contains("://") && text.contains("@")
      && text.firstMatch(of: /[a-z][a-z0-9+.-]*:\/\/[^\s\/:@]+:[^\s\/@]{6,}@/) != nil
  }

  private static func saysSecret(_ field: String) -> Bool {
    let name = field.lowercased()
    return ["token", "secret", "password", "passphrase", "apikey", "api-key", "api_key", "authorization"]
      .contains { name.hasSuffix($0) }
  }

  /// Letters and digits mixed, with more than three bits in a character.
  private static func looksRandom(_ word: Substring) -> Bool {
    let bytes = Array(word.utf8)
    guard bytes.contains(where: { (0x30...0x39).contains($0) }), bytes.contains(where: { $0 >= 0x41 }) else {
      return false
    }
    return Set(bytes).count >= 10
  }

  // MARK: - What is allowed

  /// The end of a SecretRef's id: `channels.slack.botToken#v3`.
  private static func isVersioned(_ word: Substring) -> Bool {
    guard let mark = word.lastIndex(of: "#") else { return false }
    let version = word[mark...].dropFirst()
    return version.first == "v" && version.count > 1 && version.dropFirst().allSatisfy(\.isWholeNumber)
  }

  /// By shape: pointers to secrets, sentinels, pseudonyms, placeholders and fixtures. By shape and field: hashes where
  /// hashes are expected, and ids.
  private static func isAllowed(_ word: Substring, field: String) -> Bool {
    if ["oc-sent-v2.", "hmac-sha256:v1:", "__OPENCLAW_REDACTED__", "${", "secretref-", "sha256:", "agent:"]
      .contains(where: { word.hasPrefix($0) })
    {
      return true
    }
    if word.contains("aw-fixture-") || isVersioned(word) { return true }
    let isHex = word.utf8.allSatisfy { Letters.hex.holds($0) }
    let isHash = isHex && [32, 40, 64].contains(word.utf8.count)
    let isID = word.utf8.count == 36 && word.utf8.allSatisfy { Letters.hex.holds($0) || $0 == 0x2D }
    return isID || (isHash && !saysSecret(field))
  }
}
