import CoreMetrics
import Synchronization

/// Keeps every metric in memory and writes it as Prometheus text, version 0.0.4.
public final class PrometheusRegistry: MetricsFactory, Sendable {
  /// So many series are kept; one more is counted in `aw_metrics_dropped_series` and otherwise ignored, so that a label
  /// with too many values cannot fill the memory.
  public static let seriesMax = 10_000

  fileprivate struct Key: Hashable, Comparable {
    let name: String
    /// `a="1",b="2"`, escaped.
    let labels: String

    static func < (left: Key, right: Key) -> Bool { (left.name, left.labels) < (right.name, right.labels) }
  }

  private struct Series {
    var counters: [Key: PrometheusCounter] = [:]
    var gauges: [Key: PrometheusGauge] = [:]
    var histograms: [Key: PrometheusHistogram] = [:]
    var dropped = 0
    var count: Int { counters.count + gauges.count + histograms.count }
  }

  private let series = Mutex(Series())

  public init() {}

  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    counter(label, dimensions)
  }

  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    counter(label, dimensions)
  }

  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { gauge(label, dimensions) }

  /// A `Gauge` arrives here as a recorder that does not aggregate.
  public func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    aggregate ? histogram(label, dimensions) : gauge(label, dimensions)
  }

  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    histogram(label, dimensions)
  }

  // Handlers live as long as the process, so that a `Counter` that is made again continues its series.
  public func destroyCounter(_ handler: any CounterHandler) {}
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
  public func destroyMeter(_ handler: any MeterHandler) {}
  public func destroyRecorder(_ handler: any RecorderHandler) {}
  public func destroyTimer(_ handler: any TimerHandler) {}

  private func counter(_ label: String, _ dimensions: [(String, String)]) -> PrometheusCounter {
    find(\.counters, label, dimensions, make: PrometheusCounter())
  }

  private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
    find(\.gauges, label, dimensions, make: PrometheusGauge())
  }

  private func histogram(_ label: String, _ dimensions: [(String, String)]) -> PrometheusHistogram {
    find(\.histograms, label, dimensions, make: PrometheusHistogram())
  }

  private func find<Handler: Sendable>(
    _ kind: any WritableKeyPath<Series, [Key: Handler]> & Sendable, _ label: String, _ dimensions: [(String, String)],
    make fresh: Handler
  ) -> Handler {
    let key = PrometheusRegistry.key(label, dimensions)
    return series.withLock { series in
      if let present = series[keyPath: kind][key] { return present }
      guard series.count < PrometheusRegistry.seriesMax else {
        series.dropped += 1
        return fresh
      }
      series[keyPath: kind][key] = fresh
      return fresh
    }
  }

  // MARK: - Text

  /// Everything, sorted by name.
  public func exposition() -> String {
    let (counters, gauges, histograms, dropped) = series.withLock {
      ($0.counters, $0.gauges, $0.histograms, $0.dropped)
    }
    var text = Exposition()
    for (key, counter) in counters.sorted(by: { $0.key < $1.key }) {
      let name = key.name.hasSuffix("_total") ? key.name : key.name + "_total"
      text.declare(name, "counter")
      text.sample(name, key.labels, counter.value.plain)
    }
    for (key, gauge) in gauges.sorted(by: { $0.key < $1.key }) {
      text.declare(key.name, "gauge")
      text.sample(key.name, key.labels, gauge.value.plain)
    }
    for (key, histogram) in histograms.sorted(by: { $0.key < $1.key }) {
      text.declare(key.name, "histogram")
      text.histogram(key.name, key.labels, histogram.snapshot)
    }
    text.declare("aw_metrics_dropped_series", "gauge")
    text.sample("aw_metrics_dropped_series", "", String(dropped))
    return text.lines.joined(separator: "\n") + "\n"
  }

  private struct Exposition {
    var lines: [String] = []
    private var declared: Set<String> = []

    mutating func declare(_ name: String, _ type: String) {
      if declared.insert(name).inserted { lines.append("# TYPE \(name) \(type)") }
    }

    mutating func sample(_ name: String, _ labels: String, _ value: String) {
      lines.append(labels.isEmpty ? "\(name) \(value)" : "\(name){\(labels)} \(value)")
    }

    mutating func histogram(_ name: String, _ labels: String, _ snapshot: PrometheusHistogram.Snapshot) {
      let prefix = labels.isEmpty ? "" : labels + ","
      for (bound, count) in zip(PrometheusHistogram.bounds, snapshot.cumulative) {
        sample("\(name)_bucket", "\(prefix)le=\"\(bound)\"", String(count))
      }
      sample("\(name)_bucket", "\(prefix)le=\"+Inf\"", String(snapshot.count))
      sample("\(name)_sum", labels, snapshot.sum.plain)
      sample("\(name)_count", labels, String(snapshot.count))
    }
  }

  private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
    let labels = dimensions.map { "\(name($0))=\"\(escape($1))\"" }.joined(separator: ",")
    return Key(name: name(label), labels: labels)
  }

  /// Prometheus knows `[a-zA-Z0-9_]` in names, and no digit at the start.
  private static func name(_ text: String) -> String {
    let name = String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    return name.first?.isNumber == true ? "_" + name : name
  }

  private static func escape(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}

final class PrometheusCounter: CounterHandler, FloatingPointCounterHandler {
  private let total = Mutex(0.0)
  var value: Double { total.withLock { $0 } }
  func increment(by amount: Int64) { total.withLock { $0 += Double(amount) } }
  func increment(by amount: Double) { total.withLock { $0 += amount } }
  func reset() { total.withLock { $0 = 0 } }
}

final class PrometheusGauge: RecorderHandler, MeterHandler {
  private let current = Mutex(0.0)
  var value: Double { current.withLock { $0 } }
  func record(_ value: Int64) { set(Double(value)) }
  func record(_ value: Double) { set(value) }
  func set(_ value: Int64) { set(Double(value)) }
  func set(_ value: Double) { current.withLock { $0 = value } }
  func increment(by amount: Double) { current.withLock { $0 += amount } }
  func decrement(by amount: Double) { current.withLock { $0 -= amount } }
}

/// Seconds for timers, in the buckets of Prometheus' own client libraries, plus one for the fast.
final class PrometheusHistogram: RecorderHandler, TimerHandler {
  static let bounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

  struct Snapshot: Sendable {
    var cumulative = [Int](repeating: 0, count: PrometheusHistogram.bounds.count)
    var sum = 0.0
    var count = 0
  }

  private let state = Mutex(Snapshot())
  var snapshot: Snapshot { state.withLock { $0 } }

  func record(_ value: Int64) { record(Double(value)) }
  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  func record(_ value: Double) {
    state.withLock { state in
      for (index, bound) in PrometheusHistogram.bounds.enumerated() where value <= bound {
        state.cumulative[index] += 1
      }
      state.sum += value
      state.count += 1
    }
  }
}

extension Double {
  /// Whole numbers without a fraction, as Prometheus' own clients write them.
  fileprivate var plain: String {
    if isNaN { return "NaN" }
    if isInfinite { return self > 0 ? "+Inf" : "-Inf" }
    return Int64(exactly: self).map(String.init) ?? String(self)
  }
}
