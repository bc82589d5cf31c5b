import Basics
import Client
import Credentials
import Deployment
import Foundation
import Store
import TestSupport
import Testing
import Vault

/// Values that are planted in every way in, and looked for wherever they could come out.
@Suite("Credentials leave no trace outside the vault", .serialized, .timeLimit(.minutes(5)))
struct SentinelTests {
  /// A text in every form that it could leak in: as it is, in a URL, in JSON, hexadecimal, base64 at three alignments.
  struct Forms: Sendable {
    let all: [Data]

    init(_ text: String) {
      let bytes = Array(text.utf8)
      let escaped = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
      let json = text.unicodeScalars.map { String(format: "\\u%04x", $0.value) }.joined()
      // The first group depends on what stands before, and the last on what follows.
      let shifted = (0..<3).map { shift in
        String(Data(bytes.dropFirst((3 - shift) % 3)).base64EncodedString().dropLast(4))
      }
      let base64URL = shifted.map { $0.replacing("+", with: "-").replacing("/", with: "_") }
      let forms = [text, escaped, json, Hex.encode(bytes), Hex.encode(bytes).uppercased()] + shifted + base64URL
      all = Set(forms).map { Data($0.utf8) }
    }

    func isIn(_ data: Data) -> Bool { all.contains { data.range(of: $0) != nil } }
    func isIn(_ text: String) -> Bool { isIn(Data(text.utf8)) }
  }

  @Test("the search finds each form, wherever it stands")
  func search() {
    let text = "sk-proj-aw+fixture/0123456789"
    let forms = Forms(text)
    for before in ["", "x", "xy", "xyz"] {
      let all = Data((before + text + "tail").utf8)
      #expect(forms.isIn(all) && forms.isIn(all.base64EncodedData()) && forms.isIn(Hex.encode(all)))
    }
    #expect(!forms.isIn("sk-proj-aw+fixture/012345678"))
  }

  @Test(
    "not in the database, its dump, a backup, the evidence, the log at trace, answers, metrics, arguments, environments",
    arguments: TestEngine.available)
  func planted(_ engine: TestEngine) async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let data = folder + "/d"
    let name = String(Hex.encode([UInt8].random(count: 7)).prefix(13))
    let kept = try CredentialSurface.allCases.map { ($0, try FixtureValue.make($0, name: name)) }
    let refused = "sk-proj-" + Hex.encode([UInt8].random(count: 20))
    let needles = kept.map { Forms($0.1) } + [Forms(refused), Forms(refused.uppercased())]
    var said: [String] = []
    try await TestStores.withLocation(engine) { location in
      let arguments = [
        "serve", "--data", data, "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--json",
        "--log-level", "trace",
      ]
      let database = try Self.database(location, folder)
      try await LongRunning.with(try Programs.aw(), arguments + database) { control in
        _ = try await control.document()
        said = try await Self.drive(data, kept, refused)
        // As an operator makes a backup while all runs: the folder as it is, and the database as text.
        let copied = try await Programs.run("cp", ["-a", data, folder + "/copy"])
        #expect(copied.code == 0, "\(copied)")
        let dump = try await Self.dump(location, data)
        #expect(dump.contains("hmac-sha256:v1:") && dump.contains("credential.set"))
        said.append(dump)
        #expect(try await control.end(SIGTERM) == 0)
        said.append(control.log)
        #expect(control.log.contains(" trace ") || control.log.contains(" debug "))
      }
    }
    for text in said { #expect(!needles.contains { $0.isIn(text) }, "\(text.prefix(400))") }
    for place in [data, folder + "/copy"] {
      let files = FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
      #expect(files.contains("aw.sqlite") == (engine == .sqlite))
      #expect(files.contains("vault") && files.contains { $0.hasPrefix("evidence/tile") })
      for file in files {
        guard let bytes = FileManager.default.contents(atPath: place + "/" + file) else { continue }
        #expect(!needles.contains { $0.isIn(bytes) }, "\(place)/\(file)")
      }
    }
    // Without this the search above could look for the wrong thing: the vault of the backup has them all, sealed.
    let copy = folder + "/copy"
    let vault = try Vault.open(file: copy + "/vault", key: .fromFile(copy + "/vault.key"))
    var found = 0
    for reference in try await vault.references() where reference.text.hasPrefix("credential/") {
      let value = try await vault.get(reference)
      if kept.contains(where: { value.equals(Secret($0.1)) }) { found += 1 }
    }
    #expect(found == kept.count)
  }

  /// What `aw serve` is told of its database.
  private static func database(_ location: Store.Location, _ folder: String) throws -> [String] {
    guard case .postgres(let target, _) = location else { return [] }
    try target.withText { try $0.write(toFile: folder + "/postgres", atomically: true, encoding: .utf8) }
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/postgres")
    return ["--postgres", folder + "/postgres"]
  }

  /// Everything in the database, as the engine's own tool writes it down.
  private static func dump(_ location: Store.Location, _ data: String) async throws -> String {
    let answer: Programs.Answer
    switch location {
    case .postgres(let target, _):
      let text = target.withText { $0 }
      let schema = try #require(text.firstMatch(of: /aw_test_[0-9a-f]+/)).output
      answer = try await Programs.run("pg_dump", ["--schema", String(schema), "--dbname", text])
    case .sqlite:
      let script = "import sqlite3, sys\nfor line in sqlite3.connect(sys.argv[1]).iterdump(): print(line)"
      answer = try await Programs.run("python3", ["-c", script, data + "/aw.sqlite"])
    }
    #expect(answer.code == 0, "\(answer.complaint)")
    return answer.output
  }

  /// Every way in, the good and the refused, and every way to look afterwards. Returns all that was said.
  private static func drive(
    _ data: String, _ kept: [(CredentialSurface, String)], _ refused: String
  ) async throws -> [String] {
    let context = ["--context", data + "/context.json"]
    let client = try APIClient(ContextFile.load(from: data + "/context.json"))
    _ = try await client.send(.post, "/orgs", body: ["slug": "acme"])
    var said: [String] = []
    func run(_ arguments: [String], input: String = "", code: Int32 = 0) async throws {
      let answer = try await Programs.run(["credential"] + arguments + context, input: input)
      #expect(answer.code == code, "\(arguments): \(answer)")
      said += [answer.output, answer.complaint]
    }
    for (index, (surface, value)) in kept.enumerated() {
      let place = ["acme", surface.rawValue]
      try await run(["set"] + place + ["--dry-run"], input: value)
      if index.isMultiple(of: 2) {
        try await run(["set"] + place, input: value + "\n")
      } else {
        let body: JSONValue = ["surface": .string(surface.rawValue), "value": .string(value)]
        said.append(try await client.send(.post, "/orgs/acme/credentials", body: body).canonical)
      }
      try await run(["show"] + place)
    }
    let place = ["acme", CredentialSurface.openAI.rawValue]
    try await run(["set"] + place, input: refused, code: ErrorCode.credentialNotFixture.exitCode)
    try await run(["set"] + place, input: refused.uppercased(), code: ErrorCode.credentialShape.exitCode)
    try await run(["set"] + place + ["--class", "real", "--json"], input: refused, code: 4)
    try await run(["list", "acme", "--json"])
    for path in ["/openapi.json", "/evidence", "/orgs/acme/credentials"] {
      said.append(try await client.send(.get, path).canonical)
    }
    said.append(try await client.metrics())
    for process in ProcessLook.all() { said += [process.arguments, process.environment] }
    return said
  }
}
