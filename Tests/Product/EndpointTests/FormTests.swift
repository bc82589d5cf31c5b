import Basics
import Testing

@testable import Alerts

@Suite("Settings of endpoints")
struct FormTests {
  static let mail: JSONValue = ["from": "aw@example.com", "to": ["ops@example.com"]]

  @Test("a sound endpoint of every kind is read")
  func sound() throws {
    _ = try EndpointForm(Samples.endpoint(.webhook, "https://example.com/hook", settings: ["format": "batch"]))
    _ = try EndpointForm(
      Samples.endpoint(
        .alertmanager, "https://am.example.com/prefix",
        settings: ["labels": ["severity": "critical"], "auth": "basic", "username": "aw"]))
    let pager = try EndpointForm(Samples.endpoint(.pagerduty, ""))
    #expect(pager.url?.host == "events.pagerduty.com")
    _ = try EndpointForm(Samples.endpoint(.slack, "", settings: ["text": "{{headline}}"]))
    _ = try EndpointForm(Samples.endpoint(.email, "smtp://mail.example.com", settings: Self.mail))
    _ = try EndpointForm(Samples.endpoint(.command, "/usr/local/bin/page", settings: ["arguments": ["--now"]]))
  }

  static let unsound: [(kind: EndpointKind, target: String, settings: JSONValue)] = [
    (.webhook, "https://example.com", ["format": "xml"]), (.webhook, "https://example.com", ["fromat": "batch"]),
    (.webhook, "https://example.com", ["format": 1]), (.webhook, "https://example.com", [1]),
    (.webhook, "smtp://example.com", [:]), (.webhook, "", [:]),
    (.alertmanager, "https://a.example.com", ["auth": "digest"]), (.alertmanager, "https://a.example.com/?x=1", [:]),
    (.pagerduty, "https://events.pagerduty.com/?x=1", [:]),
    (.alertmanager, "https://a.example.com", ["auth": "basic"]),
    (.alertmanager, "https://a.example.com", ["username": "x"]),
    (.alertmanager, "https://a.example.com", ["auth": "basic", "username": "a:b"]),
    (.alertmanager, "https://a.example.com", ["labels": ["alertname": "x"]]),
    (.alertmanager, "https://a.example.com", ["labels": ["1x": "x"]]),
    (.alertmanager, "https://a.example.com", ["labels": ["a": 1]]),
    (.slack, "https://hooks.slack.com/services/x", [:]), (.slack, "", ["blocks": "x"]),
    (.email, "smtp://m.example.com", ["from": "aw@example.com", "to": []]),
    (.email, "smtp://m.example.com", ["from": "aw@example.com"]), (.email, "smtp://m.example.com", ["to": ["a@b.c"]]),
    (.email, "smtp://m.example.com", ["from": "aw@example.com", "to": ["a@b.c"], "starttls": "maybe"]),
    (.email, "smtps://m.example.com", ["from": "aw@example.com", "to": ["a@b.c"], "starttls": "off"]),
    (.email, "smtp://m.example.com", ["from": "aw@example.com", "to": ["a@b.c"], "starttls": "off", "username": "x"]),
    (.email, "smtp://m.example.com", ["from": "a@b.c\r\nBcc: x@y.z", "to": ["a@b.c"]]),
    (.email, "smtp://m.example.com", ["from": "a@b.c", "to": ["a@b.c>\r\nDATA"]]),
    (.email, "smtp://m.example.com", ["from": "AW <a@b.c>", "to": ["a@b.c"]]),
    (.command, "page", [:]), (.command, "./page", [:]), (.command, "/bin/sh\u{0}x", [:]),
    (.command, "/bin/page", ["arguments": "x"]),
  ]

  @Test("what is wrong is refused with a code and a next step", arguments: unsound.indices)
  func refused(_ index: Int) throws {
    let (kind, target, settings) = Self.unsound[index]
    do {
      _ = try EndpointForm(Samples.endpoint(kind, target, settings: settings))
      Issue.record("\(kind) \(target) \(settings) was taken")
    } catch let error as AWError {
      #expect(error.code == .endpointInvalid)
      #expect(!error.next.isEmpty)
    }
  }

  @Test("an Org has no local command, and a private range is one")
  func bounds() throws {
    #expect(throws: AWError.self) { try EndpointForm(Samples.endpoint(.command, "/bin/true", org: "x")) }
    #expect(throws: AWError.self) {
      try EndpointForm(Samples.endpoint(.webhook, "https://example.com", allowsPrivate: ["10.1.1.1/8"]))
    }
  }

  @Test(
    "a template that does not parse is refused with its place",
    arguments: [
      ("{{headline", "line 1"), ("ok\n{{#alerts}}{{title}}", "line 2"), ("a\nb {{#alerts}}x{{/alert}}", "line 2"),
      ("{{=x}}", "line 1"),
    ])
  func templates(_ text: String, _ place: String) throws {
    do {
      _ = try EndpointForm(Samples.endpoint(.slack, "", settings: ["text": .string(text)]))
      Issue.record("\(text) was taken")
    } catch let error as AWError {
      #expect(error.code == .endpointTemplateInvalid)
      #expect(error.message.contains(place), "\(error.message)")
      #expect(error.message.contains("column"), "\(error.message)")
    }
  }

  @Test("a template sees the notification, and writes text, not HTML")
  func rendering() throws {
    let template = try MessageTemplate(
      "{{headline}}\n{{#alerts}}{{severity}} {{state}} {{title}}{{#link}} at {{link}}{{/link}}\n{{/alerts}}",
      named: "text")
    let text = NotificationText(notification: try Samples.notification())
    #expect(
      template.render(text.values) == """
        [critical] acme: 1 open, 1 resolved
        critical open acme-1 is unreachable: no answer <on> port 18789 & none before at https://aw.example.com/instances/acme-1
        warning resolved acme-2 is current again

        """)
  }

  @Test("an alert that is open names its runbook; one that is over, one without a base and a strange name do not")
  func runbooks() throws {
    var notification = try Samples.notification()
    #expect(notification.runbook(of: Samples.down) == "https://aw.example.com/runbooks/instance-unreachable")
    var over = Samples.down
    over.resolvedAt = Samples.now
    #expect(notification.runbook(of: over) == nil)
    var strange = Samples.down
    strange.data = ["runbook": "../../etc"]
    #expect(notification.runbook(of: strange) == nil)
    notification.runbookBase = "https://aw.example.com/runbooks/"
    #expect(notification.runbook(of: Samples.down) == "https://aw.example.com/runbooks/instance-unreachable")
    notification.runbookBase = nil
    #expect(notification.runbook(of: Samples.down) == nil)
  }

  @Test(
    "mail addresses of the plain kind are taken, others are not",
    arguments: [
      ("a@b", true), ("first.last+tag@mail.example.com", true), ("a@b.c.", false), ("a b@c", false), ("a@b@c", false),
      ("@b", false), ("a@", false), (".a@b", false), ("a..b@c", false), ("a@-b", false), ("a@b\n", false),
      ("\"a b\"@c", false), ("ä@b", false), ("a@bücher.example", false), ("a>@b", false), ("", false),
    ])
  func addresses(_ text: String, _ isTaken: Bool) { #expect((MailAddress(text) != nil) == isTaken) }
}
