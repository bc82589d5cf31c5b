import Basics
import Events
import Foundation

/// What a local command gets and how its end is read.
enum CommandInput {
  /// BSD's sysexits.h: a failure that may pass. Mail programs use it the same way.
  static let temporaryFailure: Int32 = 75

  /// The notification as JSON, one line.
  static func text(_ notification: Notification, endpoint: Endpoint) -> String {
    let alerts = notification.alerts.map { alert -> JSONValue in
      var members: [String: JSONValue] = [
        "key": .string(alert.key), "type": .string(alert.type), "title": .string(alert.title),
        "severity": .string(alert.severity.rawValue), "subject": .string(alert.subject), "state": .string(alert.state),
        "openedAt": .string(alert.openedAt.description), "data": alert.data,
      ]
      if let resolved = alert.resolvedAt { members["resolvedAt"] = .string(resolved.description) }
      if let link = alert.link { members["link"] = .string(link) }
      if let runbook = notification.runbook(of: alert) { members["runbook"] = .string(runbook) }
      return .object(members)
    }
    let input: JSONValue = [
      "id": .string(notification.id), "endpoint": .string(endpoint.name.text),
      "groupKey": .string(notification.groupKey), "org": notification.org.map { .string($0.text) } ?? .null,
      "at": .string(notification.at.description),
      "headline": .string(NotificationText(notification: notification).headline),
      "alerts": .array(alerts),
    ]
    return input.canonical + "\n"
  }

  /// - Parameter code: the exit code; 128 and the signal's number when a signal ended it.
  static func outcome(code: Int32) -> DeliveryOutcome {
    switch code {
    case 0: .delivered(detail: "exit 0")
    case temporaryFailure: .retry(after: nil, detail: "exit 75: the command asks for another try")
    default: .rejected(detail: code > 128 ? "ended by signal \(code - 128)" : "exit \(code)")
    }
  }

  /// What is kept of the command's output: its beginning, as one line without control characters.
  static func kept(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(EndpointLimits.commandOutputBytesMax), as: UTF8.self)
    return text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : String($0) }.joined()
  }
}
