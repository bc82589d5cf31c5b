import Alerts
import Basics
import Events
import Testing

@Suite("Notifications")
struct NotificationTests {
  @Test("a notification that waits in the database is the one that is sent")
  func roundTrip() throws {
    let at = Timestamp(millisecondsSince1970: 1_700_000_000_123)
    let alert = NotifiedAlert(
      key: "instance/a/status", type: "aw.instance.status-changed", title: "acme-main is unreachable.",
      severity: .critical, subject: "instance/a", openedAt: at, resolvedAt: at.advanced(by: .seconds(60)),
      data: ["host": "host-1"], link: nil)
    let notification = Notification(
      id: "1", groupKey: "default/acme", org: try Slug("acme"), at: at, alerts: [alert], runbookBase: nil)
    #expect(try JSONValue(encoding: notification).decode(Notification.self) == notification)
  }
}
