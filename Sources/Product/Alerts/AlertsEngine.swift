import Basics
import CoreMetrics
import Events
import Logging
import ServiceLifecycle
import Store
import Synchronization

/// How a notification reaches an endpoint. Never throws: a failure is an outcome.
public typealias SendNotification = @Sendable (Notification, Endpoint, Timestamp) async -> DeliveryOutcome

/// Turns events into alerts, alerts into notifications, and sends them until each has arrived or is given up by name.
///
/// Every turn is one transaction, and where it was in the outbox is part of it: a control plane that is killed between
/// two turns goes on where the last one ended. What was being sent then is sent again, with the same id.
public final class AlertsEngine: Service {
  static let tick = Duration.seconds(1)
  static let sweepEvery = Duration.seconds(3_600)

  private let turns: AlertTurns
  private let store: Store
  private let clock: WallClock
  private let logger: Logger
  private let send: SendNotification
  private let metrics: any MetricsFactory
  private let timer: any Clock<Duration>
  /// Names this control plane among those that share the database.
  private let sender: String
  private let breakers = Mutex<[EndpointID: Breaker]>([:])
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation
  private let changed: @Sendable () -> Void

  /// - Parameters:
  ///   - publicURL: what links in notifications begin with; nil leaves them out.
  ///   - changed: told after every turn that changed something, for live pages.
  public init(
    store: Store, clock: WallClock, sender: String, publicURL: String?, metrics: any MetricsFactory, logger: Logger,
    timer: any Clock<Duration> = ContinuousClock(), send: @escaping SendNotification,
    changed: @escaping @Sendable () -> Void
  ) {
    self.store = store
    self.clock = clock
    self.sender = sender
    self.logger = logger
    self.send = send
    self.metrics = metrics
    self.timer = timer
    self.changed = changed
    turns = AlertTurns(publicURL: publicURL)
    (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// There is something in the outbox, or somebody asked for a delivery.
  public func nudge() { waker.yield() }

  public func run() async throws {
    // Each series starts at zero: Prometheus takes the first value it sees for no increase.
    for word in DeliveryOutcome.words { _ = tries(word) }
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          // Cancellation is the only reason why sleeping fails.
          while (try? await self.timer.sleep(for: Self.tick)) != nil { self.waker.yield() }
          self.waker.finish()
        }
        group.addTask { await self.sweepFromTimeToTime() }
        await self.sendWhatIsDue()
        group.cancelAll()
      }
    }
  }

  private func sendWhatIsDue() async {
    await withTaskGroup(of: Void.self) { group in
      var underWay = 0
      for await _ in wake {
        for delivery in await turn() {
          if underWay >= AlertLimits.sendsMax {
            await group.next()
            underWay -= 1
          }
          underWay += 1
          group.addTask { await self.tryOnce(delivery) }
        }
      }
      group.cancelAll()
    }
  }

  /// One look at everything.
  ///
  /// - Returns: what is to be sent now.
  func turn() async -> [Delivery] {
    do {
      while try await takeEvents() == AlertLimits.eventsPerTurnMax {}
      return try await dueDeliveries()
    } catch {
      logger.error(
        "alerts could not be looked at", metadata: ["error": "\(AWError.wrapping(error, doing: "Alerting").chain)"])
      return []
    }
  }

  private func takeEvents() async throws -> Int {
    let now = clock.now
    let (turns, changed) = (turns, changed)
    // Reading first keeps an idle control plane from writing each second.
    let isIdle = try await store.read { tx in
      let cursor = try AlertsRecords.cursor(in: tx)
      return try EventOutbox.head(in: tx) == cursor && AlertsRecords.dueGroups(at: now, in: tx).isEmpty
    }
    guard !isIdle else { return 0 }
    return try await store.write { tx in
      let taken = try turns.takeEvents(in: tx, at: now)
      let told = try turns.flush(in: tx, at: now)
      if taken > 0 || told > 0 { tx.afterCommit(changed) }
      return taken
    }
  }

  private func dueDeliveries() async throws -> [Delivery] {
    let now = clock.now
    let breakers = breakers.withLock { $0 }
    let resting = breakers.filter { !$0.value.lets(at: now) }.map(\.key)
    let sender = sender
    guard try await store.read({ try DeliveryRecords.count(.waiting, in: $0) }) > 0 else { return [] }
    let (due, early) = try await store.write { tx in
      let due = try DeliveryRecords.lease(
        for: sender, resting: resting, limit: AlertLimits.sendsMax * 2, at: now, in: tx)
      let called = Set(due.map(\.endpoint))
      let early = try DeliveryRecords.leaseEarly(for: sender, at: now, in: tx) {
        !called.contains($0) && breakers[$0]?.asks(at: now) ?? true
      }
      return (due, early)
    }
    // An endpoint that rests gets one try to show that it is back.
    var asked = Set(early.map(\.endpoint))
    var (sent, left) = (early, [Delivery]())
    for delivery in due {
      let rests = breakers[delivery.endpoint]?.rests ?? false
      if rests, !asked.insert(delivery.endpoint).inserted { left.append(delivery) } else { sent.append(delivery) }
    }
    self.breakers.withLock { [asked] in for id in asked { $0[id, default: Breaker()].asked(at: now) } }
    if !left.isEmpty {
      try await store.write { [left] tx in for delivery in left { try DeliveryRecords.release(delivery.id, in: tx) } }
    }
    return sent
  }

  func tryOnce(_ delivery: Delivery) async {
    let isEarly = delivery.nextAt > clock.now
    do {
      guard let endpoint = try await store.read({ try AlertsRecords.endpoint(delivery.endpoint, in: $0) }) else {
        return try await record(.rejected(detail: "the endpoint was removed"), delivery, early: isEarly, took: .zero)
      }
      guard endpoint.isEnabled else {
        // Whoever switched it off may switch it on again before the delivery's time.
        if isEarly { return try await store.write { try DeliveryRecords.release(delivery.id, in: $0) } }
        return try await record(.gone(detail: "the endpoint is switched off"), delivery, early: false, took: .zero)
      }
      let started = ContinuousClock.now
      let outcome = await send(delivery.notification, endpoint, clock.now)
      // What a shutdown cut off is tried again by whoever comes next; its lease ends by itself.
      guard !Task.isCancelled else { return }
      try await record(outcome, delivery, early: isEarly, took: ContinuousClock.now - started)
    } catch {
      // Its lease runs out, and then it is tried again with the same id.
      logger.error(
        "a delivery could not be recorded",
        metadata: ["delivery": "\(delivery.id)", "error": "\(AWError.wrapping(error, doing: "Recording").chain)"])
    }
  }

  private func tries(_ word: String) -> Counter {
    Counter(label: "aw_alert_tries", dimensions: [("outcome", word)], factory: metrics)
  }

  private func record(_ outcome: DeliveryOutcome, _ delivery: Delivery, early: Bool, took: Duration) async throws {
    let (now, random) = (clock.now, Double.random(in: 0..<1))
    let isBack = breakers.withLock {
      $0[delivery.endpoint, default: Breaker()].took(outcome, at: now, random: random)
    }
    tries(outcome.word).increment()
    let (sender, changed) = (sender, changed)
    try await store.write { tx in
      guard try DeliveryRecords.isLeased(delivery.id, to: sender, in: tx),
        var delivery = try DeliveryRecords.find(delivery.id, in: tx)
      else { return }
      let tries = delivery.tries
      delivery.took(outcome, early: early, at: now, random: random)
      try DeliveryRecords.save(delivery, in: tx)
      try DeliveryRecords.release(delivery.id, in: tx)
      // An endpoint that is asked in vain four times a minute is not four lines a minute in the log.
      guard delivery.tries > tries else { return }
      try DeliveryRecords.insert(
        .init(
          number: delivery.tries, at: now, outcome: outcome.word, detail: delivery.detail,
          milliseconds: took.milliseconds), of: delivery.id, in: tx)
      if case .gone = outcome, var endpoint = try AlertsRecords.endpoint(delivery.endpoint, in: tx) {
        endpoint.isEnabled = false
        try AlertsRecords.save(endpoint, in: tx)
      }
      if isBack {
        for var other in try DeliveryRecords.delayed(for: delivery.endpoint, at: now, in: tx) {
          other.hurry(at: now)
          try DeliveryRecords.save(other, in: tx)
        }
      }
      tx.afterCommit(changed)
    }
    // What was held up may go, and so may the next of its group.
    if isBack || outcome.word == "delivered" { nudge() }
  }

  private func sweepFromTimeToTime() async {
    repeat {
      let now = clock.now
      do {
        try await store.write { tx in try AlertTurns.sweep(at: now, in: tx) }
      } catch {
        logger.warning("old alerts could not be swept", metadata: ["error": "\(error)"])
      }
    } while (try? await timer.sleep(for: Self.sweepEvery)) != nil
  }
}

extension DeliveryOutcome {
  static let words = ["delivered", "failed", "rejected", "gone"]

  /// What it is called in the log and in metrics.
  var word: String {
    switch self {
    case .delivered: "delivered"
    case .retry: "failed"
    case .rejected: "rejected"
    case .gone: "gone"
    }
  }
}
