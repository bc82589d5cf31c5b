import Basics
import Crypto

/// A field whose value can be erased later without breaking the log (the shape of RFC 9901, SD-JWT).
///
/// The entry carries only the hash of `[salt, name, value]`; the disclosure itself lies in a table beside it. Without
/// the salt (128 random bits) nobody can find the value by trying.
public struct Redactable: Hashable, Sendable {
  public static let saltBytes = 16

  public let name: String
  public let value: JSONValue

  public init(_ name: String, _ value: JSONValue) {
    self.name = name
    self.value = value
  }

  /// The text that is hashed: Base64URL of the canonical JSON of `[salt, name, value]`.
  func disclosure(salt: [UInt8]) -> String {
    let parts = JSONValue.array([.string(Base64URL.encode(salt)), .string(name), value])
    return Base64URL.encode(parts.canonical.utf8)
  }

  /// The commitment that stands in `_sd`: Base64URL of SHA-256 over the disclosure.
  public static func digest(ofDisclosure disclosure: String) -> String {
    Base64URL.encode(Array(SHA256.hash(data: Array(disclosure.utf8))))
  }

  /// Reads a disclosure; nil when it is none.
  public init?(disclosure: String) {
    guard let bytes = Base64URL.decode(disclosure), let parts = try? JSONValue(parsing: bytes),
      let name = parts[1]?.stringValue, let value = parts[2]
    else { return nil }
    self.init(name, value)
  }

  /// `data` with the commitments added, and the disclosures to keep, in the order of `fields`.
  static func commit(
    _ fields: [Redactable], to data: JSONValue, salt: () -> [UInt8]
  ) -> (data: JSONValue, disclosures: [String]) {
    guard !fields.isEmpty, var members = data.objectValue else { return (data, []) }
    let disclosures = fields.map { $0.disclosure(salt: salt()) }
    // Sorted, so that their order says nothing about the fields.
    members["_sd"] = .array(disclosures.map(digest).sorted().map { .string($0) })
    members["_sd_alg"] = "sha-256"
    return (.object(members), disclosures)
  }
}
