import Basics
import Events
import Foundation
import Testing

@testable import Alerts

/// Notifications and endpoints that tests start from.
enum Samples {
  static let now = at("2026-11-26T03:00:00.000Z")
  static let endpoint = id("0193aaaa-0000-7000-8000-000000000001")

  static func at(_ text: String) -> Timestamp { Timestamp(text) ?? Timestamp(millisecondsSince1970: 0) }
  static func id(_ text: String) -> EndpointID { ID(text) ?? ID.make(at: Timestamp(millisecondsSince1970: 0)) }

  static let down = NotifiedAlert(
    key: "instance/0193bbbb-0000-7000-8000-000000000002/status", type: "aw.instance.status-changed",
    title: "acme-1 is unreachable: no answer <on> port 18789 & none before", severity: .critical,
    subject: "instance/0193bbbb-0000-7000-8000-000000000002", openedAt: at("2026-11-26T02:58:30.000Z"),
    resolvedAt: nil, data: ["runbook": "instance-unreachable", "cause": "tunnel"],
    link: "https://aw.example.com/instances/acme-1")

  static let over = NotifiedAlert(
    key: "instance/0193bbbb-0000-7000-8000-000000000003/status", type: "aw.instance.status-changed",
    title: "acme-2 is current again", severity: .warning, subject: "instance/0193bbbb-0000-7000-8000-000000000003",
    openedAt: at("2026-11-26T02:50:00.000Z"), resolvedAt: at("2026-11-26T02:59:00.000Z"), data: [:], link: nil)

  static func notification(
    _ alerts: [NotifiedAlert] = [down, over], id: String = "ntf_0193cccc", groupKey: String = "acme/default"
  ) throws -> Alerts.Notification {
    Alerts.Notification(
      id: id, groupKey: groupKey, org: try Slug("acme"), at: now, alerts: alerts,
      runbookBase: "https://aw.example.com/runbooks")
  }

  static func endpoint(
    _ kind: EndpointKind, _ target: String, settings: JSONValue = [:], secrets: [String] = [],
    allowsPrivate: [String] = [], org: String? = nil
  ) throws -> Endpoint {
    Endpoint(
      id: endpoint, name: try Slug("pager"), kind: kind, org: org, target: target, settings: settings,
      secrets: secrets, allowsPrivate: allowsPrivate, isEnabled: true)
  }

  /// Many alerts, each with this much data.
  static func many(_ count: Int, dataBytes: Int = 200) -> [NotifiedAlert] {
    (0..<count).map { number in
      var alert = number.isMultiple(of: 3) ? over : down
      alert.key = "instance/\(number)/status"
      alert.data = ["runbook": "instance-unreachable", "text": .string(String(repeating: "x", count: dataBytes))]
      return alert
    }
  }
}

/// Expected texts, as files: `Vectors/NAME`.
enum Golden {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors")

  static func text(_ name: String) throws -> String {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
  }

  /// Compares; with `AW_UPDATE_GOLDEN=1` writes the file instead.
  static func check(_ name: String, _ actual: String) throws {
    if ProcessInfo.processInfo.environment["AW_UPDATE_GOLDEN"] == "1" {
      try actual.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
    }
    #expect(actual == (try text(name)), "Vectors/\(name)")
  }
}
