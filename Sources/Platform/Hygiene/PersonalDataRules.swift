import Basics

/// What the fields of each kind of evidence hold, and so which are none of them. Closed: a field without a profile is
/// one that nobody thought about.
public struct FieldProfiles: Sendable {
  public enum FieldType: String, Sendable, CaseIterable {
    /// A name of AW's: a slug, a state, a code, a step.
    case word
    case id, time, number, flag, digest, reference, address
    /// A sentence, of AW's or of a person.
    case text
    /// Something with fields of its own, whose texts are sentences or words.
    case parts
    /// A salted commitment: the value is beside the entry and can be erased.
    case commitment
  }

  static let unknownKind = "unknown-kind"
  static let unknownField = "unknown-field"
  static let unknownRules: Set<String> = [unknownKind, unknownField]

  /// By kind, by field.
  public let kinds: [String: [String: FieldType]]
  /// Changes with the profiles.
  public let text: String

  /// Reads a table: a line for each kind, `org.created: slug word, sort word`. Lines without a colon are passed over.
  public init(_ text: String) {
    self.text = text
    kinds = text.split(separator: "\n").reduce(into: [:]) { kinds, line in
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return }
      let fields = parts[1].split(separator: ",").compactMap { field -> (String, FieldType)? in
        let words = field.split(separator: " ")
        guard words.count == 2, let type = FieldType(rawValue: String(words[1])) else { return nil }
        return (String(words[0]), type)
      }
      for kind in parts[0].split(separator: " ") {
        kinds[String(kind), default: [:]].merge(fields) { $1 }
      }
    }
  }

  public func findings(in item: HygieneItem) -> [HygieneFinding] {
    guard let profile = kinds[item.kind] else {
      return [
        HygieneFinding(.personalData, item.index, "", Self.unknownKind, "No profile says what \(item.kind) may hold.")
      ]
    }
    return (item.data.objectValue ?? [:]).sorted { $0.key < $1.key }.flatMap { name, value -> [HygieneFinding] in
      if Self.reserved.contains(name) { return [] }
      guard let type = profile[name] else {
        let says = "The profile of \(item.kind) has no such field."
        return [HygieneFinding(.personalData, item.index, name, Self.unknownField, says)]
      }
      return findings(value, type, name, item)
    }
  }

  private func findings(_ value: JSONValue, _ type: FieldType, _ name: String, _ item: HygieneItem) -> [HygieneFinding]
  {
    HygieneItem.texts(in: value, path: [name]).compactMap { path, text in
      let field = path.joined(separator: ".")
      if let rule = PersonalDataRules.rule(for: text) {
        return HygieneFinding(.personalData, item.index, field, rule, "The text has the form of \(rule).")
      }
      guard FieldProfiles.fits(text, type) else {
        let says = "It is more than a \(type.rawValue), which the field is to hold."
        return HygieneFinding(.personalData, item.index, field, "not-\(type.rawValue)", says)
      }
      return nil
    }
  }

  /// Most types are texts without spaces: whoever writes a sentence there put something where it does not belong.
  static func fits(_ text: String, _ type: FieldType) -> Bool {
    switch type {
    case .text, .parts: true
    case .time: Timestamp(text) != nil
    case .number, .flag, .commitment: false
    case .id: text.utf8.count <= 64 && text.utf8.allSatisfy { PatternRules.Letters.url.holds($0) || $0 == 0x2F }
    case .word, .digest, .reference, .address: !text.contains(" ") && text.utf8.count <= 512
    }
  }
}

/// Personal data by its form.
public enum PersonalDataRules {
  public static let version = "personal/1"

  static func rule(for text: String) -> String? {
    if text.contains("@") {
      if text.contains("@s.whatsapp.net") || text.contains("@g.us") || text.contains("@lid") { return "a WhatsApp id" }
      if text.firstMatch(of: /[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}/) != nil {
        return "an e-mail address"
      }
    }
    if text.contains("+"), text.firstMatch(of: /(?:^|[\s:(])\+[1-9][0-9 ()-]{7,17}[0-9]\b/) != nil {
      return "a phone number"
    }
    if text.contains("cdn.discordapp.com") || text.contains("files.slack.com") || text.contains("api.twilio.com") {
      return "a link to a customer's file"
    }
    return nil
  }
}
