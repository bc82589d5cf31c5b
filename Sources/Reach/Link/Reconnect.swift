import Basics

/// Decides how long a Connector waits before it dials again: full jitter, so that a fleet never returns in step.
///
/// The base doubles from 0.5 s up to 20 s, or up to 2 s while nobody gets the dials, and is forgotten after 60 s of a
/// healthy link. A refusal that only a person
/// can mend waits 60 s to 300 s.
public struct Reconnect: Sendable, Equatable {
  public enum Reason: Sendable, Equatable {
    /// The dial failed or the link broke.
    case failure
    /// Nobody got the dial: no route, no answer.
    case unreached
    /// The link broke while another one to the same control plane stands: nobody else comes back with this one.
    case alone
    /// The AW Gateway said when it leaves: wait within the spread it gave.
    case drained(spread: Duration)
    /// Refused, and asking again soon cannot help.
    case refused
    /// Refused with something to mend at once (an older epoch): dial again now.
    case corrected
  }

  public static let base = Duration.milliseconds(500)
  public static let cap = Duration.seconds(20)
  /// A dial that nobody gets is no burden to anybody, and whoever dials often is back soon after the network is.
  public static let unreachedCap = Duration.seconds(2)
  public static let healthyAfter = Duration.seconds(60)
  public static let refusedMin = Duration.seconds(60)
  public static let refusedMax = Duration.seconds(300)
  /// How many links an AW Gateway takes a second without a sweat: 500 handshakes a second were measured with both ends
  /// on the same two cores.
  static let returnsPerSecond = 200

  /// How long the Connectors of so many links are to spread their return over.
  public static func spread(over links: Int, min: Duration) -> Duration {
    max(min, .milliseconds(links * 1_000 / returnsPerSecond))
  }

  private(set) var failures = 0

  public init() {}

  /// - Parameters:
  ///   - lived: how long the link was registered; zero if it never was.
  ///   - random: uniform in 0..<1.
  public mutating func delay(after reason: Reason, lived: Duration, random: Double) -> Duration {
    if lived >= Reconnect.healthyAfter { failures = 0 }
    switch reason {
    case .corrected:
      return .zero
    case .drained(let spread):
      return spread * random
    case .refused:
      return Reconnect.refusedMin + (Reconnect.refusedMax - Reconnect.refusedMin) * random
    case .alone where failures == 0:
      failures += 1
      return .zero
    case .failure, .unreached, .alone:
      let cap = reason == .unreached ? Reconnect.unreachedCap : Reconnect.cap
      let ceiling = Reconnect.base.doubled(failures, most: cap)
      failures += 1
      return ceiling * random
    }
  }
}
