import Basics

/// What the log says of whether a control plane was there: by itself, or by another one.
struct EvidenceBeat: Sendable, Equatable {
  enum Phase: String, Sendable {
    case began
    case goesOn = "goes-on"
    /// The last one of a clean stop: nothing is expected afterwards.
    case ended
    /// Another one found its lease over. No heartbeat says so, and nothing is expected of it until it begins again.
    case lost
  }

  /// The control plane, by its node id.
  let source: String
  /// Counted from 1, by source.
  let number: Int64
  let at: Timestamp
  /// Within so many seconds the next one is to come.
  let everySeconds: Int64
  var phase: Phase

  /// A log that is read may have been made by anybody.
  private static let numbers: ClosedRange<Int64> = 1...9_007_199_254_740_991
  private static let intervals: ClosedRange<Int64> = 1...31_536_000

  init(source: String, number: Int64, at: Timestamp, everySeconds: Int64, phase: Phase) {
    (self.source, self.number, self.at) = (source, number, at)
    (self.everySeconds, self.phase) = (everySeconds, phase)
  }

  /// Nil for an entry that says nothing of it.
  init?(_ entry: EvidenceEntry) {
    if entry.kind == .nodeLost, let source = entry.data["lostNode"]?.stringValue {
      self.init(source: source, number: 0, at: entry.at, everySeconds: 0, phase: .lost)
      return
    }
    guard entry.kind == .heartbeat, let source = entry.data["node"]?.stringValue,
      let number = entry.data["number"]?.intValue, Self.numbers.contains(number),
      let every = entry.data["everySeconds"]?.intValue, Self.intervals.contains(every),
      let phase = entry.data["phase"]?.stringValue.flatMap(Phase.init), phase != .lost
    else { return nil }
    self.init(source: source, number: number, at: entry.at, everySeconds: every, phase: phase)
  }

  var data: JSONValue {
    [
      "node": .string(source), "number": .integer(number), "everySeconds": .integer(everySeconds),
      "phase": .string(phase.rawValue),
    ]
  }
}

/// A time of which a control plane that had not ended wrote no heartbeat, or has counted heartbeats that are not there.
/// It is no proof of anything: the machine may have been off.
public struct EvidenceGap: Sendable, Codable, Hashable {
  /// The control plane, by its node id.
  public let source: String
  /// The heartbeat before; nil when even the first is not there.
  public let since: Timestamp?
  /// The heartbeat after, or the newest entry of the log.
  public let until: Timestamp
  /// How many numbers of its heartbeats are not there in between.
  public let missing: Int64
  /// No heartbeat came afterwards, and nobody said that the control plane is gone.
  public let isOpen: Bool
  /// What ended it, if it was not a heartbeat.
  public let cause: Cause?

  public enum Cause: String, Sendable, Codable {
    /// Another control plane found its lease over.
    case lost
  }

  init(source: String, since: Timestamp?, until: Timestamp, missing: Int64, isOpen: Bool, cause: Cause? = nil) {
    (self.source, self.since, self.until) = (source, since, until)
    (self.missing, self.isOpen, self.cause) = (missing, isOpen, cause)
  }

  /// So many halves of the interval may pass before a heartbeat counts as missed.
  static let halvesAllowed: Int64 = 3

  /// - Parameters:
  ///   - beats: in the order of the log.
  ///   - newest: the time of the newest entry; nil for an empty log.
  static func find(in beats: [EvidenceBeat], newest: Timestamp?) -> [EvidenceGap] {
    var before: [String: EvidenceBeat] = [:]
    var gaps: [EvidenceGap] = []
    for beat in beats {
      if beat.phase == .lost {
        // Of one that ended, or that is lost already, it says nothing new.
        guard let last = before[beat.source], last.phase != .ended, last.phase != .lost else { continue }
        gaps.append(
          EvidenceGap(
            source: beat.source, since: last.at, until: beat.at, missing: 0, isOpen: false, cause: .lost))
        before[beat.source]?.phase = .lost
        continue
      }
      let last = before.updateValue(beat, forKey: beat.source)
      let missing = max(0, beat.number - (last?.number ?? 0) - 1)
      guard missing > 0 || last?.isLate(at: beat.at) == true else { continue }
      gaps.append(EvidenceGap(source: beat.source, since: last?.at, until: beat.at, missing: missing, isOpen: false))
    }
    guard let newest else { return gaps }
    return gaps
      + before.values.filter { $0.isLate(at: newest) }.sorted { $0.source < $1.source }
      .map { EvidenceGap(source: $0.source, since: $0.at, until: newest, missing: 0, isOpen: true) }
  }
}

extension EvidenceBeat {
  /// Whether the next one should have come before `time`.
  fileprivate func isLate(at time: Timestamp) -> Bool {
    let passed = time.millisecondsSince1970 - at.millisecondsSince1970
    return phase != .ended && phase != .lost && passed > everySeconds * 1_000 * EvidenceGap.halvesAllowed / 2
  }
}

extension EvidenceCompleteness {
  /// Takes in what the heartbeats of an intact log show.
  mutating func look(at beats: [EvidenceBeat], newest: Timestamp?) {
    sources = Set(beats.filter { $0.phase != .lost }.map(\.source)).count
    gaps = EvidenceGap.find(in: beats, newest: newest)
  }

  /// What there is to say of heartbeats, a sentence each; empty when they were not looked at.
  public var heartbeats: [String] {
    guard let sources, let gaps else { return [] }
    guard sources > 0 else { return ["There is no heartbeat of a control plane in it."] }
    guard !gaps.isEmpty else {
      return ["The heartbeats of \(sources) control plane\(sources == 1 ? "" : "s") have no gap."]
    }
    return gaps.map { gap in
      let since = gap.since.map { "from \($0)" } ?? "from the beginning"
      let missing = gap.missing == 0 ? "" : ", and \(gap.missing) that it counted are not there"
      let open =
        gap.isOpen ? ", which is the newest entry" : gap.cause == .lost ? ", when another one found it gone" : ""
      return "The control plane \(gap.source.quoted) has a gap \(since) to \(gap.until)\(open)\(missing)."
    }
  }
}
