import Basics
import Fleet
import Link
import OpenClaw
import TestSupport
import Testing

@testable import Onboarding

@Suite("Baselines")
struct BaselineTests {
  /// Whoever changes a version that is out adds one instead: Orgs hold these digests.
  private static let released = [
    "aw-baseline/standard@1": "sha256:4a33b5d4bfb4179f0845d7f1ff9e63b55f623adbe0c7895be15271f4172dfede",
    "aw-baseline/strict@1": "sha256:04091a54d230de34be1f32c6fb96f59cffce853da5b9c6e6b57c22814c8ffc32",
  ]

  @Test("a version never changes, and a name finds its newest one")
  func digests() throws {
    #expect(Dictionary(uniqueKeysWithValues: Baseline.all.map { ($0.reference, $0.digest) }) == Self.released)
    for baseline in Baseline.newest {
      let short = String(try #require(baseline.name.split(separator: "/").last))
      for name in [short, baseline.name, baseline.reference, "\(short)@\(baseline.digest)"] {
        #expect(try Baseline.named(name) == baseline)
      }
    }
    for name in ["", "loose", "strict@2", "strict@sha256:00", "aw-baseline/", "@"] {
      #expect(throws: AWError(.baselineUnknown, "", next: "")) { try Baseline.named(name) }
    }
  }

  @Test("each says a value for every governed key; strict is nowhere weaker than standard, and somewhere stricter")
  func order() throws {
    for baseline in Baseline.all {
      #expect(Set(baseline.settings.keys) == Set(GovernedKey.all.map(\.path)))
      for key in GovernedKey.all { #expect(baseline.settings[key.path].map(key.order.accepts) == true, "\(key.path)") }
    }
    let changes = BaselineChange.between(
      try Baseline.named("standard").settings, try Baseline.named("strict").settings)
    #expect(!changes.isEmpty && changes.allSatisfy { $0.verdict == .stricter })
    #expect(BaselineChange.between(Baseline.usual.settings, Baseline.usual.settings).isEmpty)
  }

  private static func value(_ key: GovernedKey, _ random: inout Seeded) -> JSONValue {
    switch key.order {
    case .flag: .bool(Bool.random(using: &random))
    case .ranked(let words): .string(words.randomElement(using: &random) ?? "")
    case .denied:
      .array(
        ["group:automation", "group:fs", "group:runtime", "sessions_send", "sessions_spawn", "web_fetch"]
          .filter { _ in Int.random(in: 0..<4, using: &random) > 0 }.map { .string($0) })
    }
  }

  @Test("whatever overlay is let in, no key is weaker than in the baseline; what is refused is weaker on one")
  func lattice() throws {
    var random = Seeded(state: 7)
    let acme = try Slug("acme")
    var (taken, refused) = (0, 0)
    for _ in 0..<20_000 {
      let baseline = try #require(Baseline.all.randomElement(using: &random))
      var overlay: [String: JSONValue] = [:]
      for key in GovernedKey.all.shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random)) {
        overlay[key.path] = Self.value(key, &random)
      }
      let isStrict = overlay.allSatisfy { path, value in
        GovernedKey.named(path)?.order.verdict(of: value, against: baseline.settings[path] ?? .null).isAtLeastAsStrict
          == true
      }
      do {
        var choice = BaselineChoice(baseline)
        choice.overlay = try BaselineChoice.checked(overlay, over: baseline, org: acme)
        let settings = try #require(choice.settings(at: Sample.now))
        for key in GovernedKey.all {
          let (mine, floor) = (settings[key.path] ?? .null, baseline.settings[key.path] ?? .null)
          guard key.order.verdict(of: mine, against: floor).isAtLeastAsStrict else {
            Issue.record("\(key.path) = \(mine.canonical) under \(baseline.reference)")
            return
          }
        }
        #expect(isStrict)
        taken += 1
      } catch let error as AWError {
        #expect(error.code == .baselineWeaker && !isStrict)
        refused += 1
      }
    }
    #expect(taken > 1_000 && refused > 1_000)
  }

  @Test("keys and values that are none are refused by name")
  func unknown() throws {
    let acme = try Slug("acme")
    #expect(throws: AWError(.baselineKeyUnknown, "", next: "")) {
      try BaselineChoice.checked(["gateway.bind": "lan"], over: .usual, org: acme)
    }
    #expect(throws: AWError(.usage, "", next: "")) {
      try BaselineChoice.checked(["tools.exec.ask": "sometimes"], over: .usual, org: acme)
    }
  }

  private static func exception(_ approved: Bool) -> BaselineException {
    BaselineException(
      key: "tools.exec.security", value: "allowlist", owner: "Ada", reason: "builds",
      until: Sample.now.advanced(by: .seconds(60)), askedBy: "user/1", askedAt: Sample.now,
      approvedBy: approved ? "user/2" : nil, approvedAt: approved ? Sample.now : nil)
  }

  private static func record(_ exception: BaselineException) throws -> OnboardingRecord {
    var record = OnboardingRecord(org: .make(at: Sample.now), begunBy: "user/1", begunAt: Sample.now)
    record.contact = .init(name: "Ada", email: "ada@example.com")
    record.placement = .init(slug: try Slug("acme-main"), runtime: .process)
    record.surfaces = ["a"]
    record.baseline = record.hardening
    record.baseline?.exceptions = [exception]
    return record
  }

  private static func standing(_ record: OnboardingRecord, at now: Timestamp) throws -> OnboardingStanding {
    let good = CredentialFact(surface: "a", title: "a", reference: "a#v1", status: .valid, problem: nil)
    return OnboardingStanding.of(
      OnboardingFacts(
        requirements: record.requirements(org: try Slug("acme"), [good], at: now), job: .none, hold: nil, digest: "d",
        org: "acme"))
  }

  @Test("an exception counts from its approval to its end, and from its end on it blocks")
  func exceptions() throws {
    let (asked, approved) = (try Self.record(Self.exception(false)), try Self.record(Self.exception(true)))
    let end = Sample.now.advanced(by: .seconds(60))
    func security(_ record: OnboardingRecord, _ now: Timestamp) -> JSONValue? {
      record.hardening.settings(at: now)?["tools.exec.security"]
    }
    #expect(security(asked, Sample.now) == "deny" && security(approved, Sample.now) == "allowlist")
    #expect(security(approved, end) == "deny")
    #expect(try Self.standing(asked, at: Sample.now).state == .validationPending)
    #expect(try Self.standing(approved, at: Sample.now).state == .readyToProvision)
    for record in [asked, approved] {
      let standing = try Self.standing(record, at: end)
      #expect(standing.state == .blocked && standing.block?.code == ErrorCode.baselineExceptionExpired.id)
    }
    let acme = try Slug("acme")
    #expect(approved.digest(org: acme, [], at: Sample.now) != approved.digest(org: acme, [], at: end))
    #expect(asked.digest(org: acme, [], at: Sample.now) == asked.digest(org: acme, [], at: end))
  }

  @Test("the policy of what counts is part of the desired state")
  func policy() throws {
    let (record, acme) = (try Self.record(Self.exception(true)), try Slug("acme"))
    let settings = try #require(record.hardening.settings(at: Sample.now))
    #expect(PolicyFile.make(settings).value(at: "tools.exec.allowSecurity") == ["allowlist", "deny"])
    var strict = record
    strict.baseline?.overlay = ["tools.fs.workspaceOnly": true]
    #expect(record.digest(org: acme, [], at: Sample.now) != strict.digest(org: acme, [], at: Sample.now))
  }

  @Test("a baseline that this release does not have blocks, and is not taken for another")
  func foreign() throws {
    var record = try Self.record(Self.exception(true))
    let text = try JSONValue(encoding: record.hardening).setting("sha256:00", at: "digest")
    record.baseline = try text.decode(BaselineChoice.self)
    #expect(record.hardening.settings(at: Sample.now) == nil)
    let standing = try Self.standing(record, at: Sample.now)
    #expect(standing.state == .blocked && standing.block?.code == ErrorCode.baselineUnknown.id)
  }
}
