import Basics
import Client
import Fleet
import Foundation
import Testing

/// What is delivered for Prometheus and Grafana, held against Prometheus' own checker and against a running AW.
@Suite("Monitoring from outside", .serialized, .timeLimit(.minutes(3)))
struct MonitoringTests {
  static let rules = "deploy/prometheus/aw-alerts.yml"
  static let dashboard = "deploy/grafana/aw-fleet.json"

  @Test("Prometheus takes the alert rules and the example of a configuration")
  func valid() async throws {
    for arguments in [
      ["check", "rules", DeliveredFiles.path(Self.rules)],
      ["check", "config", "--syntax-only", DeliveredFiles.path("deploy/prometheus/prometheus.yml")],
    ] {
      let answer = try await Programs.run("promtool", arguments)
      #expect(answer.code == 0, "\(answer)")
    }
  }

  @Test("the alerts fire when they should and only then")
  func behave() async throws {
    let answer = try await Programs.run(
      "promtool", ["test", "rules", DeliveredFiles.path("deploy/prometheus/aw-alerts.test.yml")])
    #expect(answer.code == 0, "\(answer)")
    let tests = try DeliveredFiles.text("deploy/prometheus/aw-alerts.test.yml")
    for match in try DeliveredFiles.text(Self.rules).matches(of: /alert: ([A-Za-z]+)/) {
      let isTested = tests.matches(of: /alertname: ([A-Za-z]+)/).contains { $0.output.1 == match.output.1 }
      #expect(isTested, "\(match.output.1) has no test")
    }
  }

  @Test("every alert has a severity, a sentence and a runbook")
  func complete() throws {
    let alerts = try DeliveredFiles.text(Self.rules).components(separatedBy: "- alert: ").dropFirst()
    #expect(alerts.count >= 15)
    for alert in alerts {
      let name = alert.prefix { $0 != "\n" }
      #expect(alert.contains(/severity: (critical|warning|info)/), "\(name)")
      #expect(alert.contains("summary: "), "\(name)")
      #expect(alert.contains("runbook: docs/runbooks/"), "\(name)")
    }
  }

  @Test("the dashboard is one that Grafana reads: ids are its own, panels do not overlap, every query names its source")
  func dashboard() throws {
    let dashboard = try JSONValue(parsing: try DeliveredFiles.text(Self.dashboard))
    #expect(dashboard["uid"] == "aw-fleet")
    let panels = try #require(dashboard["panels"]?.arrayValue)
    #expect(Set(panels.compactMap { $0["id"]?.intValue }).count == panels.count)
    var taken: Set<[Int64]> = []
    for panel in panels {
      let place = try ["x", "y", "w", "h"].map { try #require(panel["gridPos"]?[$0]?.intValue) }
      #expect(place[0] + place[2] <= 24)
      for x in place[0]..<place[0] + place[2] {
        for y in place[1]..<place[1] + place[3] {
          #expect(taken.insert([x, y]).inserted, "\(panel["title"] ?? .null)")
        }
      }
      guard panel["type"] != "row" else { continue }
      let targets = try #require(panel["targets"]?.arrayValue)
      for target in targets { #expect(target["datasource"]?["uid"] == "${datasource}") }
    }
  }

  /// The names of metrics in queries. A histogram is meant by each of its three.
  static func metrics(in text: String) -> Set<String> {
    Set(text.matches(of: /\baw_[a-z_]+/).map { String($0.output) })
  }

  /// The metrics that `docs/monitoring.md` lists, each as it is sampled.
  static func documented() throws -> Set<String> {
    let rows = try DeliveredFiles.text("docs/monitoring.md").matches(of: /(?m)^\| `(aw_[a-z_]+)` \| ([a-z]+) \|/)
    return Set(rows.map { String($0.output.1) + ($0.output.2 == "histogram" ? "_bucket" : "") })
  }

  @Test("every metric that an alert or the dashboard names is explained")
  func explained() throws {
    let explained = try Self.documented()
    let texts = try [Self.rules, Self.dashboard].map { try DeliveredFiles.text($0) }
    for name in texts.flatMap(Self.metrics) where !name.hasPrefix("aw_fleet") {
      #expect(explained.contains(name), "docs/monitoring.md does not explain \(name)")
    }
  }

  @Test(
    "every metric that an alert, the dashboard or the documentation names is at /metrics of a running control plane")
  func exist() async throws {
    var named = Self.metrics(in: try DeliveredFiles.text(Self.dashboard))
    for line in try DeliveredFiles.text(Self.rules).split(separator: "\n") where !line.contains("#") {
      named.formUnion(Self.metrics(in: String(line)))
    }
    named.formUnion(try Self.documented())
    #expect(named.count >= 12)
    try await Scene.with { [named] scene in
      try await scene.createOrg()
      try await scene.provision()
      var missing = named
      // The fleet is measured every few seconds.
      while !missing.isEmpty {
        let text = try await scene.client.metrics()
        let present = Set(text.matches(of: /(?m)^(aw_[a-z_]+)[ {]/).map { String($0.output.1) })
        missing = named.subtracting(present)
        if text.contains(#"aw_instances_active{status="current"} 1"#) { break }
      }
      #expect(missing.isEmpty)
      // Losses start at zero, so that the first one counts as an increase.
      let text = try await scene.client.metrics()
      #expect(text.contains(#"aw_link_losses_total{class="auth_rejected",side="authentication"} 0"#))
      // Code 3 is about missing words of help; 1 would be about the format.
      let checked = try await Programs.run("promtool", ["check", "metrics"], input: text)
      #expect([0, 3].contains(checked.code), "\(checked)")
    }
  }
}
