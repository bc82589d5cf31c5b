import Basics
import Store

/// Who stands behind what evidence names, in words for people. Pages show these; the API and the evidence the text.
public struct ActorNames: Sendable {
  private let names: [String: String]

  /// - Parameter texts: as evidence names actors; what is nil or repeated does no harm.
  public init(of texts: [String?], in store: Store) async throws {
    let wanted = Set(texts.compactMap { $0 })
    names = try await store.read { tx in
      try Dictionary(uniqueKeysWithValues: wanted.map { ($0, try Self.words(for: $0, in: tx)) })
    }
  }

  /// `anna`; `anna, by the token ci`; `AW (rotation)`. Of what was not asked for, the text itself.
  public func words(for text: String?) -> String { text.map { names[$0] ?? $0 } ?? "" }

  private static func words(for text: String, in tx: Transaction) throws -> String {
    switch Actor(text) {
    case .operator(let id)?: return try AccessRecords.find(id, in: tx)?.name.text ?? text
    case .apiToken(let id)?:
      guard let token = try AccessRecords.find(id, in: tx),
        let person = try AccessRecords.find(token.operatorID, in: tx)
      else { return text }
      return "\(person.name), by the token \(token.name)"
    case .system("local")?: return "somebody on the control plane's machine"
    case .system("intake-link")?: return "the customer, by a one-time link"
    case .system(let part)?: return "AW (\(part))"
    case nil: return text
    }
  }
}
