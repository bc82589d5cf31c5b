import Basics
import Foundation
import Link
import Testing

@testable import Fleet

@Suite("What may be asked of an Instance, and how it reads")
struct InstancePlanTests {
  /// Which plans each state allows; a pair that is not here is refused with a reason.
  static let allowed: [Instance.State: Set<InstancePlan>] = [
    .provisioning: [], .active: [.start, .stop, .restart, .remove], .stopped: [.start, .stop, .restart, .remove],
    .removing: [.remove], .failed: [.remove],
  ]

  @Test("each plan in each state has one answer", arguments: InstancePlan.allCases)
  func refusals(_ plan: InstancePlan) {
    for (state, plans) in Self.allowed {
      let refusal = plan.refusal(of: state, slug: "x")
      #expect((refusal == nil) == plans.contains(plan), "\(plan) of \(state)")
      #expect(refusal.map { !$0.what.isEmpty && !$0.next.isEmpty } ?? true)
    }
  }

  @Test("what an Instance is asked to be follows from the plan; a failed one stays failed until it is forgotten")
  func asked() {
    #expect(InstancePlan.stop.asked(of: .active) == .stopped)
    #expect(InstancePlan.start.asked(of: .stopped) == .active)
    #expect(InstancePlan.restart.asked(of: .stopped) == .active)
    #expect(InstancePlan.remove.asked(of: .active) == .removing)
    #expect(InstancePlan.remove.asked(of: .failed) == .failed)
  }

  @Test("every plan has steps, every step a title, and making ends with proof")
  func steps() {
    #expect(InstancePlan.allCases.allSatisfy { !$0.steps.isEmpty })
    #expect(Set(InstanceStep.allCases.map(\.title)).count == InstanceStep.allCases.count)
    #expect([InstancePlan.provision, .start, .restart].allSatisfy { $0.steps.last == .verify })
    // What cannot be prepared is not stopped.
    #expect(InstancePlan.restart.steps.first == .prepare)
    #expect(Set(InstancePlan.allCases.flatMap(\.steps)) == Set(InstanceStep.allCases))
  }

  @Test("a stopped Instance is unreachable, degraded while it runs all the same, and unknown when nobody looks")
  func stopped() {
    func reading(_ evidence: StatusEvidence, at seconds: Int) -> StatusReading {
      .of(evidence, asked: .stopped, policy: .init(), now: StatusTests.at(seconds))
    }
    #expect(reading(StatusEvidence(), at: 0).status == .unreachable)
    #expect(reading(StatusTests.evidence(StatusTests.walk(0, failing: .runtime)), at: 1).status == .unreachable)
    #expect(reading(StatusTests.evidence(StatusTests.walk(0)), at: 1).status == .degraded)
    #expect(reading(StatusTests.evidence(StatusTests.walk(0)), at: 121).status == .unknown)
  }

  @Test(
    "what is being made or taken away is unknown, what failed is unreachable",
    arguments: [(Instance.State.provisioning, Status.unknown), (.removing, .unknown), (.failed, .unreachable)])
  func underWay(_ state: Instance.State, _ expected: Status) {
    let seen = StatusTests.evidence(StatusTests.walk(0, turn: true))
    #expect(StatusReading.of(seen, asked: state, policy: .init(), now: StatusTests.at(1)).status == expected)
  }

  @Test("a link behind a newer failure is shown as not looked at since; one that was looked at later is not")
  func chain() {
    let broken = StatusTests.evidence(
      StatusTests.walk(0, turn: true), StatusTests.walk(15, failing: .live))
    let views = CheckView.chain(broken)
    #expect(views.map(\.link) == ChainLink.allCases)
    #expect(views.filter(\.behindFailure).map(\.link) == [.ready, .hello, .health, .turn])
    #expect(views.first { $0.link == .live }?.outcome == "failed")
    let mended = StatusTests.evidence(
      StatusTests.walk(0, turn: true), StatusTests.walk(15, failing: .live), StatusTests.walk(30, turn: true))
    #expect(CheckView.chain(mended).allSatisfy { !$0.behindFailure && $0.outcome == "passed" })
  }

  @Test("evidence of checks is flat JSON, and reads back as it was")
  func flat() throws {
    let failure = CheckFailure(code: "a.b", message: "It failed.", next: "Mend it.")
    for outcome in [CheckResult.Outcome.passed, .skipped, .degraded(failure), .failed(failure)] {
      let result = CheckResult(
        link: .hello, outcome: outcome, at: StatusTests.at(0), durationMilliseconds: 7, evidence: ["x": 1])
      let json = try JSONValue(encoding: result)
      #expect(json["outcome"]?.stringValue != nil)
      #expect(try json.decode(CheckResult.self) == result)
    }
    let stored = try JSONValue(encoding: StatusTests.evidence(StatusTests.walk(0)))
    #expect(stored["newest"]?["hello"]?["outcome"] == "passed")
  }

  @Test("inside a container the Host's loopback has another name")
  func model() throws {
    let url = try #require(URL(string: "http://127.0.0.1:8081/v1"))
    let model = FixtureModel(url: url, key: Secret("k"))
    #expect(model.baseURL(for: .process) == "http://127.0.0.1:8081/v1")
    #expect(model.baseURL(for: .docker) == "http://host.docker.internal:8081/v1")
    let elsewhere = FixtureModel(url: try #require(URL(string: "http://10.0.0.5:8081/v1")), key: Secret("k"))
    #expect(elsewhere.baseURL(for: .docker) == "http://10.0.0.5:8081/v1")
  }

  @Test("an enrolment line keeps its ticket out of every process's arguments")
  func line() throws {
    let line = EnrolmentLine(gateway: "gw:7443", fingerprint: String(repeating: "a", count: 64))
    let text = line.text(Secret("token"), replacing: true).withText { $0 }
    let parts = text.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    #expect(parts.count == 2 && parts[0].hasPrefix("echo aw1.") && parts[1] == "aw connect --enrol gw:7443 --replace")
    #expect(!line.text(Secret("token")).withText { $0.contains("--replace") })
  }

  @Test(
    "an enrolment ticket works once, within its time",
    arguments: [
      (nil, 0, ErrorCode.enrolmentInvalid), (FleetRecords.EnrolmentRow?.some(row(used: 5)), 10, .enrolmentUsed),
      (.some(row(used: nil)), 901, .enrolmentExpired),
    ])
  func tickets(_ row: FleetRecords.EnrolmentRow?, _ seconds: Int, _ code: ErrorCode) {
    #expect(throws: AWError(code, "", next: "")) {
      try FleetGatekeeper.check(row, now: StatusTests.at(seconds))
    }
  }

  @Test("an enrolment ticket within its time passes")
  func ticket() throws { try FleetGatekeeper.check(Self.row(used: nil), now: StatusTests.at(900)) }

  static func row(used: Int?) -> FleetRecords.EnrolmentRow {
    .init(host: .make(at: StatusTests.at(0)), expiresAt: StatusTests.at(900), usedAt: used.map { StatusTests.at($0) })
  }
}
