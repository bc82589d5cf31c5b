import Basics
import Events
import Web

/// An alert as the API shows it.
public struct AlertView: Codable, Sendable, Equatable {
  public let id: AlertID
  public let key: String
  public let type: String
  public let severity: EventSeverity
  public let title: String
  public let subject: String
  /// The slug of its Org; nil for the platform's own.
  public let org: String?
  public let openedAt: Timestamp
  public let resolvedAt: Timestamp?
  /// `silence/<id>` or `alert/<id>`: what keeps it from being told; nil when nothing does.
  public let mutedBy: String?
  /// The name of the page of `docs/runbooks` that says what to do.
  public let runbook: String?
  /// The path of its page on the console.
  public let page: String?
  public let data: JSONValue

  init(_ row: AlertsRecords.Row) {
    let alert = row.alert
    (id, key, type, severity, title) = (alert.id, alert.key, alert.type.rawValue, alert.severity, alert.title)
    (subject, openedAt, resolvedAt, data) = (alert.subject, alert.openedAt, alert.resolvedAt, alert.data)
    org = alert.data[EventData.org]?.stringValue
    mutedBy = alert.resolvedAt == nil ? row.mutedBy : nil
    runbook = alert.data[EventData.runbook]?.stringValue
    page = alert.data[EventData.page]?.stringValue
  }

  static let schema = JSONSchema.object(
    [
      "id": JSONSchema.id, "key": JSONSchema.text, "type": JSONSchema.text,
      "severity": JSONSchema.oneOf(EventSeverity.allCases.map(\.rawValue)), "title": JSONSchema.text,
      "subject": JSONSchema.text, "org": JSONSchema.text, "openedAt": JSONSchema.time, "resolvedAt": JSONSchema.time,
      "mutedBy": JSONSchema.text, "runbook": JSONSchema.text, "page": JSONSchema.text, "data": ["type": "object"],
    ], optional: ["org", "resolvedAt", "mutedBy", "runbook", "page"])
}

/// An endpoint as the API shows it: of its secrets only how many there are.
public struct EndpointView: Codable, Sendable, Equatable {
  public let id: EndpointID
  public let name: Slug
  public let kind: EndpointKind
  public let target: String
  public let settings: JSONValue
  public let allowsPrivate: [String]
  public let secrets: Int
  public let enabled: Bool

  init(_ endpoint: Endpoint) {
    (id, name, kind, target) = (endpoint.id, endpoint.name, endpoint.kind, endpoint.target)
    (settings, allowsPrivate) = (endpoint.settings, endpoint.allowsPrivate)
    (secrets, enabled) = (endpoint.secrets.count, endpoint.isEnabled)
  }

  static let schema = JSONSchema.object([
    "id": JSONSchema.id, "name": JSONSchema.slug, "kind": JSONSchema.oneOf(EndpointKind.allCases.map(\.rawValue)),
    "target": JSONSchema.text, "settings": ["type": "object"],
    "allowsPrivate": JSONSchema.array(of: JSONSchema.text), "secrets": JSONSchema.integer, "enabled": JSONSchema.bool,
  ])
}

/// An endpoint that was added, with the secret that was made for it, if any. Shown once.
public struct EndpointMadeView: Codable, Sendable {
  public let endpoint: EndpointView
  public let secret: String?

  static let schema = JSONSchema.object(
    ["endpoint": EndpointView.schema, "secret": JSONSchema.text], optional: ["secret"])
}

extension Matchers {
  static let schema = JSONSchema.object(
    [
      "org": JSONSchema.slug, "types": JSONSchema.array(of: JSONSchema.text),
      "severity": JSONSchema.oneOf(EventSeverity.allCases.map(\.rawValue)), "subject": JSONSchema.text,
    ], optional: ["org", "types", "severity", "subject"])
}

extension AlertRoute {
  static let paceSchema = JSONSchema.object([
    "waitSeconds": JSONSchema.integer, "intervalSeconds": JSONSchema.integer, "repeatSeconds": JSONSchema.integer,
  ])
  static let schema = JSONSchema.object([
    "id": JSONSchema.id, "name": JSONSchema.slug, "position": JSONSchema.integer, "matchers": Matchers.schema,
    "endpoints": JSONSchema.array(of: JSONSchema.slug), "pace": paceSchema, "goesOn": JSONSchema.bool,
  ])
}

/// A silence as the API shows it.
public struct SilenceView: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable { case pending, active, over }

  public let id: SilenceID
  public let sort: Silence.Sort
  public let state: State
  public let matchers: Matchers
  public let words: String
  public let startsAt: Timestamp
  public let endsAt: Timestamp
  public let reason: String
  public let by: String

  init(_ silence: Silence, at now: Timestamp) {
    (id, sort, matchers, words) = (silence.id, silence.sort, silence.matchers, silence.matchers.words)
    (startsAt, endsAt, reason, by) = (silence.startsAt, silence.endsAt, silence.reason, silence.by)
    state = silence.isActive(at: now) ? .active : (silence.endsAt <= now ? .over : .pending)
  }

  static let schema = JSONSchema.object([
    "id": JSONSchema.id, "sort": JSONSchema.oneOf(Silence.Sort.allCases.map(\.rawValue)),
    "state": JSONSchema.oneOf(State.allCases.map(\.rawValue)), "matchers": Matchers.schema, "words": JSONSchema.text,
    "startsAt": JSONSchema.time, "endsAt": JSONSchema.time, "reason": JSONSchema.text, "by": JSONSchema.text,
  ])
}

/// A delivery as the API shows it, with every try.
public struct DeliveryView: Codable, Sendable, Equatable {
  public struct Attempt: Codable, Sendable, Equatable {
    public let number: Int
    public let at: Timestamp
    public let outcome: String
    public let detail: String
    public let milliseconds: Int64
  }

  public let id: DeliveryID
  /// The endpoint's name; `gone` when it was removed.
  public let endpoint: String
  public let group: String
  public let state: Delivery.State
  public let titles: [String]
  public let createdAt: Timestamp
  /// When it is tried next; nil when it is over.
  public let nextAt: Timestamp?
  public let endedAt: Timestamp?
  public let attempts: [Attempt]

  init(_ delivery: Delivery, _ names: [EndpointID: Slug], _ attempts: [DeliveryRecords.Attempt]) {
    id = delivery.id
    endpoint = names[delivery.endpoint]?.text ?? "gone"
    group = delivery.isTrial ? "a test" : delivery.notification.groupKey
    state = delivery.state
    titles = delivery.notification.alerts.map { $0.isOver ? "Over: \($0.title)" : $0.title }
    createdAt = delivery.createdAt
    nextAt = delivery.state == .waiting ? delivery.nextAt : nil
    endedAt = delivery.endedAt
    self.attempts = attempts.map {
      Attempt(number: $0.number, at: $0.at, outcome: $0.outcome, detail: $0.detail, milliseconds: $0.milliseconds)
    }
  }

  static let schema = JSONSchema.object(
    [
      "id": JSONSchema.id, "endpoint": JSONSchema.text, "group": JSONSchema.text,
      "state": JSONSchema.oneOf(Delivery.State.allCases.map(\.rawValue)),
      "titles": JSONSchema.array(of: JSONSchema.text), "createdAt": JSONSchema.time, "nextAt": JSONSchema.time,
      "endedAt": JSONSchema.time,
      "attempts": JSONSchema.array(
        of: JSONSchema.object([
          "number": JSONSchema.integer, "at": JSONSchema.time, "outcome": JSONSchema.text, "detail": JSONSchema.text,
          "milliseconds": JSONSchema.integer,
        ])),
    ], optional: ["nextAt", "endedAt"])
}
