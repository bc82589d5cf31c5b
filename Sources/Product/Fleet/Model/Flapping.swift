import Basics

/// Whether an Instance's status goes back and forth: a value without clock.
///
/// | state | event | next | told |
/// |---|---|---|---|
/// | calm | a change, the seventh within ten minutes | flapping | began |
/// | calm | any other change | calm | the change itself |
/// | flapping | a change | flapping | - |
/// | flapping | ten minutes without a change | calm | ended |
public struct Flapping: Codable, Sendable, Equatable {
  public static let within = Duration.seconds(600)
  public static let changesMax = 6

  public private(set) var isFlapping = false
  /// The changes of status within the last ten minutes, oldest first.
  public private(set) var changes: [Timestamp] = []

  public init() {}

  public enum News: Sendable, Equatable {
    case none
    /// Tell the change.
    case change
    /// Tell that it flaps, instead of every change.
    case began
    case ended
  }

  /// Takes in one look: whether the status is another one than before.
  public mutating func look(changed: Bool, at now: Timestamp) -> News {
    changes.removeAll { now.since($0) >= Flapping.within }
    if changed { changes.append(now) }
    switch (isFlapping, changed) {
    case (false, true) where changes.count > Flapping.changesMax:
      isFlapping = true
      return .began
    case (false, true): return .change
    case (true, false) where changes.isEmpty:
      isFlapping = false
      return .ended
    case (true, _), (false, false): return .none
    }
  }
}
