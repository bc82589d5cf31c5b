import Basics

/// The numbers that bound access. All are decisions of this project unless a source is named.
public struct AccessLimits: Sendable {
  /// How long a sign-in link can be used.
  public var signInLink: Duration = .seconds(15 * 60)
  /// How long an invitation can be used.
  public var invitation: Duration = .seconds(24 * 3_600)
  /// A session ends when it was not used for this long.
  public var sessionIdle: Duration = .seconds(12 * 3_600)
  /// A session ends this long after its start, used or not.
  public var sessionAbsolute: Duration = .seconds(7 * 24 * 3_600)
  /// "Last used" of sessions and tokens is written when it is older than this, so that reading does not write.
  public var lastUsedStep: Duration = .seconds(60)
  /// The longest life of an API token.
  public var tokenLifetimeMax: Duration = .seconds(366 * 24 * 3_600)
  /// Dead links and sessions are deleted this long after their end, so that until then the answer can say why.
  public var keepDead: Duration = .seconds(30 * 24 * 3_600)
  /// Sign-in attempts for one name: 10 at once, then one a minute.
  public var attemptsByName = AttemptLimit(burst: 10, interval: .seconds(60))
  /// Sign-in attempts from one address: 30 at once, then one each 10 seconds.
  public var attemptsByAddress = AttemptLimit(burst: 30, interval: .seconds(10))

  public init() {}

  public static let standard = AccessLimits()
}

/// How often something may be tried.
public struct AttemptLimit: Sendable, Hashable {
  /// How many attempts may come at once.
  public let burst: Int
  /// How long it takes to get one attempt back.
  public let interval: Duration

  public init(burst: Int, interval: Duration) {
    self.burst = burst
    self.interval = interval
  }
}

/// Counts attempts by key: a token bucket for each, held as the one time at which the bucket is full again.
///
/// A value without clock: an attempt is taken when it starts, so attempts in flight count as well.
public struct AttemptLimiter: Sendable {
  /// So many keys are remembered; then the one that is nearest to being free again is forgotten.
  public static let keysMax = 10_000

  public let limit: AttemptLimit
  private var fullAt: [String: Timestamp] = [:]

  public init(_ limit: AttemptLimit) { self.limit = limit }

  /// Takes one attempt. Nil when it may go ahead, else how long to wait; a refused attempt costs nothing.
  public mutating func take(_ key: String, at now: Timestamp) -> Duration? {
    let start = max(fullAt[key] ?? now, now)
    let wait = start.since(now) - limit.interval * (limit.burst - 1)
    if wait > .zero { return wait }
    if fullAt[key] == nil { makeRoom(at: now) }
    fullAt[key] = start.advanced(by: limit.interval)
    return nil
  }

  /// Gives every attempt back, after a success.
  public mutating func forgive(_ key: String) { fullAt[key] = nil }

  var keys: Int { fullAt.count }

  private mutating func makeRoom(at now: Timestamp) {
    guard fullAt.count >= AttemptLimiter.keysMax else { return }
    fullAt = fullAt.filter { $0.value > now }
    if fullAt.count >= AttemptLimiter.keysMax, let first = fullAt.min(by: { $0.value < $1.value }) {
      fullAt[first.key] = nil
    }
  }
}
