import Basics

/// When a status is believed enough to tell people: a value without clock. A status can change with every walk; what
/// people are told is the hard one, which needs the same answer several times.
///
/// | the derived status becomes | told |
/// |---|---|
/// | unreachable | at once: it took three failed walks over ten seconds to get there |
/// | degraded, unknown | after three walks in a row over at least ten seconds |
/// | current | after two walks in a row over at least fifteen seconds |
/// | stale | never: nothing is known yet |
///
/// The first status of an Instance is hard at once when it is current: then there is nothing to tell.
public struct HardStatus: Codable, Sendable, Equatable {
  /// How often, and over how long, a status must show before it is believed.
  struct Need: Sendable, Equatable {
    let looks: Int
    let over: Duration

    static func of(_ status: Status) -> Need? {
      switch status {
      case .unreachable: Need(looks: 1, over: .zero)
      case .degraded, .unknown: Need(looks: 3, over: .seconds(10))
      case .current: Need(looks: 2, over: .seconds(15))
      case .stale: nil
      }
    }
  }

  /// What people were told last; nil when nothing was.
  public private(set) var status: Status?
  private var candidate: Status?
  private var looks = 0
  private var firstAt: Timestamp?

  public init() {}

  /// Whether what shows is not what people were told: then it is looked at again soon.
  var isConfirming: Bool { candidate != nil && candidate != status && candidate != .stale }

  /// Takes in one look.
  ///
  /// - Returns: the status that people are told of now; nil when there is nothing new.
  mutating func look(_ seen: Status, at now: Timestamp) -> Status? {
    if seen == candidate {
      looks += 1
    } else {
      (candidate, looks, firstAt) = (seen, 1, now)
    }
    guard seen != status, let need = Need.of(seen) else { return nil }
    let isFirst = status == nil && seen == .current
    guard isFirst || (looks >= need.looks && now.since(firstAt ?? now) >= need.over) else { return nil }
    defer { status = seen }
    return isFirst ? nil : seen
  }
}
