import Access
import Basics
import Client
import Deployment
import Evidence
import Fleet
import Foundation
import Programme
import Store
import Testing

/// The board as people read it: on the console and as a file, in a real browser, each text against the one record.
@Suite("The board, in Chromium", .serialized, .timeLimit(.minutes(5)))
struct BoardTests {
  private static let header =
    "Independent review passed; waiting for renewed user approval; "
    + "Docker engine installed; container runtime not started"

  @Test("the story of the page that contradicted itself: read, followed live, marked as read, kept as a file")
  func board() async throws {
    try await Scene.with { scene in
      let programme = try await Programming(in: scene)
      try await Self.prove(scene, programme)
      try await Self.play(programme)
      try await Browser.with { browser in
        try await OnboardingPagesTests.signIn(browser, scene, "ada")
        try await browser.open(scene.running.url + "/")
        try await browser.press("g", "p")
        try await browser.until(Self.header, in: "#header")
        try await Self.agree(browser, try await programme.board())
        try await Self.links(browser)
        try await Self.marked(browser, scene)
        try await Self.changes(browser, programme)
        try await Self.exceptions(browser, programme)
        try await Self.agree(browser, try await programme.board())
        try await Self.links(browser)
        try await Self.looks("board", browser)
        try await browser.open(scene.running.url + "/programme/build-sequence-1")
        try await browser.until("checkpoint-009: Docker engine install")
        try await Self.looks("sequence", browser)
        #expect(try await browser.text("#versions").contains("with a Docker engine"))
        #expect(try await browser.complaints() == [])
        try await Self.file(browser, programme)
      }
    }
  }

  // MARK: - What happens

  /// A program looked, so there are claims that are checked, and one that does not hold: it runs in no container.
  private static func prove(_ scene: Scene, _ programme: Programming) async throws {
    try await scene.createOrg()
    try await scene.provision()
    try await programme.aw(
      ["prove", "build-sequence-0", "--org", "acme", "--instance", "acme-main"] + programme.socket, code: 1)
  }

  private static func play(_ programme: Programming) async throws {
    let (zero, one) = ("build-sequence-0", "build-sequence-1")
    for sequence in [zero, one] {
      try await programme.decide(.independentReview, sequence, by: "eve")
      try await programme.decide(.commit, sequence, by: "ada")
      try await programme.decide(.userApproval, sequence, by: "una")
    }
    try await programme.aw(["programme", "begin", one] + programme.ada)
    let titles = [
      "Baseline of the slice-0 path", "AW Gateway listens", "Connector dials in", "Gateway WebSocket reached",
      "Status model", "Watchdog checks recur", "Losses are classified", "Alert hooks", "Rebuild of the architecture",
    ]
    for title in titles { try await checkpoint(programme, title, "claim", "\(title): shown to the team") }
    let packet = programme.file("packet.json")
    try await programme.aw(["programme", "packet", "show", one, "--out", packet] + programme.socket)
    let text = try String(contentsOfFile: packet, encoding: .utf8)
    let amended = text.replacing("\"Hosts of one region\"", with: "\"Hosts of one region, with a Docker engine\"")
    try amended.write(toFile: packet, atomically: true, encoding: .utf8)
    try await programme.aw(
      ["programme", "amend", one, packet, "--reason", "the review asked for a container runtime"] + programme.ada)
    try await programme.decide(.independentReview, one, by: "eve")
    try await programme.decide(.commit, one, by: "ada")
    try await checkpoint(programme, "Docker engine install", "milestone", "docker-engine=Docker engine 29 answers")
  }

  private static func checkpoint(
    _ programme: Programming, _ title: String, _ kind: String, _ claim: String, number: Int? = nil
  ) async throws {
    let number = number.map { ["--number", "\($0)"] } ?? []
    try await programme.aw(
      ["programme", "checkpoint", "build-sequence-1", "--title", title, "--\(kind)", claim] + number + programme.ada)
  }

  /// An open page follows what happens: a number that is left out, a warning, its waiver.
  private static func changes(_ browser: Browser, _ programme: Programming) async throws {
    try await browser.run("document.body.dataset.sameLoad = 'yes'")
    try await checkpoint(programme, "Container image pulled", "claim", "the image is there", number: 12)
    try await browser.until("Missing: checkpoint-010, checkpoint-011", in: "#tile-checkpoints")
    let answer = try await programme.aw(
      [
        "programme", "warn", "build-sequence-1", "--assumption", "one Docker engine serves every Instance of a Host",
        "--threatens", "one socket for each Host", "--resolved-by", "independent-review", "--blocks", "user-approval",
        "--json",
      ] + programme.ada)
    try await browser.until("blocked by an architecture warning", in: "#header")
    let warning = try #require(answer.json?["warning"]?.stringValue)
    let until = Timestamp(Date()).advanced(by: .seconds(86_400)).description
    // Whoever wrote on the packet does not waive what is said against it.
    try await programme.aw(
      ["programme", "waive", warning, "--reason", "until the lab is free", "--until", until] + programme.ada, code: 4)
    try await browser.until("What changed")
    #expect(try await browser.text("#changes").contains("architecture warning: one Docker engine serves every"))
    #expect(try await browser.run("return document.body.dataset.sameLoad").stringValue == "yes")
  }

  /// The open page follows a waiver, evidence that no packet allows, and a verdict that newer evidence made stale.
  private static func exceptions(_ browser: Browser, _ programme: Programming) async throws {
    let scene = programme.scene
    _ = try await scene.client.send(.post, "/evidence-hygiene")
    // No act leaves this entry, since the guardrails refuse each that would: so it is written past them.
    let real = EvidenceEntry(
      kind: .orgCreated, at: Timestamp(Date()), actor: "system:test", data: ["slug": "globex", "sort": "real"])
    _ = try await scene.control.store.write { tx in try EvidenceLog().append(real, in: tx) }
    let warning = try #require(try await programme.board().warnings.first)
    let until = Timestamp(Date()).advanced(by: .seconds(86_400)).description
    let eve = try await Gating(in: scene, inviting: "eve").context
    try await programme.aw(
      [
        "programme", "waive", "\(warning.id)", "--reason", "until the lab is free", "--until", until, "--context", eve,
      ])
    try await browser.until("Waived by eve until", in: "#warnings")
    try await browser.until(Self.header, in: "#header")
    #expect(try await browser.text("#warnings").contains("because it is waived"))
    #expect(try await browser.text("#tile-evidence").contains("stale:"))
    #expect(try await browser.text("#evidence").contains("items were added after the checks ran"))
    let board = try await programme.board()
    let violation = try #require(board.violations.first)
    #expect(board.violations.count == 1 && violation.kind == "org.created" && violation.scope == .realOrg)
    let said = try await browser.text("#violations")
    #expect(said.contains("org.created") && said.contains("real-org") && said.contains(violation.line))
    #expect(said.contains(violation.evidence.uri) && board.evidence.isStale)
    #expect(try await browser.run("return document.body.dataset.sameLoad").stringValue == "yes")
  }

  /// What was there when the board was marked is not told again.
  private static func marked(_ browser: Browser, _ scene: Scene) async throws {
    #expect(try await browser.text("#changes").contains("you have not marked the board as read yet"))
    #expect(try await browser.text("#changes").contains("commit PASSED"))
    try await browser.click("#changes button")
    try await browser.until("Since you marked the board as read", in: "#changes")
    #expect(try await browser.text("#changes").contains("Nothing."))
    try await browser.open(scene.running.url + "/programme?since=2026-01-01T00:00:00Z")
    #expect(try await browser.text("#changes").contains("commit PASSED"))
    try await browser.open(scene.running.url + "/programme")
  }

  // MARK: - Reading

  /// The texts of the page against the record.
  private static func agree(_ browser: Browser, _ board: ProgrammeBoard) async throws {
    #expect(try await browser.text("#header") == board.header)
    let next = try #require(board.next)
    #expect(try await browser.text("#next-act") == "Next: \(next.words)")
    #expect(try await browser.text("#next-who") == next.who)
    #expect(try await browser.text("#tile-work p") == board.runtimeWork?.words)
    let line = try #require(board.sequences.first { $0.id == board.current })
    #expect(try await browser.text("#tile-checkpoints p") == "\(line.checkpoints.count) checkpoints recorded")
    #expect(try await browser.text("#evidence").contains("The log has"))
    let states = try await browser.run(
      "return [...document.querySelectorAll('[data-state]')].map((one) => one.dataset.state + ': ' + one.textContent)"
    ).arrayValue?.compactMap(\.stringValue)
    let said = Set(board.sequences.map { "\($0.id): \($0.state.rawValue)" })
    #expect(Set(states ?? []) == said && states?.count == board.sequences.count + 1)
    let gates = try await browser.run(
      "return [...document.querySelectorAll('details[open] [data-gate] .status')].map((one) => one.textContent)"
    ).arrayValue?.compactMap(\.stringValue)
    #expect(gates == line.gates.map(\.state.rawValue))
    // Every approval that is void is struck through where people see it, and called void where they hear it.
    let lines = try await browser.run(
      "return [...document.querySelectorAll('.decision s')].map((one) => getComputedStyle(one).textDecorationLine)"
    ).arrayValue?.compactMap(\.stringValue)
    let void = board.sequences.flatMap(\.gates).flatMap(\.decisions).filter { $0.struck != nil }
    #expect(lines == void.map { _ in "line-through" } && !void.isEmpty)
    #expect(try await browser.text("#build-sequence-1").contains("Void (the packet was amended)"))
  }

  /// Every link with a place leads to one: the page is there, and the place on it.
  private static func links(_ browser: Browser) async throws {
    let lost = try await browser.run(
      """
      const pages = new Map();
      const page = (path) => {
        if (!pages.has(path)) {
          pages.set(path, fetch(path).then((answer) => answer.text())
            .then((text) => new DOMParser().parseFromString(text, "text/html")));
        }
        return pages.get(path);
      };
      const links = [...document.querySelectorAll("main a[href*='#'], main a[href^='/programme/build']")];
      return Promise.all(links.map(async (link) => {
        const url = new URL(link.href);
        const found = (await page(url.pathname)).getElementById(url.hash.slice(1) || "standing");
        return found ? "" : link.href;
      })).then((all) => all.filter(Boolean).join(" ") + " of " + all.length);
      """
    ).stringValue
    let count = try #require(lost?.split(separator: " of ").last.flatMap { Int($0) })
    #expect(lost == " of \(count)" && count > 20, "\(lost ?? "")")
  }

  /// With everything unfolded, so that all of it is looked at.
  private static func looks(_ name: String, _ browser: Browser) async throws {
    try await browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    let pictures = try await browser.looks(name)
    #expect(pictures.count == 4)
  }

  // MARK: - The file

  private static func file(_ browser: Browser, _ programme: Programming) async throws {
    let file = programme.file("board.html")
    let made = try await programme.aw(["programme", "board", "--html", file, "--json"] + programme.socket)
    let digest = try #require(made.json?["digest"]?.stringValue)
    // A file that is there is not replaced.
    try await programme.aw(["programme", "board", "--html", file] + programme.socket, code: 2)
    try await browser.open("file://" + file)
    #expect(try await browser.text("#digest") == digest)
    // What it tells to run, prints what it says.
    let command = try await browser.text("#verify-record")
    let script = try #require(command.firstMatch(of: /-c '(.*)' aw-programme\.html/)?.output.1)
    let checked = try await Programs.run("python3", ["-c", String(script), file])
    #expect(checked.output.trimmingCharacters(in: .whitespacesAndNewlines) == digest, "\(checked)")
    let record = try await browser.run("return document.getElementById('record').textContent").stringValue ?? ""
    try await agree(browser, try JSONValue.decode(ProgrammeBoard.self, from: record))
    let lost = try await browser.run(
      "return [...document.querySelectorAll('a')].filter((one) => !document.querySelector(one.getAttribute('href')))"
        + ".map((one) => one.outerHTML).join()"
    ).stringValue
    #expect(lost == "")
    #expect(try await browser.run("return document.scripts.length").intValue == 0)
    try await looks("file", browser)
    #expect(try await browser.complaints() == [])
  }
}
