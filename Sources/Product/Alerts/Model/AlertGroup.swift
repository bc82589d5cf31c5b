import Basics
import Events

/// The alerts of one Org that one route tells together: a value without clock.
///
/// | state of a member | event | told at the next flush |
/// |---|---|---|
/// | new | opened | its opening |
/// | new | opened and resolved before the flush | both, in one |
/// | told | resolved | its end, silenced or not: who was told of a beginning is told of the end |
/// | told | got worse | its opening again, with the new severity |
/// | told | still open after the repeat time | its opening again |
/// | muted (silenced, or a parent stands for it) | - | nothing; its opening, once nothing mutes it any more |
/// | muted | resolved | nothing, and it is forgotten |
public struct AlertGroup: Codable, Sendable, Equatable {
  struct Member: Codable, Sendable, Equatable {
    var alert: NotifiedAlert
    /// When its opening was last told; nil if never.
    var toldAt: Timestamp?
    /// Whether something of it is to be told.
    var isChanged: Bool
    /// Whether it was muted when its turn came.
    var wasMuted = false
  }

  private(set) var members: [Member] = []
  /// When the oldest change that was not told happened.
  private(set) var changedAt: Timestamp?
  private(set) var flushedAt: Timestamp?

  public init() {}

  /// Nothing is open and nothing is left to tell.
  var isEmpty: Bool { members.isEmpty }

  func holds(_ alert: NotifiedAlert) -> Bool { place(of: alert) != nil }

  private func place(of alert: NotifiedAlert) -> Int? {
    members.firstIndex { $0.alert.key == alert.key && $0.alert.openedAt == alert.openedAt }
  }

  /// Takes in an alert that opened, got worse, or is over.
  ///
  /// - Parameter worse: whether it is to be told again although it was open.
  mutating func take(_ alert: NotifiedAlert, worse: Bool = false, at now: Timestamp) {
    if let known = place(of: alert) {
      members[known].alert = alert
      guard worse || alert.resolvedAt != nil else { return }
      members[known].isChanged = true
    } else {
      members.append(Member(alert: alert, toldAt: nil, isChanged: true))
    }
    changedAt = min(changedAt ?? now, now)
  }

  /// When there is something to tell; nil while there is not.
  ///
  /// - Parameter now: what is muted is looked at again after each interval.
  func due(_ pace: AlertRoute.Pace) -> Timestamp? {
    let change = changedAt.map { changed in
      flushedAt.map { max(changed, $0.advanced(by: pace.interval)) } ?? changed.advanced(by: pace.wait)
    }
    let again = members.filter { $0.alert.resolvedAt == nil }.compactMap(\.toldAt).min()?.advanced(by: pace.repeats)
    return [change, again].compactMap { $0 }.min()
  }

  /// What is told now. Call it when `due` has come.
  ///
  /// - Parameter isMuted: whether an alert is silenced, or a parent stands for it.
  mutating func flush(
    _ pace: AlertRoute.Pace, at now: Timestamp, isMuted: (NotifiedAlert) -> Bool
  ) -> [NotifiedAlert] {
    var told: [NotifiedAlert] = []
    var kept: [Member] = []
    var waits = false
    for var member in members {
      let isOver = member.alert.resolvedAt != nil
      let again = !isOver && member.toldAt.map { now.since($0) >= pace.repeats } ?? false
      let muted = (member.isChanged || again) && isMuted(member.alert)
      if isOver {
        // What was muted until it was over is no news, even if what muted it is over too.
        if member.toldAt != nil || !(muted || member.wasMuted) { told.append(member.alert) }
        continue
      }
      if (member.isChanged || again) && !muted {
        told.append(member.alert)
        member.toldAt = now
        member.isChanged = false
      }
      member.wasMuted = muted
      // What is muted stays changed, so that it is told once nothing mutes it any more.
      if muted { waits = member.isChanged || waits }
      kept.append(member)
    }
    members = kept
    changedAt = waits ? now : nil
    flushedAt = members.isEmpty ? nil : now
    return told
  }
}
