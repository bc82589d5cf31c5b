import Basics
import Fleet
import Link
import TestSupport
import Testing
import Work

@testable import Onboarding

/// Facts as tests need them.
enum Sample {
  static let now = Timestamp(millisecondsSince1970: 1_795_000_000_000)
  static let digest = "sha256:now"

  static func requirement(_ kind: Requirement.Kind, _ status: Requirement.Status, id: String? = nil) -> Requirement {
    let problem: Requirement.Problem? =
      status.isMet ? nil : .init(code: .credentialRefused, "m", who: .contact, next: "n")
    return Requirement(id: id ?? kind.rawValue, kind: kind, title: "t", status: status, problem: problem)
  }

  static func facts(
    identity: Requirement.Status = .valid, credentials: [Requirement.Status] = [.valid],
    job: OnboardingFacts.Job = .none, isHeld: Bool = false
  ) -> OnboardingFacts {
    let requirements =
      [requirement(.identity, identity), requirement(.instance, .valid), requirement(.surfaces, .valid)]
      + credentials.enumerated().map { requirement(.secretRef, $1, id: "s\($0)") }
    return OnboardingFacts(
      requirements: requirements, job: job,
      hold: isHeld ? .init(reason: "r", by: "user/1", at: now) : nil, digest: digest, org: "acme")
  }

  static func report(_ digest: String = digest, passed: Bool = true) -> FirstRunReport {
    FirstRunReport(digest: digest, passed: passed, at: now, checks: [], operation: "o")
  }

  static func failed(_ digest: String = digest) -> OnboardingFacts.Job {
    .failed(digest: digest, .init(code: .runtimeExited, "m", who: .operator, next: "n"))
  }
}

@Suite("The state of an onboarding")
struct OnboardingStateTests {
  typealias Row = (name: String, facts: OnboardingFacts, state: OnboardingState, resumesTo: OnboardingState?)

  static let table: [Row] = [
    ("nothing is said yet", Sample.facts(identity: .missing, credentials: []), .draft, nil),
    ("a credential is there, but not who speaks", Sample.facts(identity: .missing), .draft, nil),
    ("a credential is missing", Sample.facts(credentials: [.valid, .missing]), .credentialsPending, nil),
    ("missing before unvalidated", Sample.facts(credentials: [.present, .missing]), .credentialsPending, nil),
    ("nobody validated it", Sample.facts(credentials: [.present]), .validationPending, nil),
    ("nobody can be asked about one", Sample.facts(credentials: [.valid, .waived]), .readyToProvision, nil),
    ("nothing was proven", Sample.facts(credentials: [.valid, .indeterminate]), .validationPending, nil),
    ("all is there", Sample.facts(), .readyToProvision, nil),
    ("it is being provisioned", Sample.facts(job: .running), .provisioning, nil),
    ("the first run passed", Sample.facts(job: .succeeded(Sample.report())), .verified, nil),
    ("of another desired state", Sample.facts(job: .succeeded(Sample.report("other"))), .readyToProvision, nil),
    ("a report that did not pass", Sample.facts(job: .succeeded(Sample.report(passed: false))), .readyToProvision, nil),
    (
      "a new version after it was verified",
      Sample.facts(credentials: [.present], job: .succeeded(Sample.report("other"))), .validationPending, nil
    ),
    ("a credential is refused", Sample.facts(credentials: [.invalid]), .blocked, .validationPending),
    ("one is refused, one missing", Sample.facts(credentials: [.invalid, .missing]), .blocked, .credentialsPending),
    (
      "a validation is too old", Sample.facts(credentials: [.expired], job: .succeeded(Sample.report())), .blocked,
      .validationPending
    ),
    ("provisioning failed", Sample.facts(job: Sample.failed()), .blocked, .readyToProvision),
    ("provisioning of another desired state failed", Sample.facts(job: Sample.failed("other")), .readyToProvision, nil),
    ("held in draft", Sample.facts(identity: .missing, isHeld: true), .blocked, .draft),
    ("held while it is provisioned", Sample.facts(job: .running, isHeld: true), .blocked, .provisioning),
    ("held when it was verified", Sample.facts(job: .succeeded(Sample.report()), isHeld: true), .blocked, .verified),
  ]

  @Test("each row", arguments: table.indices)
  func rows(index: Int) {
    let row = Self.table[index]
    let standing = OnboardingStanding.of(row.facts)
    #expect(standing.state == row.state && standing.block?.resumesTo == row.resumesTo, "\(row.name): \(standing)")
  }

  @Test("the words are the customer's own")
  func words() {
    #expect(
      OnboardingState.allCases.map(\.rawValue) == [
        "draft", "credentials pending", "validation pending", "ready to provision", "provisioning", "verified",
        "blocked",
      ])
  }

  @Test("a hold comes before everything else, and its words say why, with no name or time that a page says better")
  func hold() throws {
    let block = try #require(OnboardingStanding.of(Sample.facts(credentials: [.invalid], isHeld: true)).block)
    #expect(
      block.code == ErrorCode.onboardingHeld.id && block.message == "It is held: r")
    #expect(block.resumesTo == .validationPending)
  }

  @Test("provisioning is asked for when it is ready, or to try again what failed, and never otherwise")
  func mayProvision() {
    for row in Self.table {
      let expected =
        row.state == .readyToProvision || (row.state == .blocked && row.name == "provisioning failed")
      #expect(OnboardingStanding.mayProvision(row.facts) == expected, "\(row.name)")
    }
  }

  /// One run of many random acts over the facts, with the log that they leave.
  private static func run(_ random: inout Seeded, acts: Int) {
    var facts = Sample.facts(identity: .missing, credentials: [])
    var (log, recorded): ([OnboardingTransition], OnboardingStanding?) = ([], nil)
    for _ in 0..<acts {
      change(&facts, &random)
      let standing = OnboardingStanding.of(facts)
      #expect(standing == OnboardingStanding.of(facts))
      check(standing, facts)
      if let transition = OnboardingTransition.between(recorded, standing) {
        log.append(transition)
        recorded = standing
      }
      #expect(OnboardingTransition.between(recorded, standing) == nil)
    }
    #expect(OnboardingTransition.replay(log) == OnboardingStanding.of(facts))
    #expect(zip(log, log.dropFirst()).allSatisfy { $0.to != $1.to })
  }

  private static func check(_ standing: OnboardingStanding, _ facts: OnboardingFacts) {
    #expect((standing.state == .blocked) == (standing.block != nil))
    if let block = standing.block {
      #expect(!block.code.isEmpty && !block.message.isEmpty && !block.next.isEmpty && block.resumesTo != .blocked)
    }
    if standing.state == .verified {
      #expect(facts.requirements.allSatisfy { $0.status.isMet } && facts.hold == nil)
      guard case .succeeded(let report) = facts.job else {
        Issue.record("verified without a report")
        return
      }
      #expect(report.passed && report.digest == facts.digest)
    }
    if OnboardingStanding.mayProvision(facts) {
      #expect(facts.requirements.allSatisfy { $0.status.isMet } && facts.hold == nil && facts.job != .running)
    }
  }

  private static func change(_ facts: inout OnboardingFacts, _ random: inout Seeded) {
    let digests = ["sha256:now", "sha256:other"]
    switch Int.random(in: 0..<8, using: &random) {
    case 0, 1:
      let place = Int.random(in: 0..<facts.requirements.count, using: &random)
      let old = facts.requirements[place]
      let status = Requirement.Status.allCases.randomElement(using: &random) ?? .valid
      facts.requirements[place] = Sample.requirement(old.kind, status, id: old.id)
    case 2: facts.requirements.append(Sample.requirement(.secretRef, .missing, id: "s\(random.next())"))
    case 3: if facts.requirements.count > 3 { facts.requirements.removeLast() }
    case 4:
      facts.requirements = facts.requirements.map { Sample.requirement($0.kind, .valid, id: $0.id) }
    case 5: facts.hold = facts.hold == nil ? .init(reason: "r", by: "user/1", at: Sample.now) : nil
    case 6: facts.digest = digests.randomElement(using: &random) ?? ""
    default:
      let digest = digests.randomElement(using: &random) ?? ""
      let jobs: [OnboardingFacts.Job] = [
        .none, .running, .succeeded(Sample.report(digest, passed: Bool.random(using: &random))), Sample.failed(digest),
      ]
      facts.job = jobs.randomElement(using: &random) ?? .none
    }
  }

  @Test("100,000 random acts: total, deterministic, never verified with anything unmet, and the log gives the state")
  func property() {
    for seed in 0..<1_000 {
      var random = Seeded(state: UInt64(seed))
      Self.run(&random, acts: 100)
    }
  }

  @Test("a log that does not hang together gives no state")
  func broken() {
    let draft = OnboardingStanding(state: .draft, block: nil)
    let pending = OnboardingStanding(state: .credentialsPending, block: nil)
    let log = [OnboardingTransition(from: nil, to: draft), OnboardingTransition(from: .draft, to: pending)]
    #expect(OnboardingTransition.replay(log) == pending)
    #expect(OnboardingTransition.replay(Array(log.dropFirst())) == nil)
    #expect(OnboardingTransition.replay(log + [log[1]]) == nil)
    #expect(OnboardingTransition.replay([]) == nil)
  }
}

@Suite("What an operation means for an onboarding")
struct OnboardingJobTests {
  private let operation = OperationID.make(at: Sample.now)

  private func job(_ progress: OperationProgress, _ instance: Instance.State? = .active) throws -> OnboardingFacts.Job {
    OnboardingJob.of(progress, digest: "d", operation: operation, instance: instance, try Slug("acme"))
  }

  private func progress(_ outcome: CheckResult.Outcome?) throws -> OperationProgress {
    var progress = OperationProgress(steps: ["start", "verify"])
    progress.began(0, at: Sample.now)
    progress.finished(0, detail: .null, at: Sample.now)
    guard let outcome else { return progress }
    let results = ChainLink.allCases.map {
      CheckResult(
        link: $0, outcome: $0 == .turn ? outcome : .passed, at: Sample.now, durationMilliseconds: 1, evidence: [:])
    }
    progress.finished(1, detail: try JSONValue(encoding: ChainReport(results: results)), at: Sample.now)
    return progress
  }

  @Test("the whole chain with a real turn is a report that passed; less is one that did not")
  func reports() throws {
    guard case .succeeded(let report) = try job(try progress(.passed)) else {
      Issue.record("no report")
      return
    }
    #expect(report.passed && report.digest == "d" && report.operation == operation.text)
    #expect(report.checks.map(\.link) == ChainLink.allCases.map(\.title))
    for outcome in [CheckResult.Outcome.skipped, .degraded(.init(code: "c", message: "m", next: "n"))] {
      guard case .succeeded(let less) = try job(try progress(outcome)) else {
        Issue.record("no report")
        return
      }
      #expect(!less.passed)
    }
  }

  @Test("the report says of each channel whether it was switched on, and why not; an older operation says nothing")
  func channels() throws {
    let said: JSONValue = [
      "phase": "stopped",
      "channels": [
        ["channel": "slack", "isOn": false, "reason": "it needs more"], ["channel": "telegram", "isOn": true],
      ],
    ]
    func channels(_ detail: JSONValue) throws -> [FirstRunReport.Channel]? {
      var progress = OperationProgress(steps: ["prepare", "verify"])
      progress.began(0, at: Sample.now)
      progress.finished(0, detail: detail, at: Sample.now)
      progress.finished(
        1,
        detail: try JSONValue(
          encoding: ChainReport(results: [
            .init(link: .turn, outcome: .passed, at: Sample.now, durationMilliseconds: 1, evidence: [:])
          ])), at: Sample.now)
      guard case .succeeded(let report) = try job(progress) else { return nil }
      return report.channels
    }
    #expect(
      try channels(said) == [
        .init(channel: "slack", isOn: false, reason: "it needs more"),
        .init(channel: "telegram", isOn: true, reason: nil),
      ])
    #expect(try channels(["phase": "stopped"]) == nil)
  }

  @Test("what runs or is undone is running; what failed says where, and how to try again")
  func others() throws {
    var running = try progress(nil)
    #expect(try job(running) == .running)
    running.failed(1, AWError(.modelTurnFailed, "No answer.", next: "Look."), at: Sample.now)
    #expect(try job(running) == .running)
    while case .undo(let index) = running.next { running.undone(index) }
    guard case .failed(let digest, let problem) = try job(running, .failed) else {
      Issue.record("not failed")
      return
    }
    #expect(digest == "d" && problem.code == ErrorCode.modelTurnFailed.id && problem.message.contains("verify"))
    #expect(problem.next.contains("aw org onboard acme --provision"))
  }

  @Test("an Instance that is gone, or going, proves nothing", arguments: [nil, Instance.State.removing, .failed])
  func gone(state: Instance.State?) throws {
    #expect(try job(try progress(.passed), state) == .none)
  }
}

@Suite("The desired state of an onboarding")
struct DigestTests {
  private func record() throws -> OnboardingRecord {
    var record = OnboardingRecord(org: .make(at: Sample.now), begunBy: "user/1", begunAt: Sample.now)
    record.surfaces = ["a", "b"]
    record.placement = .init(slug: try Slug("acme-main"), runtime: .process)
    return record
  }

  private func fact(_ surface: String, _ version: Int, _ status: Requirement.Status = .valid) -> CredentialFact {
    CredentialFact(surface: surface, title: surface, reference: "\(surface)#v\(version)", status: status, problem: nil)
  }

  @Test("everything that makes it up changes it, and nothing else does")
  func digest() throws {
    let (acme, record) = (try Slug("acme"), try record())
    let whole = record.digest(org: acme, [fact("a", 1), fact("b", 1)], at: Sample.now)
    #expect(
      record.digest(org: acme, [fact("b", 1), fact("a", 1, .expired), fact("unasked", 9)], at: Sample.now) == whole)
    #expect(record.digest(org: acme, [fact("a", 2), fact("b", 1)], at: Sample.now) != whole)
    #expect(record.digest(org: acme, [fact("a", 1)], at: Sample.now) != whole)
    #expect(record.digest(org: try Slug("globex"), [fact("a", 1), fact("b", 1)], at: Sample.now) != whole)
    let edits: [(inout OnboardingRecord) throws -> Void] = [
      { $0.placement?.slug = try Slug("other") }, { $0.placement?.runtime = .docker }, { $0.placement?.image = "i" },
      { $0.placement?.host = try Slug("h") }, { $0.surfaces = ["a"] },
      { $0.baseline = BaselineChoice(try Baseline.named("strict")) },
      {
        $0.baseline = $0.hardening
        $0.baseline?.overlay = ["commands.restart": false]
      },
    ]
    for edit in edits {
      var changed = record
      try edit(&changed)
      #expect(changed.digest(org: acme, [fact("a", 1), fact("b", 1)], at: Sample.now) != whole)
    }
    var same = record
    same.hold = .init(reason: "r", by: "b", at: Sample.now)
    same.version = 9
    #expect(same.digest(org: acme, [fact("a", 1), fact("b", 1)], at: Sample.now) == whole)
  }

  @Test("each surface that was asked for is a requirement, and no other")
  func requirements() throws {
    let requirements = try record().requirements(
      org: try Slug("acme"), [fact("a", 1), fact("unasked", 1)], at: Sample.now)
    #expect(requirements.map(\.id) == ["contact", "instance", "surfaces", "baseline", "a", "b"])
    #expect(requirements.map(\.status) == [.missing, .valid, .valid, .valid, .valid, .missing])
    #expect(requirements.allSatisfy { ($0.problem == nil) == ($0.status == .valid) })
    #expect(requirements.last?.problem?.next.contains("aw credential set acme b") == true)
  }
}
