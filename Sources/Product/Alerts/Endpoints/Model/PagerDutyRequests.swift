import Basics
import Events
import Crypto
import Foundation

/// A notification for PagerDuty's Events API v2: one event for each alert.
enum PagerDutyRequests {
  /// - Parameter key: the integration key of the service (`routing_key`).
  static func make(
    _ notification: Notification, url: EndpointURL, endpoint: EndpointID, key: Secret
  ) -> [DeliveryRequest] {
    notification.alerts.map { alert in
      let body = key.withText { event(alert, notification, endpoint, $0) }
      return DeliveryRequest.json(to: url.appending("/v2/enqueue"), body.canonical)
    }
  }

  private static func event(
    _ alert: NotifiedAlert, _ notification: Notification, _ endpoint: EndpointID, _ key: String
  ) -> JSONValue {
    let dedup: JSONValue = .string(dedupKey(alert, endpoint))
    guard alert.resolvedAt == nil else {
      return ["routing_key": .string(key), "event_action": "resolve", "dedup_key": dedup]
    }
    var event: [String: JSONValue] = [
      "routing_key": .string(key), "event_action": "trigger", "dedup_key": dedup, "client": "AW",
      "payload": payload(alert, notification),
    ]
    if let link = alert.link { event["client_url"] = .string(link) }
    if let runbook = notification.runbook(of: alert) {
      event["links"] = [["href": .string(runbook), "text": "What to do"]]
    }
    let whole = JSONValue.object(event)
    guard whole.canonical.utf8.count > EndpointLimits.pagerDutyBodyBytesMax else { return whole }
    var smaller = alert
    smaller.data = ["omittedBytes": .integer(Int64(alert.data.canonical.utf8.count))]
    event["payload"] = payload(smaller, notification)
    return .object(event)
  }

  private static func payload(_ alert: NotifiedAlert, _ notification: Notification) -> JSONValue {
    let org = notification.org?.text ?? "AW"
    return [
      "summary": .string("\(org): \(alert.title)".cut(to: EndpointLimits.pagerDutySummaryCharactersMax)),
      "source": .string(alert.subject.cut(to: 1_000)), "severity": .string(severity(alert.severity)),
      "timestamp": .string(alert.openedAt.description), "class": .string(alert.type.cut(to: 200)),
      "group": .string(notification.groupKey.cut(to: 1_000)), "custom_details": alert.data,
    ]
  }

  /// PagerDuty knows `critical`, `error`, `warning` and `info`.
  static func severity(_ severity: EventSeverity) -> String {
    switch severity {
    case .critical: "critical"
    case .warning: "warning"
    case .info: "info"
    }
  }

  /// What ties a resolve to its trigger. With the endpoint in it two control planes on one service do not mix; a key
  /// that is too long becomes its digest.
  static func dedupKey(_ alert: NotifiedAlert, _ endpoint: EndpointID) -> String {
    let key = "aw/\(endpoint)/\(alert.key)"
    guard key.count > EndpointLimits.pagerDutyKeyCharactersMax else { return key }
    return "aw/\(endpoint)/sha256:" + SHA256.hex(Data(alert.key.utf8))
  }
}
