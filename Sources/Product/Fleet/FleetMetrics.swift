import Basics
import CoreMetrics
import Evidence
import Gateway
import Link
import Logging
import ServiceLifecycle
import Store

/// What `/metrics` says of the fleet. Numbers of the whole fleet are read anew every few seconds; what happens is
/// counted as it happens.
public struct FleetMetrics: Service {
  static let every = Duration.seconds(10)

  let reader: FleetReader
  let evidence: EvidenceLog
  let factory: any MetricsFactory
  let logger: Logger
  private let links: LinkMetrics

  public init(reader: FleetReader, evidence: EvidenceLog, factory: any MetricsFactory, logger: Logger) {
    self.reader = reader
    self.evidence = evidence
    self.factory = factory
    self.logger = logger
    links = LinkMetrics(factory: factory)
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      repeat {
        do {
          try await measure()
        } catch {
          logger.warning("the fleet could not be measured", metadata: ["error": "\(error)"])
        }
      } while (try? await Task.sleep(for: Self.every)) != nil
    }
  }

  func measure() async throws {
    links.measure(reader.gateway.figures, drains: reader.gateway.takeDrains())
    let standings = try await reader.standings()
    let summary = try await reader.summary(of: standings.map(\.status))
    for (status, count) in summary.statuses { set("aw_instances", count, [("status", status)]) }
    // A stopped Instance is `unreachable` too, as its Org sees it. Nobody is to be woken for it.
    for status in Status.allCases {
      let count = standings.count { $0.asked == .active && $0.status == status }
      set("aw_instances_active", count, [("status", status.rawValue)])
    }
    set("aw_hosts", summary.hosts)
    set("aw_hosts_linked", summary.hostsConnected)
    set("aw_watchdog_doubt", summary.doubt == nil ? 0 : 1)
    let log = evidence
    set("aw_evidence_entries", Int(try await reader.store.read { try log.head(in: $0).size }))
  }

  private func set(_ label: String, _ value: Int, _ dimensions: [(String, String)] = []) {
    Meter(label: label, dimensions: dimensions, factory: factory).set(Int64(value))
  }
}

/// Counts what happens, where it happens.
struct FleetCounters: Sendable {
  private struct Check: Hashable {
    let link: ChainLink
    let outcome: CheckResult.Outcome.Word
  }

  private let losses: [LossClass: Counter]
  private let detections: [LossClass: Timer]
  private let reconnects: Timer
  private let checks: [Check: Counter]
  private let durations: [ChainLink: Timer]

  /// Makes every series, so that each starts at zero: Prometheus takes the first value it sees for no increase.
  init(factory: any MetricsFactory) {
    func each<Key: Hashable, Value>(_ keys: [Key], _ make: (Key) -> Value) -> [Key: Value] {
      Dictionary(uniqueKeysWithValues: keys.map { ($0, make($0)) })
    }
    losses = each(LossClass.allCases) {
      let dimensions = [("class", $0.rawValue), ("side", $0.side.rawValue)]
      return Counter(label: "aw_link_losses", dimensions: dimensions, factory: factory)
    }
    detections = each(LossClass.allCases) {
      Timer(label: "aw_link_detect_seconds", dimensions: [("class", $0.rawValue)], factory: factory)
    }
    reconnects = Timer(label: "aw_link_reconnect_seconds", factory: factory)
    let outcomes: [CheckResult.Outcome.Word] = [.passed, .degraded, .failed]
    checks = each(ChainLink.allCases.flatMap { link in outcomes.map { Check(link: link, outcome: $0) } }) {
      let dimensions = [("link", $0.link.rawValue), ("outcome", $0.outcome.rawValue)]
      return Counter(label: "aw_checks", dimensions: dimensions, factory: factory)
    }
    durations = each(ChainLink.allCases) {
      Timer(label: "aw_check_duration_seconds", dimensions: [("link", $0.rawValue)], factory: factory)
    }
  }

  func lost(_ verdict: LossVerdict, _ seen: LossEvidence) {
    losses[verdict.lossClass]?.increment()
    if let silence = seen.silentMilliseconds { detections[verdict.lossClass]?.recordMilliseconds(silence) }
  }

  /// A connection is back after so long.
  func recovered(after outage: Duration) { reconnects.recordMilliseconds(outage.milliseconds) }

  func walked(_ report: ChainReport) {
    for result in report.results where result.outcome != .skipped {
      checks[Check(link: result.link, outcome: result.outcome.word)]?.increment()
      durations[result.link]?.recordNanoseconds(result.durationMilliseconds * 1_000_000)
    }
  }
}
