import Basics
import Link

/// Whether the watch should blame the fleet, one part of it, or itself: a pure decision over what was missed lately and
/// over how the watch itself is doing.
///
/// Many Instances that are lost at once have one cause. When one scope explains most of them, it is that scope: see
/// `Disruption`. When nothing but the watch has them all in common, it is the watch: then no Instance is called
/// unreachable, and what AW knew last is shown with the doubt.
public struct SelfDoubt: Codable, Sendable, Equatable {
  public enum Cause: String, Codable, Sendable {
    /// Too many Instances of too many Hosts at once.
    case correlatedLoss = "correlated_loss"
    /// The watch itself runs late.
    case stalled
    /// The control plane does not reach its own AW Gateway.
    case sentinel
    /// The control plane does not reach most of the places outside that it was given to dial.
    case isolated
    /// Several smaller signs together.
    case overloaded
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
  /// From this score on, nothing new is called unreachable. Below, deadlines are longer.
  public static let scoreMax = 3

  /// Whether so many of so many are a wave.
  static func isWave(_ lost: Int, of all: Int) -> Bool { lost > max(lostMin, Int(Double(all) * lostShare)) }
}

/// How the watch itself is doing.
struct SelfSigns: Sendable, Equatable {
  /// How late its own last look was.
  var late = Duration.zero
  /// The 99th percentile of how late what it asked for at a time was done, over a minute.
  var lag = Duration.zero
  /// The 99th percentile of how long its writes took, over its last hundred.
  var write = Duration.zero
  /// The share of its own ticks, over a minute, that it left out because it was a whole one late.
  var missedTicks = 0.0
  /// How often in a row its own AW Gateway did not let it dial.
  var sentinelMisses = 0
  /// How often in a row most of the anchors outside did not.
  var anchorMisses = 0

  static let lagMax = Duration.milliseconds(250)
  static let lagTooMuch = Duration.seconds(1)
  static let writeMax = Duration.seconds(1)
  static let missedTicksMax = 0.01
  /// One dial can be unlucky.
  static let sentinelMissesMax = 2

  /// 0 to 7, as in Lifeguard's local health: how little its own measurements are worth.
  var score: Int {
    var score = 0
    if late > SelfDoubt.lateMax { score += 3 }
    if lag > Self.lagMax { score += 1 }
    if lag > Self.lagTooMuch { score += 1 }
    if missedTicks > Self.missedTicksMax { score += 1 }
    if write > Self.writeMax { score += 1 }
    if sentinelMisses >= Self.sentinelMissesMax { score += 3 }
    if anchorMisses >= Self.sentinelMissesMax { score += 3 }
    return min(score, 7)
  }

  /// By how much deadlines are longer than they are.
  var patience: Double { Double(1 + score) }

  var doubt: SelfDoubt? {
    guard score >= SelfDoubt.scoreMax else { return nil }
    if late > SelfDoubt.lateMax {
      return SelfDoubt(
        .stalled, "The Watchdog ran \(Int(late.seconds)) s late: what it missed may be its own fault.")
    }
    if sentinelMisses >= Self.sentinelMissesMax {
      return SelfDoubt(.sentinel, "The control plane does not reach its own AW Gateway: what it misses proves nothing.")
    }
    if anchorMisses >= Self.sentinelMissesMax {
      return SelfDoubt(
        .isolated, "The control plane does not reach most of its anchors outside: its own network may be what fails.")
    }
    return SelfDoubt(
      .overloaded,
      "The control plane is slow (\(lag.milliseconds) ms late, writes take \(write.milliseconds) ms): "
        + "what it misses proves little.")
  }
}

extension StatusReading {
  /// The reading while the watch doubts itself: nothing new is called unreachable, and what was seen is kept beside it.
  func doubted(_ doubt: SelfDoubt?) -> StatusReading {
    guard let doubt, status == .unreachable else { return self }
    return StatusReading(.unknown, "\(doubt.reason) Last seen: \(reason)", link: link, evidenceAt: evidenceAt)
  }
}
