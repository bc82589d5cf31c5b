import Basics
import Evidence

/// An evidence entry as the API shows one.
public struct EvidenceView: Codable, Sendable, Equatable {
  public struct Subject: Codable, Sendable, Equatable {
    public let type: String
    public let id: String
    public let slug: String?
  }

  /// Counted from 0.
  public let index: Int64
  public let kind: String
  public let at: Timestamp
  public let actor: String
  public let subject: Subject?
  public let org: String?
  public let act: String?
  public let data: JSONValue
  /// The leaf hash (RFC 6962), lower-case hexadecimal.
  public let hash: String

  init(_ record: EvidenceRecord) {
    let entry = record.entry
    index = record.index
    kind = entry.kind.id
    at = entry.at
    actor = entry.actor
    subject = entry.subject.map { Subject(type: $0.type, id: $0.id, slug: $0.slug) }
    org = entry.org
    act = entry.act
    data = entry.data
    hash = Hex.encode(record.hash.bytes)
  }

  static let schema = JSONSchema.object(
    [
      "index": JSONSchema.integer, "kind": JSONSchema.text, "at": JSONSchema.time, "actor": JSONSchema.text,
      "subject": JSONSchema.object(
        ["type": JSONSchema.text, "id": JSONSchema.text, "slug": JSONSchema.text], optional: ["slug"]),
      "org": JSONSchema.text, "act": JSONSchema.text, "data": JSONSchema.any, "hash": JSONSchema.text,
    ], optional: ["subject", "org", "act"])
}

/// The state of the evidence log and of its published copy.
public struct EvidenceLogView: Codable, Sendable, Equatable {
  /// Entries in the database.
  public let size: Int64
  /// The root hash over them, lower-case hexadecimal.
  public let root: String
  /// Entries in the published copy; nil before the first run of the publisher.
  public let publishedSize: Int?
  public let publishedAt: Timestamp?
  /// Why the last run did not publish everything; nil when it did.
  public let problem: String?
  /// The key that the checkpoints are signed with. Note it somewhere else, to verify against.
  public let verifierKey: String

  static let schema = JSONSchema.object(
    [
      "size": JSONSchema.integer, "root": JSONSchema.text, "publishedSize": JSONSchema.integer,
      "publishedAt": JSONSchema.time, "problem": JSONSchema.text, "verifierKey": JSONSchema.text,
    ], optional: ["publishedSize", "publishedAt", "problem"])
}
