import Basics

/// One item of evidence, as the checks see it.
public struct HygieneItem: Sendable {
  public let index: Int64
  public let kind: String
  public let actor: String
  public let subject: (type: String, id: String)?
  public let org: String?
  public let data: JSONValue

  public init(
    index: Int64, kind: String, actor: String, subject: (type: String, id: String)?, org: String?, data: JSONValue
  ) {
    (self.index, self.kind, self.actor) = (index, kind, actor)
    (self.subject, self.org, self.data) = (subject, org, data)
  }

  /// Every text in the data with the names that lead to it: `chain.0.reason`.
  var texts: [(path: [String], text: String)] { HygieneItem.texts(in: data, path: []) }

  static func texts(in value: JSONValue, path: [String]) -> [(path: [String], text: String)] {
    switch value {
    case .string(let text): [(path, text)]
    case .array(let elements):
      elements.enumerated().flatMap { texts(in: $0.element, path: path + ["\($0.offset)"]) }
    case .object(let members): members.flatMap { texts(in: $0.value, path: path + [$0.key]) }
    default: []
    }
  }
}

/// Something that a check found in an item: where, and by which rule. Never what.
public struct HygieneFinding: Sendable, Hashable, Codable {
  public let layer: HygieneLayer
  public let entry: Int64
  /// The names that lead to the field; empty when it is not one of the data.
  public let field: String
  /// Which rule: `openai-key`, `unknown-field`, `org`.
  public let rule: String
  /// A sentence for people.
  public let says: String

  public init(_ layer: HygieneLayer, _ entry: Int64, _ field: String, _ rule: String, _ says: String) {
    (self.layer, self.entry, self.field, self.rule, self.says) = (layer, entry, field, rule, says)
  }
}

/// The four checks, each of which says something that the others do not.
public enum HygieneLayer: String, Sendable, Codable, CaseIterable {
  /// Known values in any form. A find fails.
  case exactValues = "exact-values"
  /// What looks like a secret. A find is to be looked at by somebody.
  case patterns
  /// Personal data, and fields that no profile knows. A find is to be looked at by somebody.
  case personalData = "personal-data"
  /// Identities that are not in the synthetic registry. A find fails.
  case provenance

  /// Whether a find fails, or waits for a person.
  public var blocks: Bool { self == .exactValues || self == .provenance }

  public var title: String {
    switch self {
    case .exactValues: "No raw secret material"
    case .patterns: "Nothing that looks like a secret"
    case .personalData: "No personal data, no unknown field"
    case .provenance: "No real customer data"
    }
  }
}
