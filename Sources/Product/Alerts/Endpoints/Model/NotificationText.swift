import Basics
import Events

/// A notification in words, for mails and chats.
struct NotificationText: Sendable {
  let notification: Notification
  /// What has to happen to text of others before it stands in a message: Slack's escaping.
  var escape: @Sendable (String) -> String = { $0 }

  var openCount: Int { notification.alerts.count { $0.resolvedAt == nil } }
  var resolvedCount: Int { notification.alerts.count - openCount }

  /// `2 open, 1 resolved: acme`, or the one alert itself.
  var headline: String {
    let org = notification.org?.text ?? "AW"
    if let only = notification.alerts.first, notification.alerts.count == 1 {
      return "[\(word(only))] \(org): \(only.title)"
    }
    let parts = [(openCount, "open"), (resolvedCount, "resolved")].filter { $0.0 > 0 }
    let severity = openCount > 0 ? "[\(worst.rawValue)] " : ""
    return "\(severity)\(org): " + parts.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }

  /// The worst of what is open; of what is resolved when nothing is.
  var worst: EventSeverity {
    let open = notification.alerts.filter { $0.resolvedAt == nil }
    let severities = (open.isEmpty ? notification.alerts : open).map(\.severity)
    return EventSeverity.allCases.reversed().first { severities.contains($0) } ?? .info
  }

  /// `critical`, or `resolved`.
  func word(_ alert: NotifiedAlert) -> String { alert.resolvedAt == nil ? alert.severity.rawValue : "resolved" }

  /// One alert in one to four lines.
  func lines(_ alert: NotifiedAlert) -> [String] {
    var lines = ["[\(word(alert))] \(alert.title)"]
    if let resolved = alert.resolvedAt {
      lines.append("open from \(alert.openedAt) to \(resolved), \(resolved.since(alert.openedAt).magnitude.words)")
    } else {
      lines.append("open since \(alert.openedAt)")
    }
    if let link = alert.link { lines.append("look: \(link)") }
    if let runbook = notification.runbook(of: alert) { lines.append("what to do: \(runbook)") }
    return lines
  }

  /// What a template sees.
  var values: JSONValue {
    [
      "headline": .string(escape(headline)), "org": .string(notification.org?.text ?? ""),
      "worst": .string(worst.rawValue), "groupKey": .string(escape(notification.groupKey)),
      "at": .string(notification.at.description), "openCount": .integer(Int64(openCount)),
      "resolvedCount": .integer(Int64(resolvedCount)),
      "alerts": .array(notification.alerts.prefix(EndpointLimits.mailAlertsMax).map(values)),
      "moreCount": .integer(Int64(max(0, notification.alerts.count - EndpointLimits.mailAlertsMax))),
    ]
  }

  private func values(_ alert: NotifiedAlert) -> JSONValue {
    [
      "title": .string(escape(alert.title)), "severity": .string(alert.severity.rawValue),
      "state": .string(alert.resolvedAt == nil ? "open" : "resolved"), "isOpen": .bool(alert.resolvedAt == nil),
      "type": .string(escape(alert.type)), "subject": .string(escape(alert.subject)),
      "openedAt": .string(alert.openedAt.description), "resolvedAt": .string(alert.resolvedAt?.description ?? ""),
      "link": .string(escape(alert.link ?? "")), "runbook": .string(escape(notification.runbook(of: alert) ?? "")),
    ]
  }
}

extension Notification {
  /// The address of the page that says what to do about an alert; nil when none is known, and when it is over: then
  /// there is nothing to do.
  func runbook(of alert: NotifiedAlert) -> String? {
    guard alert.resolvedAt == nil, let base = runbookBase, let name = alert.data["runbook"]?.stringValue,
      name.wholeMatch(of: /[a-z0-9][a-z0-9-]*/) != nil
    else { return nil }
    return (base.hasSuffix("/") ? base : base + "/") + name
  }
}

extension String {
  /// At most `count` characters; what is left out shows as `…`.
  func cut(to count: Int) -> String { self.count <= count ? self : prefix(max(0, count - 1)) + "…" }
}
