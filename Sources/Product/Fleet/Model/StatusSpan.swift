import Basics

/// A time over which an Instance had one status.
public struct StatusSpan: Codable, Sendable, Equatable {
  public let status: Status
  /// It went back and forth meanwhile; the status is the first of those.
  public let flapping: Bool
  public let from: Timestamp
  public let to: Timestamp

  /// A status that was recorded.
  struct Transition: Sendable, Equatable {
    let at: Timestamp
    let to: Status
    let flapping: Bool
  }

  /// The spans of a time, one after the other, without a hole.
  ///
  /// A status that was recorded holds until the next one only while checks were made: where there were none, nobody
  /// knew, as nobody would have been told so then.
  ///
  /// - Parameters:
  ///   - transitions: oldest first; the first may lie before `from`.
  ///   - looks: when checks were made, oldest first.
  ///   - patience: how long a check is believed.
  static func spans(
    _ transitions: [Transition], looks: [Timestamp], patience: Duration, from: Timestamp, to: Timestamp
  ) -> [StatusSpan] {
    var spans: [StatusSpan] = []
    func add(_ status: Status, _ flapping: Bool, _ start: Timestamp, _ end: Timestamp) {
      let (start, end) = (max(start, from), min(end, to))
      guard start < end else { return }
      if let last = spans.last, last.status == status, last.flapping == flapping, last.to == start {
        spans[spans.count - 1] = StatusSpan(status: status, flapping: flapping, from: last.from, to: end)
      } else {
        spans.append(StatusSpan(status: status, flapping: flapping, from: start, to: end))
      }
    }
    let known = believed(looks, patience: patience)
    var at = from
    for (number, transition) in transitions.enumerated() {
      let end = number + 1 < transitions.count ? transitions[number + 1].at : to
      guard end > at else { continue }
      add(.unknown, false, at, transition.at)
      at = max(at, transition.at)
      for (start, stop) in known where stop > at && start < end {
        add(.unknown, false, at, start)
        let shown = max(at, start)
        add(transition.to, transition.flapping, shown, min(stop, end))
        at = max(at, min(stop, end))
      }
      add(.unknown, false, at, end)
      at = max(at, end)
    }
    add(.unknown, false, at, to)
    return spans
  }

  /// The times over which some check was still believed.
  private static func believed(_ looks: [Timestamp], patience: Duration) -> [(from: Timestamp, to: Timestamp)] {
    var times: [(from: Timestamp, to: Timestamp)] = []
    for look in looks {
      let end = look.advanced(by: patience)
      if let last = times.last, look <= last.to {
        times[times.count - 1].to = max(last.to, end)
      } else {
        times.append((look, end))
      }
    }
    return times
  }
}
