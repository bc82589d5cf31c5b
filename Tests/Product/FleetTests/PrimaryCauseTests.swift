import Basics
import Link
import Testing

@testable import Fleet

@Suite("One primary cause along the chain")
struct PrimaryCauseTests {
  static func failure(_ code: ErrorCode, _ message: String = "It failed.") -> CheckFailure {
    CheckFailure(code: code.id, message: message, next: "Mend it.")
  }

  @Test(
    "from the first link that is not right and what it said",
    arguments: [
      (ChainLink.host, ErrorCode.hostOffline, PrimaryCause.tunnel), (.runtime, .runtimeUnavailable, .host),
      (.runtime, .runtimeExited, .runtime), (.live, .gatewayUnreachable, .process),
      (.ready, .gatewayNotReady, .readiness), (.hello, .gatewayTimeout, .gateway),
      (.hello, .gatewayRefused, .credential), (.hello, .gatewayOtherIdentity, .credential),
      (.hello, .gatewayDrifted, .drift), (.health, .gatewayNotReady, .health), (.turn, .modelTurnFailed, .model),
    ])
  func table(link: ChainLink, code: ErrorCode, cause: PrimaryCause) {
    #expect(PrimaryCause.of(link, Self.failure(code)) == cause)
  }

  @Test("a channel that is down is told from the rest of the health report, and is never current")
  func channel() {
    let message = "The health report names: the channel 'irc' account 'default' is not running."
    var evidence = StatusTests.evidence(StatusTests.walk(0, turn: true))
    let results = StatusTests.walk(15).results.map { result in
      result.link == .health
        ? CheckResult(
          link: .health, outcome: .degraded(Self.failure(.gatewayNotReady, message)), at: result.at,
          durationMilliseconds: 1, evidence: .null) : result
    }
    evidence.take(ChainReport(results: results))
    let reading = StatusReading.of(evidence, asked: .active, policy: .init(), now: StatusTests.at(16))
    #expect(reading.status == .degraded)
    #expect(reading.primaryCause(evidence, doubted: false) == .channel)
    // Light checks in between do not hide it.
    evidence.take(StatusTests.light(30))
    #expect(StatusTests.status(evidence, at: 31) == .degraded)
  }

  @Test("a configuration that somebody else changed is drift: degraded, never missed, and over when it is accepted")
  func configuration() throws {
    var evidence = StatusTests.evidence(StatusTests.walk(0, turn: true))
    func told(_ second: Int, drifted: Bool) throws {
      let facts = InstanceFacts(phase: .running, answer: .live, configurationDrifted: drifted)
      evidence.take(try #require(ToldChain.report(facts, at: StatusTests.at(second))))
    }
    for second in stride(from: 15, through: 75, by: 15) {
      try told(second, drifted: true)
      let reading = StatusReading.of(evidence, asked: .active, policy: .init(), now: StatusTests.at(second))
      #expect(reading.status == .degraded && evidence.misses == 0)
      #expect(reading.primaryCause(evidence, doubted: false) == .drift)
    }
    try told(90, drifted: false)
    #expect(StatusTests.status(evidence, at: 91) == .current)
  }

  @Test("a link that is short of something shows on every Instance that is told of over it, until it is whole again")
  func shortOfSomething() throws {
    var evidence = StatusTests.evidence(StatusTests.walk(0, turn: true))
    func told(_ second: Int, short: Bool) throws {
      let error = short ? AWError(.linkPathDegraded, "The path is bad.", next: "Look at it.") : nil
      let facts = InstanceFacts(phase: .running, answer: .live)
      evidence.take(try #require(ToldChain.report(facts, short: error, at: StatusTests.at(second))))
    }
    for second in [15, 30] {
      try told(second, short: true)
      #expect(StatusTests.status(evidence, at: second) == .degraded && evidence.misses == 0)
    }
    try told(45, short: false)
    #expect(StatusTests.status(evidence, at: 46) == .current)
  }

  @Test("what a Connector tells becomes the links that it knows of")
  func told() {
    func links(_ facts: InstanceFacts) -> [String]? {
      ToldChain.report(facts, at: StatusTests.at(0)).map { $0.results.map { "\($0.link) \($0.outcome.word)" } }
    }
    #expect(links(.init(phase: .running, answer: .live)) == ["host passed", "runtime passed", "live passed"])
    for answer in [InstanceFacts.Answer.refused, .timeout, .wrong] {
      #expect(links(.init(phase: .running, answer: answer)) == ["host passed", "runtime passed", "live failed"])
    }
    #expect(links(.init(phase: .running)) == nil, "its port was not asked yet")
    for phase in [RunState.Phase.exited, .stopped, .absent] {
      #expect(links(.init(phase: phase)) == ["host passed", "runtime failed"])
    }
  }

  @Test("what stands behind a failed link is suppressed; a degraded one hides nothing", arguments: ChainLink.allCases)
  func suppressed(link: ChainLink) {
    let behind = PrimaryCause.suppressed(by: link, .failed(Self.failure(.runtimeExited)))
    #expect(behind.count == ChainLink.allCases.count - 1 - (ChainLink.allCases.firstIndex(of: link) ?? 0))
    #expect(PrimaryCause.suppressed(by: link, .degraded(Self.failure(.runtimeExited))).isEmpty)
  }

  @Test("a doubt of the watch is the control plane's; what is current has no cause")
  func ends() {
    let evidence = StatusTests.evidence(StatusTests.walk(0, turn: true))
    let current = StatusReading.of(evidence, asked: .active, policy: .init(), now: StatusTests.at(1))
    #expect(current.primaryCause(evidence, doubted: false) == nil)
    let doubted = StatusReading(.unreachable, "Why.", link: .host, evidenceAt: nil).doubted(.init(.stalled, "Late."))
    #expect(doubted.primaryCause(evidence, doubted: true) == .controlPlane)
  }
}

@Suite("Whether a Gateway is the one that AW paired with")
struct AnonymityTests {
  @Test("another one is refused, one that does not say who it is is degraded, and one that was never pinned is neither")
  func anonymity() throws {
    #expect(try ChainWalk.anonymity(of: "a", pinned: "a") == nil)
    #expect(try ChainWalk.anonymity(of: "a", pinned: nil) == nil)
    #expect(try ChainWalk.anonymity(of: nil, pinned: nil) == nil)
    #expect(try ChainWalk.anonymity(of: nil, pinned: "a")?.code == .gatewayProtocol)
    #expect(throws: AWError(.gatewayOtherIdentity, "", next: "")) { try ChainWalk.anonymity(of: "b", pinned: "a") }
  }
}
