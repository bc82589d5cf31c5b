import Basics

/// What a technical phrase means, in other words. It never stands in for the phrase.
public struct PlainText: Codable, Sendable, Equatable {
  public let text: String
  /// The digest of the phrase that it explains.
  public let phrase: PacketDigest
  /// Who found it true, and for which pair of phrase and text. Without it, or with another pair's, nobody sees it.
  public let review: Review?

  public struct Review: Codable, Sendable, Equatable {
    public let by: String
    /// SHA-256 over phrase and text together.
    public let mark: PacketDigest
  }

  public init(_ text: String, of phrase: String, reviewedBy reviewer: String? = nil) {
    (self.text, self.phrase) = (text, PacketDigest(of: phrase))
    review = reviewer.map { Review(by: $0, mark: Self.mark(phrase, text)) }
  }

  static func mark(_ phrase: String, _ text: String) -> PacketDigest { PacketDigest(of: [phrase, text]) }
}

/// The plain texts that there are.
public struct PlainTexts: Sendable, Equatable {
  private let byPhrase: [PacketDigest: PlainText]

  public init(_ texts: [PlainText] = []) {
    byPhrase = Dictionary(texts.map { ($0.phrase, $0) }) { _, last in last }
  }

  /// The text for exactly this phrase, if somebody reviewed exactly this pair.
  func reviewed(_ phrase: String) -> (text: String, by: String)? {
    guard let found = byPhrase[PacketDigest(of: phrase)], let review = found.review,
      review.mark == PlainText.mark(phrase, found.text)
    else { return nil }
    return (found.text, review.by)
  }
}
