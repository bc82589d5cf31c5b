import Basics
import OpenClaw

/// How long the links of the chain took at one check, or at all checks of a span.
struct CheckSample: Sendable, Equatable {
  /// What one link showed.
  struct Phase: Sendable, Equatable {
    var looked: Int
    var failed: Int
    /// Of the looks that did not fail; nil when all did: how long a failure takes is no latency.
    var took: Took?
  }

  /// Milliseconds. Over several spans the median is that of their medians.
  struct Took: Sendable, Equatable {
    var least: Int64
    var median: Int64
    var most: Int64
  }

  /// When the check ended; of a span, when the span began.
  let at: Timestamp
  /// Zero for a single check.
  let span: Duration
  let phases: [ChainLink: Phase]
  /// Of the Gateway WebSocket: what opening it consisted of.
  let parts: [OpeningPart: Phase]

  init(at: Timestamp, span: Duration, phases: [ChainLink: Phase], parts: [OpeningPart: Phase] = [:]) {
    (self.at, self.span, self.phases, self.parts) = (at, span, phases, parts)
  }

  /// - Returns: nil for a check that found nothing wrong and did not try the Gateway WebSocket.
  init?(_ report: ChainReport) {
    guard let at = report.at, !report.isLight || report.broken != nil else { return nil }
    var phases: [ChainLink: Phase] = [:]
    for result in report.results where result.outcome != .skipped {
      // Whether there is a link is looked up, and what a Connector tells took no time: only failures say something, and
      // the link's own round trip.
      let isTold = result.link == .host || result.evidence["toldBy"] != nil
      let roundTrip = result.roundTripMilliseconds
      if isTold, result.outcome == .passed, roundTrip == nil { continue }
      let took = roundTrip ?? result.durationMilliseconds
      let isFailed = result.outcome.word == .failed
      phases[result.link] = Phase(
        looked: 1, failed: isFailed ? 1 : 0, took: isFailed ? nil : Took(least: took, median: took, most: took))
    }
    let parts = report.result(.hello)?.openingMilliseconds ?? [:]
    self.init(
      at: at, span: .zero, phases: phases,
      parts: parts.mapValues { Phase(looked: 1, failed: 0, took: Took(least: $0, median: $0, most: $0)) })
  }

  /// The links that failed.
  var failures: Set<ChainLink> { Set(phases.filter { $0.value.failed > 0 }.keys) }

  /// One sample for all of a span; nil for none.
  static func merged(_ samples: [CheckSample], at: Timestamp, span: Duration) -> CheckSample? {
    guard !samples.isEmpty else { return nil }
    return CheckSample(
      at: at, span: span, phases: merged(samples.map(\.phases)), parts: merged(samples.map(\.parts)))
  }

  private static func merged<Row>(_ all: [[Row: Phase]]) -> [Row: Phase] {
    let byRow = Dictionary(grouping: all.flatMap { $0 }, by: { $0.key })
    return byRow.mapValues { entries in
      let took = entries.compactMap { $0.value.took }
      let medians = took.map(\.median).sorted()
      return Phase(
        looked: entries.map { $0.value.looked }.reduce(0, +), failed: entries.map { $0.value.failed }.reduce(0, +),
        took: medians.isEmpty
          ? nil
          : Took(
            least: took.map(\.least).min() ?? 0, median: medians[(medians.count - 1) / 2],
            most: took.map(\.most).max() ?? 0))
    }
  }

  /// Samples by spans that begin at whole multiples of their length, oldest first.
  static func bySpan(_ samples: [CheckSample], _ span: Duration) -> [CheckSample] {
    let length = span.milliseconds
    let groups = Dictionary(grouping: samples) { $0.at.millisecondsSince1970 / length }
    return groups.keys.sorted().compactMap { key in
      merged(groups[key] ?? [], at: Timestamp(millisecondsSince1970: key * length), span: span)
    }
  }
}

// MARK: - As it stands in the database

extension CheckSample {
  /// `hello 12` for one that passed; `hello LOOKED FAILED LEAST MEDIAN MOST` else, without the times when all failed.
  /// A part of opening the Gateway WebSocket is `hello.tls`.
  var text: String {
    let rows =
      ChainLink.allCases.map { ($0.rawValue, phases[$0]) }
      + OpeningPart.allCases.map { (Self.prefix + $0.rawValue, parts[$0]) }
    return rows.compactMap { name, phase in
      phase.map { phase in
        let took = phase.took
        if phase.looked == 1, phase.failed == 0, let took { return "\(name) \(took.median)" }
        let times = took.map { " \($0.least) \($0.median) \($0.most)" } ?? ""
        return "\(name) \(phase.looked) \(phase.failed)\(times)"
      }
    }.joined(separator: ",")
  }

  private static let prefix = ChainLink.hello.rawValue + "."

  /// Reads what `text` wrote; a link that this AW does not know is left out.
  init(at: Timestamp, span: Duration, text: String) {
    var (phases, parts): ([ChainLink: Phase], [OpeningPart: Phase]) = ([:], [:])
    for row in text.split(separator: ",") {
      let words = row.split(separator: " ")
      guard let name = words.first, let phase = Phase(words.dropFirst().compactMap { Int64($0) }) else { continue }
      if let link = ChainLink(rawValue: String(name)) { phases[link] = phase }
      if name.hasPrefix(Self.prefix), let part = OpeningPart(rawValue: String(name.dropFirst(Self.prefix.count))) {
        parts[part] = phase
      }
    }
    self.init(at: at, span: span, phases: phases, parts: parts)
  }
}

extension CheckSample.Phase {
  /// The numbers behind the name of a row.
  fileprivate init?(_ numbers: [Int64]) {
    switch numbers.count {
    case 1:
      self.init(looked: 1, failed: 0, took: .init(least: numbers[0], median: numbers[0], most: numbers[0]))
    case 2: self.init(looked: Int(numbers[0]), failed: Int(numbers[1]), took: nil)
    case 5:
      let took = CheckSample.Took(least: numbers[2], median: numbers[3], most: numbers[4])
      self.init(looked: Int(numbers[0]), failed: Int(numbers[1]), took: took)
    default: return nil
    }
  }
}

// MARK: - As it stands in the evidence of a check

extension CheckResult {
  private static let openingKey = "openingMilliseconds"
  /// Of the control path: the newest round trip of the connection that was looked at.
  static let roundTripKey = "roundTripMicroseconds"

  /// The round trip of the link, rounded; nil when none was measured.
  var roundTripMilliseconds: Int64? { evidence[Self.roundTripKey]?.intValue.map { ($0 + 500) / 1_000 } }

  /// Adds how long the parts of opening the Gateway WebSocket took to what a check saw.
  static func noting(_ times: [OpeningPart: Duration], in evidence: JSONValue) -> JSONValue {
    guard !times.isEmpty else { return evidence }
    var members = evidence.objectValue ?? [:]
    members[openingKey] = .object(
      Dictionary(uniqueKeysWithValues: times.map { ($0.key.rawValue, .integer($0.value.milliseconds)) }))
    return .object(members)
  }

  /// How long they took, in milliseconds.
  var openingMilliseconds: [OpeningPart: Int64] {
    let members = evidence[Self.openingKey]?.objectValue ?? [:]
    return Dictionary(
      uniqueKeysWithValues: members.compactMap { name, value in
        OpeningPart(rawValue: name).flatMap { part in value.intValue.map { (part, $0) } }
      })
  }
}
