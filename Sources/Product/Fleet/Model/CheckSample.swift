import Basics

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

  init(at: Timestamp, span: Duration, phases: [ChainLink: Phase]) {
    (self.at, self.span, self.phases) = (at, span, phases)
  }

  /// - Returns: nil for a check that found nothing wrong and did not try the Gateway WebSocket.
  init?(_ report: ChainReport) {
    guard let at = report.at, !report.isLight || report.broken != nil else { return nil }
    var phases: [ChainLink: Phase] = [:]
    for result in report.results where result.outcome != .skipped {
      // Whether there is a link is looked up, and what a Connector tells took no time: only failures say something.
      let isTold = result.link == .host || result.evidence["toldBy"] != nil
      if isTold, result.outcome == .passed { continue }
      let took = result.durationMilliseconds
      let isFailed = result.outcome.word == .failed
      phases[result.link] = Phase(
        looked: 1, failed: isFailed ? 1 : 0, took: isFailed ? nil : Took(least: took, median: took, most: took))
    }
    self.init(at: at, span: .zero, phases: phases)
  }

  /// The links that failed.
  var failures: Set<ChainLink> { Set(phases.filter { $0.value.failed > 0 }.keys) }

  /// One sample for all of a span; nil for none.
  static func merged(_ samples: [CheckSample], at: Timestamp, span: Duration) -> CheckSample? {
    guard !samples.isEmpty else { return nil }
    var phases: [ChainLink: Phase] = [:]
    for link in ChainLink.allCases {
      let all = samples.compactMap { $0.phases[link] }
      guard !all.isEmpty else { continue }
      let took = all.compactMap(\.took)
      let medians = took.map(\.median).sorted()
      phases[link] = Phase(
        looked: all.map(\.looked).reduce(0, +), failed: all.map(\.failed).reduce(0, +),
        took: medians.isEmpty
          ? nil
          : Took(
            least: took.map(\.least).min() ?? 0, median: medians[(medians.count - 1) / 2],
            most: took.map(\.most).max() ?? 0))
    }
    return CheckSample(at: at, span: span, phases: phases)
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
  var text: String {
    ChainLink.allCases.compactMap { link in
      phases[link].map { phase in
        let took = phase.took
        if phase.looked == 1, phase.failed == 0, let took { return "\(link.rawValue) \(took.median)" }
        let times = took.map { " \($0.least) \($0.median) \($0.most)" } ?? ""
        return "\(link.rawValue) \(phase.looked) \(phase.failed)\(times)"
      }
    }.joined(separator: ",")
  }

  /// Reads what `text` wrote; a link that this AW does not know is left out.
  init(at: Timestamp, span: Duration, text: String) {
    var phases: [ChainLink: Phase] = [:]
    for part in text.split(separator: ",") {
      let words = part.split(separator: " ")
      guard let link = words.first.flatMap({ ChainLink(rawValue: String($0)) }) else { continue }
      let numbers = words.dropFirst().compactMap { Int64($0) }
      switch numbers.count {
      case 1:
        let took = Took(least: numbers[0], median: numbers[0], most: numbers[0])
        phases[link] = Phase(looked: 1, failed: 0, took: took)
      case 2: phases[link] = Phase(looked: Int(numbers[0]), failed: Int(numbers[1]), took: nil)
      case 5:
        let took = Took(least: numbers[2], median: numbers[3], most: numbers[4])
        phases[link] = Phase(looked: Int(numbers[0]), failed: Int(numbers[1]), took: took)
      default: continue
      }
    }
    self.init(at: at, span: span, phases: phases)
  }
}
