import Basics

/// What an event tells of: `aw.instance.status-changed`. Closed: written in the code of a room, never made from input.
public struct EventType: RawRepresentable, Hashable, Sendable, Codable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public init(_ name: StaticString) { rawValue = "\(name)" }
}

/// How much an event asks of a person.
public enum EventSeverity: String, Codable, Sendable, CaseIterable {
  case info
  case warning
  case critical

  public var rank: Int {
    switch self {
    case .info: 0
    case .warning: 1
    case .critical: 2
    }
  }
}

/// One thing that happened, for whoever is told of it: the content of a CloudEvents 1.0 event.
public struct Event: Codable, Sendable, Equatable {
  /// What an event opens or resolves. Whatever opens has a resolve with the same key, later.
  public struct Condition: Codable, Sendable, Equatable {
    /// `instance/<id>/status`.
    public var key: String
    public var isOpen: Bool

    public init(key: String, isOpen: Bool) {
      self.key = key
      self.isOpen = isOpen
    }
  }

  /// Follows from the fact, so that one fact has one id however often it is told.
  public var id: String
  public var type: EventType
  /// `instance/<id>`, `host/<id>`, `fleet`, `scope/host/<id>`.
  public var subject: String
  public var time: Timestamp
  /// Whose it is, by id; nil for the platform's own.
  public var org: String?
  public var severity: EventSeverity
  /// Nil for a mere notice.
  public var condition: Condition?
  /// One sentence for people.
  public var title: String
  /// Names and reasons. Strangers may see it: no secret. Members that have a meaning everywhere are in `EventData`.
  public var data: JSONValue

  public init(
    id: String, type: EventType, subject: String, time: Timestamp, org: String?, severity: EventSeverity,
    condition: Condition?, title: String, data: JSONValue
  ) {
    self.id = id
    self.type = type
    self.subject = subject
    self.time = time
    self.org = org
    self.severity = severity
    self.condition = condition
    self.title = title
    self.data = data
  }
}

/// The members of an event's `data` that have one meaning in all events.
public enum EventData {
  /// The slug of the Org.
  public static let org = "org"
  /// The name of a page in `docs/runbooks`.
  public static let runbook = "runbook"
  /// The scopes that the subject is part of, such as `host/<id>`: an array.
  public static let scopes = "scopes"
  /// The scope whose alerts this one stands for: they are not told while it is open.
  public static let inhibits = "inhibits"
  /// The path of its page on the console.
  public static let page = "page"
}

extension Event {
  /// As CloudEvents 1.0 writes it, in JSON.
  ///
  /// - Parameter source: names this deployment, as a URI reference.
  public func cloudEvent(source: String) -> JSONValue {
    var members: [String: JSONValue] = [
      "specversion": "1.0", "id": .string(id), "source": .string(source), "type": .string(type.rawValue),
      "subject": .string(subject), "time": .string(time.description), "datacontenttype": "application/json",
      "severity": .string(severity.rawValue), "title": .string(title), "data": data,
    ]
    if let org { members["org"] = .string(org) }
    if let condition {
      members["condition"] = .string(condition.key)
      members["conditionopen"] = .bool(condition.isOpen)
    }
    return .object(members)
  }
}
