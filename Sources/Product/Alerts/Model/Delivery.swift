import Basics

public enum DeliveryTag {}
public typealias DeliveryID = ID<DeliveryTag>

/// When a delivery that failed is tried again, and when nobody tries any more.
public enum RetrySchedule {
  /// The wait before each try after the first; about three days in all. Source: Standard Webhooks, with four more tries
  /// in the first five minutes. Most receivers that are away are being restarted, and whoever is to be woken should not
  /// sleep on until the fifth minute for that: beside Alertmanager, which is back within seconds, that was measured.
  public static let waits: [Duration] = [
    .seconds(5), .seconds(15), .seconds(30), .seconds(60), .seconds(120), .seconds(300), .seconds(1_800),
    .seconds(7_200), .seconds(18_000), .seconds(36_000), .seconds(50_400), .seconds(72_000), .seconds(86_400),
  ]
  /// A receiver that said no is asked again when somebody may have corrected it.
  public static let afterRejection = Duration.seconds(300)
  /// So much longer or shorter, at random: receivers that come back are not met by everybody at once.
  public static let jitter = 0.2
  /// A receiver that says no so often will not say yes.
  public static let rejectionsMax = 3

  /// - Parameters:
  ///   - tries: how many were made.
  ///   - random: uniform in 0..<1.
  /// - Returns: nil when that was the last.
  static func wait(after tries: Int, random: Double) -> Duration? {
    guard tries >= 1, tries <= waits.count else { return nil }
    return jittered(waits[tries - 1], random)
  }

  static func jittered(_ wait: Duration, _ random: Double) -> Duration { wait * (1 + jitter * (2 * random - 1)) }
}

/// One notification on its way to one endpoint: a value without clock.
///
/// | state | outcome | next |
/// |---|---|---|
/// | waiting | delivered | delivered |
/// | waiting | retry, and tries are left | waiting, after the schedule's wait or the longer one that was asked for |
/// | waiting | retry, of a try before its time | waiting, as it was; no try is used up |
/// | waiting | retry, the last, or of a trial | dead |
/// | waiting | rejected, the first or second time | waiting |
/// | waiting | rejected, the third time | dead |
/// | waiting | gone | dead, and the endpoint is switched off |
/// | dead | replayed | waiting, from the beginning |
public struct Delivery: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case waiting
    case delivered
    /// Nobody tries any more; a person may replay it.
    case dead
  }

  public let id: DeliveryID
  public let endpoint: EndpointID
  /// Somebody tries the endpoint out and waits for the answer: there is one try.
  public let isTrial: Bool
  public private(set) var notification: Notification
  public private(set) var state = State.waiting
  public private(set) var tries = 0
  public private(set) var rejections = 0
  public private(set) var nextAt: Timestamp
  /// The receiver asked to be left alone until then, or said no: nobody tries sooner, whatever the endpoint does.
  private(set) var notBefore: Timestamp?
  /// What the newest try found.
  public private(set) var detail = ""
  public let createdAt: Timestamp
  public private(set) var endedAt: Timestamp?

  public init(
    id: DeliveryID, endpoint: EndpointID, notification: Notification, isTrial: Bool = false, at now: Timestamp
  ) {
    self.id = id
    self.endpoint = endpoint
    self.isTrial = isTrial
    self.notification = notification
    nextAt = now
    createdAt = now
  }

  /// Adds what there is to tell since, if nobody was told of this one yet: nothing is left out, and the queue does not
  /// grow while a receiver is away.
  ///
  /// - Returns: false when a try was made; then the news needs a delivery of its own.
  mutating func take(_ alerts: [NotifiedAlert]) -> Bool {
    guard state == .waiting, tries == 0 else { return false }
    for alert in alerts {
      let known = notification.alerts.firstIndex { $0.key == alert.key && $0.openedAt == alert.openedAt }
      if let known { notification.alerts[known] = alert } else { notification.alerts.append(alert) }
    }
    return true
  }

  /// Whether it may show before its time that its endpoint answers again.
  func maySound(at now: Timestamp) -> Bool { state == .waiting && notBefore.map { $0 <= now } ?? true }

  /// Takes in what a try found.
  ///
  /// - Parameters:
  ///   - early: the try was made before its time, to see whether the endpoint answers again.
  ///   - random: uniform in 0..<1.
  mutating func took(_ outcome: DeliveryOutcome, early: Bool = false, at now: Timestamp, random: Double) {
    guard state == .waiting else { return }
    if early, case .retry(let asked, _) = outcome { return hold(for: asked, now) }
    tries += 1
    detail = String(outcome.detail.prefix(AlertLimits.detailCharactersMax))
    switch outcome {
    case .delivered: end(.delivered, now)
    case .gone: end(.dead, now)
    case .rejected:
      rejections += 1
      rejections >= RetrySchedule.rejectionsMax ? end(.dead, now) : again(RetrySchedule.afterRejection, now, random)
    case .retry(let after, _): again(after, now, random)
    }
  }

  private mutating func hold(for asked: Duration?, _ now: Timestamp) {
    notBefore = asked.map { now.advanced(by: $0) }
    nextAt = max(nextAt, notBefore ?? nextAt)
  }

  private mutating func again(_ asked: Duration?, _ now: Timestamp, _ random: Double) {
    guard !isTrial, let wait = RetrySchedule.wait(after: tries, random: random) else { return end(.dead, now) }
    nextAt = now.advanced(by: wait)
    hold(for: asked, now)
  }

  private mutating func end(_ state: State, _ now: Timestamp) {
    self.state = state
    endedAt = now
  }

  /// The endpoint answers again: what waits for it need not wait any longer.
  mutating func hurry(at now: Timestamp) {
    guard state == .waiting else { return }
    nextAt = max(min(nextAt, now), notBefore ?? now)
  }

  /// - Throws: `conflict` for one that is not dead.
  mutating func replay(at now: Timestamp) throws(AWError) {
    guard state == .dead else {
      throw AWError(
        .conflict, "This delivery is \(state.rawValue): only a dead one can be replayed.",
        next: "See 'aw alert dead-letters list'.")
    }
    (state, tries, rejections, nextAt, notBefore, endedAt) = (.waiting, 0, 0, now, nil, nil)
  }
}
