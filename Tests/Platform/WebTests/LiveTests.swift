import Access
import Basics
import CoreMetrics
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@testable import Web

@Suite("Live updates", .timeLimit(.minutes(1)))
struct LiveTests {
  static func all(_ subscription: LiveSubscription) async -> [String] {
    var events: [String] = []
    for await event in subscription.events {
      switch event {
      case .event(_, let name, _): events.append(name)
      case .comment(let text): events.append("# " + text)
      }
    }
    return events
  }

  @Test("a listener is told to read anew, then hears its topics only, until the end")
  func topics() async throws {
    let feed = LiveFeed()
    let some = try feed.subscribe(to: ["hosts"])
    let every = try feed.subscribe(to: [])
    feed.publish(LiveEvent(topic: "hosts"))
    feed.publish(LiveEvent(topic: "orgs"))
    feed.beat()
    feed.close()
    #expect(await Self.all(some) == ["resync", "hosts", "# heartbeat"])
    #expect(await Self.all(every) == ["resync", "hosts", "orgs", "# heartbeat"])
    #expect(feed.listeners == 0)
    #expect(await Self.all(try feed.subscribe(to: [])) == ["resync"])
  }

  @Test("a listener that falls behind is cut off, and nobody else")
  func slow() async throws {
    let feed = LiveFeed()
    let slow = try feed.subscribe(to: ["hosts"])
    let other = try feed.subscribe(to: ["orgs"])
    for _ in 0..<(WebLimits.eventsPerListenerMax * 2) { feed.publish(LiveEvent(topic: "hosts")) }
    #expect(feed.listeners == 1)
    #expect(await Self.all(slow).count == WebLimits.eventsPerListenerMax)
    feed.close()
    #expect(await Self.all(other) == ["resync"])
  }

  @Test("a stream ends after some minutes, so that its listener proves itself again")
  func ends() async throws {
    let feed = LiveFeed()
    let subscription = try feed.subscribe(to: [])
    for _ in 0..<WebLimits.heartbeatsPerStreamMax { feed.beat() }
    #expect(feed.listeners == 0)
    #expect(await Self.all(subscription).count == WebLimits.heartbeatsPerStreamMax)
  }

  @Test("the service ends every stream when it ends")
  func service() async throws {
    let feed = LiveFeed()
    let subscription = try feed.subscribe(to: [])
    let service = Task { try await feed.run() }
    service.cancel()
    try await service.value
    #expect(await Self.all(subscription) == ["resync"])
    #expect(feed.listeners == 0)
  }

  @Test("no more listen than may")
  func tooMany() throws {
    let feed = LiveFeed()
    var subscriptions: [LiveSubscription] = []
    for _ in 0..<WebLimits.listenersMax { subscriptions.append(try feed.subscribe(to: [])) }
    #expect(throws: AWError(.rateLimited, "", next: "")) { try feed.subscribe(to: []) }
    #expect(feed.listeners == subscriptions.count)
    feed.close()
  }

  @Test("a listener that goes away is forgotten")
  func forgotten() async throws {
    let feed = LiveFeed()
    let subscription = try feed.subscribe(to: [])
    let listening = Task { await Self.all(subscription).count }
    listening.cancel()
    _ = await listening.value
    #expect(feed.listeners == 0)
  }

  @Test("events are framed so that no text can pass for another field")
  func framing() {
    let event = ServerSentEvent.event(id: "a-1\nevent: x", name: "hosts\r\n", data: "one\ntwo")
    #expect(event.text == "id: a-1 event: x\nevent: hosts\ndata: one\ndata: two\n\n")
    #expect(ServerSentEvent.comment("x\ny").text == ": x y\n\n")
  }

  @Test("the stream arrives over a real connection and ends with the feed")
  func stream() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.viewer)
      let application = scene.server.application(address: .hostname("127.0.0.1", port: 0))
      try await application.test(.live) { client in
        async let response = client.execute(uri: "/live?topics=notes", method: .get, headers: .json(token))
        while scene.feed.listeners == 0 { await Task.yield() }
        scene.feed.publish(LiveEvent(topic: "notes", data: ["id": "1"]))
        scene.feed.publish(LiveEvent(topic: "other"))
        scene.feed.close()
        let answer = try await response
        #expect(answer.headers[.contentType] == "text/event-stream")
        #expect(answer.text.contains("event: resync\ndata: {}\n\n"))
        #expect(answer.text.contains("event: notes\ndata: {\"id\":\"1\"}\n\n"))
        #expect(!answer.text.contains("event: other"))
      }
    }
  }
}

@Suite("Clients")
struct ClientAddressTests {
  @Test(
    "clients are told apart by address, of IPv6 by network",
    arguments: [
      ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
      ("2001:db8:1:2::9", "2001:0db8:0001:0002::/64"), ("::ffff:192.0.2.7", "192.0.2.7"), ("nonsense", "unknown"),
      (nil, "unknown"),
    ])
  func key(address: String?, key: String) { #expect(ClientAddress.key(address) == key) }
}

@Suite("Metrics")
struct MetricsTests {
  @Test("counters, gauges and timers are written as Prometheus text")
  func text() {
    let registry = PrometheusRegistry()
    Counter(label: "aw.http.requests", dimensions: [("route", "/a\"b\\c\nd")], factory: registry).increment(by: 3)
    Counter(label: "aw.http.requests", dimensions: [("route", "/a\"b\\c\nd")], factory: registry).increment()
    Gauge(label: "aw_hosts_online", dimensions: [], factory: registry).record(7)
    let timer = Timer(label: "aw_seconds", dimensions: [], factory: registry)
    for milliseconds: Int64 in [1, 30, 400, 60_000] { timer.recordNanoseconds(milliseconds * 1_000_000) }
    let text = registry.exposition()
    #expect(text.contains("# TYPE aw_http_requests_total counter\n"))
    #expect(text.contains(#"aw_http_requests_total{route="/a\"b\\c\nd"} 4"#))
    #expect(text.contains("aw_hosts_online 7\n"))
    #expect(text.contains("aw_seconds_bucket{le=\"0.05\"} 2\n"))
    #expect(text.contains("aw_seconds_bucket{le=\"+Inf\"} 4\n"))
    #expect(text.contains("aw_seconds_sum 60.431\n"))
    #expect(text.contains("aw_metrics_dropped_series 0\n"))
  }

  @Test("a label with too many values does not fill the memory")
  func bounded() {
    let registry = PrometheusRegistry()
    for value in 0..<(PrometheusRegistry.seriesMax + 5) {
      Counter(label: "x", dimensions: [("v", String(value))], factory: registry).increment()
    }
    #expect(registry.exposition().contains("aw_metrics_dropped_series 5\n"))
  }
}
