import Basics
import Evidence
import TestSupport
import Testing

@testable import Programme

/// Random logs of decisions: what people hand in, what they are refused, and what somebody wrote into the database.
@Suite("Random decision logs")
struct DecisionLogTests {
  private static let logs = 10
  private static let steps = 50

  /// What people do who want the sequence to be done.
  private static func onward(_ world: inout ProgrammeWorld, _ sequence: Slug, _ former: inout [Decision]) throws {
    let record = try world.rules.sequence(sequence)
    let check = DecisionCheck(record, world.trust, at: world.now)
    guard let gate = check.next?.gate else { return try world.execute(.finish, sequence) }
    if check.isApproved, record.execution(.begin, of: record.digest) == nil {
      return try world.execute(.begin, sequence)
    }
    if let open = gate.milestones.first(where: { !record.isReached($0) }) {
      try world.checkpoint(sequence, "step", milestone: open.id.text)
      return
    }
    let evidence = record.checkpoints.last.map {
      DecisionClaim.Input(uri: $0.value.name, sha256: $0.value.digest.hex)
    }
    let decision = try world.signed(
      gate.kind, sequence, by: [["eve", "ada", "una", "pat"][gate.kind.order]],
      evidence: gate.kind == .runtimeProof ? [evidence].compactMap(\.self) : [])
    former.append(decision)
    try world.submit(decision, to: sequence)
  }

  /// One random thing. What the rules refuse did not happen.
  private static func step(
    _ world: inout ProgrammeWorld, _ sequence: Slug, _ former: inout [Decision], _ random: inout Seeded
  ) throws {
    if Int.random(in: 0..<5, using: &random) < 3 { return try onward(&world, sequence, &former) }
    let gate = GateKind.allCases.randomElement(using: &random) ?? .commit
    let names = ProgrammeWorld.people.map(\.key) + ["mallory"]
    let name = names.randomElement(using: &random) ?? "ada"
    switch Int.random(in: 0..<20, using: &random) {
    case 0, 14: try world.amend(sequence, by: name) { $0.objective += "." }
    case 1: world.pass(Int64.random(in: 1...100_000, using: &random))
    case 2:
      let again = former.randomElement(using: &random)
      if let again { try world.submit(again, to: sequence) }
    case 3:
      // As if somebody had written it past every rule.
      if let again = former.randomElement(using: &random) { world.add(.decision(again), to: sequence) }
    case 4, 5, 11: try world.execute(.begin, sequence, by: name)
    case 6, 12: try world.execute(.finish, sequence, by: name)
    case 7, 13:
      let milestone = ["docker-engine", "container-runtime"].randomElement(using: &random)
      try world.checkpoint(
        sequence, "step", milestone: milestone, holds: Int.random(in: 0..<8, using: &random) > 0)
    case 8:
      let warning = ArchitectureWarning(
        id: .make(at: world.now), assumption: "one engine is enough", threatens: "one socket",
        raisedBy: Author(account: name), resolvedBy: .independentReview, blocks: [gate])
      world.add(try world.rules.warning(warning, in: sequence), to: sequence)
    case 9:
      guard let open = try world.rules.sequence(sequence).warnings.last?.value else { return }
      let (id, change) = try world.rules.resolution(of: open.id, note: "seen")
      world.add(change, to: id)
    case 10:
      let digest = try world.rules.sequence(sequence).digest
      world.add(try world.rules.proposal(of: digest, in: sequence), to: sequence)
    default:
      let proper = ["eve", "ada", "una", "pat"][gate.order]
      let signer = Int.random(in: 0..<5, using: &random) > 0 ? proper : name
      let evidence = try world.rules.sequence(sequence).checkpoints.last.map {
        [DecisionClaim.Input(uri: $0.value.name, sha256: $0.value.digest.hex)]
      }
      let decision = try world.signed(
        gate, sequence, by: [signer], Int.random(in: 0..<16, using: &random) == 0 ? .failed : .passed,
        evidence: gate == .runtimeProof ? evidence ?? [] : [],
        for: .seconds(Int64.random(in: 1...400_000, using: &random)))
      former.append(decision)
      try world.submit(decision, to: sequence)
    }
  }

  /// What an act rests on, looked at without the code that let it pass.
  private static func isSound(
    _ execution: Execution, by account: String, at now: Timestamp, before world: ProgrammeWorld, _ sequence: Slug
  ) throws -> Bool {
    let record = try world.rules.sequence(sequence)
    let spent = Set(record.executions.flatMap(\.value.decisions))
    guard execution.packet == record.digest, spent.isDisjoint(with: execution.decisions) else { return false }
    func people(_ decision: Decision) -> Set<String> {
      let keys = decision.envelope.signers(among: world.trust.signers.map(\.key))
      return Set(world.trust.signers.filter { keys.contains($0.key) }.map(\.person.text))
    }
    let authors = Set(record.packet.authors.map { world.trust.person(of: $0.account) })
    var reviewers: Set<String> = []
    for id in execution.decisions {
      guard let decision = record.decisions.map(\.value).last(where: { $0.id == id }), let said = decision.said,
        said.digest == record.digest, now < said.claim.expires, said.claim.verificationResult == .passed
      else { return false }
      let who = people(decision)
      if who.isEmpty { return false }
      switch said.claim.gate {
      case .independentReview:
        reviewers = who
        if !who.isDisjoint(with: authors) { return false }
      case .userApproval:
        if !who.isDisjoint(with: authors) || !who.isDisjoint(with: reviewers) { return false }
        if who.contains(world.trust.person(of: account)) { return false }
      case .commit, .runtimeProof:
        if !who.isDisjoint(with: reviewers) { return false }
      }
    }
    let gates = Set(
      execution.decisions.compactMap { id in
        record.decisions.first { $0.value.id == id }?.value.said?.claim.gate
      })
    return execution.act == .begin ? gates == [.independentReview, .commit, .userApproval] : gates == [.runtimeProof]
  }

  @Test("no approval survives an amendment; no act rests on a stale, expired, self-given or used one; the board agrees")
  func logs() throws {
    var random = Seeded(state: 0x9A11)
    var (begun, finished, amended) = (0, 0, 0)
    let sequence = try Slug("build-sequence-1")
    for _ in 0..<Self.logs {
      var (world, former): (ProgrammeWorld, [Decision]) = (try ProgrammeWorld(), [])
      try world.first(try ProgrammeWorld.packet())
      for step in 0..<Self.steps {
        let before = world
        // What is refused is as much part of a log as what is not.
        do { try Self.step(&world, sequence, &former, &random) } catch is AWError { world.pass(1) }
        let record = try world.rules.sequence(sequence)
        let check = DecisionCheck(record, world.trust, at: world.now)
        for (index, standing) in check.standings.enumerated() where standing == .counts || standing == .used {
          #expect(record.decisions[index].value.said?.digest == record.digest, "a decision on another packet counts")
        }
        if let last = world.entries.last, world.entries.count > before.entries.count {
          if case .packet = last.change {
            amended += 1
            #expect(check.standings.allSatisfy { $0 != .counts && $0 != .used } && !check.isApproved)
            #expect(world.board().runtimeWork?.isAllowed != true)
          }
          if case .execution(let execution) = last.change {
            if execution.act == .begin { begun += 1 } else { finished += 1 }
            #expect(try Self.isSound(execution, by: last.by.account, at: last.at, before: before, sequence))
          }
        }
        // Time alone changes a board, too, but not often.
        if world.entries.count == before.entries.count, !step.isMultiple(of: 5) { continue }
        let found = world.board(since: before.now).contradictions
        #expect(found.isEmpty, "\(found)")
        if !found.isEmpty { return }
      }
    }
    #expect(begun > 6 && finished > 3 && amended > 6, "\(begun) begun, \(finished) finished, \(amended) amended")
  }

  @Test("a reviewer is nobody's second account, key or agent run")
  func independence() throws {
    var world = try ProgrammeWorld()
    let sequence = try Slug("build-sequence-1")
    var packet = try ProgrammeWorld.packet()
    let run = AgentRun(id: "run-7", model: "m", prompt: "00")
    packet.authors = [Author(account: "ada"), Author(account: "eve-bot"), Author(account: "bob", agent: run)]
    try world.first(packet)
    // The bot is hers.
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) {
      try world.decide(.independentReview, sequence, by: "eve")
    }
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) {
      try world.submit(try world.signed(.independentReview, sequence, by: ["eva"], agent: run), to: sequence)
    }
    // A role that she does not have, a key that nobody trusts, and the right one.
    #expect(throws: AWError(.programmeDecisionRefused, "", next: "")) {
      try world.decide(.independentReview, sequence, by: "una")
    }
    #expect(throws: AWError(.programmeDecisionRefused, "", next: "")) {
      try world.decide(.independentReview, sequence, by: "mallory")
    }
    try world.decide(.independentReview, sequence, by: "eva")
    try world.decide(.commit, sequence, by: "ada")
    // Two roles, one gate: who reviewed does not approve as well.
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) {
      try world.decide(.userApproval, sequence, by: "eva")
    }
    try world.decide(.userApproval, sequence, by: "una-phone")
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) { try world.execute(.begin, sequence, by: "una") }
  }

  @Test("two signatures are of two people, not of two keys of one")
  func quorum() throws {
    var world = try ProgrammeWorld()
    let sequence = try Slug("build-sequence-1")
    var packet = try ProgrammeWorld.packet()
    packet.gates[2] = RequiredGate(.userApproval, title: "User approval", signatures: 2)
    try world.first(packet)
    try world.decide(.independentReview, sequence, by: "eve")
    try world.decide(.commit, sequence, by: "ada")
    #expect(throws: AWError(.programmeDecisionRefused, "", next: "")) {
      try world.decide(.userApproval, sequence, by: "una", "una-phone")
    }
    try world.decide(.userApproval, sequence, by: "una", "eva")
    #expect(world.board().sequences.first?.state == .approved)
  }

  @Test("an approval ends: it is struck, and the gate waits since then")
  func expiry() throws {
    var world = try ProgrammeWorld()
    let sequence = try Slug("build-sequence-1")
    try world.first(try ProgrammeWorld.packet())
    world.add(try world.rules.proposal(of: try world.rules.sequence(sequence).digest, in: sequence), to: sequence)
    try world.decide(.independentReview, sequence, by: "eve", for: .seconds(100))
    let end = try #require(world.rules.sequence(sequence).decisions.first?.value.said?.claim.expires)
    #expect(world.board().sequences.first?.state == .inReview)
    world.pass(1_000)
    let board = world.board()
    #expect(board.sequences.first?.gates.first?.decisions.first?.struck == .expired)
    #expect(board.next?.since == end && board.next?.gate == .independentReview)
    #expect(board.contradictions.isEmpty, "\(board.contradictions)")
  }

  @Test("an open warning blocks the gates that it names until its gate settles it, or a waiver holds")
  func warnings() throws {
    var world = try ProgrammeWorld()
    let sequence = try Slug("build-sequence-1")
    try world.first(try ProgrammeWorld.packet())
    try world.decide(.independentReview, sequence, by: "eve")
    try world.decide(.commit, sequence, by: "ada")
    let warning = ArchitectureWarning(
      id: .make(at: world.now), assumption: "one engine is enough", threatens: "one socket a Host",
      raisedBy: Author(account: "pat"), resolvedBy: .independentReview, blocks: [.userApproval])
    world.add(try world.rules.warning(warning, in: sequence), to: sequence)
    #expect(world.board().sequences.first?.state == .blocked)
    #expect(world.board().next?.kind == .resolveWarning)
    #expect(throws: AWError(.programmeGateBlocked, "", next: "")) {
      try world.decide(.userApproval, sequence, by: "una")
    }
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) {
      try world.rules.waiver(
        .make(at: world.now), of: warning.id, reason: "a day", until: world.now.advanced(by: .seconds(50)),
        by: Author(account: "ada"))
    }
    let (id, waiver) = try world.rules.waiver(
      .make(at: world.now), of: warning.id, reason: "a day", until: world.now.advanced(by: .seconds(50)),
      by: Author(account: "una"))
    world.add(waiver, to: id)
    #expect(world.board().sequences.first?.state == .inReview)
    world.pass(60)
    #expect(world.board().sequences.first?.state == .blocked)
    #expect(throws: AWError(.programmeGateOrder, "", next: "")) {
      try world.rules.resolution(of: warning.id, note: "it was measured")
    }
    try world.decide(.independentReview, sequence, by: "eva")
    let (_, resolution) = try world.rules.resolution(of: warning.id, note: "it was measured")
    world.add(resolution, to: sequence)
    let board = world.board()
    #expect(board.warnings.first?.isOpen == false && board.contradictions.isEmpty)
    // The commit was decided on a review that is not the one that stands.
    #expect(board.next?.gate == .commit)
  }
}
