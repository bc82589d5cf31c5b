import Basics
import Events
import Foundation

/// A notification for Alertmanager's API v2: `POST /api/v2/alerts`.
///
/// An Alertmanager knows an alert by all its labels. So no label changes while an alert is open: the severity, which
/// may, is an annotation. Whoever routes by a label `severity` gives it to the endpoint (`labels`) and lets AW choose
/// the endpoint by severity.
enum AlertmanagerRequests {
  static func make(
    _ notification: Notification, _ form: AlertmanagerForm, secret: Secret?, at now: Timestamp
  ) -> [DeliveryRequest] {
    let alerts = notification.alerts.map { json($0, notification, form, at: now) }
    let headers = authorisation(form.authentication, secret)
    return parts(alerts).map { part in
      DeliveryRequest.json(to: form.url.appending("/api/v2/alerts"), JSONValue.array(part).canonical).adding(headers)
    }
  }

  private static func parts(_ alerts: [JSONValue]) -> [[JSONValue]] {
    var (parts, size): ([[JSONValue]], Int) = ([[]], 0)
    for alert in alerts {
      let weight = alert.canonical.utf8.count + 1
      if size + weight > EndpointLimits.alertmanagerBodyBytesMax, !parts[parts.count - 1].isEmpty {
        parts.append([])
        size = 0
      }
      parts[parts.count - 1].append(alert)
      size += weight
    }
    return parts
  }

  private static func json(
    _ alert: NotifiedAlert, _ notification: Notification, _ form: AlertmanagerForm, at now: Timestamp
  ) -> JSONValue {
    let own = [
      "alertname": alert.type, "aw_key": alert.key, "aw_subject": alert.subject,
      "org": notification.org?.text ?? "",
    ]
    let labels = form.labels.merging(own) { $1 }.filter { !$0.value.isEmpty }
    var annotations = ["summary": alert.title, "severity": alert.severity.rawValue]
    if let runbook = notification.runbook(of: alert) { annotations["runbook_url"] = runbook }
    // An Alertmanager ends an alert by its own clock, so an end must not lie ahead. It refuses one before the start.
    let end =
      alert.resolvedAt.map { max(alert.openedAt, min($0, now)) } ?? now.advanced(by: EndpointLimits.alertmanagerOpenFor)
    var members: [String: JSONValue] = [
      "labels": .object(labels.mapValues { .string($0) }),
      "annotations": .object(annotations.mapValues { .string($0) }),
      "startsAt": .string(alert.openedAt.description), "endsAt": .string(end.description),
    ]
    if let link = alert.link { members["generatorURL"] = .string(link) }
    return .object(members)
  }

  static func authorisation(
    _ authentication: AlertmanagerForm.Authentication, _ secret: Secret?
  ) -> [(name: String, value: String)] {
    guard let secret else { return [] }
    return switch authentication {
    case .none: []
    case .bearer: [("authorization", secret.withText { "Bearer \($0)" })]
    case .basic(let user):
      [("authorization", "Basic " + secret.withText { Data("\(user):\($0)".utf8).base64EncodedString() })]
    }
  }
}
