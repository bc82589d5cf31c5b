import Basics
import Events
import Crypto

/// A notification as CloudEvents 1.0 (JSON, structured mode), signed.
enum WebhookRequests {
  static let singleType = "application/cloudevents+json"
  static let batchType = "application/cloudevents-batch+json"

  /// One request, or more where the alerts do not fit into the size that Standard Webhooks allows. Each has an id of
  /// its own that is the same at every try.
  static func make(
    _ notification: Notification, _ form: WebhookForm, endpoint: EndpointID, keys: [SigningKey], at now: Timestamp
  ) -> [DeliveryRequest] {
    let writer = Writer(notification: notification, format: form.format, source: "/aw/endpoints/\(endpoint)")
    let parts = writer.parts
    return parts.enumerated().map { index, alerts in
      let id = writer.id(ofPart: index)
      let body = writer.body(alerts, part: index, of: parts.count).canonical
      return DeliveryRequest.json(to: form.url, body, type: form.format == .batch ? batchType : singleType)
        .adding(StandardWebhooks.headers(id: id, at: now, body: body, keys: keys))
    }
  }

  private struct Writer {
    let notification: Notification
    let format: WebhookForm.Format
    let source: String

    func id(ofPart index: Int) -> String {
      StandardWebhooks.identifier(notification.id + (index == 0 ? "" : "-\(index + 1)"))
    }

    /// The alerts, in the parts in which they are sent. No alert is left out.
    var parts: [[JSONValue]] {
      // Numbers of parts as long as they can get, so that the frame is not underestimated.
      let room = EndpointLimits.webhookBodyBytesMax - body([], part: 99_998, of: 99_999).canonical.utf8.count
      var (parts, size): ([[JSONValue]], Int) = ([[]], 0)
      for (index, alert) in notification.alerts.enumerated() {
        let item = fitting(alert, index, room)
        let weight = item.canonical.utf8.count + 1
        if size + weight > room, !parts[parts.count - 1].isEmpty {
          parts.append([])
          size = 0
        }
        parts[parts.count - 1].append(item)
        size += weight
      }
      return parts
    }

    func body(_ items: [JSONValue], part: Int, of count: Int) -> JSONValue {
      if format == .batch { return .array(items) }
      return .object(
        attributes(id: id(ofPart: part), type: "aw.notification", subject: notification.groupKey, at: notification.at)
          .merging([
            "data": [
              "groupKey": .string(notification.groupKey.cut(to: 1_000)),
              "org": notification.org.map { .string($0.text) } ?? .null, "part": .integer(Int64(part + 1)),
              "parts": .integer(Int64(count)), "alertCount": .integer(Int64(notification.alerts.count)),
              "alerts": .array(items),
            ]
          ]) { $1 })
    }

    /// An alert as it is; without its data when that alone is too much, and then says how much is missing.
    private func fitting(_ alert: NotifiedAlert, _ index: Int, _ room: Int) -> JSONValue {
      let whole = item(alert, index)
      if whole.canonical.utf8.count < room { return whole }
      var smaller = alert
      smaller.data = ["omittedBytes": .integer(Int64(alert.data.canonical.utf8.count))]
      if let runbook = alert.data["runbook"], case .object(var members) = smaller.data {
        members["runbook"] = runbook
        smaller.data = .object(members)
      }
      let withoutData = item(smaller, index)
      if withoutData.canonical.utf8.count < room { return withoutData }
      smaller.title = alert.title.cut(to: 500)
      smaller.link = nil
      smaller.data = ["omittedBytes": .integer(Int64(alert.data.canonical.utf8.count))]
      return item(smaller, index)
    }

    private func item(_ alert: NotifiedAlert, _ index: Int) -> JSONValue {
      var members: [String: JSONValue] = [
        "key": .string(alert.key.cut(to: 1_000)), "type": .string(alert.type.cut(to: 200)),
        "title": .string(alert.title), "severity": .string(alert.severity.rawValue),
        "subject": .string(alert.subject.cut(to: 1_000)), "state": .string(alert.state),
        "openedAt": .string(alert.openedAt.description), "data": alert.data,
      ]
      if let resolved = alert.resolvedAt { members["resolvedAt"] = .string(resolved.description) }
      if let link = alert.link { members["link"] = .string(link) }
      if let runbook = notification.runbook(of: alert) { members["runbook"] = .string(runbook) }
      guard format == .batch else { return .object(members) }
      let id = StandardWebhooks.identifier("\(notification.id)-alert-\(index + 1)")
      let event = attributes(
        id: id, type: alert.type.cut(to: 200), subject: alert.subject, at: alert.resolvedAt ?? alert.openedAt)
      return .object(
        event.merging([
          "severity": .string(alert.severity.rawValue), "state": .string(alert.state), "data": .object(members),
        ]) { $1 })
    }

    private func attributes(id: String, type: String, subject: String, at: Timestamp) -> [String: JSONValue] {
      [
        "specversion": "1.0", "id": .string(id), "source": .string(source), "type": .string(type),
        "subject": .string(subject.cut(to: 1_000)), "time": .string(at.description),
        "datacontenttype": "application/json",
      ]
    }
  }
}

extension NotifiedAlert {
  /// `open` or `resolved`.
  var state: String { resolvedAt == nil ? "open" : "resolved" }
}
