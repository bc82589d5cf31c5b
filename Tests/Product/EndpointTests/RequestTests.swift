import Basics
import Crypto
import Foundation
import Testing

@testable import Alerts

@Suite("Requests to endpoints")
struct RequestTests {
  static let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

  static func webhook(_ format: String) throws -> WebhookForm {
    guard
      case .webhook(let form) = try EndpointForm(
        Samples.endpoint(.webhook, "https://example.com/hook", settings: ["format": .string(format)]))
    else { throw Missing() }
    return form
  }

  struct Missing: Error {}

  /// A request as text, to compare with a file.
  static func text(_ request: DeliveryRequest) throws -> String {
    let headers = request.headers.map { "\($0.name): \($0.value)\n" }.joined()
    return "POST \(request.url.text)\n\(headers)\n\(try JSONValue(parsing: request.body).indented)\n"
  }

  @Test("a webhook is a signed CloudEvent", arguments: ["cloudevents", "batch"])
  func webhook(_ format: String) throws {
    let key = try #require(StandardWebhooks.key(Self.secret))
    let requests = WebhookRequests.make(
      try Samples.notification(), try Self.webhook(format), endpoint: Samples.endpoint, keys: [key], at: Samples.now)
    #expect(requests.count == 1)
    try Golden.check("webhook-\(format).txt", try requests.map(Self.text).joined())
  }

  @Test("signatures are those that the standard's own example has")
  func signature() throws {
    let key = try #require(StandardWebhooks.key(Self.secret))
    let headers = StandardWebhooks.headers(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at: Timestamp(millisecondsSince1970: 1_614_265_330_999),
      body: #"{"test": 2432232314}"#, keys: [key])
    #expect(headers.map(\.value)[1] == "1614265330")
    #expect(headers.map(\.value)[2] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  @Test("two keys give two signatures, newest first, as a program of its own computes them")
  func rotation() throws {
    let vectors = try JSONValue(parsing: try Golden.text("webhook-signatures.json")).arrayValue ?? []
    #expect(vectors.count >= 5)
    for vector in vectors {
      let keys = try (vector["secrets"]?.arrayValue ?? []).map { secret in
        try #require(StandardWebhooks.key(Secret(secret.stringValue ?? "")))
      }
      let headers = StandardWebhooks.headers(
        id: try #require(vector["id"]?.stringValue),
        at: Timestamp(millisecondsSince1970: try #require(vector["timestamp"]?.intValue) * 1_000),
        body: try #require(vector["body"]?.stringValue), keys: keys)
      #expect(headers[2].value == vector["signature"]?.stringValue)
    }
  }

  @Test(
    "a secret of another form is no key",
    arguments: [
      "", "whsec_", "whsec_!!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=",
      "whsec_" + String(repeating: "QUJD", count: 22),
    ])
  func badKeys(_ text: String) { #expect(StandardWebhooks.key(Secret(text)) == nil) }

  @Test("a secret that AW makes is a key")
  func ownKey() { #expect(StandardWebhooks.key(EndpointSender.makeSigningSecret()) != nil) }

  @Test(
    "a notification that is too large is split: every alert is sent once, every body is small enough",
    arguments: ["cloudevents", "batch"], [1, 40, 400])
  func splitting(_ format: String, _ count: Int) throws {
    let key = try #require(StandardWebhooks.key(Self.secret))
    let form = try Self.webhook(format)
    let notification = try Samples.notification(Samples.many(count, dataBytes: 900))
    let make = { WebhookRequests.make(notification, form, endpoint: Samples.endpoint, keys: [key], at: Samples.now) }
    let requests = make()
    var keys: [String] = []
    for request in requests {
      #expect(request.body.utf8.count < 20_000)
      let body = try JSONValue(parsing: request.body)
      keys += (body.arrayValue?.map { $0["data"] ?? .null } ?? body["data"]?["alerts"]?.arrayValue ?? [])
        .compactMap { $0["key"]?.stringValue }
    }
    #expect(keys == notification.alerts.map(\.key))
    let ids = requests.map { $0.headers.first { $0.name == "webhook-id" }?.value ?? "" }
    #expect(Set(ids).count == requests.count)
    #expect(ids == make().map { $0.headers.first { $0.name == "webhook-id" }?.value ?? "" })
  }

  @Test("an alert that is too large alone says how much of it is missing")
  func trimming() throws {
    let key = try #require(StandardWebhooks.key(Self.secret))
    var alert = Samples.many(1, dataBytes: 50_000)[0]
    alert.resolvedAt = nil
    for format in ["cloudevents", "batch"] {
      let small = WebhookRequests.make(
        try Samples.notification([alert]), try Self.webhook(format), endpoint: Samples.endpoint, keys: [key],
        at: Samples.now)
      #expect(small.count == 1)
      #expect(small[0].body.utf8.count < 20_000)
      #expect(small[0].body.contains("omittedBytes"))
      #expect(small[0].body.contains("runbooks/instance-unreachable"))
    }
    alert.title = String(repeating: "ü\u{1}", count: 20_000)
    let tiny = WebhookRequests.make(
      try Samples.notification([alert]), try Self.webhook("batch"), endpoint: Samples.endpoint, keys: [key],
      at: Samples.now)
    #expect(tiny[0].body.utf8.count < 20_000)
  }

  @Test("an identifier that could be mistaken for something else becomes its digest")
  func identifiers() {
    #expect(StandardWebhooks.identifier("ntf_1-a") == "ntf_1-a")
    for text in ["a.b", "a b", "a\r\nb", "", "ü", String(repeating: "a", count: 100)] {
      let id = StandardWebhooks.identifier(text)
      #expect(id.hasPrefix("aw_") && id.count == 35)
      #expect(id != StandardWebhooks.identifier(text + "x"))
    }
  }

  @Test("an Alertmanager gets labels that stay, annotations that may change, and an end")
  func alertmanager() throws {
    guard
      case .alertmanager(let form) = try EndpointForm(
        Samples.endpoint(
          .alertmanager, "https://am.example.com/am/",
          settings: ["labels": ["severity": "page"], "auth": "basic", "username": "aw"]))
    else { throw Missing() }
    let requests = AlertmanagerRequests.make(
      try Samples.notification(), form, secret: Secret("pw"), at: Samples.now)
    try Golden.check("alertmanager.txt", try requests.map(Self.text).joined())
  }

  @Test("a clock that is ahead does not put an end into the future, and no end is before its start")
  func ends() throws {
    guard case .alertmanager(let form) = try EndpointForm(Samples.endpoint(.alertmanager, "https://am.example.com"))
    else { throw Missing() }
    var (ahead, behind) = (Samples.over, Samples.over)
    ahead.resolvedAt = Samples.now.advanced(by: .seconds(600))
    behind.resolvedAt = behind.openedAt.advanced(by: .seconds(-600))
    let request = AlertmanagerRequests.make(
      try Samples.notification([ahead, behind]), form, secret: nil, at: Samples.now)[0]
    let alerts = try JSONValue(parsing: request.body)
    #expect(alerts[0]?["endsAt"]?.stringValue == Samples.now.description)
    #expect(alerts[1]?["endsAt"] == alerts[1]?["startsAt"])
  }

  @Test("PagerDuty gets one event for each alert")
  func pagerDuty() throws {
    let url = try EndpointURL("https://events.pagerduty.com", schemes: [.https])
    let requests = PagerDutyRequests.make(
      try Samples.notification(), url: url, endpoint: Samples.endpoint, key: Secret("R0UTINGKEY"))
    #expect(requests.count == 2)
    try Golden.check("pagerduty.txt", try requests.map(Self.text).joined())
  }

  @Test("PagerDuty's limits are kept: 255 characters of a key, 1,024 of a summary, 512 KB of an event")
  func pagerDutyLimits() throws {
    let url = try EndpointURL("https://events.pagerduty.com", schemes: [.https])
    var alert = Samples.down
    alert.key = String(repeating: "k", count: 300)
    alert.title = String(repeating: "t", count: 5_000)
    alert.data = ["text": .string(String(repeating: "x", count: 600_000))]
    let body = try JSONValue(
      parsing: PagerDutyRequests.make(
        try Samples.notification([alert]), url: url, endpoint: Samples.endpoint, key: Secret("k"))[0].body)
    #expect(body.canonical.utf8.count < 512_000)
    #expect((body["dedup_key"]?.stringValue ?? "").count <= 255)
    #expect((body["payload"]?["summary"]?.stringValue ?? "").count == 1_024)
    #expect(body["payload"]?["custom_details"]?["omittedBytes"]?.intValue ?? 0 > 600_000)
    var resolved = alert
    resolved.resolvedAt = Samples.now
    #expect(body["dedup_key"]?.stringValue == PagerDutyRequests.dedupKey(resolved, Samples.endpoint))
  }

  @Test("Slack gets blocks and a text for those who see none; nothing of others is markup")
  func slack() throws {
    let url = try EndpointURL("https://hooks.slack.com/services/T0/B0/sentinel", schemes: [.https])
    var sly = Samples.down
    sly.title = "<!channel> *bold* & <https://evil.example|look>"
    let request = SlackRequest.make(
      try Samples.notification([sly, Samples.over]), url: url, template: nil)
    try Golden.check("slack.txt", try Self.text(request))
    #expect(!request.body.contains("<!channel>"))
  }

  @Test("Slack's limits are kept and what is left out is counted")
  func slackLimits() throws {
    let url = try EndpointURL("https://hooks.slack.com/services/x", schemes: [.https])
    var alerts = Samples.many(100)
    alerts[0].title = String(repeating: "&", count: 4_000)
    let body = try JSONValue(
      parsing: SlackRequest.make(try Samples.notification(alerts), url: url, template: nil).body)
    let blocks = body["blocks"]?.arrayValue ?? []
    #expect(blocks.count <= 50)
    #expect(blocks.last?["text"]?["text"]?.stringValue == "and 60 more: see the console")
    for block in blocks { #expect((block["text"]?["text"]?.stringValue ?? "").count <= 3_000) }
    #expect(blocks[1]["text"]?["text"]?.stringValue?.hasSuffix("&amp;…") == true)
    let template = try MessageTemplate("{{#alerts}}{{title}}{{/alerts}}", named: "text")
    let text = try JSONValue(
      parsing: SlackRequest.make(try Samples.notification(alerts), url: url, template: template).body)["text"]
    #expect((text?.stringValue ?? "").count <= 4_000)
  }

  @Test("a command gets the notification as one line of JSON")
  func command() throws {
    let text = CommandInput.text(
      try Samples.notification(), endpoint: try Samples.endpoint(.command, "/usr/local/bin/page"))
    #expect(text.hasSuffix("\n"))
    #expect(!text.dropLast().contains("\n"))
    try Golden.check("command.txt", try JSONValue(parsing: text).indented + "\n")
  }

  @Test("a request shows where it goes and nothing else")
  func silence() throws {
    let url = try EndpointURL("https://hooks.slack.com/services/T0/B0/sentinel", schemes: [.https])
    let request = SlackRequest.make(try Samples.notification(), url: url, template: nil)
    var dumped = ""
    dump(request, to: &dumped)
    for text in ["\(request)", String(reflecting: request), dumped] { #expect(!text.contains("sentinel")) }
  }
}
