import Basics

/// OpenClaw's pointer to a secret, `{source, provider, id}`: never the secret.
///
/// The forms of its members are those of OpenClaw's own configuration schema. A text that does not have them would be
/// refused by a Gateway when it starts, so it is refused here.
public struct SecretRef: Hashable, Sendable, CustomStringConvertible {
  /// Where a Gateway looks.
  public enum Source: String, Codable, Sendable, CaseIterable {
    case env, file, exec, store
  }

  public let source: Source
  /// The alias under `secrets.providers`.
  public let provider: String
  public let id: String

  /// `exec:aw:orgs/acme/…`: for people and logs.
  public var description: String { "\(source.rawValue):\(provider):\(id)" }

  /// - Throws: `secretRefInvalid`, with the member that is wrong and its rule.
  public init(source: Source, provider: String, id: String) throws(AWError) {
    guard provider.wholeMatch(of: /[a-z][a-z0-9_-]{0,63}/) != nil else {
      throw SecretRef.invalid(
        "the provider \(provider.quoted)", "1 to 64 of a-z, 0-9, '_' and '-', starting with a letter")
    }
    if let rule = SecretRef.broken(id, of: source) { throw SecretRef.invalid("the id \(id.quoted)", rule) }
    self.source = source
    self.provider = provider
    self.id = id
  }

  /// The rule that an id breaks; nil when it is right.
  static func broken(_ id: String, of source: Source) -> String? {
    switch source {
    case .env, .store:
      return id.wholeMatch(of: /[A-Z][A-Z0-9_]{0,127}/) == nil
        ? "1 to 128 of A-Z, 0-9 and '_', starting with a letter" : nil
    case .file:
      // RFC 6901: '~' stands only before 0 or 1.
      return id == "value" || id.wholeMatch(of: /(\/([^~\/]|~[01])*)+/) != nil
        ? nil : "a JSON pointer such as /providers/openai/apiKey, or 'value'"
    case .exec:
      let isPlain = id.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._:\/#-]{0,255}/) != nil
      let hasDots = id.split(separator: "/").contains { $0 == "." || $0 == ".." }
      return isPlain && !hasDots
        ? nil : "1 to 256 of letters, digits and ._:/#-, starting with a letter or digit, no part '.' or '..'"
    }
  }

  private static func invalid(_ what: String, _ rule: String) -> AWError {
    AWError(.secretRefInvalid, "The reference is malformed: \(what) does not have its form.", next: "It has \(rule).")
  }
}

extension SecretRef: Codable {
  private enum Keys: String, CodingKey { case source, provider, id }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: Keys.self)
    try self.init(
      source: try members.decode(Source.self, forKey: .source),
      provider: try members.decode(String.self, forKey: .provider), id: try members.decode(String.self, forKey: .id))
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: Keys.self)
    try members.encode(source, forKey: .source)
    try members.encode(provider, forKey: .provider)
    try members.encode(id, forKey: .id)
  }
}
