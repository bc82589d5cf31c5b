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

  @Test("an endpoint that fails five times rests, longer each time, and an answer ends that")
  func breaker() {
    var breaker = Breaker()
    for _ in 1...4 { _ = breaker.took(.retry(after: nil, detail: ""), at: Scene.at(0)) }
    #expect(breaker.lets(at: Scene.at(0)))
    _ = breaker.took(.retry(after: nil, detail: ""), at: Scene.at(0))
    #expect(!breaker.lets(at: Scene.at(29)) && breaker.lets(at: Scene.at(30)))
    _ = breaker.took(.retry(after: nil, detail: ""), at: Scene.at(30))
    #expect(!breaker.lets(at: Scene.at(89)) && breaker.lets(at: Scene.at(90)))
    for _ in 1...20 { _ = breaker.took(.retry(after: nil, detail: ""), at: Scene.at(90)) }
    #expect(breaker.lets(at: Scene.at(690)))
    let isBack = breaker.took(.delivered(detail: ""), at: Scene.at(700))
    #expect(isBack && breaker.lets(at: Scene.at(700)))
    let again = breaker.took(.delivered(detail: ""), at: Scene.at(701))
    #expect(!again)
  }
}
