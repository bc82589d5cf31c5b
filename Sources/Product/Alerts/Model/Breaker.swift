import Basics

/// What is known of an endpoint that fails: that it is not called for every delivery that waits for it, and that it is
/// asked again and again whether it is back. A value without clock.
///
/// | state | event | next |
/// |---|---|---|
/// | any | an answer | answers: everything that waits goes when its time comes |
/// | any | a failure | is away; asked after a tenth of the time it has been away, 2 s at least, 15 s at most |
/// | is away | the fifth failure in a row | rests: what is due waits for the next asking, too |
/// | is away | its time to be asked has come | one delivery may go, due or not |
/// | is away | asked | nobody else asks until there is an outcome |
///
/// A schedule of tries that ends after days (`RetrySchedule`) tells when to give a delivery up. It is no way to see
/// that an endpoint is back: a resolve would wait for hours behind a receiver that answers. So the wait here follows
/// from how long the endpoint has been away, and what it costs is one request in 15 s.
struct Breaker: Sendable, Equatable {
  static let failuresMax = 5
  static let waitShare = 0.1
  static let waitMin = Duration.seconds(2)
  static let waitMax = Duration.seconds(15)

  private(set) var failures = 0
  private var awaySince: Timestamp?
  private var asksAt: Timestamp?

  var rests: Bool { failures >= Breaker.failuresMax }

  /// Whether a delivery whose time has come may go.
  func lets(at now: Timestamp) -> Bool { !rests || asks(at: now) }

  /// Whether a delivery whose time has not come may show that the endpoint is back. One that nothing is known of, as
  /// after a start, may be asked at once.
  func asks(at now: Timestamp) -> Bool { asksAt.map { $0 <= now } ?? true }

  /// It is being asked. Should nobody ever say how that ended, it is asked again when the delivery's lease is over.
  mutating func asked(at now: Timestamp) { asksAt = now.advanced(by: AlertLimits.lease) }

  /// - Parameters:
  ///   - now: when the try ended.
  ///   - random: uniform in 0..<1.
  /// - Returns: whether the endpoint answers again after it did not.
  mutating func took(_ outcome: DeliveryOutcome, at now: Timestamp, random: Double) -> Bool {
    guard case .retry(let asked, _) = outcome else {
      // A refusal is an answer: the endpoint is there.
      let wasAway = failures > 0 || asksAt != nil
      self = Breaker()
      return wasAway
    }
    failures += 1
    let since = awaySince ?? now
    awaySince = since
    let wait = min(Breaker.waitMax, max(Breaker.waitMin, now.since(since) * Breaker.waitShare))
    asksAt = now.advanced(by: max(RetrySchedule.jittered(wait, random), asked ?? .zero))
    return false
  }
}
