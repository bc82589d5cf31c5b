import Basics
import Link

/// Whether the watch should blame the fleet, one part of it, or itself: a pure decision over what was missed lately.
///
/// Many Instances that are lost at once have one cause. When one Host explains most of them, it is that Host. When
/// nothing but the watch has them all in common, it is the watch: then no Instance is called unreachable, and what AW
/// knew last is shown with the doubt.
public struct SelfDoubt: Codable, Sendable, Equatable {
  public enum Cause: String, Codable, Sendable {
    /// Too many Instances of too many Hosts at once.
    case correlatedLoss = "correlated_loss"
    /// The watch itself runs late.
    case stalled
  }

  public let cause: Cause
  /// One sentence for people.
  public let reason: String

  public init(_ cause: Cause, _ reason: String) {
    self.cause = cause
    self.reason = reason
  }

  /// Losses within this time count as one wave.
  public static let within = Duration.seconds(60)
  /// So many, and this share of all, are a wave. Sources: Eureka's self-preservation begins at 15 %.
  public static let lostMin = 5
  public static let lostShare = 0.15
  /// A scope that explains this share of the losses is to blame for them.
  public static let explainedShare = 0.8
  /// A watch that is later than this with its own look doubts what it sees.
  public static let lateMax = Duration.seconds(3)

  /// What the watch knows of one Instance: where it is, and since when every walk misses it.
  public struct Watched: Sendable, Equatable {
    public let host: HostID
    public let missingSince: Timestamp?

    public init(host: HostID, missingSince: Timestamp?) {
      self.host = host
      self.missingSince = missingSince
    }
  }

  /// - Parameters:
  ///   - all: every Instance that is meant to run.
  ///   - late: how late the watch's own last look was.
  /// - Returns: nil when the watch may believe what it sees.
  public static func judge(_ all: [Watched], late: Duration, now: Timestamp) -> SelfDoubt? {
    if late > lateMax {
      return SelfDoubt(
        .stalled, "The Watchdog ran \(Int(late.seconds)) s late: what it missed may be its own fault.")
    }
    let lost = all.filter { watched in watched.missingSince.map { now.since($0) <= within } ?? false }
    guard lost.count > max(lostMin, Int(Double(all.count) * lostShare)) else { return nil }
    let byHost = Dictionary(grouping: lost, by: \.host).mapValues(\.count)
    let most = byHost.values.max() ?? 0
    guard Double(most) < explainedShare * Double(lost.count) else { return nil }
    return SelfDoubt(
      .correlatedLoss,
      "\(lost.count) of \(all.count) Instances on \(byHost.count) Hosts were missed within \(Int(within.seconds)) s: "
        + "that is more likely the control plane's own network than all of them.")
  }
}

extension StatusReading {
  /// The reading while the watch doubts itself: nothing new is called unreachable, and what was seen is kept beside it.
  func doubted(_ doubt: SelfDoubt?) -> StatusReading {
    guard let doubt, status == .unreachable else { return self }
    return StatusReading(.unknown, "\(doubt.reason) Last seen: \(reason)", link: link, evidenceAt: evidenceAt)
  }
}
