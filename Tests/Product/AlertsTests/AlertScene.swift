import Basics
import Events

@testable import Alerts

/// Events and alerts for tests.
enum AlertScene {
  static let start = Timestamp(millisecondsSince1970: 1_700_000_000_000)

  static func at(_ seconds: Int) -> Timestamp { start.advanced(by: .seconds(seconds)) }

  static func event(
    _ key: String, open: Bool, at seconds: Int, org: String = "acme", severity: EventSeverity = .critical,
    type: String = "aw.instance.status-changed", data: [String: JSONValue] = [:]
  ) -> Event {
    var data = data
    data[EventData.org] = .string(org)
    return Event(
      id: "\(key)/\(seconds)/\(open)", type: EventType(rawValue: type), subject: key, time: at(seconds), org: nil,
      severity: severity, condition: .init(key: key, isOpen: open), title: "\(key) is \(open ? "down" : "up").",
      data: .object(data))
  }

  static func alert(_ key: String, opened: Int = 0, resolved: Int? = nil, org: String = "acme") -> NotifiedAlert {
    NotifiedAlert(
      key: key, type: "aw.instance.status-changed", title: key, severity: .critical, subject: key,
      openedAt: at(opened), resolvedAt: resolved.map(at), data: [EventData.org: .string(org)], link: nil)
  }
}
