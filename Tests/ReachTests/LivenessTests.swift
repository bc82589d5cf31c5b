import Basics
import Link
import Testing

@Suite("Liveness of a link")
struct LivenessTests {
  @Test("silence leads to a ping, to suspicion, to death, at the promised times")
  func silence() {
    var liveness = Liveness(now: .zero)
    #expect(liveness.tick(now: .milliseconds(4_900)) == .none)
    #expect(liveness.tick(now: .seconds(5)) == .sendPing(1))
    #expect(liveness.tick(now: .milliseconds(7_400)) == .none)
    #expect(liveness.tick(now: .milliseconds(7_500)) == .suspected)
    #expect(liveness.isSuspect)
    #expect(liveness.tick(now: .milliseconds(9_400)) == .none)
    #expect(liveness.tick(now: .milliseconds(9_500)) == .died)
    #expect(liveness.tick(now: .seconds(11)) == .none)
    #expect(liveness.due == nil)
  }

  @Test("bytes that keep coming suppress pings")
  func busy() {
    var liveness = Liveness(now: .zero)
    for second in 1...60 {
      #expect(liveness.bytesRead(100, now: .seconds(second)) == .none)
      #expect(liveness.tick(now: .seconds(second)) == .none)
    }
  }

  @Test("an answered ping measures the round trip and starts over")
  func answered() {
    var liveness = Liveness(now: .zero)
    #expect(liveness.tick(now: .seconds(5)) == .sendPing(1))
    #expect(liveness.bytesRead(100, now: .milliseconds(5_040)) == .none)
    #expect(liveness.pingAnswered(1, now: .milliseconds(5_040)) == .none)
    #expect(liveness.roundTrip == .milliseconds(40))
    #expect(liveness.tick(now: .milliseconds(10_040)) == .sendPing(2))
  }

  @Test("who asked for a ping gets one at once, and silence after it counts from there")
  func asked() {
    var liveness = Liveness(now: .zero)
    #expect(liveness.bytesRead(100, now: .seconds(1)) == .none)
    #expect(liveness.ask(now: .seconds(1)) == .sendPing(1))
    #expect(liveness.ask(now: .seconds(2)) == .none, "one is under way")
    #expect(liveness.due == .milliseconds(3_500))
    #expect(liveness.tick(now: .milliseconds(3_500)) == .suspected)
    #expect(liveness.ask(now: .seconds(4)) == .none)
    #expect(liveness.tick(now: .milliseconds(5_500)) == .died)
    #expect(liveness.ask(now: .seconds(6)) == .none)
  }

  @Test("a byte lifts a suspicion")
  func lifted() {
    var liveness = Liveness(now: .zero)
    _ = liveness.tick(now: .seconds(5))
    #expect(liveness.tick(now: .seconds(8)) == .suspected)
    #expect(liveness.bytesRead(100, now: .seconds(9)) == .recovered)
    #expect(!liveness.isSuspect)
    #expect(liveness.tick(now: .seconds(14)) == .sendPing(2))
  }

  @Test("bytes that come keep off suspicion and death, whatever becomes of a ping behind a slow wire's bulk")
  func slowAnswer() {
    var liveness = Liveness(now: .zero)
    #expect(liveness.ask(now: .zero) == .sendPing(1))
    for second in stride(from: 2, through: 30, by: 2) {
      #expect(liveness.tick(now: .seconds(second)) == .none)
      #expect(liveness.bytesRead(100, now: .seconds(second)) == .none)
    }
    #expect(liveness.tick(now: .milliseconds(32_500)) == .suspected)
    #expect(liveness.due == .milliseconds(34_500))
    #expect(liveness.tick(now: .milliseconds(34_400)) == .none)
    #expect(liveness.tick(now: .milliseconds(34_500)) == .died)
  }

  @Test("who takes in much says so often enough for the far end not to doubt it")
  func sign() {
    var liveness = Liveness(now: .zero)
    let kib = 1_024
    #expect(liveness.bytesRead(60 * kib, now: .seconds(4)) == .none, "too little for bulk")
    #expect(liveness.bytesRead(60 * kib, now: .seconds(4)) == .sendSign)
    #expect(liveness.bytesRead(900 * kib, now: .milliseconds(6_900)) == .none, "too soon")
    #expect(liveness.bytesRead(kib, now: .seconds(7)) == .sendSign)
    #expect(liveness.ask(now: .seconds(9)) == .sendPing(1))
    #expect(liveness.bytesRead(900 * kib, now: .seconds(10)) == .none, "a ping is a sign, too")
    #expect(liveness.bytesRead(kib, now: .seconds(12)) == .sendSign, "also while an answer is awaited")
    #expect(liveness.policy.signAfter < liveness.policy.deadAfter)
  }

  @Test("an idle link carries no signs")
  func noSigns() {
    var liveness = Liveness(now: .zero)
    for second in stride(from: 5, through: 600, by: 5) {
      #expect(liveness.bytesRead(17, now: .seconds(second)) == .none)
    }
  }

  @Test("an old ping's answer means nothing")
  func stale() {
    var liveness = Liveness(now: .zero)
    _ = liveness.tick(now: .seconds(5))
    #expect(liveness.pingAnswered(7, now: .seconds(6)) == .none)
    #expect(liveness.tick(now: .seconds(8)) == .suspected)
  }

  @Test("the wait before a dial doubles to 20 s, jittered over all of it, and is forgotten after 60 healthy seconds")
  func backoff() {
    var reconnect = Reconnect()
    let ceilings = (0..<8).map { _ in reconnect.delay(after: .failure, lived: .zero, random: 1).milliseconds }
    #expect(ceilings == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000])
    #expect(reconnect.delay(after: .failure, lived: .seconds(61), random: 1) == .milliseconds(500))
    #expect(reconnect.delay(after: .failure, lived: .zero, random: 0) == .zero)
    for _ in 0..<8 { #expect(reconnect.delay(after: .unreached, lived: .zero, random: 1) <= .seconds(2)) }
    #expect(reconnect.delay(after: .unreached, lived: .zero, random: 1) == .seconds(2))
    #expect(reconnect.delay(after: .failure, lived: .zero, random: 1) == .seconds(20))
    #expect(reconnect.delay(after: .corrected, lived: .zero, random: 1) == .zero)
    #expect(reconnect.delay(after: .drained(spread: .seconds(4)), lived: .zero, random: 0.5) == .seconds(2))
    #expect(reconnect.delay(after: .refused, lived: .zero, random: 0) == .seconds(60))
    #expect(reconnect.delay(after: .refused, lived: .zero, random: 1) == .seconds(300))
  }
}
