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
    FleetCounters(factory: factory).declare()
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
    links.measure(reader.gateway.figures)
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
  let factory: any MetricsFactory

  /// Makes every series, so that each starts at zero: Prometheus takes the first value it sees for no increase.
  func declare() {
    for lossClass in LossClass.allCases { _ = losses(lossClass) }
    _ = timer("aw_link_detect_seconds", [("class", LossClass.networkBlackhole.rawValue)])
    _ = timer("aw_link_reconnect_seconds")
    for link in ChainLink.allCases {
      for outcome in [CheckResult.Outcome.Word.passed, .degraded, .failed] { _ = checks(link, outcome) }
    }
  }

  func lost(_ verdict: LossVerdict, _ seen: LossEvidence) {
    losses(verdict.lossClass).increment()
    guard let silence = seen.silentMilliseconds else { return }
    timer("aw_link_detect_seconds", [("class", verdict.lossClass.rawValue)]).recordMilliseconds(silence)
  }

  /// A connection is back after so long.
  func recovered(after outage: Duration) {
    timer("aw_link_reconnect_seconds").recordMilliseconds(outage.milliseconds)
  }

  private func timer(_ label: String, _ dimensions: [(String, String)] = []) -> Timer {
    Timer(label: label, dimensions: dimensions, factory: factory)
  }

  private func losses(_ lossClass: LossClass) -> Counter {
    Counter(
      label: "aw_link_losses",
      dimensions: [("class", lossClass.rawValue), ("side", lossClass.side.rawValue)], factory: factory)
  }

  private func checks(_ link: ChainLink, _ outcome: CheckResult.Outcome.Word) -> Counter {
    Counter(
      label: "aw_checks", dimensions: [("link", link.rawValue), ("outcome", outcome.rawValue)], factory: factory)
  }

  func walked(_ report: ChainReport) {
    for result in report.results where result.outcome != .skipped {
      checks(result.link, result.outcome.word).increment()
      Timer(label: "aw_check_duration_seconds", dimensions: [("link", result.link.rawValue)], factory: factory)
        .recordNanoseconds(result.durationMilliseconds * 1_000_000)
    }
  }
}
