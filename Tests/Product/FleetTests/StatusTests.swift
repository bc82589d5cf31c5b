import Basics
import Fleet
import Testing

@Suite("Status derived from evidence")
struct StatusTests {
  static let start = Timestamp(millisecondsSince1970: 1_000_000_000)
  static let policy = StatusPolicy()

  static func at(_ seconds: Int) -> Timestamp { start.advanced(by: .seconds(seconds)) }

  /// A walk in which the links before `failing` pass, that one fails, and the rest is skipped.
  static func walk(_ seconds: Int, failing: ChainLink? = nil, turn: Bool = false) -> ChainReport {
    var failed = false
    let links = ChainLink.allCases.filter { $0 != .turn || turn }
    return ChainReport(
      results: links.map { link in
        let outcome: CheckResult.Outcome
        if failed {
          outcome = .skipped
        } else if link == failing {
          failed = true
          outcome = .failed(.init(code: "test.failed", message: "It failed.", next: "Mend it."))
        } else {
          outcome = .passed
        }
        return CheckResult(
          link: link, outcome: outcome, at: at(seconds), durationMilliseconds: 1, evidence: .null)
      })
  }

  static func evidence(_ walks: ChainReport...) -> StatusEvidence {
    var evidence = StatusEvidence()
    for walk in walks { evidence.take(walk) }
    return evidence
  }

  static func status(_ evidence: StatusEvidence, at seconds: Int) -> Status {
    StatusReading.of(evidence, asked: .active, policy: policy, now: at(seconds)).status
  }

  @Test("an Instance that was never checked is unknown")
  func never() { #expect(Self.status(StatusEvidence(), at: 0) == .unknown) }

  @Test(
    "good evidence ages from current to stale to unknown",
    arguments: [
      (0, Status.current), (37, .current), (38, .stale), (120, .stale), (121, .unknown), (100_000, .unknown),
    ])
  func ages(seconds: Int, expected: Status) {
    #expect(Self.status(Self.evidence(Self.walk(0, turn: true)), at: seconds) == expected)
  }

  @Test("without a model turn it is degraded, not current")
  func noTurn() { #expect(Self.status(Self.evidence(Self.walk(0)), at: 1) == .degraded) }

  @Test("a model turn that is too old makes it degraded")
  func oldTurn() {
    let evidence = Self.evidence(Self.walk(0, turn: true), Self.walk(1_499), Self.walk(1_510))
    #expect(Self.status(evidence, at: 1_500) == .current)
    #expect(Self.status(evidence, at: 1_511) == .degraded)
  }

  @Test("a link behind the hello that fails makes it degraded at once", arguments: [ChainLink.health, .turn])
  func degraded(link: ChainLink) {
    let evidence = Self.evidence(Self.walk(0, turn: true), Self.walk(15, failing: link, turn: true))
    let reading = StatusReading.of(evidence, asked: .active, policy: Self.policy, now: Self.at(16))
    #expect(reading.status == .degraded)
    #expect(reading.link == link)
  }

  @Test("a greeting that lacks a scope is degraded, and never a step towards unreachable")
  func missingScope() {
    let failure = CheckFailure(code: "openclaw.refused", message: "It lacks a scope.", next: "Pair again.")
    var evidence = StatusEvidence()
    evidence.take(Self.walk(0, turn: true))
    for second in stride(from: 15, through: 90, by: 15) {
      let results = Self.walk(second).results.map { result in
        result.link == .hello
          ? CheckResult(
            link: .hello, outcome: .degraded(failure), at: result.at, durationMilliseconds: 1, evidence: .null) : result
      }
      evidence.take(ChainReport(results: results))
      #expect(Self.status(evidence, at: second + 1) == .degraded)
    }
  }

  @Test("one or two failed walks are not proof", arguments: [ChainLink.host, .runtime, .live, .ready, .hello])
  func soft(link: ChainLink) {
    let one = Self.evidence(Self.walk(0, turn: true), Self.walk(5, failing: link))
    #expect(Self.status(one, at: 6) == .current)
    let two = Self.evidence(Self.walk(0, turn: true), Self.walk(5, failing: link), Self.walk(20, failing: link))
    #expect(Self.status(two, at: 21) == .current)
    #expect(Self.status(two, at: 40) == .stale)
  }

  @Test(
    "three failed walks over ten seconds prove it unreachable", arguments: [ChainLink.host, .runtime, .live, .hello])
  func hard(link: ChainLink) {
    let evidence = Self.evidence(
      Self.walk(0, turn: true), Self.walk(5, failing: link), Self.walk(10, failing: link), Self.walk(15, failing: link))
    let reading = StatusReading.of(evidence, asked: .active, policy: Self.policy, now: Self.at(16))
    #expect(reading.status == .unreachable)
    #expect(reading.link == link)
  }

  @Test("three failures within ten seconds are not proof yet")
  func quick() {
    let evidence = Self.evidence(
      Self.walk(0, turn: true), Self.walk(1, failing: .live), Self.walk(2, failing: .live),
      Self.walk(3, failing: .live))
    #expect(Self.status(evidence, at: 4) == .current)
  }

  @Test("proof of unreachability ages to unknown when nobody looks any more")
  func oldProof() {
    let evidence = Self.evidence(
      Self.walk(0, failing: .live), Self.walk(10, failing: .live), Self.walk(20, failing: .live))
    #expect(Self.status(evidence, at: 21) == .unreachable)
    #expect(Self.status(evidence, at: 141) == .unknown)
  }

  @Test("one good walk ends unreachable")
  func recovery() {
    let evidence = Self.evidence(
      Self.walk(0, turn: true), Self.walk(5, failing: .live), Self.walk(10, failing: .live),
      Self.walk(20, failing: .live), Self.walk(25))
    #expect(Self.status(evidence, at: 26) == .current)
  }

  /// A light check: what the Host tells of itself.
  static func light(_ seconds: Int, failing: ChainLink? = nil) -> ChainReport {
    ChainReport(results: walk(seconds, failing: failing).results.filter { ChainLink.light.contains($0.link) })
  }

  @Test("light checks keep it current between deep ones, and never without them")
  func lightChecks() {
    var evidence = Self.evidence(Self.walk(0, turn: true))
    for second in stride(from: 15, through: 300, by: 15) {
      let isNew = evidence.take(Self.light(second))
      #expect(!isNew)
      #expect(Self.status(evidence, at: second + 14) == (second + 14 <= 150 ? .current : .stale))
    }
    evidence.take(Self.walk(301))
    #expect(Self.status(evidence, at: 302) == .current)
  }

  @Test("a light check that passes does not undo what only a deep one can see")
  func lightProvesLittle() {
    var evidence = Self.evidence(
      Self.walk(0, turn: true), Self.walk(5, failing: .hello), Self.walk(10, failing: .hello),
      Self.walk(15, failing: .hello))
    evidence.take(Self.light(16))
    #expect(Self.status(evidence, at: 17) == .unreachable)
    evidence.take(Self.walk(18))
    #expect(Self.status(evidence, at: 19) == .current)
  }

  @Test("an Instance that was missed for its Host's link only is current again with its Host's first word")
  func hostBack() {
    var evidence = Self.evidence(Self.walk(0, turn: true))
    for second in [20, 25, 30] { evidence.take(Self.light(second, failing: .host)) }
    #expect(Self.status(evidence, at: 31) == .unreachable)
    evidence.take(Self.light(40))
    #expect(Self.status(evidence, at: 41) == .current)
    for second in [60, 65, 70] { evidence.take(Self.light(second, failing: .runtime)) }
    evidence.take(Self.light(75))
    #expect(Self.status(evidence, at: 76) == .unreachable, "one that was down itself is let in first")
  }

  @Test("verified means the whole chain, model turn included")
  func verified() {
    #expect(Self.walk(0, turn: true).isVerified)
    #expect(!Self.walk(0).isVerified)
    for link in ChainLink.allCases {
      let report = Self.walk(0, failing: link, turn: true)
      #expect(!report.isVerified)
      #expect(report.broken?.link == link)
    }
  }

  @Test("the status never depends on the order of equal inputs or on anything but them")
  func pure() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      var evidence = StatusEvidence()
      for step in 0..<Int.random(in: 0..<8, using: &random) {
        evidence.take(
          Self.walk(step * 15, failing: Bool.random() ? ChainLink.allCases.randomElement() : nil, turn: Bool.random()))
      }
      let now = Int.random(in: 0..<400, using: &random)
      let again = try JSONValue(encoding: evidence).decode(StatusEvidence.self)
      #expect(
        StatusReading.of(evidence, asked: .active, policy: Self.policy, now: Self.at(now))
          == StatusReading.of(again, asked: .active, policy: Self.policy, now: Self.at(now)))
    }
  }
}
