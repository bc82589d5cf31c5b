import Basics
import Events
import Testing

@testable import Alerts

@Suite("A notification on its way")
struct DeliveryTests {
  typealias Scene = AlertScene

  private func fresh() -> Delivery {
    let note = Notification(
      id: "1", groupKey: "r/acme", org: nil, at: Scene.start, alerts: [Scene.alert("a")])
    return Delivery(id: .make(at: Scene.start), endpoint: .make(at: Scene.start), notification: note, at: Scene.start)
  }

  @Test("a receiver that is away is tried for about three days, and then the delivery is a dead letter")
  func schedule() {
    var delivery = fresh()
    var (now, tries) = (Scene.start, 0)
    while delivery.state == .waiting, tries < 50 {
      now = delivery.nextAt
      delivery.took(.retry(after: nil, detail: "no answer"), at: now, random: 0.5)
      tries += 1
    }
    #expect(delivery.state == .dead)
    #expect(tries == 14)
    #expect((70...80).contains(now.since(Scene.start).seconds / 3_600))
  }

  @Test("somebody who tries an endpoint out gets one try")
  func trial() {
    let note = fresh().notification
    var trial = Delivery(
      id: .make(at: Scene.start), endpoint: .make(at: Scene.start), notification: note, isTrial: true, at: Scene.start)
    trial.took(.retry(after: nil, detail: "no answer"), at: Scene.at(1), random: 0.5)
    #expect(trial.state == .dead)
  }

  @Test("the wait is within a fifth of the schedule's", arguments: [0.0, 0.25, 0.5, 0.999])
  func jitter(random: Double) throws {
    for tries in 1...RetrySchedule.waits.count {
      let wait = try #require(RetrySchedule.wait(after: tries, random: random))
      let ratio = wait.seconds / RetrySchedule.waits[tries - 1].seconds
      #expect((0.8...1.2).contains(ratio))
    }
    #expect(RetrySchedule.wait(after: RetrySchedule.waits.count + 1, random: random) == nil)
  }

  @Test("a short outage of a receiver delays what is told by no more than twice its length", arguments: [0.0, 0.999])
  func shortOutage(random: Double) throws {
    let waits = try (1...6).map { try #require(RetrySchedule.wait(after: $0, random: random)) }
    let tries = waits.reduce(into: [Duration.zero]) { $0.append(($0.last ?? .zero) + $1) }
    #expect(tries[6] >= .seconds(400))
    // Over just after one try, heard of with the next.
    for (outage, next) in zip(tries.dropFirst(2), tries.dropFirst(3)) { #expect(next - outage <= outage * 2) }
  }

  @Test("a receiver that asks for more time gets it")
  func retryAfter() {
    var delivery = fresh()
    delivery.took(.retry(after: .seconds(600), detail: "HTTP 429"), at: Scene.at(0), random: 0.5)
    #expect(delivery.nextAt == Scene.at(600))
  }

  @Test("the third refusal ends it; a receiver that is gone ends it at once")
  func refusals() {
    var delivery = fresh()
    for _ in 1...2 { delivery.took(.rejected(detail: "HTTP 400"), at: Scene.at(0), random: 0.5) }
    #expect(delivery.state == .waiting && delivery.nextAt == Scene.at(300))
    delivery.took(.rejected(detail: "HTTP 400"), at: Scene.at(0), random: 0.5)
    #expect(delivery.state == .dead)
    var other = fresh()
    other.took(.gone(detail: "HTTP 410"), at: Scene.at(0), random: 0.5)
    #expect(other.state == .dead)
  }

  @Test("news joins a delivery that nobody tried yet, and no other")
  func joining() {
    var delivery = fresh()
    let joined = delivery.take([Scene.alert("a", resolved: 9), Scene.alert("b")])
    #expect(joined)
    #expect(delivery.notification.alerts == [Scene.alert("a", resolved: 9), Scene.alert("b")])
    delivery.took(.retry(after: nil, detail: ""), at: Scene.at(0), random: 0.5)
    let late = delivery.take([Scene.alert("c")])
    #expect(!late)
    #expect(delivery.notification.alerts.count == 2)
  }

  @Test("a dead letter is replayed with the id it had; nothing else is")
  func replay() throws {
    var delivery = fresh()
    #expect(throws: AWError.self) { try delivery.replay(at: Scene.at(1)) }
    delivery.took(.gone(detail: ""), at: Scene.at(0), random: 0.5)
    try delivery.replay(at: Scene.at(5))
    #expect(delivery.state == .waiting && delivery.nextAt == Scene.at(5) && delivery.notification.id == "1")
  }

  @Test("a try before its time that finds nobody uses up none of the schedule's, and one that arrives ends it")
  func early() {
    var delivery = fresh()
    delivery.took(.retry(after: nil, detail: "HTTP 500"), at: Scene.at(0), random: 0.5)
    let before = delivery
    delivery.took(.retry(after: nil, detail: "HTTP 500"), early: true, at: Scene.at(2), random: 0.5)
    #expect(delivery == before)
    delivery.took(.delivered(detail: ""), early: true, at: Scene.at(4), random: 0.5)
    #expect(delivery.state == .delivered && delivery.tries == 2)
  }

  @Test("who asked for time, or said no, is not hurried before it is over")
  func notBefore() throws {
    var asked = fresh()
    asked.took(.retry(after: nil, detail: ""), at: Scene.at(0), random: 0.5)
    asked.took(.retry(after: .seconds(40), detail: "HTTP 429"), early: true, at: Scene.at(2), random: 0.5)
    asked.hurry(at: Scene.at(10))
    #expect(asked.nextAt == Scene.at(42) && !asked.maySound(at: Scene.at(41)) && asked.maySound(at: Scene.at(42)))
    var refused = fresh()
    refused.took(.rejected(detail: "HTTP 400"), at: Scene.at(0), random: 0.5)
    refused.hurry(at: Scene.at(10))
    #expect(refused.nextAt == Scene.at(300) && !refused.maySound(at: Scene.at(299)))
    var failed = fresh()
    for _ in 1...8 { failed.took(.retry(after: nil, detail: ""), at: Scene.at(0), random: 0.5) }
    failed.hurry(at: Scene.at(10))
    #expect(failed.nextAt == Scene.at(10) && failed.maySound(at: Scene.at(0)))
  }
}

@Suite("An endpoint that is away")
struct BreakerTests {
  typealias Scene = AlertScene
  private let failure = DeliveryOutcome.retry(after: nil, detail: "")

  @Test("it rests after five failures in a row, and an answer ends that")
  func rest() {
    var breaker = Breaker()
    for _ in 1...4 { _ = breaker.took(failure, at: Scene.at(0), random: 0.5) }
    #expect(breaker.lets(at: Scene.at(0)) && !breaker.asks(at: Scene.at(1)) && breaker.asks(at: Scene.at(2)))
    _ = breaker.took(failure, at: Scene.at(0), random: 0.5)
    #expect(!breaker.lets(at: Scene.at(1)) && breaker.lets(at: Scene.at(2)))
    let isBack = breaker.took(.rejected(detail: "HTTP 400"), at: Scene.at(3), random: 0.5)
    #expect(isBack && breaker == Breaker())
    let again = breaker.took(.delivered(detail: ""), at: Scene.at(4), random: 0.5)
    #expect(!again)
  }

  @Test("while it is asked nobody else asks, until the asking is forgotten")
  func asked() {
    var breaker = Breaker()
    #expect(breaker.asks(at: Scene.at(0)))
    breaker.asked(at: Scene.at(0))
    #expect(!breaker.asks(at: Scene.at(89)) && breaker.asks(at: Scene.at(90)))
    // Nothing was known of it, as after a start: what waits for it is to be hurried all the same.
    let isBack = breaker.took(.delivered(detail: ""), at: Scene.at(1), random: 0.5)
    #expect(isBack)
  }

  @Test("its Retry-After is kept")
  func retryAfter() {
    var breaker = Breaker()
    _ = breaker.took(.retry(after: .seconds(120), detail: "HTTP 503"), at: Scene.at(0), random: 0.5)
    #expect(!breaker.asks(at: Scene.at(119)) && breaker.asks(at: Scene.at(120)))
  }

  @Test("it is asked soon after its return, however long it was away, and seldom", arguments: [0.0, 0.5, 0.999])
  func pace(random: Double) {
    var breaker = Breaker()
    var asks: [Int] = []
    for second in 0...7_200 where breaker.asks(at: Scene.at(second)) {
      asks.append(second)
      _ = breaker.took(failure, at: Scene.at(second), random: random)
    }
    for (last, next) in zip(asks, asks.dropFirst()) {
      // Its return just after one asking is seen with the next; a second is how often anybody looks.
      #expect(next - last <= max(3, min(18, last * 12 / 100)) + 1)
      #expect(next - last >= 2)
    }
    #expect((400...700).contains(asks.count))
  }
}
