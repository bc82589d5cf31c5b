import AsyncHTTPClient
import Basics
import Events
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Alerts

@Suite("A real Alertmanager")
struct AlertmanagerTests {
  static let program = "/usr/bin/prometheus-alertmanager"

  /// Starts one whose notifications come to a receiver, and hands over its port.
  static func with(_ body: (_ port: Int, _ receiver: Receiver) async throws -> Void) async throws {
    try await Receiver.with([.status(200)]) { receiver in
      try await TestFolder.with { folder in
        let configuration = """
          route: {receiver: test, group_by: [alertname, aw_key], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
          receivers:
            - name: test
              webhook_configs: [{url: "http://127.0.0.1:\(receiver.port)/", send_resolved: true}]
          """
        try configuration.write(toFile: folder + "/am.yml", atomically: true, encoding: .utf8)
        let arguments = [
          "--config.file=\(folder)/am.yml", "--storage.path=\(folder)/data", "--web.listen-address=127.0.0.1:0",
          "--cluster.listen-address=", "--log.format=json",
        ]
        try await Helper.with(program, arguments) { lines in
          let line = try await lines.document(with: "Listening on")
          let address = line["address"]?.stringValue ?? ""
          try await body(try #require(Int(address.split(separator: ":").last ?? "")), receiver)
        }
      }
    }
  }

  static func alerts(_ port: Int) async throws -> [JSONValue] {
    let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/api/v2/alerts")
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
    return try JSONValue(parsing: String(buffer: try await response.body.collect(upTo: 8 << 20))).arrayValue ?? []
  }

  @Test("an alert fires there, changes its severity without a second one, and is resolved")
  func whole() async throws {
    try await Self.with { port, receiver in
      try await Scene.with { scene in
        let endpoint = try Samples.endpoint(
          .alertmanager, "http://127.0.0.1:\(port)", settings: ["labels": ["team": "night"]],
          allowsPrivate: Scene.loopback)
        let now = Timestamp(Date())
        var alert = Samples.down
        alert.openedAt = now.advanced(by: .seconds(-30))
        alert.severity = .warning
        let opened = await scene.sender.send(try Samples.notification([alert]), to: endpoint, at: now)
        #expect(opened == .delivered(detail: "HTTP 200"))
        let firing = try JSONValue(parsing: try #require(await receiver.next()).body)
        #expect(firing["status"] == "firing")
        #expect(firing["alerts"]?[0]?["labels"]?["team"] == "night")
        #expect(firing["alerts"]?[0]?["annotations"]?["severity"] == "warning")
        #expect(
          firing["alerts"]?[0]?["annotations"]?["runbook_url"] == "https://aw.example.com/runbooks/instance-unreachable"
        )

        alert.severity = .critical
        _ = await scene.sender.send(try Samples.notification([alert]), to: endpoint, at: now)
        let present = try await Self.alerts(port)
        #expect(present.count == 1)
        #expect(present[0]["annotations"]?["severity"] == "critical")
        #expect(present[0]["labels"]?["aw_key"]?.stringValue == alert.key)
        #expect(present[0]["status"]?["state"] == "active")

        alert.resolvedAt = now
        let resolved = await scene.sender.send(try Samples.notification([alert]), to: endpoint, at: now)
        #expect(resolved == .delivered(detail: "HTTP 200"))
        #expect(try await Self.alerts(port).isEmpty)
        var last = firing
        while last["status"] == "firing" { last = try JSONValue(parsing: try #require(await receiver.next()).body) }
        #expect(last["alerts"]?[0]?["labels"]?["aw_key"]?.stringValue == alert.key)
      }
    }
  }

  @Test("hundreds of alerts with long data are all taken")
  func many() async throws {
    try await Self.with { port, _ in
      try await Scene.with { scene in
        let endpoint = try Samples.endpoint(
          .alertmanager, "http://127.0.0.1:\(port)", allowsPrivate: Scene.loopback)
        let now = Timestamp(Date())
        let alerts = (0..<700).map { number in
          var alert = Samples.down
          alert.key = "instance/\(number)/status"
          alert.title = String(repeating: "long ", count: 200)
          alert.openedAt = now.advanced(by: .seconds(-5))
          return alert
        }
        let outcome = await scene.sender.send(try Samples.notification(alerts), to: endpoint, at: now)
        #expect(outcome == .delivered(detail: "2 of 2 requests delivered; HTTP 200"))
        #expect(try await Self.alerts(port).count == 700)
      }
    }
  }

  @Test("what it refuses is told with its own words")
  func refused() async throws {
    try await Self.with { port, _ in
      try await Scene.with { scene in
        let endpoint = try Samples.endpoint(
          .alertmanager, "http://127.0.0.1:\(port)/elsewhere", allowsPrivate: Scene.loopback)
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .rejected)
        #expect(outcome.detail.hasPrefix("HTTP 404"))
      }
    }
  }
}
