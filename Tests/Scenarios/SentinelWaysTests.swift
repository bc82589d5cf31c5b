import Basics
import Client
import Credentials
import Evidence
import Fleet
import Foundation
import Link
import Store
import Synthetic
import Testing
import Vault
import Work

/// Values that are planted in every way in, with the programs that an operator runs, and looked for in every way out.
@Suite("Every way in of a credential leaves no trace outside the vault", .serialized, .timeLimit(.minutes(10)))
struct SentinelWaysTests {
  /// What is planted, by how it comes in.
  private struct Planted: Sendable {
    let byCommand, byAPI, byLink, onConsole, rotated, real, refused: String

    init() throws {
      func fixture(_ surface: CredentialSurface) throws -> String {
        try FixtureValue.make(surface, name: String(Hex.encode([UInt8].random(count: 6))))
      }
      func real() -> String { "sk-proj-" + Hex.encode([UInt8].random(count: 20)) }
      (byCommand, byAPI, rotated) = (try fixture(.openAI), try fixture(.slack), try fixture(.openAI))
      (byLink, onConsole) = (try fixture(.telegram), try fixture(.anthropic))
      (self.real, refused) = (real(), real())
    }

    var all: [String] { [byCommand, byAPI, byLink, onConsole, rotated, real, refused] }
    /// What the vault has at the end.
    var kept: [String] { [byAPI, byLink, onConsole, real] }
  }

  @Test("by command, API, link, console, rotation and at the Instance: nowhere; what is put there is found")
  func ways() async throws {
    let planted = try Planted()
    let look = SentinelLook(planted.all)
    let more = Deployed.More(
      serve: { folder, port in
        try (Gating.eve().verifierKey.text + "\n").write(
          toFile: folder + "/approvers.txt", atomically: true, encoding: .utf8)
        try Gating.endpointsText(at: port).write(
          toFile: folder + "/vendors.json", atomically: true, encoding: .utf8)
        return [
          "--approvers", folder + "/approvers.txt", "--vendor-endpoints", folder + "/vendors.json",
          "--fixture-vendors", "http://127.0.0.1:\(port)/vendors",
        ]
      }, both: ["--log-level", "trace"])
    try await Deployed.with(more) { deployed in
      deployed.model.desk.admit(planted.real, as: "acme")
      let run = Run(deployed: deployed, look: look, planted: planted)
      let said = try await run.everyWay()
      #expect(look.texts(said) == [])
      let logs = await deployed.fullLogs
      #expect(look.texts(logs) == [])
      #expect(logs.allSatisfy { $0.contains(" trace ") || $0.contains(" debug ") })
      #expect(look.processes() == [])
      // While all runs, so that the database's log of writes is there too.
      let paths = try SentinelLook.paths(below: deployed.folder)
      for part in [
        "control/aw.sqlite", "control/aw.sqlite-wal", "host/secrets.sealed",
        "host/instances/acme-main/state/openclaw.json",
      ] {
        let bytes = FileManager.default.contents(atPath: deployed.folder + "/" + part) ?? Data()
        #expect(paths.contains(part) && !bytes.isEmpty, "\(part)")
      }
      #expect(paths.contains { $0.hasPrefix("control/evidence/tile") })
      #expect(try look.files(below: deployed.folder) == [])
      try await deployed.endControlPlane()
      #expect(try look.files(below: deployed.folder) == [])
      try await Self.isInVault(deployed, planted)
      try await Self.canFail(deployed, look, planted.real)
    }
  }

  /// Without this the search could be for the wrong thing.
  private static func isInVault(_ deployed: Deployed, _ planted: Planted) async throws {
    let data = deployed.controlData
    let vault = try Vault.open(file: data + "/vault", key: .fromFile(data + "/vault.key"))
    var found: Set<String> = []
    for reference in try await vault.references() where reference.text.hasPrefix("credential/") {
      let value = try await vault.get(reference)
      found.formUnion(planted.all.filter { value.equals(Secret($0)) })
    }
    #expect(found == Set(planted.kept))
  }

  /// What is put into each place on purpose is found there.
  private static func canFail(_ deployed: Deployed, _ look: SentinelLook, _ value: String) async throws {
    let hex = Hex.encode(Array(value.utf8))
    let shifted = Data(("x" + value).utf8).base64EncodedString()
    try shifted.write(toFile: deployed.hostData + "/note", atomically: true, encoding: .utf8)
    try await deployed.store.write { tx in
      _ = try tx.run("CREATE TABLE planted (text TEXT NOT NULL)")
      _ = try tx.run("INSERT INTO planted (text) VALUES ('\(value)')")
    }
    let found = try look.files(below: deployed.folder)
    #expect(found.contains("host/note") && found.contains { $0.hasPrefix("control/aw.sqlite") } && found.count <= 3)
    #expect(look.texts(["nothing", "before " + hex, shifted]).count == 2)
    try await LongRunning.with("/usr/bin/tail", ["-f", "/dev/null", hex]) { process in
      #expect(look.processes() == [process.id])
    }
    try await LongRunning.with("/usr/bin/tail", ["-f", "/dev/null"], environment: ["NOTE": shifted]) { process in
      let (_, held) = try await look.processes { true }
      #expect(held == [process.id])
    }
  }

  /// Every way in, one after the other, and all that is said meanwhile.
  private struct Run {
    let deployed: Deployed
    let look: SentinelLook
    let planted: Planted

    private var client: APIClient { deployed.client }
    private func path(_ surface: CredentialSurface) -> String { "/orgs/acme/credentials/\(surface.rawValue)" }

    private func aw(
      _ arguments: [String], input: String = "", context: String? = nil, code: Int32 = 0
    ) async throws -> Programs.Answer {
      let answer = try await Programs.run(
        arguments + ["--context", context ?? deployed.context], input: input)
      #expect(answer.code == code, "\(arguments): \(answer)")
      return answer
    }

    func everyWay() async throws -> [String] {
      var said: [Programs.Answer] = []
      let openAI = ["acme", CredentialSurface.openAI.rawValue]
      said.append(try await aw(["credential", "set"] + openAI, input: planted.byCommand))
      said.append(
        try await aw(["credential", "set"] + openAI + ["--class", "real", "--json"], input: planted.refused, code: 4))
      let body: JSONValue = [
        "surface": .string(CredentialSurface.slack.rawValue), "value": .string(planted.byAPI),
      ]
      var texts = [try await client.send(.post, "/orgs/acme/credentials", body: body).canonical]
      let token = deployed.folder + "/token"
      texts += try await browsers(token)
      for surface in [CredentialSurface.openAI, .slack, .telegram, .anthropic] {
        said.append(try await aw(["credential", "validate", "acme", surface.rawValue]))
      }
      try await provision()
      texts += try await asInstance()
      said += try await rotations(openAI, token)
      return texts + said.flatMap { [$0.output, $0.complaint] } + (try await answers())
    }

    // MARK: - People

    /// A customer by a link, and an operator on the console, each value sealed by the browser.
    private func browsers(_ token: String) async throws -> [String] {
      let request = [
        "credential", "request", "acme", CredentialSurface.telegram.rawValue, "--from", "Anna", "--for", "a pilot",
        "--json",
      ]
      let link = try #require(try await aw(request).json?[0]?["url"]?.stringValue)
      let url = try ContextFile.load(from: deployed.context).url
      var pages: [String] = []
      try await Browser.with { browser in
        try await browser.open(link)
        try await browser.click("main button[type=submit]")
        try await browser.until("Who asks")
        try await OnboardingPagesTests.enter(browser, planted.byLink)
        try await browser.until("The credential is in the vault.")
        pages += try await page(browser)
        try await signIn(browser)
        try await browser.open(url + path(.anthropic))
        try await OnboardingPagesTests.enter(browser, planted.onConsole)
        try await browser.until("present")
        pages += try await page(browser)
        #expect(look.processes() == [])
        // A token, so that somebody in particular can ask for a gate.
        try await browser.open(url + "/access")
        try await browser.type("anna-1", into: "form[action='/access/tokens'] input[name=name]")
        try await browser.run("document.querySelector('form[action=\"/access/tokens\"] select').value = 'owner'")
        try await browser.click("form[action='/access/tokens'] button")
        try await browser.until("not shown again")
        let text = try await browser.text(".once code")
        try text.write(toFile: token, atomically: true, encoding: .utf8)
      }
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: token)
      try ContextFile(url: url, tokenFile: token).save(to: token + ".json")
      return pages
    }

    private func signIn(_ browser: Browser) async throws {
      let link = try await aw(["operator", "sign-in-link", "anna"]).output
      try await browser.open(link.trimmingCharacters(in: .whitespacesAndNewlines))
      try await browser.click("main button[type=submit]")
      try await browser.until("You have no password yet")
    }

    /// What the browser shows, and where it is.
    private func page(_ browser: Browser) async throws -> [String] {
      let html = try await browser.run("return document.documentElement.outerHTML")
      return [try #require(html.stringValue), try #require(try await browser.run("return location.href").stringValue)]
    }

    // MARK: - The Instance

    private func provision() async throws {
      let body = FleetRoutes.InstanceBody(
        org: try Slug("acme"), slug: try Slug("acme-main"), runtime: .process, image: nil)
      let (ended, held) = try await look.processes { [deployed] in
        let asked = try await deployed.client.send(.post, "/instances", body: body, as: RequestedView.self)
        return try await deployed.ended(asked.operation.id)
      }
      #expect(ended.state == .succeeded && held == [])
    }

    /// Asks as OpenClaw does: the reply holds the value, and is the one place where it may be.
    private func asInstance() async throws -> [String] {
      let folder = deployed.hostData + "/instances/acme-main/secrets"
      let id = "orgs/acme/\(CredentialSurface.openAI.rawValue)#v1"
      let request: JSONValue = ["protocolVersion": 1, "provider": "aw", "ids": [.string(id)]]
      let (answer, held) = try await look.processes {
        try await Programs.run(folder + "/aw-secret-exec", ["--socket", folder + "/socket"], input: request.canonical)
      }
      #expect(answer.json?["values"]?[id] == .string(planted.byCommand) && held == [])
      let credential = try await client.send(.get, path(.openAI))
      #expect(credential.canonical.contains("instance/acme-main"))
      return [answer.complaint, credential.canonical]
    }

    // MARK: - Rotation

    /// To another fixture, whose Instance then works with it, and under a gate to a real key.
    private func rotations(_ place: [String], _ token: String) async throws -> [Programs.Answer] {
      let rotate = ["credential", "rotate"] + place
      let (first, held) = try await look.processes {
        try await aw(rotate + ["--other-account"], input: planted.rotated)
      }
      #expect(held == [])
      deployed.model.desk.revoke(planted.byCommand)
      let retired = try await aw(["credential", "retire"] + place)
      let file = deployed.folder + "/gate"
      let until = Timestamp(Date()).advanced(by: .seconds(3_600)).description
      let asked = try await aw(
        [
          "gate", "request", "acme", "--class", "real", "--surface", place[1], "--until", until, "--reason", "a pilot",
          "--out", file, "--json",
        ], context: token + ".json")
      let gate = try #require(asked.json?["id"]?.stringValue)
      try Gating.eve().text.withText { try $0.write(toFile: file + ".key", atomically: true, encoding: .utf8) }
      let signed = try await Programs.run([
        "gate", "sign", file, "--key", file + ".key", "--out", file + ".envelope",
      ])
      #expect(signed.code == 0, "\(signed)")
      let opened = try await aw(["gate", "submit", gate, file + ".envelope"])
      let (second, alsoHeld) = try await look.processes {
        try await aw(rotate + ["--class", "real"], input: planted.real)
      }
      #expect(alsoHeld == [])
      return [first, retired, asked, signed, opened, second]
    }

    // MARK: - Ways to look

    /// Every reader of the API, the metrics, and the verbs that show credentials.
    private func answers() async throws -> [String] {
      let document = try await client.send(.get, "/openapi.json")
      let parts = [
        "org": "acme", "host": "host-1", "instance": "acme-main", "index": "0",
        "surface": CredentialSurface.openAI.rawValue,
      ]
      var texts = [document.canonical, try await client.metrics()]
      for (path, methods) in try #require(document["paths"]?.objectValue) {
        let filled = parts.reduce(path) { $0.replacing("{\($1.key)}", with: $1.value) }
        // Tokens belong to operators; the socket's caller is none.
        guard methods["get"] != nil, !filled.contains("{"), path != "/api/v1/tokens" else { continue }
        do {
          texts.append(try await client.send(.get, String(filled.dropFirst("/api/v1".count))).canonical)
        } catch let refused as AWError {
          // What was not begun, such as an onboarding, is refused; that is said too.
          texts.append("\(refused)")
        }
      }
      #expect(texts.count > 14)
      texts.append(try await client.send(.get, "/evidence", query: [("limit", "200")]).canonical)
      for id in try await deployed.operations() {
        texts.append(try await client.send(.get, "/operations/\(id)").canonical)
      }
      for verb in [["list", "acme"], ["show", "acme", CredentialSurface.slack.rawValue], ["orphans"]] {
        texts.append(try await aw(["credential"] + verb).output)
      }
      texts.append(try await aw(["instance", "logs", "acme-main"]).output)
      return texts + (try await console())
    }

    private func console() async throws -> [String] {
      let url = try ContextFile.load(from: deployed.context).url
      var pages: [String] = []
      try await Browser.with { browser in
        try await signIn(browser)
        for path in [
          "/", "/orgs", "/orgs/acme", path(.openAI), path(.telegram), "/evidence", "/instances/acme-main", "/access",
        ] {
          try await browser.open(url + path)
          let shown = try await page(browser)
          #expect(!shown[0].contains("request.not-found"), "\(path)")
          pages += shown
        }
      }
      return pages
    }
  }
}
