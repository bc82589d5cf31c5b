import Basics

/// The order in which the values of one configuration key get stricter: a partial order, for lists are not always
/// comparable.
public enum Strictness: Sendable, Hashable {
  /// A flag, and which value is the strict one.
  case flag(strict: Bool)
  /// Words, from the loosest to the strictest.
  case ranked([String])
  /// A list of what is forbidden: whoever forbids more is stricter. Patterns count as they are written.
  case denied

  public enum Verdict: String, Codable, Sendable, CaseIterable {
    case equal
    case stricter
    case weaker
    /// Neither is at least as strict as the other.
    case incomparable

    public var isAtLeastAsStrict: Bool { self == .equal || self == .stricter }
  }

  static let listItemsMax = 64

  /// Whether the key may have this value.
  public func accepts(_ value: JSONValue) -> Bool {
    switch self {
    case .flag: return value.boolValue != nil
    case .ranked(let words): return value.stringValue.map(words.contains) ?? false
    case .denied:
      guard let items = value.arrayValue, items.count <= Self.listItemsMax else { return false }
      return items.allSatisfy { $0.stringValue?.wholeMatch(of: /[a-zA-Z0-9_.:*-]{1,80}/) != nil }
    }
  }

  /// What a person may give, for messages.
  public var words: String {
    switch self {
    case .flag: "true or false"
    case .ranked(let words): words.joined(separator: ", ")
    case .denied: "a list of at most \(Self.listItemsMax) names of tools or groups"
    }
  }

  /// The one way to write a value: lists are sorted sets.
  public func normal(_ value: JSONValue) -> JSONValue {
    guard case .denied = self, let items = value.arrayValue else { return value }
    return .array(Set(items.compactMap(\.stringValue)).sorted().map { .string($0) })
  }

  /// How `value` stands to `other`. Values that the key may not have are incomparable.
  public func verdict(of value: JSONValue, against other: JSONValue) -> Verdict {
    guard accepts(value), accepts(other) else { return .incomparable }
    switch self {
    case .flag(let strict):
      return value == other ? .equal : value.boolValue == strict ? .stricter : .weaker
    case .ranked(let words):
      let (mine, theirs) = (rank(value, words), rank(other, words))
      return mine == theirs ? .equal : mine > theirs ? .stricter : .weaker
    case .denied:
      let (mine, theirs) = (set(value), set(other))
      if mine == theirs { return .equal }
      return mine.isSuperset(of: theirs) ? .stricter : mine.isSubset(of: theirs) ? .weaker : .incomparable
    }
  }

  private func rank(_ value: JSONValue, _ words: [String]) -> Int {
    value.stringValue.flatMap { words.firstIndex(of: $0) } ?? -1
  }

  private func set(_ value: JSONValue) -> Set<String> { Set(value.arrayValue?.compactMap(\.stringValue) ?? []) }
}
