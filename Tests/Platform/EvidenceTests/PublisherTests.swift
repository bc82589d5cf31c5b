import Basics
import Evidence
import Foundation
import Store
import TestSupport
import Testing
import Vault

@Suite("Evidence publisher")
struct PublisherTests {
  @Test("what is published verifies, for both verifiers", arguments: [0, 1, 255, 256, 257, 511, 512, 513])
  func sizes(size: Int) async throws {
    try await LogScene.with { scene in
      try await scene.append(size)
      let publication = try await scene.publisher().publish()
      #expect(publication.problem == nil && publication.size == size)
      let report = try scene.verify()
      #expect(report.isIntact, "\(report.problems)")
      #expect(report.size == size && report.leftovers.isEmpty)
      #expect(report.newest == (size == 0 ? nil : LogScene.entry(size - 1).at.description))
      let head = try await scene.store.read { try scene.log.head(in: $0) }
      #expect(report.root == Hex.encode(head.root.bytes))
      let python = try PythonVerifier.verify([scene.directory])
      #expect(python.exit == 0)
      #expect(python.reports.map(Verdict.init) == [Verdict(report)])
    }
  }

  @Test("a log that grows step by step stays verifiable, on both engines", arguments: TestEngine.available)
  func grows(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      let publisher = try await scene.publisher()
      for count in [1, 1, 200, 53, 1, 1, 254, 3] {
        try await scene.append(count)
        let publication = await publisher.publish()
        #expect(publication.problem == nil)
        let report = try scene.verify()
        #expect(report.isIntact && report.leftovers.isEmpty, "\(report)")
      }
      let files = scene.files()
      // 514 entries: two full tiles without partial forms, and what was published since.
      #expect(files.filter { $0.contains("000.p") || $0.contains("001.p") } == ["tile/1/000.p/1", "tile/1/000.p/2"])
      #expect(files.contains("tile/entries/002.p/2"))
      let again = await publisher.publish()
      #expect(again.problem == nil && scene.files() == files)
    }
  }

  @Test("after a run was cut off at any file, the next one repairs and the rest was sound before")
  func cutOff() async throws {
    try await LogScene.with { scene in
      try await scene.append(250)
      _ = try await scene.publisher().publish()
      let before = try Dictionary(uniqueKeysWithValues: scene.files().map { ($0, try scene.read($0)) })
      try await scene.append(300)
      _ = try await scene.publisher().publish()
      let after = try Dictionary(uniqueKeysWithValues: scene.files().map { ($0, try scene.read($0)) })
      let fresh = after.keys.filter { before[$0] != after[$0] && $0 != "checkpoint" }.sorted()
      #expect(fresh.count > 4)
      // Every file is whole or absent, so a state after a crash is: the old files and any of the new ones.
      for count in 0...fresh.count {
        try FileManager.default.removeItem(atPath: scene.directory)
        for (name, bytes) in before { try scene.place(bytes, at: name) }
        for name in fresh.prefix(count) { try scene.place(after[name] ?? [], at: name) }
        try scene.place([1, 2, 3], at: "tile/.tmp-cut-off")
        let between = try scene.verify()
        #expect(between.isIntact && between.size == 250, "\(between.problems)")
        #expect(between.leftovers.contains("tile/.tmp-cut-off"))
        let publication = try await scene.publisher().publish()
        #expect(publication.problem == nil)
        let files = try Dictionary(uniqueKeysWithValues: scene.files().map { ($0, try scene.read($0)) })
        #expect(files == after)
      }
    }
  }

  @Test("files that were lost are written again, and changed ones are left to be found")
  func lostFiles() async throws {
    try await LogScene.with { scene in
      try await scene.append(300)
      _ = try await scene.publisher().publish()
      let whole = try Dictionary(uniqueKeysWithValues: scene.files().map { ($0, try scene.read($0)) })
      for name in whole.keys where name != "checkpoint" {
        try FileManager.default.removeItem(atPath: scene.directory + "/" + name)
      }
      _ = try await scene.publisher().publish()
      let repaired = try Dictionary(uniqueKeysWithValues: scene.files().map { ($0, try scene.read($0)) })
      #expect(repaired == whole)
      var bad = try scene.read("tile/0/000")
      bad[40] ^= 1
      try scene.write(bad, to: "tile/0/000")
      _ = try await scene.publisher().publish()
      #expect(try scene.verify().problems.map(\.entry) == [1])
    }
  }

  @Test(
    "a full disk shows in the last run, and the rest is published when there is space",
    .enabled(if: geteuid() == 0 || TestStores.requireAll, "mounting a small disk needs root"))
  func diskFull() async throws {
    try await LogScene.with { scene in
      let disk = scene.folder + "/disk"
      try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
      try Shell.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk)
      let result: Result<Void, any Error>
      do { result = .success(try await fill(scene, disk)) } catch { result = .failure(error) }
      try Shell.run("umount", disk)
      try result.get()
    }
  }

  private func fill(_ scene: LogScene, _ disk: String) async throws {
    let publisher = try await scene.publisher(directory: disk + "/evidence")
    try await scene.append(10)
    _ = await publisher.publish()
    let ballast = disk + "/ballast"
    try Data(repeating: 1, count: 180_000).write(to: URL(filePath: ballast))
    try await scene.append(600)
    let failed = await publisher.publish()
    #expect(failed.problem?.code == .storeFull)
    #expect(failed.size == 10)
    let last = await publisher.lastRun
    #expect(last?.problem?.message.contains("full") == true)
    #expect(try EvidenceVerifier.verify(directory: disk + "/evidence").isIntact)
    try FileManager.default.removeItem(atPath: ballast)
    let recovered = await publisher.publish()
    #expect(recovered.problem == nil && recovered.size == 610, "\(String(describing: recovered.problem?.chain))")
    let report = try EvidenceVerifier.verify(directory: disk + "/evidence")
    #expect(report.isIntact && report.size == 610)
  }

  @Test("a database that has less than was published, or something else, is not published over it")
  func fork() async throws {
    try await LogScene.with { scene in
      try await scene.append(20)
      _ = try await scene.publisher().publish()
      let note = try scene.read("checkpoint")
      // A backup of before, restored: fewer entries, and then others.
      try await scene.store.write { tx in
        try tx.run("DELETE FROM evidence_entry")
        try tx.run("DELETE FROM evidence_tree")
      }
      for count in [0, 19, 1, 10] {
        try await scene.store.write { tx in
          for _ in 0..<count {
            var entry = LogScene.entry(Int(try scene.log.head(in: tx).size))
            entry.actor = "user/other"
            try scene.log.append(entry, in: tx)
          }
        }
        let publication = try await scene.publisher().publish()
        #expect(publication.problem?.code == .evidenceBroken)
        #expect(try scene.read("checkpoint") == note)
      }
    }
  }

  @Test("an entry that was changed in the database is not published", arguments: TestEngine.available)
  func changedInDatabase(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      try await scene.append(5)
      try await scene.store.write { tx in
        try tx.run("UPDATE evidence_entry SET bytes = ? WHERE entry_index = 3", [.blob(Array("{}".utf8))])
      }
      let publication = try await scene.publisher().publish()
      #expect(publication.problem?.code == .evidenceBroken)
      #expect(publication.problem?.message.contains("3") == true)
      await #expect(throws: AWError(.evidenceBroken, "", next: "")) {
        _ = try await scene.store.read { try scene.log.list(limit: 10, in: $0) }
      }
    }
  }

  @Test("runs that are asked for at once follow each other, and none waits in vain for the folder")
  func atOnce() async throws {
    try await LogScene.with { scene in
      let publisher = try await scene.publisher()
      for _ in 0..<5 {
        try await scene.append(3)
        let problems = await withTaskGroup(of: AWError?.self) { group in
          for _ in 0..<8 { group.addTask { await publisher.publish().problem } }
          return await group.reduce(into: []) { problems, problem in problems += [problem].compactMap { $0 } }
        }
        #expect(problems.isEmpty, "\(problems)")
      }
      #expect(try scene.verify().size == 15)
    }
  }

  @Test("a commit wakes the publisher")
  func nudged() async throws {
    try await LogScene.with { scene in
      let publisher = try await scene.publisher()
      let running = Task { await publisher.run(every: .seconds(3_600)) }
      try await scene.append(3)
      while await publisher.lastRun?.size != 3 { await Task.yield() }
      running.cancel()
      await running.value
      #expect(try scene.verify().size == 3)
    }
  }

  @Test("the signing key stays the same, and only the vault has it")
  func key() async throws {
    try await LogScene.with { scene in
      try await scene.append(1)
      let first = try await scene.publisher()
      _ = await first.publish()
      let second = try await scene.publisher()
      #expect(first.verifierKey == second.verifierKey)
      #expect(try scene.read("log.vkey") == Array((first.verifierKey.text + "\n").utf8))
      let reference = try SecretReference("evidence/signing-key")
      let secret = try await scene.vault.get(reference)
      for file in scene.files() {
        let content = String(decoding: try scene.read(file), as: UTF8.self)
        let leaked = secret.withBytes { content.contains(Hex.encode($0)) || content.contains(Base64URL.encode($0)) }
        #expect(!leaked)
      }
    }
  }
}

extension LogScene {
  /// Writes a file and the folders it is in.
  func place(_ bytes: [UInt8], at name: String) throws {
    let path = directory + "/" + name
    try FileManager.default.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try write(bytes, to: name)
  }
}

enum Shell {
  static func run(_ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(arguments) failed")
  }
}
