import Basics
import Foundation
import Store
import TestSupport
import Testing

@Suite("SQLite in trouble")
struct SQLiteFailureTests {
  private func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(program) failed")
  }

  @Test("a database held by another process is reported as locked, at opening and at writing")
  func locked() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/aw.sqlite"
      var limits = StoreLimits()
      limits.lockWait = .milliseconds(50)
      let store = try await Store.open(
        .sqlite(path: path), migrations: StoreContractTests.tables, logger: TestStores.logger, limits: limits)

      let holder = Process()
      holder.executableURL = URL(filePath: "/usr/bin/env")
      holder.arguments = [
        "python3", "-c",
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
          + "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()", path,
      ]
      let (input, output) = (Pipe(), Pipe())
      holder.standardInput = input
      holder.standardOutput = output
      try holder.run()
      var said = ""
      while !said.hasSuffix("\n") {
        let bytes = output.fileHandleForReading.availableData
        if bytes.isEmpty { break }
        said += String(decoding: bytes, as: UTF8.self)
      }
      #expect(said == "held\n")

      await #expect(throws: AWError(.storeLocked, "", next: "")) {
        try await store.write { try $0.run("UPDATE counter SET value = 1") }
      }
      await #expect(throws: AWError(.storeLocked, "", next: "")) {
        _ = try await Store.open(
          .sqlite(path: path), migrations: StoreContractTests.tables, logger: TestStores.logger, limits: limits)
      }
      try input.fileHandleForWriting.close()
      holder.waitUntilExit()
      try await store.write { try $0.run("UPDATE counter SET value = 1") }
      await store.close()
    }
  }

  @Test(
    "a full disk is reported, loses nothing that was confirmed, and ends when there is space again",
    .enabled(if: geteuid() == 0 || TestStores.requireAll, "mounting a small disk needs root"))
  func full() async throws {
    try await TestFolder.with { folder in
      try run("/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])
      let outcome: Result<Void, any Error>
      do { outcome = .success(try await fill(folder)) } catch { outcome = .failure(error) }
      try run("/usr/bin/env", ["umount", folder])
      try outcome.get()
    }
  }

  private func fill(_ folder: String) async throws {
    let store = try await Store.open(
      .sqlite(path: folder + "/aw.sqlite"), migrations: StoreContractTests.tables, logger: TestStores.logger)
    let ballast = folder + "/ballast"
    try Data(repeating: 1, count: 300_000).write(to: URL(filePath: ballast))
    var confirmed = 0
    let error = await #expect(throws: AWError(.storeFull, "", next: "")) {
      while confirmed < 1_000 {
        let name = "row \(confirmed)"
        try await store.write { tx in
          try tx.run(
            "INSERT INTO thing (name, bytes) VALUES (?, ?)", [.text(name), .blob([UInt8](repeating: 7, count: 20_000))])
        }
        confirmed += 1
      }
    }
    #expect(error?.message.contains("full") == true)
    #expect(confirmed > 0)
    try FileManager.default.removeItem(atPath: ballast)
    try await store.write { try $0.run("UPDATE counter SET value = 1") }
    let row = try await store.read { try $0.run("SELECT count(*) AS n FROM thing").first }
    #expect(try row?.integer("n") == Int64(confirmed))
    await store.close()
  }

  @Test("a file that is no database, or a folder that does not exist, is explained")
  func damaged() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/aw.sqlite"
      try Data(repeating: 0x41, count: 8_192).write(to: URL(filePath: path))
      for (path, word) in [(path, "damaged"), (folder + "/missing/aw.sqlite", "opened")] {
        let error = await #expect(throws: AWError(.storeFailed, "", next: "")) {
          _ = try await Store.open(.sqlite(path: path), migrations: [], logger: TestStores.logger)
        }
        #expect(error?.message.contains(word) == true)
      }
    }
  }

  @Test("the database file is for its owner only")
  func permissions() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/aw.sqlite"
      let store = try await Store.open(
        .sqlite(path: path), migrations: StoreContractTests.tables, logger: TestStores.logger)
      for file in [path, path + "-wal"] {
        let attributes = try FileManager.default.attributesOfItem(atPath: file)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
      }
      await store.close()
    }
  }
}
