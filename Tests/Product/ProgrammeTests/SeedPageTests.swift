import Basics
import Testing

@testable import Programme

@Suite("The page that contradicted itself")
struct SeedPageTests {
  static let header =
    "Independent review passed; waiting for renewed user approval; "
    + "Docker engine installed; container runtime not started"

  /// What was true of the programme on the day of that page.
  static func world() throws -> ProgrammeWorld {
    var world = try ProgrammeWorld()
    let (zero, one) = (try Slug("build-sequence-0"), try Slug("build-sequence-1"))
    // Fresh Provisioning: approved.
    try world.first(try ProgrammeWorld.packet(0))
    try world.decide(.independentReview, zero, by: "eve")
    try world.decide(.commit, zero, by: "ada")
    try world.decide(.userApproval, zero, by: "una")
    for number in 2...5 { try world.first(try ProgrammeWorld.packet(number)) }
    // Stable Control Path And Fleet Watchdog: active, its packet amended.
    try world.first(try ProgrammeWorld.packet(1))
    try world.decide(.independentReview, one, by: "eve")
    try world.decide(.commit, one, by: "ada")
    try world.decide(.userApproval, one, by: "una")
    try world.execute(.begin, one)
    for number in 0..<9 { try world.checkpoint(one, "step \(number)") }
    try world.amend(one) { $0.fixtures.append("a Docker engine of its own") }
    try world.decide(.independentReview, one, by: "eve")
    try world.decide(.commit, one, by: "ada")
    try world.checkpoint(one, "Docker engine install", milestone: "docker-engine")
    return world
  }

  @Test("its facts give one header, which says exactly what is so")
  func header() throws {
    let board = try Self.world().board()
    #expect(board.header == Self.header)
    #expect(board.current?.text == "build-sequence-1")
    #expect(board.contradictions.isEmpty, "\(board.contradictions)")
  }

  @Test("each tile says the same: who is waited for, what may go on, what is struck")
  func tiles() throws {
    let world = try Self.world()
    let board = world.board()
    let states = board.sequences.map(\.state)
    #expect(states == [.approved, .active, .draft, .draft, .draft, .draft])
    let next = try #require(board.next)
    #expect(next.kind == .decide && next.gate == .userApproval && next.words == "Renewed user approval")
    // `eva` may decide for the owner as well: she has not reviewed this packet.
    #expect(next.people.map(\.text) == ["eva", "una"] && next.who == "owner (eva, una)")
    #expect(board.runtimeWork?.isAllowed == false)
    #expect(board.runtimeWork?.words == "Not approved: waiting for renewed user approval")
    #expect(board.latestReview?.gate == .commit && board.latestReview?.struck == nil)
    let line = try #require(board.sequences.first { $0.id == board.current })
    #expect(line.gates.map(\.state) == [.passed, .passed, .waiting, .notYet])
    let struck = line.gates.flatMap(\.decisions).filter { $0.struck == .superseded }
    #expect(struck.map(\.gate) == [.independentReview, .commit, .userApproval])
    #expect(line.packet.amendment?.diff.lines.map(\.text) == ["a Docker engine of its own"])
    let commit = try #require(line.gates[1].decisions.last)
    #expect(next.since >= commit.at)
  }

  @Test("ten checkpoints are counted and ten are there, 000 to 009; a number left out is flagged")
  func checkpoints() throws {
    var world = try Self.world()
    let one = try Slug("build-sequence-1")
    func line() throws -> SequenceLine { try #require(world.board().sequences.first { $0.id == one }) }
    #expect(try line().checkpoints.map(\.number) == Array(0...9) && line().gaps.isEmpty)
    #expect(try line().checkpoints.last?.name == "checkpoint-009")
    #expect(try line().checkpoints.filter(\.isOfCurrentPacket).count == 1)
    try world.checkpoint(one, "later", number: 12)
    #expect(try line().gaps == [10, 11])
    #expect(throws: AWError(.programmeCheckpointTaken, "", next: "")) {
      try world.checkpoint(one, "again", number: 12)
    }
    #expect(world.board().contradictions.isEmpty)
  }

  @Test("the story goes on to its end, and the header with it")
  func goesOn() throws {
    var world = try Self.world()
    let one = try Slug("build-sequence-1")
    try world.decide(.userApproval, one, by: "una")
    #expect(
      world.board().header
        == "Renewed user approval given; waiting for work to begin; Docker engine installed; "
        + "container runtime not started")
    // Whoever approved it does not carry it out.
    #expect(throws: AWError(.programmeSelfGiven, "", next: "")) { try world.execute(.begin, one, by: "una") }
    try world.execute(.begin, one)
    #expect(world.board().runtimeWork?.isAllowed == true)
    #expect(throws: AWError(.programmeDecisionUsed, "", next: "")) { try world.execute(.begin, one) }
    // Not everything is shown yet.
    let engine = try #require(try world.rules.sequence(one).checkpoints.last?.value)
    let input = DecisionClaim.Input(uri: engine.name, sha256: engine.digest.hex)
    #expect(throws: AWError(.programmeDecisionRefused, "", next: "")) {
      try world.decide(.runtimeProof, one, by: "pat", evidence: [input])
    }
    #expect(world.board().next?.kind == .prove)
    let proof = try world.checkpoint(one, "Container runtime proof", milestone: "container-runtime")
    #expect(world.board().next?.kind == .decide)
    try world.decide(
      .runtimeProof, one, by: "pat", evidence: [.init(uri: proof.name, sha256: proof.digest.hex)])
    #expect(world.board().header.hasPrefix("Runtime proof passed; waiting for the sequence to be finished"))
    try world.execute(.finish, one)
    let board = world.board()
    #expect(board.sequences.map(\.state) == [.approved, .done, .draft, .draft, .draft, .draft])
    #expect(board.current?.text == "build-sequence-0" && board.contradictions.isEmpty)
  }

  @Test("the board is the same from its own JSON, and hygiene that never ran says so")
  func json() throws {
    let world = try Self.world()
    let board = world.board(since: world.now.advanced(by: .seconds(-2)))
    let text = try JSONValue(encoding: board).canonical
    #expect(try JSONValue.decode(ProgrammeBoard.self, from: text) == board)
    let told = board.changes.map(\.words)
    #expect(told == ["commit PASSED", "checkpoint-009: Docker engine install"])
    #expect(board.evidence.words.contains("never ran"))
    func words(added: Int64) -> String {
      let summary = HygieneSummary(
        checks: [.init(id: "exact-values", title: "exact values", findings: 0)], items: 40, at: world.now, added: added)
      return EvidenceSummary(entries: 40 + added, hygiene: summary).words
    }
    #expect(words(added: 0).contains("clean by exact-values over 40 items") && !words(added: 0).contains("stale"))
    #expect(words(added: 2).contains("stale: 2 items were added since"))
  }
}
