import Basics
import Client
import Deployment
import Evidence
import Foundation
import Testing
import Vault

/// `aw up` and the verbs, as an operator runs them: real processes, nothing of AW in this one.
@Suite("aw up", .serialized, .timeLimit(.minutes(5)))
struct UpTests {
  @Test("it ends with an Instance whose whole chain is proven, survives a restart, and leaves no process behind")
  func up() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let data = folder + "/d"
    try await LongRunning.with(try Programs.aw(), Self.arguments(data)) { up in
      let ready = try await up.document()
      #expect(ready["status"] == "current" && ready["instance"] == "acme-main")
      try await Self.check(data)
      try await Self.checkSecrets(data, log: up.log)
      #expect(try await up.end(SIGTERM) == 0)
      #expect(await ProcessLook.gone(data))
    }
    try await LongRunning.with(try Programs.aw(), Self.arguments(data)) { up in
      #expect(try await up.document()["status"] == "current")
      try await Self.check(data)
      // Killed without a word, its Instance runs on; the next one takes it up.
      try await up.end(SIGKILL)
      #expect(ProcessLook.instances(below: data).count == 1)
    }
    try await LongRunning.with(try Programs.aw(), Self.arguments(data)) { up in
      let ready = try await up.document()
      #expect(ready["status"] == "current" && ProcessLook.instances(below: data).count == 1)
      let code = try await up.end(SIGINT)
      #expect(code == 0)
      #expect(await ProcessLook.gone(data))
    }
    try await Self.checkFlippedByte(data + "/evidence")
  }

  /// With everything in the log that can be in it.
  static func arguments(_ data: String) -> [String] {
    ["up", "--data", data, "--listen", "127.0.0.1:0", "--json", "--log-level", "trace"]
  }

  private static func check(_ data: String) async throws {
    let status = try await Programs.run(["status", "--context", data + "/context.json", "--json"])
    #expect(status.code == 0, "\(status)")
    let instance = try #require(status.json?["instances"]?[0])
    #expect(instance["slug"] == "acme-main" && instance["status"]?["status"] == "current")
    let chain = instance["chain"]?.arrayValue ?? []
    #expect(
      chain.compactMap { $0["link"]?.stringValue }
        == ["host", "runtime", "healthz", "readyz", "hello", "health", "turn"])
    #expect(chain.allSatisfy { $0["outcome"] == "passed" })
    let doctor = try await Programs.run(["doctor", "--context", data + "/context.json"])
    #expect(doctor.code == 0, "\(doctor)")
  }

  /// The Gateway's token, in every form that it could have leaked in: nowhere but in the vault, which is sealed.
  private static func checkSecrets(_ data: String, log: String) async throws {
    let vault = try Vault.open(file: data + "/vault", key: .fromFile(data + "/vault.key"))
    let references = try await vault.references().filter { $0.text.hasSuffix("/gateway-token") }
    let token = try await vault.get(try #require(references.first))
    let needles = token.withText { text in
      let bytes = Array(text.utf8)
      let shifted = (0..<3).map { Data(bytes.dropFirst($0)).base64EncodedString().dropLast(4) }
      return [text, Hex.encode(bytes), Hex.encode(bytes).uppercased()] + shifted.map(String.init)
    }
    let instance = data + "/host/instances/acme-main/"
    let files = FileManager.default.enumerator(atPath: data)?.compactMap { $0 as? String } ?? []
    #expect(files.count > 20)
    for file in files {
      guard let bytes = FileManager.default.contents(atPath: data + "/" + file) else { continue }
      #expect(!needles.contains { bytes.range(of: Data($0.utf8)) != nil }, "\(file)")
    }
    // The Instance knows where to ask for it, and let AW in with it: so it is what was looked for.
    let configuration = try String(contentsOfFile: instance + "state/openclaw.json", encoding: .utf8)
    #expect(configuration.contains(references[0].text))
    #expect(log.contains(" trace ") || log.contains(" debug "))
    #expect(!needles.contains { log.contains($0) })
    let processes = ProcessLook.all()
    #expect(!processes.contains { found in needles.contains { found.arguments.contains($0) } })
    #expect(!processes.contains { found in needles.contains { found.environment.contains($0) } })
  }

  private static func checkFlippedByte(_ evidence: String) async throws {
    let intact = try await Programs.run(["evidence", "verify", evidence])
    #expect(intact.code == 0, "\(intact)")
    let folder = evidence + "/tile/entries"
    let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }.sorted() ?? []
    let name = try #require(files.last { !isFolder(folder + "/" + $0) })
    let path = folder + "/" + name
    var bytes = try Data(contentsOf: URL(filePath: path))
    let middle = bytes.count / 2
    bytes[middle] ^= 1
    try bytes.write(to: URL(filePath: path))
    let broken = try await Programs.run(["evidence", "verify", evidence, "--json"])
    #expect(broken.code == 1)
    let problems = broken.json?["problems"]?.arrayValue ?? []
    #expect(problems.contains { $0["entry"]?.intValue != nil }, "\(broken)")
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}
