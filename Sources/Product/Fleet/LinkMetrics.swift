import Basics
import CoreMetrics
import Gateway
import Link
import Synchronization

/// What `/metrics` says of the links: gauges as they are, counters by what was added since the last look.
final class LinkMetrics: Sendable {
  private let factory: any MetricsFactory
  private let stalled = Mutex(Duration.zero)
  private let counted = Mutex<[String: Int64]>([:])

  private let drains: Timer
  private let windowStalls: FloatingPointCounter

  init(factory: any MetricsFactory) {
    self.factory = factory
    drains = Timer(label: "aw_link_drain_seconds", factory: factory)
    windowStalls = FloatingPointCounter(label: "aw_link_window_stall_seconds", factory: factory)
  }

  /// - Parameter drains: how long connections took to end that were let go since the last time.
  func measure(_ figures: LinkFigures, drains: [Duration]) {
    for slot in 0..<LinkLimits.connectionsDefault {
      gauge("aw_link_connections", Double(figures.connections[slot] ?? 0), [("slot", "\(slot)")])
    }
    gauge("aw_link_suspect", Double(figures.suspect))
    gauge("aw_link_degraded", Double(figures.degraded))
    for kind in LinkFigures.StreamKind.allCases {
      gauge("aw_link_streams", Double(figures.streams[kind] ?? 0), [("target", kind.rawValue)])
    }
    for (name, share) in [("0.5", 0.5), ("0.99", 0.99)] {
      let index = Int(Double(figures.roundTrips.count) * share)
      guard index < figures.roundTrips.count else { continue }
      gauge("aw_link_round_trip_seconds", figures.roundTrips[index].seconds, [("quantile", name)])
    }
    gauge("aw_link_missing", Double(figures.missing))
    for drained in drains { self.drains.recordMilliseconds(drained.milliseconds) }
    if let left = figures.hostCertificateLeft { gauge("aw_link_host_certificate_seconds_left", left.seconds) }
    stalls(figures.stalled)
    gauge("aw_link_buffered_bytes", Double(figures.bufferedBytes))
    gauge("aw_link_certificate_seconds_left", figures.certificateLeft.seconds)
    for result in LinkFigures.Registration.allCases {
      count("aw_link_registrations", figures.registrations[result] ?? 0, [("result", result.rawValue)])
    }
    count("aw_link_suspicions", figures.suspicions)
    count("aw_link_superseded", figures.superseded)
    let shed = [("class", LossClass.backpressureShed.rawValue), ("reason", "shed")]
    count("aw_link_stream_failures", figures.shed, shed)
    for reason in TargetFailure.allCases {
      count(
        "aw_link_stream_failures", figures.streamFailures[reason] ?? 0,
        [("class", reason.lossClass?.rawValue ?? ""), ("reason", reason.rawValue)])
    }
  }

  private func stalls(_ total: Duration) {
    let added = stalled.withLock { stalled in
      defer { stalled = total }
      return total - stalled
    }
    windowStalls.increment(by: added.seconds)
  }

  private func gauge(_ label: String, _ value: Double, _ dimensions: [(String, String)] = []) {
    Meter(label: label, dimensions: dimensions, factory: factory).set(value)
  }

  private func count(_ label: String, _ total: Int64, _ dimensions: [(String, String)] = []) {
    let key = label + dimensions.map { "|" + $0.1 }.joined()
    let added = counted.withLock { counted in
      defer { counted[key] = total }
      return total - (counted[key] ?? 0)
    }
    Counter(label: label, dimensions: dimensions, factory: factory).increment(by: added)
  }
}
