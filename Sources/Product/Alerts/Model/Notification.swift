import Basics
import Events

/// What one endpoint is told in one delivery: a group of alerts of one Org, or of the platform.
public struct Notification: Codable, Sendable, Equatable {
  /// The same over all tries: receivers may use it to drop what they have had.
  public var id: String
  public var groupKey: String
  /// Nil for the platform's own.
  public var org: Slug?
  public var at: Timestamp
  /// Never empty.
  public var alerts: [NotifiedAlert]
  /// What the links of alerts begin with; nil when this deployment has no public URL.
  public var runbookBase: String?

  public init(
    id: String, groupKey: String, org: Slug?, at: Timestamp, alerts: [NotifiedAlert], runbookBase: String? = nil
  ) {
    self.id = id
    self.groupKey = groupKey
    self.org = org
    self.at = at
    self.alerts = alerts
    self.runbookBase = runbookBase
  }
}

/// One alert as it is told.
public struct NotifiedAlert: Codable, Sendable, Equatable {
  public var key: String
  public var type: String
  public var title: String
  public var severity: EventSeverity
  public var subject: String
  public var openedAt: Timestamp
  /// Set when it is over; then the delivery tells of its end, and of its beginning too if that was not told before.
  public var resolvedAt: Timestamp?
  /// With how many other alerts it stands for, as `inhibited`, when there are any.
  public var data: JSONValue
  /// Its page on the console.
  public var link: String?

  public init(
    key: String, type: String, title: String, severity: EventSeverity, subject: String, openedAt: Timestamp,
    resolvedAt: Timestamp?, data: JSONValue, link: String?
  ) {
    self.key = key
    self.type = type
    self.title = title
    self.severity = severity
    self.subject = subject
    self.openedAt = openedAt
    self.resolvedAt = resolvedAt
    self.data = data
    self.link = link
  }
}
