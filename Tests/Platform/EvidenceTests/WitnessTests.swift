import Basics
import Foundation
import Store
import TestSupport
import Testing

@testable import Evidence

@Suite("Truncation, forks and rewriting", .serialized)
struct WitnessTests {
  /// A published log of 300 entries that a witness has cosigned.
  private struct Watched {
    let scene: LogScene
    let witness: EvidenceWitness
    let logKey: EvidenceVerifierKey
    var folder: String { scene.folder + "/witness" }
    var note: String { folder + "/checkpoint" }

    func cosign(_ directory: String? = nil, after seconds: Int = 60) throws -> EvidenceWitness.Cosigning {
      try witness.cosign(
        log: directory ?? scene.directory, key: logKey, at: LogScene.start.advanced(by: .seconds(seconds)),
        dryRun: false)
    }

    /// What both verifiers say, who must agree.
    func verdicts(_ path: String) throws -> EvidenceReport {
      let cosigned = try CosignedCheckpoint(
        note: Array(try Data(contentsOf: URL(filePath: note))), log: logKey, witness: witness.verifierKey)
      let report = try EvidenceVerifier.verify(directory: path, key: logKey, cosigned: cosigned)
      let python = try PythonVerifier.verify(
        [path], key: logKey.text, witness: (witness.verifierKey.text, note))
      #expect(python.reports.map(Verdict.init) == [Verdict(report)], "\(python.reports) \(report)")
      #expect(python.exit == (report.isFine ? 0 : 1))
      return report
    }
  }

  private func with(_ body: (Watched) async throws -> Void) async throws {
    try await LogScene.with { scene in
      try await scene.append(300)
      let publisher = try await scene.publisher()
      _ = await publisher.publish()
      let witness = try EvidenceWitness(folder: scene.folder + "/witness", name: "witness.example.test/w1")
      let watched = Watched(scene: scene, witness: witness, logKey: publisher.verifierKey)
      let first = try watched.cosign(after: 0)
      #expect(first.size == 300 && first.before == nil && !first.believedKey)
      try await body(watched)
    }
  }

  @Test("a log that only grew is cosigned again, and verifies up to what the witness saw")
  func grown() async throws {
    try await with { watched in
      #expect(try watched.verdicts(watched.scene.directory).completeness.verdict == .witnessed)
      try await watched.scene.append(50)
      _ = try await watched.scene.publisher().publish()
      let report = try watched.verdicts(watched.scene.directory)
      #expect(report.isFine && report.size == 350 && report.completeness.size == 300)
      #expect(report.completeness.says.contains("of later ones nothing is known"))
      #expect(try watched.cosign().before == 300)
      // The same witness, found again in its folder.
      let again = try EvidenceWitness(folder: watched.folder, name: nil)
      #expect(again.verifierKey == watched.witness.verifierKey)
      #expect(try watched.verdicts(watched.scene.directory).completeness.size == 350)
    }
  }

  /// Another log under the same key, as whoever has the database and the signing key can make one.
  private func forged(_ watched: Watched, size: Int, change: Int?) async throws -> String {
    let path = watched.scene.folder + "/forged-\(size)"
    try await TestStores.with(.sqlite, migrations: EvidenceLog.migrations) { store in
      let log = EvidenceLog()
      try await store.write { tx in
        for number in 0..<size {
          var entry = LogScene.entry(number)
          if number == change { entry.actor = "user/mallory" }
          try log.append(entry, in: tx)
        }
      }
      let publisher = try await EvidencePublisher(
        log: log, store: store, vault: watched.scene.vault, directory: path, origin: LogScene.origin,
        clock: WallClock { LogScene.start }, logger: TestStores.logger)
      #expect(await publisher.publish().problem == nil)
    }
    return path
  }

  @Test("a truncated log verifies by itself; with a witness both verifiers find it, and it is not cosigned")
  func truncated() async throws {
    try await with { watched in
      let path = try await forged(watched, size: 299, change: nil)
      #expect(try EvidenceVerifier.verify(directory: path, key: watched.logKey).isFine)
      let report = try watched.verdicts(path)
      #expect(report.isIntact && report.completeness.verdict == .truncated && !report.isFine)
      #expect(throws: AWError(.witnessRefused, "", next: "")) { try watched.cosign(path) }
    }
  }

  @Test("a forked log verifies by itself; with a witness both verifiers find it, and it is not cosigned")
  func forked() async throws {
    try await with { watched in
      let path = try await forged(watched, size: 320, change: 7)
      #expect(try EvidenceVerifier.verify(directory: path, key: watched.logKey).isFine)
      let report = try watched.verdicts(path)
      #expect(report.isIntact && report.completeness.verdict == .forked && !report.isFine)
      #expect(throws: AWError(.witnessRefused, "", next: "")) { try watched.cosign(path) }
      // The witness still knows the right one.
      #expect(try watched.cosign().before == 300)
    }
  }

  @Test("a rewritten entry and two swapped ones are found without a witness, and not cosigned")
  func rewritten() async throws {
    try await with { watched in
      let scene = watched.scene
      for change in [
        { try scene.edit("tile/entries/001.p/44", entry: 20, replacing: "zoë", with: "zoé") },
        {
          var (entries, _) = EntryBundle.decode(try scene.read("tile/entries/001.p/44"), most: 44)
          entries.swapAt(30, 31)
          try scene.write(EntryBundle.encode(entries), to: "tile/entries/001.p/44")
        },
      ] {
        let good = try scene.read("tile/entries/001.p/44")
        try change()
        #expect(!(try EvidenceVerifier.verify(directory: scene.directory).isIntact))
        #expect(!(try watched.verdicts(scene.directory).isIntact))
        #expect(throws: AWError(.evidenceBroken, "", next: "")) { try watched.cosign() }
        try scene.write(good, to: "tile/entries/001.p/44")
      }
    }
  }

  @Test("a cosignature is of one witness, one note and one time")
  func cosignature() async throws {
    try await with { watched in
      let note = Array(try Data(contentsOf: URL(filePath: watched.note)))
      let other = try EvidenceWitness(folder: watched.scene.folder + "/other", name: "witness.example.test/w1")
      #expect(throws: EvidenceCheckpoint.Refusal.self) {
        try CosignedCheckpoint(note: note, log: watched.logKey, witness: other.verifierKey)
      }
      #expect(WitnessKey(watched.witness.verifierKey.text) == watched.witness.verifierKey)
      #expect(EvidenceVerifierKey(watched.witness.verifierKey.text) == nil && WitnessKey(watched.logKey.text) == nil)
      let cosigned = try CosignedCheckpoint(note: note, log: watched.logKey, witness: watched.witness.verifierKey)
      #expect(cosigned.at == LogScene.start && cosigned.checkpoint.size == 300)
      for index in note.indices where index % 7 == 0 {
        var bad = note
        bad[index] ^= 1
        #expect(throws: EvidenceCheckpoint.Refusal.self) {
          try CosignedCheckpoint(note: bad, log: watched.logKey, witness: watched.witness.verifierKey)
        }
      }
    }
  }
}
