import Access
import Basics
import Evidence
import Testing

@testable import Programme

@Suite("The programme that comes with AW")
struct BuiltinTests {
  private static func world() throws -> ProgrammeWorld {
    var world = try ProgrammeWorld()
    let builtin = try BuiltinProgramme.load()
    world.append(builtin.entries(at: world.now))
    return world
  }

  @Test("its phrases are the customer's, word for word: whoever changes one amends a packet instead")
  func phrases() throws {
    let packets = try BuiltinProgramme.load().packets
    #expect(packets.map(\.sequence.text) == (0...5).map { "build-sequence-\($0)" })
    #expect(packets.map(\.number) == Array(0...5) && packets.allSatisfy { $0.problem == nil })
    #expect(packets[1].delivers[2].phrase == "Status freshness model: current, stale, unreachable, degraded, unknown")
    #expect(packets[3].wontDo[2].phrase == "No automatic cutover")
    #expect(packets[4].wontDo[3].phrase == "No unsupported channel automation hidden behind manual steps")
    #expect(packets.map(\.digest.short) == Self.released)
  }

  private static let released = [
    "sha256:0188a5308af9",
    "sha256:03ac67416b67",
    "sha256:2659c6ac1497",
    "sha256:f4a5c5c3e02f",
    "sha256:85617183d8e5",
    "sha256:6139e9a55f70",
  ]

  @Test("plain words are second, and are shown only where somebody reviewed exactly this pair")
  func plainWords() throws {
    let builtin = try BuiltinProgramme.load()
    let phrase = "No automatic cutover"
    #expect(builtin.plain.reviewed(phrase)?.by == "aw")
    #expect(builtin.plain.reviewed("No automatic cut-over") == nil)
    let written = PlainText("a backup system", of: phrase)
    #expect(PlainTexts([written]).reviewed(phrase) == nil)
    let reviewed = PlainText("AW moves nothing by itself", of: phrase, reviewedBy: "eve")
    // Another text under the mark of the one that was reviewed.
    let text = try JSONValue(encoding: reviewed).canonical.replacing("moves nothing", with: "moves all")
    #expect(PlainTexts([try JSONValue.decode(PlainText.self, from: text)]).reviewed(phrase) == nil)
    #expect(PlainTexts([reviewed]).reviewed(phrase)?.text == "AW moves nothing by itself")
    let world = try Self.world()
    let board = ProgrammeBoard(
      .init(world.entries, world.trust, plain: builtin.plain, evidence: EvidenceSummary(entries: 0)), at: world.now)
    for line in board.sequences.flatMap({ $0.delivers + $0.wontDo + [$0.objective] }) {
      #expect(line.plain != nil && line.plainReviewedBy == "aw" && line.plain != line.text, "\(line.text)")
    }
    // What a deployment writes itself has no plain text until somebody reviewed one.
    #expect(builtin.plain.reviewed("No automatic cutover of Hosts") == nil)
  }

  @Test("a fresh installation closes what is real, and leaves a synthetic fleet alone")
  func fresh() throws {
    let world = try Self.world()
    #expect(world.board().sequences.allSatisfy { $0.state == .draft } && world.board().contradictions.isEmpty)
    let scopes = ScopeGuard(world.programme, world.trust, at: world.now)
    for scope in ActScope.allCases {
      #expect((scopes.line(closing: scope) != nil) == scope.isStanding, "\(scope.rawValue)")
    }
    let closed = try #require(scopes.line(closing: .realOrg))
    let error = closed.error(.realOrg)
    #expect(error.code == .orgNotSynthetic && error.message.contains(closed.packet.short))
    #expect(error.message.contains("No real customer systems"))
    #expect(error.next.contains("independent-review, then commit, then user-approval"))
    #expect(scopes.line(closing: .realCredential)?.line.unlessApproved == true)
  }

  @Test("the active sequence closes its own lines as well; an amendment opens nothing before it passed its gates")
  func active() throws {
    var world = try Self.world()
    let one = try Slug("build-sequence-1")
    func line(_ scope: ActScope) -> ClosedLine? {
      ScopeGuard(world.programme, world.trust, at: world.now).line(closing: scope)
    }
    func approve() throws {
      try world.decide(.independentReview, one, by: "eve")
      try world.decide(.commit, one, by: "pat")
      try world.decide(.userApproval, one, by: "una")
    }
    #expect(line(.spawnIngestion) == nil)
    try approve()
    #expect(line(.spawnIngestion) == nil)
    try world.execute(.begin, one)
    #expect(line(.spawnIngestion)?.line.phrase == "No Spawn ingestion")
    let before = try world.rules.sequence(one).digest
    try world.amend(one) { packet in
      packet.wontDo.removeAll { $0.scopes == [.spawnIngestion] }
      packet.opens = [.automaticFleetUpgrade]
    }
    let diff = try #require(world.board().sequences[1].packet.amendment?.diff)
    #expect(diff.widened == [.automaticFleetUpgrade, .spawnIngestion])
    // The packet on which work began still closes it.
    #expect(line(.spawnIngestion)?.packet == before && line(.automaticFleetUpgrade) != nil)
    try approve()
    #expect(line(.spawnIngestion) != nil && line(.automaticFleetUpgrade) != nil)
    try world.execute(.begin, one, by: "bob")
    #expect(line(.spawnIngestion) == nil && line(.automaticFleetUpgrade) == nil)
    #expect(line(.realOrg) != nil)
    // What was opened is shut when its approval is taken back.
    try world.decide(.independentReview, one, by: "eve", result: .failed)
    #expect(line(.automaticFleetUpgrade) != nil && world.board().runtimeWork?.isAllowed == false)
  }

  @Test("to supersede a sequence opens nothing before work on the other one began")
  func superseded() throws {
    var world = try Self.world()
    let (one, two) = (try Slug("build-sequence-1"), try Slug("build-sequence-2"))
    func closes(_ scope: ActScope) -> Bool {
      ScopeGuard(world.programme, world.trust, at: world.now).line(closing: scope) != nil
    }
    func begin(_ sequence: Slug) throws {
      try world.decide(.independentReview, sequence, by: "eve")
      try world.decide(.commit, sequence, by: "pat")
      try world.decide(.userApproval, sequence, by: "una")
      try world.execute(.begin, sequence)
    }
    try begin(one)
    world.add(try world.rules.supersede(one, by: two, because: "it is part of that"), to: one)
    #expect(world.board().sequences[1].state == .superseded && world.board().contradictions.isEmpty)
    #expect(closes(.channelOnboarding) && closes(.realOrg))
    try begin(two)
    #expect(!closes(.channelOnboarding) && closes(.spawnIngestion) && closes(.realOrg))
    for sequence in [two, try Slug("build-sequence-3"), try Slug("build-sequence-4")] {
      world.add(try world.rules.supersede(sequence, by: try Slug("build-sequence-5"), because: "x"), to: sequence)
    }
    #expect(closes(.realOrg) && closes(.realCredential) && closes(.spawnIngestion))
  }

  @Test(
    "evidence against a line stands on the board, if the line was there by then and no signed gate excuses it"
  )
  func violations() throws {
    var world = try Self.world()
    let founded = world.now
    func seen(_ scope: ActScope, at time: Timestamp, namesGate: Bool = false) -> [ViolationLine] {
      let reference = EvidenceReference(uri: "evidence/7", digest: PacketDigest(of: "x"), at: time)
      let item = ScopedEvidence(reference, kind: "x.happened", scope: scope, namesGate: namesGate)
      return ProgrammeBoard(
        .init(world.entries, world.trust, evidence: EvidenceSummary(entries: 8), scoped: [item]), at: world.now
      ).violations
    }
    #expect(seen(.realOrg, at: founded).map(\.line) == ["No real customer systems"])
    #expect(seen(.realOrg, at: founded.advanced(by: .seconds(-1))).isEmpty)
    #expect(seen(.realCredential, at: founded).count == 1)
    #expect(seen(.realCredential, at: founded, namesGate: true).isEmpty)
    #expect(seen(.spawnIngestion, at: founded).isEmpty)
    let one = try Slug("build-sequence-1")
    try world.decide(.independentReview, one, by: "eve")
    try world.decide(.commit, one, by: "pat")
    try world.decide(.userApproval, one, by: "una")
    try world.execute(.begin, one)
    let violation = try #require(seen(.spawnIngestion, at: world.now).first)
    let digest = try world.rules.sequence(one).digest
    #expect(violation.sequence == one && violation.packet == digest)
  }

  @Test("a line without an exception wins over one that has one")
  func strictness() throws {
    var world = try Self.world()
    var packet = try ProgrammeWorld.packet(7)
    packet.wontDo = [WontDo("No real keys at all", [.realCredential])]
    try world.first(packet)
    let line = ScopeGuard(world.programme, world.trust, at: world.now).line(closing: .realCredential)?.line
    #expect(line?.phrase == "No real keys at all" && line?.unlessApproved == false)
  }

  @Test("a file of signers names keys, people and roles; a wrong line is named")
  func signers() throws {
    let key = try ProgrammeWorld.key("eve").verifierKey.text
    let trust = try ProgrammeTrust(
      deployment: "d", parsing: "# people\nreviewer,owner eve \(key) # hers\n\naccount eve-bot eve\n")
    #expect(trust.person(of: "Eve-Bot") == "eve" && trust.people(.owner).map(\.text) == ["eve"])
    #expect(trust.person(of: "zoe") == "zoe")
    for wrong in ["reviewer eve", "chief eve \(key)", "reviewer eve \(key)\nowner eve \(key)", "account x"] {
      #expect(throws: AWError(.programmeSigners, "", next: "")) {
        try ProgrammeTrust(deployment: "d", parsing: wrong)
      }
    }
  }
}
