import Basics
import Fleet
import Testing

@testable import Onboarding

@Suite("What the console says: the steps, and who has to do what next")
struct WizardTests {
  typealias Step = WizardStep.State

  /// A view of an onboarding as it stands with these facts.
  private static func view(_ facts: OnboardingFacts) throws -> OnboardingView {
    let org = Org(
      id: .make(at: Sample.now), slug: try Slug("acme"), name: "acme", sort: .synthetic, createdAt: Sample.now)
    var record = OnboardingRecord(org: org.id, begunBy: "user/1", begunAt: Sample.now)
    record.hold = facts.hold
    return OnboardingView(.init(record: record, org: org, facts: facts, at: Sample.now))
  }

  private static func facts(_ requirements: [Requirement], _ job: OnboardingFacts.Job = .none) -> OnboardingFacts {
    OnboardingFacts(requirements: requirements, job: job, hold: nil, digest: Sample.digest, org: "acme")
  }

  /// Contact, Instance, surfaces, credentials, validation, first run.
  static let steps: [(name: String, facts: OnboardingFacts?, states: [Step])] = [
    ("nobody has begun", nil, [.open, .open, .open, .open, .open, .open]),
    (
      "who is missing", Sample.facts(identity: .missing, credentials: []), [.open, .done, .done, .open, .open, .open]
    ),
    (
      "a credential is missing", Sample.facts(credentials: [.valid, .missing]),
      [.done, .done, .done, .open, .open, .open]
    ),
    ("one is not validated", Sample.facts(credentials: [.present]), [.done, .done, .done, .done, .open, .open]),
    ("nothing was proven", Sample.facts(credentials: [.indeterminate]), [.done, .done, .done, .done, .open, .open]),
    ("one is invalid", Sample.facts(credentials: [.invalid]), [.done, .done, .done, .done, .failed, .open]),
    ("one expired", Sample.facts(credentials: [.expired]), [.done, .done, .done, .done, .failed, .open]),
    (
      "one is invalid and one missing", Sample.facts(credentials: [.invalid, .missing]),
      [.done, .done, .done, .open, .failed, .open]
    ),
    ("ready", Sample.facts(), [.done, .done, .done, .done, .done, .open]),
    ("it is held", Sample.facts(isHeld: true), [.done, .done, .done, .done, .done, .open]),
    ("it runs", Sample.facts(job: .running), [.done, .done, .done, .done, .done, .running]),
    ("it runs, and is held", Sample.facts(job: .running, isHeld: true), [.done, .done, .done, .done, .done, .running]),
    ("it passed", Sample.facts(job: .succeeded(Sample.report())), [.done, .done, .done, .done, .done, .done]),
    (
      "it did not pass", Sample.facts(job: .succeeded(Sample.report(passed: false))),
      [.done, .done, .done, .done, .done, .failed]
    ),
    (
      "it passed for another desired state", Sample.facts(job: .succeeded(Sample.report("other"))),
      [.done, .done, .done, .done, .done, .open]
    ),
    ("it failed", Sample.facts(job: Sample.failed()), [.done, .done, .done, .done, .done, .failed]),
    ("another one failed", Sample.facts(job: Sample.failed("other")), [.done, .done, .done, .done, .done, .open]),
  ]

  @Test("each step follows from what is there", arguments: steps.indices)
  func states(row: Int) throws {
    let (name, facts, states) = Self.steps[row]
    let steps = WizardStep.all(of: try Slug("acme"), try facts.map(Self.view))
    #expect(steps.map(\.state) == states, "\(name)")
    // No step leads nowhere.
    #expect(steps.allSatisfy { $0.path.hasPrefix("/orgs/acme") }, "\(name)")
  }

  @Test("the steps of credentials lead to the first one that is not good")
  func first() throws {
    let paths = WizardStep.all(of: try Slug("acme"), try Self.view(Sample.facts(credentials: [.valid, .present])))
      .map(\.path)
    #expect(paths[3] == "/orgs/acme/credentials/s1" && paths[4] == paths[3])
    let good = WizardStep.all(of: try Slug("acme"), try Self.view(Sample.facts()))
    #expect(good[3].path == "/orgs/acme#credentials")
  }

  static let acts: [(name: String, facts: OnboardingFacts?, who: String, what: String, path: String)] = [
    ("nobody has begun", nil, "operator", "Say who speaks for the Org.", "/onboarding/contact"),
    (
      "who is missing", Sample.facts(identity: .missing, credentials: []), "Org's contact",
      "Say who speaks for the Org.", "/onboarding/identity"
    ),
    (
      "a credential is missing", Sample.facts(credentials: [.valid, .missing]), "Org's contact",
      "Set the t, or ask the customer for it.", "/credentials/s1"
    ),
    (
      "what is missing comes before what is not validated", Sample.facts(credentials: [.present, .missing]),
      "Org's contact", "Set the t, or ask the customer for it.", "/credentials/s1"
    ),
    (
      "a credential before an exception that nobody approved",
      facts([Sample.requirement(.exception, .present), Sample.requirement(.secretRef, .missing, id: "s0")]),
      "Org's contact", "Set the t, or ask the customer for it.", "/credentials/s0"
    ),
    (
      "only the exception is left", facts([Sample.requirement(.exception, .present)]), "Org's contact", "n", "#missing"
    ),
    (
      "not validated", Sample.facts(credentials: [.present]), "Org's contact", "Validate the t.", "/credentials/s0"
    ),
    (
      "a validation that is over", Sample.facts(credentials: [.expired]), "Org's contact", "Validate the t.",
      "/credentials/s0"
    ),
    (
      "invalid", Sample.facts(credentials: [.invalid]), "Org's contact",
      "Put the t right: its page says what is wrong.", "/credentials/s0"
    ),
    (
      "a hold comes before everything", Sample.facts(credentials: [.invalid], isHeld: true), "operator",
      "Release it when the reason is gone.", "#hold"
    ),
    ("ready", Sample.facts(), "operator", "Provision the Instance and make the first run.", "#first-run"),
    ("it runs", Sample.facts(job: .running), "AW", "It provisions the Instance.", "#instances"),
    ("it failed", Sample.facts(job: Sample.failed()), "operator", "n", "#first-run"),
    (
      "it passed", Sample.facts(job: .succeeded(Sample.report())), "nobody", "It is verified. See the handoff.",
      "#handoff"
    ),
  ]

  @Test("who acts, what is to be done and where follow from what is there", arguments: acts.indices)
  func next(row: Int) throws {
    let (name, facts, who, what, path) = Self.acts[row]
    let next = NextAct.of(try Slug("acme"), try facts.map(Self.view))
    #expect(next == NextAct(who: who, what: what, path: "/orgs/acme" + path), "\(name)")
  }

  @Test("the handoff is as far as its newest document, if that is of the present desired state")
  func handoff() {
    func mark(_ desired: String, isComplete: Bool) -> HandoffMark {
      HandoffMark(
        document: "sha256:d", desired: desired, exportedBy: "user/1", exportedAt: Sample.now,
        completedBy: isComplete ? "user/1" : nil, completedAt: isComplete ? Sample.now : nil)
    }
    let table: [(HandoffMark?, OnboardingState, HandoffStage)] = [
      (nil, .draft, .waiting), (nil, .blocked, .waiting), (nil, .verified, .open),
      (mark("now", isComplete: false), .verified, .exported), (mark("now", isComplete: true), .verified, .complete),
      (mark("now", isComplete: true), .blocked, .complete), (mark("other", isComplete: false), .verified, .outdated),
      (mark("other", isComplete: true), .draft, .outdated),
    ]
    for (mark, state, stage) in table { #expect(HandoffStage.of(mark, desired: "now", state) == stage) }
  }
}
