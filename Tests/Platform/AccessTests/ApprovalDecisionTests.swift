import Basics
import TestSupport
import Testing

@testable import Access

@Suite("Approval decisions")
struct ApprovalDecisionTests {
  static let start = Timestamp(millisecondsSince1970: 1_795_000_000_000)
  /// `eve-bot` is another account of eve, `zoe` was suspended.
  static let decision = ApprovalDecision(
    person: { $0.text == "eve-bot" ? "eve" : $0.text }, counts: { $0.text != "zoe" })
  static let act = ApprovedAct(
    kind: "instance.removal-requested", subject: "instance/1", org: "o", details: ["purge": true])

  static func slug(_ text: String) throws -> Slug { try Slug(text) }

  static func rule(_ roles: [(String, [String])], separate: Bool = false) throws -> ApprovalRule {
    ApprovalRule(
      kind: act.kind, roles: try roles.map { try ApprovalRole(name: slug($0.0), people: $0.1.map(slug)) }, minutes: 60,
      separateExecutor: separate)
  }

  static func approval(_ votes: [(String, Bool)], by requester: String = "ada") throws -> Approval {
    var approval = Approval(id: .make(at: start), act: act, requester: try slug(requester), at: start, minutes: 60)
    approval.votes = try votes.map { ApprovalVote(account: try slug($0.0), at: start, approves: $0.1) }
    return approval
  }

  @Test("who must have spoken for an act to pass")
  func table() throws {
    let (any, two) = (
      try Self.rule([("second", [])]), try Self.rule([("security", ["eve", "pat"]), ("operations", ["una", "pat"])])
    )
    let separate = try Self.rule([("second", [])], separate: true)
    func problem(
      _ votes: [(String, Bool)], _ rule: ApprovalRule, by executor: String = "ada", requester: String = "ada"
    ) throws -> ApprovalProblem? {
      Self.decision.problem(
        with: try Self.approval(votes, by: requester), for: Self.act, by: try Self.slug(executor), under: rule,
        at: Self.start)
    }
    let second = try Self.slug("second")
    #expect(try problem([], any) == .missing([second]))
    #expect(try problem([("eve", true)], any) == nil)
    #expect(try problem([("ada", true)], any) == .selfGiven, "whoever asked")
    #expect(try problem([("eve", true)], any, by: "eve") == .selfGiven, "whoever acts")
    #expect(try problem([("eve", true)], any, by: "eve-bot") == .selfGiven, "by another account")
    #expect(try problem([("eve", true)], any, requester: "eve-bot") == .missing([second]))
    #expect(try problem([("zoe", true)], any) == .missing([second]), "suspended since")
    #expect(try problem([("eve", true), ("pat", false)], any) == .refused(by: Self.slug("pat")))
    #expect(try problem([("eve", true)], separate) == .sameExecutor)
    #expect(try problem([("eve", true)], separate, by: "una") == nil)
    #expect(try problem([("eve", true)], two) == .missing([Self.slug("operations")]))
    #expect(try problem([("eve", true), ("una", true)], two) == nil)
    #expect(try problem([("pat", true)], two) == .missing([Self.slug("operations")]), "one person, one role")
    #expect(try problem([("pat", true), ("eve", true)], two) == nil, "pat makes room for eve")
    #expect(try problem([("pat", true), ("una", true)], two) == nil)
    #expect(try problem([("eve", true), ("eve-bot", true)], try Self.rule([("a", []), ("b", [])])) != nil)
  }

  @Test("an approval is about one act, counts until it expires, and once")
  func bound() throws {
    let (rule, executor) = (try Self.rule([("second", [])]), try Self.slug("ada"))
    var approval = try Self.approval([("eve", true)])
    let others = [
      ApprovedAct(kind: "host.removed", subject: "instance/1", org: "o", details: ["purge": true]),
      ApprovedAct(kind: Self.act.kind, subject: "instance/2", org: "o", details: ["purge": true]),
      ApprovedAct(kind: Self.act.kind, subject: "instance/1", org: nil, details: ["purge": true]),
      ApprovedAct(kind: Self.act.kind, subject: "instance/1", org: "o", details: ["purge": false]),
    ]
    for other in others {
      #expect(Self.decision.problem(with: approval, for: other, by: executor, under: rule, at: Self.start) == .stale)
    }
    func problem(after seconds: Int64) -> ApprovalProblem? {
      Self.decision.problem(
        with: approval, for: Self.act, by: executor, under: rule, at: Self.start.advanced(by: .seconds(seconds)))
    }
    #expect(problem(after: 3_599) == nil)
    #expect(problem(after: 3_600) == .expired)
    approval.usedAt = Self.start
    #expect(problem(after: 0) == .used)
  }

  @Test(
    "over random logs no act passes on an approval that is stale, expired, self-given or used",
    arguments: Array<UInt64>(0..<8))
  func random(seed: UInt64) throws {
    var random = Seeded(state: seed)
    let names = try ["ada", "eve", "eve-bot", "una", "pat", "zoe"].map(Self.slug)
    var passed = 0
    for _ in 0..<2_000 {
      let roles = (0..<Int.random(in: 1...3, using: &random)).map { role in
        ("role-\(role)", names.filter { _ in Bool.random(using: &random) }.map(\.text))
      }
      let rule = try Self.rule(roles, separate: Bool.random(using: &random))
      var approval = try Self.approval([], by: names.randomElement(using: &random)?.text ?? "ada")
      for name in names.shuffled(using: &random).prefix(Int.random(in: 0...5, using: &random)) {
        let vote = ApprovalVote(account: name, at: Self.start, approves: Int.random(in: 0..<12, using: &random) > 0)
        // Some are written past every rule.
        let isTaken = Self.decision.problem(voting: vote, on: approval, under: rule) == nil
        if isTaken || Int.random(in: 0..<3, using: &random) == 0 { approval.votes.append(vote) }
      }
      if Int.random(in: 0..<6, using: &random) == 0 { approval.usedAt = Self.start }
      let now = Self.start.advanced(by: .seconds(Int64.random(in: 0...4_000, using: &random)))
      let isSame = Int.random(in: 0..<4, using: &random) > 0
      let act = isSame ? Self.act : ApprovedAct(kind: Self.act.kind, subject: nil, org: nil, details: [:])
      let executor = names.randomElement(using: &random) ?? names[0]
      guard Self.decision.problem(with: approval, for: act, by: executor, under: rule, at: now) == nil else { continue }
      passed += 1
      let people = Set(approval.votes.filter(\.approves).map { Self.decision.person($0.account) })
        .subtracting([Self.decision.person(executor), Self.decision.person(approval.requester), "zoe"])
      #expect(isSame && approval.usedAt == nil && now < approval.expiresAt)
      #expect(approval.votes.allSatisfy { $0.approves })
      #expect(people.count >= rule.roles.count, "each role has a person of its own, and none is a party")
      for role in rule.roles where !role.people.isEmpty {
        #expect(!people.isDisjoint(with: role.people.map { Self.decision.person($0) }), "\(role.name)")
      }
      #expect(!rule.separateExecutor || Self.decision.person(executor) != Self.decision.person(approval.requester))
    }
    #expect(passed > 20)
  }
}
