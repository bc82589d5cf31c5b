import Basics
import Foundation

/// What an entry is about: `org.created`, `instance.status-changed`.
///
/// Closed: a kind is written in the code of a room (`extension EvidenceKind { static let … }`), never made from input.
public struct EvidenceKind: Hashable, Sendable, CustomStringConvertible {
  /// `room.what-happened`: lower-case letters, digits and `-` in two or more parts.
  public let id: String
  public var description: String { id }

  public init(_ id: StaticString) { self.id = "\(id)" }

  /// As read from the log.
  init(stored id: String) { self.id = id }

  var isWellFormed: Bool { id.wholeMatch(of: /[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+/) != nil }
}

/// The thing that an entry speaks of.
public struct EvidenceSubject: Hashable, Sendable {
  /// `org`, `host`, `instance`, …
  public let type: String
  public let id: String
  public let slug: String?

  public init(type: String, id: String, slug: String? = nil) {
    self.type = type
    self.id = id
    self.slug = slug
  }
}

/// One line of the record. It never holds a secret: see `Basics.Secret`, which cannot be encoded.
public struct EvidenceEntry: Hashable, Sendable {
  /// The most bytes that an entry may have: its length is written in two bytes (C2SP tlog-tiles).
  public static let bytesMax = 65_535

  public var kind: EvidenceKind
  public var at: Timestamp
  /// Who did it: `user/<id>`, `token/<id>`, `system/<room>`.
  public var actor: String
  public var subject: EvidenceSubject?
  /// The Org it belongs to, by id.
  public var org: String?
  /// The act or operation it is part of, by id.
  public var act: String?
  /// An object with what else there is to say.
  public var data: JSONValue

  public init(
    kind: EvidenceKind, at: Timestamp, actor: String, subject: EvidenceSubject? = nil, org: String? = nil,
    act: String? = nil, data: JSONValue = [:]
  ) {
    self.kind = kind
    self.at = at
    self.actor = actor
    self.subject = subject
    self.org = org
    self.act = act
    self.data = data
  }
}

extension EvidenceEntry {
  /// The canonical JSON (RFC 8785) that is hashed. It names its own index, so that it cannot stand anywhere else.
  func bytes(index: Int64) -> [UInt8] {
    var members: [String: JSONValue] = [
      "v": 1, "index": .integer(index), "kind": .string(kind.id), "at": .string(at.description),
      "actor": .string(actor), "data": data,
    ]
    if let org { members["org"] = .string(org) }
    if let act { members["act"] = .string(act) }
    if let subject {
      var parts: [String: JSONValue] = ["type": .string(subject.type), "id": .string(subject.id)]
      if let slug = subject.slug { parts["slug"] = .string(slug) }
      members["subject"] = .object(parts)
    }
    return Array(JSONValue.object(members).canonical.utf8)
  }

  /// Reads an entry that is expected at `index`.
  ///
  /// - Throws: `EvidenceEntry.Unreadable`, with what is wrong.
  init(parsing bytes: [UInt8], index: Int64) throws(Unreadable) {
    guard let value = try? JSONValue(parsing: bytes) else { throw Unreadable(what: "it is not JSON") }
    guard value["v"] == 1 else { throw Unreadable(what: "it has a format that this program does not know") }
    guard value["index"] == .integer(index) else { throw Unreadable(what: "it says that it is another entry") }
    guard let at = value["at"]?.stringValue.flatMap(EvidenceEntry.time) else {
      throw Unreadable(what: "its time is not an RFC 3339 time in UTC")
    }
    guard let kind = value["kind"]?.stringValue, let actor = value["actor"]?.stringValue, let data = value["data"]
    else { throw Unreadable(what: "it has no kind, no actor or no data") }
    var subject: EvidenceSubject?
    if let parts = value["subject"] {
      guard let type = parts["type"]?.stringValue, let id = parts["id"]?.stringValue else {
        throw Unreadable(what: "its subject has no type or no id")
      }
      subject = EvidenceSubject(type: type, id: id, slug: parts["slug"]?.stringValue)
    }
    self.init(
      kind: EvidenceKind(stored: kind), at: at, actor: actor, subject: subject, org: value["org"]?.stringValue,
      act: value["act"]?.stringValue, data: data)
  }

  struct Unreadable: Error { let what: String }

  /// A time as `bytes` writes it. There is no other form, and no 30 February that another reader takes for March.
  private static func time(_ text: String) -> Timestamp? {
    guard let time = Timestamp(text), time.millisecondsSince1970 >= 0, time.description == text else { return nil }
    return time
  }
}
