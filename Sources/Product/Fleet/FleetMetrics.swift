import Basics
import CoreMetrics
import Evidence
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

  public init(reader: FleetReader, evidence: EvidenceLog, factory: any MetricsFactory, logger: Logger) {
    self.reader = reader
    self.evidence = evidence
    self.factory = factory
    self.logger = logger
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
    let summary = try await reader.summary()
    for (status, count) in summary.statuses { set("aw_instances", count, [("status", status)]) }
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

  func lost(_ verdict: LossVerdict) {
    Counter(
      label: "aw_link_losses",
      dimensions: [("class", verdict.lossClass.rawValue), ("side", verdict.lossClass.side.rawValue)], factory: factory
    ).increment()
  }

  func walked(_ report: ChainReport) {
    for result in report.results where result.outcome != .skipped {
      let link = [("link", result.link.rawValue)]
      Counter(
        label: "aw_checks", dimensions: link + [("outcome", result.outcome.word.rawValue)],
        factory: factory
      ).increment()
      Timer(label: "aw_check_duration_seconds", dimensions: link, factory: factory)
        .recordNanoseconds(result.durationMilliseconds * 1_000_000)
    }
  }
}
