import Basics
import Evidence
import Foundation
import Store
import Synchronization
import TestSupport
import Testing
import Vault

extension EvidenceKind {
  static let tested = EvidenceKind("test.happened")
  static let other = EvidenceKind("test.other")
}

/// A log with a store, a vault and a folder to publish to, all temporary.
struct LogScene {
  static let start = Timestamp(millisecondsSince1970: 1_790_000_000_000)
  static let origin = "aw/0193f3c2-test"

  let log = EvidenceLog()
  let store: Store
  let vault: Vault
  let folder: String
  var directory: String { folder + "/evidence" }

  static func with(_ engine: TestEngine = .sqlite, _ body: (LogScene) async throws -> Void) async throws {
    try await TestFolder.with { folder in
      let vault = try Vault.open(file: folder + "/vault", key: try VaultKey.fromFile(folder + "/key"))
      try await TestStores.with(engine, migrations: EvidenceLog.migrations) { store in
        try await body(LogScene(store: store, vault: vault, folder: folder))
      }
    }
  }

  /// A publisher that knows nothing of earlier ones, as after a start of the process.
  func publisher(directory: String? = nil, origin: String = LogScene.origin) async throws -> EvidencePublisher {
    try await EvidencePublisher(
      log: log, store: store, vault: vault, directory: directory ?? self.directory, origin: origin,
      clock: WallClock { LogScene.start }, logger: TestStores.logger)
  }

  /// Adds `count` entries in one transaction.
  func append(_ count: Int) async throws {
    try await store.write { [log] tx in
      for _ in 0..<count {
        let index = try log.head(in: tx).size
        try log.append(LogScene.entry(Int(index)), in: tx)
      }
    }
  }

  static func entry(_ number: Int) -> EvidenceEntry {
    EvidenceEntry(
      kind: .tested, at: start.advanced(by: .seconds(number)), actor: "user/zoë",
      subject: EvidenceSubject(type: "thing", id: "thing-\(number % 7)", slug: "thing"), org: "org-\(number % 3)",
      data: ["number": .integer(Int64(number))])
  }

  func verify() throws -> EvidenceReport { try EvidenceVerifier.verify(directory: directory) }

  // MARK: - Files

  func files() -> [String] {
    var isFolder: ObjCBool = false
    let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
    return names.filter {
      FileManager.default.fileExists(atPath: directory + "/" + $0, isDirectory: &isFolder) && !isFolder.boolValue
    }.sorted()
  }

  func read(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: directory + "/" + name))) }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(filePath: directory + "/" + name))
  }
}

/// The independent verifier, run on several folders at once.
enum PythonVerifier {
  static func verify(
    _ directories: [String], key: String? = nil, witness: (key: String, note: String)? = nil
  ) throws -> (reports: [EvidenceReport], exit: Int32) {
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "verify_evidence.py")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments =
      ["python3", "-B", script.path] + (key.map { ["--key", $0] } ?? [])
      + (witness.map { ["--witness", $0.key, "--cosigned", $0.note] } ?? []) + directories
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let reports = try text.split(separator: "\n").map {
      try JSONDecoder().decode(EvidenceReport.self, from: Data($0.utf8))
    }
    return (reports, process.terminationStatus)
  }
}

/// What two verifiers must agree on: where the problems are, not how they word them.
struct Verdict: Hashable {
  struct Place: Hashable { let file: String, entry: Int? }
  let size: Int
  let root: String
  let newest: String?
  let places: Set<Place>
  let leftovers: Set<String>
  let entries: Int?
  let completeness: EvidenceCompleteness.Verdict
  let witness: String?
  let seen: Int?
  let seenAt: Timestamp?
  let sources: Int?
  let gaps: [EvidenceGap]?

  init(_ report: EvidenceReport) {
    size = report.size
    root = report.root
    newest = report.newest
    places = Set(report.problems.map { Place(file: $0.file, entry: $0.entry) })
    leftovers = Set(report.leftovers)
    entries = report.entries
    completeness = report.completeness.verdict
    (sources, gaps) = (report.completeness.sources, report.completeness.gaps)
    (witness, seen, seenAt) = (report.completeness.witness, report.completeness.size, report.completeness.at)
  }
}
