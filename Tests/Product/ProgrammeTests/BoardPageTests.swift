import Access
import Basics
import Crypto
import Foundation
import TestSupport
import Testing
import Web

@testable import Programme

/// What the pages say against the record that they are made from, whatever the programme is.
@Suite("The board's pages")
struct BoardPageTests {
  private static let library = Result {
    try PageLibrary(assets: try AssetFiles.load(), rooms: [try ProgrammePages.pages()])
  }

  static func page(_ board: ProgrammeBoard) throws -> HTMLTree {
    var values = BoardPage(board).values
    (values["isFirst"], values["isAsked"], values["span"]) = (false, false, "")
    let page = Page("Programme", template: "programme/board", values: .object(values))
    return try HTMLTree.parse(try library.get().render(page, for: nil, path: "/programme", at: board.at))
  }

  static func page(of sequence: SequenceLine, _ board: ProgrammeBoard) throws -> HTMLTree {
    let page = Page("S", template: "programme/sequence", values: BoardPage(board).sequence(sequence))
    return try HTMLTree.parse(try library.get().render(page, for: nil, path: "/programme/x", at: board.at))
  }

  static func export(_ board: ProgrammeBoard) throws -> (export: BoardExport, tree: HTMLTree) {
    let export = try BoardExport(board, try library.get())
    return (export, try HTMLTree.parse(export.html))
  }

  private static let hygiene = HygieneSummary(
    checks: [
      .init(id: "exact-values", title: "no raw secret material", findings: 0),
      .init(id: "provenance", title: "no real customer data", findings: 2),
    ], items: 40, at: Timestamp(millisecondsSince1970: 1_779_990_000_000), added: 2)

  // MARK: - Everything that is said

  /// Every place of a page where something of the record is said.
  static func agree(_ tree: HTMLTree, _ board: ProgrammeBoard) throws {
    #expect(try #require(tree.element("header")).words == board.header)
    if let next = board.next {
      #expect(tree.element("next-act")?.words == "Next: \(next.words)")
      #expect(tree.element("next-who")?.words == next.who)
      #expect(try #require(tree.element("next")).words.contains(next.command))
    } else {
      #expect(tree.element("next-act") == nil)
    }
    #expect(tree.element("tile-work")?.words == board.runtimeWork.map { "Runtime work \($0.words)" })
    let review = try #require(tree.element("tile-review"))
    if let latest = board.latestReview {
      #expect(review.words.contains("\(latest.gate.rawValue) \(latest.result.rawValue) by \(latest.person)"))
      #expect(review.all("s").isEmpty == (latest.struck == nil))
    } else {
      #expect(review.words == "Latest review None yet")
    }
    // One word of the closed list, and each time the same for a sequence.
    let states = tree.all.filter { $0.attributes["data-state"] != nil }
    for said in states {
      let line = board.sequences.first { $0.id.text == said.attributes["data-state"] }
      #expect(SequenceState(rawValue: said.words) == line?.state, "\(said.attributes): \(said.words)")
    }
    #expect(states.count == board.sequences.count + (board.current == nil ? 0 : 1))
    let evidence = try #require(tree.element("evidence"))
    let hygiene = "Evidence hygiene: \(evidence.all("p").first?.words ?? "")"
    #expect(hygiene.lowercased() == board.evidence.words.lowercased())
    let reached = tree.element("violations")?.all("li").map(\.words) ?? []
    #expect(reached.count == board.violations.count)
    for (said, line) in zip(reached, board.violations) {
      #expect(said.contains(line.kind) && said.contains(line.line) && said.contains(line.evidence.uri))
    }
    let open = board.warnings.filter(\.isOpen).count
    let said = board.warnings.isEmpty ? "None was raised" : "\(open) open, \(board.warnings.count - open) settled"
    #expect(tree.element("tile-warnings")?.words == "Architecture warnings \(said)")
    for line in board.sequences { try agree(try #require(tree.element(line.id.text)), line) }
    let ids = tree.all.compactMap { $0.attributes["id"] }
    #expect(Set(ids).count == ids.count, "an id is there twice")
  }

  private static func agree(_ part: HTMLTree, _ line: SequenceLine) throws {
    let gates = part.all.filter { $0.attributes["data-gate"] != nil }
    #expect(gates.map { $0.attributes["data-gate"] } == line.gates.map(\.kind.rawValue))
    for (shown, gate) in zip(gates, line.gates) {
      #expect(shown.all.first { $0.has("status") }?.words == gate.state.rawValue, "\(line.id) \(gate.kind)")
      let decisions = shown.all.filter { $0.has("decision") }
      #expect(decisions.count == gate.decisions.count)
      for (said, decision) in zip(decisions, gate.decisions) {
        // Struck through, and said in a word for whoever does not see the line.
        #expect(said.all("s").count == (decision.struck == nil ? 0 : 1))
        #expect(said.words.hasPrefix("Void (\(decision.struckWords ?? ""))") == (decision.struck != nil))
        #expect(said.all("code").contains { $0.attributes["title"] == decision.packet.text })
      }
      let steps = shown.all.filter { $0.has("step") }
      #expect(steps.map { $0.has("step-done") } == gate.milestones.map(\.isReached))
    }
    let links = part.all("a").filter { $0.words.hasPrefix("checkpoint-") && $0.attributes["href"] != nil }
    for checkpoint in line.checkpoints { #expect(links.contains { $0.words == checkpoint.name }) }
    #expect(part.words.contains(BoardPage.recorded(line)))
    for gap in line.gaps { #expect(part.words.contains(Checkpoint.name(gap))) }
    #expect(part.words.contains("issing") == !line.gaps.isEmpty)
    // Technical words first; the plain ones only if somebody reviewed them.
    let phrases = part.all.filter { $0.has("phrase") }.map(\.words)
    #expect(phrases == ([line.summary, line.objective] + line.delivers + line.wontDo).map(\.text))
    let plain = ([line.summary, line.objective] + line.delivers + line.wontDo).filter { $0.plain == nil }.count
    #expect(part.text.ranges(of: "In other words: not reviewed yet.").count == plain)
  }

  // MARK: - The seed page

  @Test("the seed page's facts: one header, one next act, and every tile says the same")
  func seed() throws {
    let board = try SeedPageTests.world().board(EvidenceSummary(entries: 42, hygiene: Self.hygiene))
    let tree = try Self.page(board)
    #expect(tree.element("header")?.words == SeedPageTests.header)
    #expect(tree.element("next-act")?.words == "Next: Renewed user approval")
    #expect(tree.element("next-who")?.words == "owner (eva, una)")
    #expect(tree.element("tile-work")?.words == "Runtime work Not approved: waiting for renewed user approval")
    #expect(tree.element("tile-checkpoints")?.words == "Checkpoints 10 checkpoints recorded")
    #expect(try #require(tree.element("evidence")).words.contains("Stale: 2 items were added after the checks ran."))
    let one = try #require(tree.element("build-sequence-1"))
    #expect(one.attributes["open"] != nil && tree.element("build-sequence-0")?.attributes["open"] == nil)
    #expect(one.all("s").count == 3 && one.words.contains("Void (the packet was amended): user-approval PASSED by una"))
    #expect(one.words.contains("Waits for owner (eva, una), since "))
    #expect(one.words.contains("Waits for the gate before it: Renewed user approval."))
    try Self.agree(tree, board)
    // No other place says how the work stands.
    for wrong in ["pproved to proceed", "aiting for review", "n progress"] { #expect(!tree.words.contains(wrong)) }
  }

  @Test("each checkpoint that is counted has its place, with what was checked apart from what was said")
  func checkpoints() throws {
    var world = try SeedPageTests.world()
    let one = try Slug("build-sequence-1")
    let digest = try world.rules.sequence(one).digest
    let said = Checkpoint(
      number: 12, title: "Said", packet: digest,
      claims: [Claim("una saw it", .attested), Claim("it answers", .machineChecked, holds: false, evidence: [0])],
      evidence: [EvidenceReference(uri: "evidence/7", digest: PacketDigest(of: "x"), at: world.now)])
    world.add(.checkpoint(said), to: one)
    let board = world.board()
    let line = try #require(board.sequences.first { $0.id == one })
    let (tree, shown) = (try Self.page(board), try Self.page(of: line, board))
    try Self.agree(tree, board)
    for checkpoint in line.checkpoints {
      let link = "/programme/build-sequence-1#build-sequence-1-\(checkpoint.name)"
      #expect(tree.all("a").contains { $0.attributes["href"] == link })
      let place = try #require(shown.element("build-sequence-1-\(checkpoint.name)"))
      #expect(place.words.contains(checkpoint.digest.text))
      #expect(place.all.filter { $0.has("basis") }.map(\.words) == checkpoint.claims.map(\.basis.rawValue))
      // Every claim has an age and a digest.
      for claim in place.all("li") { #expect(!claim.all("time").isEmpty && !claim.all("code").isEmpty) }
    }
    let last = try #require(shown.element("build-sequence-1-checkpoint-012"))
    #expect(last.words.contains("Does not hold: it answers") && last.words.contains("the word of ada alone"))
    #expect(last.all("a").map { $0.attributes["href"] } == ["/evidence/7"])
    #expect(shown.words.contains("Missing in the numbering: checkpoint-010, checkpoint-011."))
    let versions = try #require(shown.element("versions"))
    #expect(versions.all("ins").map(\.words) == ["a Docker engine of its own"] && versions.all("del").isEmpty)
    #expect(versions.words.contains("the review asked for it"))
  }

  // MARK: - Whatever the programme is

  @Test("warnings, waivers, failures, ends and plain words: what is shown is what the record says")
  func stories() throws {
    var world = try SeedPageTests.world()
    let one = try Slug("build-sequence-1")
    let warning = ArchitectureWarning(
      id: .make(at: world.now), assumption: "one engine is enough", threatens: "one socket",
      raisedBy: Author(account: "eve"), resolvedBy: .independentReview, blocks: [.userApproval])
    world.add(try world.rules.warning(warning, in: one), to: one)
    try Self.agree(try Self.page(world.board()), world.board())
    #expect(world.board().sequences[1].state == .blocked)
    for seconds: Int64 in [600, 86_400] {
      let until = world.now.advanced(by: .seconds(seconds))
      let (_, change) = try world.rules.waiver(
        .make(at: world.now), of: warning.id, reason: "for a while", until: until, by: Author(account: "una"))
      world.add(change, to: one)
      let board = world.board()
      let tree = try Self.page(board)
      try Self.agree(tree, board)
      #expect(board.contradictions.isEmpty, "\(board.contradictions)")
      #expect(try #require(tree.element("warnings")).all("s").count == (seconds == 600 ? 0 : 1))
    }
    world.pass(90_000)
    let late = try Self.page(world.board())
    #expect(try #require(late.element("warnings")).words.contains("Void (it has expired): waived by una"))
    try world.decide(.independentReview, one, by: "eve", result: .failed)
    try Self.agree(try Self.page(world.board()), world.board())
    world.add(try world.rules.supersede(one, by: try Slug("build-sequence-2"), because: "split"), to: one)
    try Self.agree(try Self.page(world.board()), world.board())
    let since = world.board(since: world.entries[world.entries.count - 2].at)
    let changes = try #require(try Self.page(since).element("changes"))
    #expect(changes.all("ul").first?.all("li").map(\.words).first?.contains("superseded by build-sequence-2") == true)
    let reached = ScopedEvidence(
      EvidenceReference(uri: "evidence/9", digest: PacketDigest(of: "x"), at: world.now), kind: "org.created",
      scope: .realOrg, namesGate: false)
    let plain = PlainTexts([
      PlainText("It looks again and again.", of: "Recurring Watchdog checks", reviewedBy: "eve"),
      PlainText("A security flaw.", of: "No Spawn ingestion"),
    ])
    let told = ProgrammeBoard(
      .init(world.entries, world.trust, plain: plain, evidence: EvidenceSummary(entries: 0), scoped: [reached]),
      at: world.now)
    #expect(told.violations.count == 1)
    let tree = try Self.page(told)
    try Self.agree(tree, told)
    #expect(tree.words.contains("In other words (reviewed by eve): It looks again and again."))
    #expect(!tree.words.contains("A security flaw."))
  }

  @Test("what somebody wrote is text, wherever it stands")
  func hostile() throws {
    var world = try ProgrammeWorld()
    let evil = "<script>alert(1)</script>\" onclick=\"x {{aw.csrf}} {{{stylesheet}}}"
    try world.first(try ProgrammeWorld.packet(1, objective: evil))
    try world.checkpoint(try Slug("build-sequence-1"), evil)
    let board = world.board(since: Timestamp(millisecondsSince1970: 0))
    let pages = [try Self.page(board), try Self.page(of: board.sequences[0], board), try Self.export(board).tree]
    for tree in pages {
      #expect(tree.words.contains(evil))
      // The console's own script has an address.
      #expect(tree.all("script").allSatisfy { $0.attributes["src"] != nil })
      #expect(tree.all.allSatisfy { $0.attributes["onclick"] == nil })
    }
  }

  // MARK: - The file

  @Test("the file says the same, leads nowhere else, and holds the record that it was made from")
  func file() throws {
    var world = try SeedPageTests.world()
    try world.checkpoint(try Slug("build-sequence-1"), "later <&> \"quoted\"", number: 12)
    let board = world.board(since: world.entries[3].at, EvidenceSummary(entries: 42, hygiene: Self.hygiene))
    let (export, tree) = try Self.export(board)
    try Self.agree(tree, board)
    let ids = Set(tree.all.compactMap { $0.attributes["id"] })
    let links = tree.all("a").compactMap { $0.attributes["href"] }
    #expect(links.count > 40)
    for link in links { #expect(link.hasPrefix("#") && ids.contains(String(link.dropFirst())), "\(link)") }
    for name in ["script", "link", "img", "form"] { #expect(tree.all(name).isEmpty, "\(name)") }
    #expect(tree.all("style").first?.text.contains("prefers-color-scheme: dark") == true)
    #expect(!export.html.contains("http://") && !export.html.contains("url("))
    // What it is made from is in it, whole, and its digest is what it says.
    let record = try #require(tree.element("record")?.text)
    #expect(try JSONValue.decode(ProgrammeBoard.self, from: record) == board)
    let digest = "sha256:" + SHA256.hex(Array(record.utf8))
    #expect(digest == export.digest.text && tree.element("digest")?.words == digest)
    // The same board gives the same file, to the byte.
    #expect(try Self.export(board).export == export)
  }
}
