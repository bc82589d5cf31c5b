import Basics
import Events

public enum AlertTag {}
public typealias AlertID = ID<AlertTag>

/// A condition that an event opened. It stays open until an event with the same key resolves it.
public struct Alert: Codable, Sendable, Equatable {
  public let id: AlertID
  /// What opens and resolves it.
  public let key: String
  public let type: EventType
  public let subject: String
  /// The Org, by id; nil for the platform's own.
  public let org: String?
  public let openedAt: Timestamp
  /// As the newest event told it: a condition can get worse while it is open.
  public private(set) var title: String
  public private(set) var severity: EventSeverity
  public private(set) var data: JSONValue
  public private(set) var resolvedAt: Timestamp?

  /// Nil for an event that opens nothing.
  init?(_ id: AlertID, openedBy event: Event) {
    guard let condition = event.condition, condition.isOpen else { return nil }
    self.id = id
    key = condition.key
    type = event.type
    subject = event.subject
    org = event.org
    openedAt = event.time
    title = event.title
    severity = event.severity
    data = event.data
  }

  /// An alert from its row.
  init(
    id: AlertID, key: String, type: EventType, subject: String, org: String?, openedAt: Timestamp, title: String,
    severity: EventSeverity, data: JSONValue, resolvedAt: Timestamp?
  ) {
    self.id = id
    self.key = key
    self.type = type
    self.subject = subject
    self.org = org
    self.openedAt = openedAt
    self.title = title
    self.severity = severity
    self.data = data
    self.resolvedAt = resolvedAt
  }

  /// Takes in another event of the same condition.
  ///
  /// - Returns: whether it asks for more of a person than before, so that it is told again.
  mutating func take(_ event: Event) -> Bool {
    guard event.condition?.key == key, resolvedAt == nil else { return false }
    if event.condition?.isOpen == false {
      resolvedAt = max(openedAt, event.time)
      return false
    }
    let worse = event.severity.rank > severity.rank
    (title, severity, data) = (event.title, event.severity, event.data)
    return worse
  }

  /// As it is told.
  ///
  /// - Parameter publicURL: what links begin with.
  func told(publicURL: String?) -> NotifiedAlert {
    let page = data[EventData.page]?.stringValue
    let link = page.flatMap { page in publicURL.map { $0 + page } }
    return NotifiedAlert(
      key: key, type: type.rawValue, title: title, severity: severity, subject: subject, openedAt: openedAt,
      resolvedAt: resolvedAt, data: data, link: link)
  }

  /// The scope whose alerts it stands for.
  var inhibits: String? { data[EventData.inhibits]?.stringValue }
}

/// Which alerts a parent stands for.
enum Inhibition {
  /// The first open alert that stands for this one; nil when it is told on its own.
  static func parent(of alert: NotifiedAlert, among open: [Alert]) -> Alert? {
    let scopes = Set(alert.scopes)
    return open.first { parent in
      guard parent.key != alert.key, parent.resolvedAt == nil, let inhibited = parent.inhibits else { return false }
      return scopes.contains(inhibited)
    }
  }
}

extension NotifiedAlert {
  /// The scopes that it is part of.
  var scopes: [String] { data[EventData.scopes]?.arrayValue?.compactMap(\.stringValue) ?? [] }
  /// Whether it was open and is not any more. A notice never was.
  var isOver: Bool { resolvedAt.map { $0 > openedAt } ?? false }
  /// The slug of its Org; empty for the platform's own.
  var orgText: String { data[EventData.org]?.stringValue ?? "" }
}
