import Basics
import Crypto
import Foundation
import Hygiene
import Store
import TestSupport
import Testing
import Vault

@testable import Evidence

@Suite("Evidence bundles")
struct BundleTests {
  /// A log in which an Org is made and approvals follow, and what makes bundles of it.
  private func with(
    _ body: (LogScene, EvidenceExporter, EvidenceVerifierKey) async throws -> Void
  ) async throws {
    try await LogScene.with { scene in
      try await scene.append(3)
      try await scene.store.write { [log = scene.log] tx in
        for number in 3..<9 {
          var entry = LogScene.entry(number)
          (entry.org, entry.act, entry.subject, entry.actor) = (nil, "act-1", nil, "system/zoë")
          entry.data = ["says": .string("approval \(number)")]
          try log.append(entry, redactable: [Redactable("contact", .string("Zoë \(number)"))], in: tx)
        }
      }
      let publisher = try await scene.publisher()
      let hygiene = EvidenceHygiene(
        log: scene.log, store: scene.store, watch: scene.vault.watch,
        profiles: FieldProfiles("test.happened: number number, says text"), kinds: .init(orgs: [], others: []))
      let exporter = EvidenceExporter(
        log: scene.log, store: scene.store, hygiene: hygiene, publisher: publisher,
        clock: WallClock { LogScene.start })
      try await body(scene, exporter, publisher.verifierKey)
    }
  }

  private func bytes(_ bundle: EvidenceBundle) throws -> [UInt8] {
    Array(try JSONValue(encoding: bundle).indented.utf8)
  }

  /// Both verifiers, who must agree.
  private func verify(_ bytes: [UInt8], _ scene: LogScene, key: EvidenceVerifierKey) throws -> EvidenceReport {
    let file = scene.folder + "/bundle.json"
    try Data(bytes).write(to: URL(filePath: file))
    let report = try EvidenceBundle.verify(bytes, key: key)
    let python = try PythonVerifier.verify([file], key: key.text)
    #expect(python.reports.map(Verdict.init) == [Verdict(report)], "\(python.reports) \(report)")
    #expect(python.exit == (report.isFine ? 0 : 1))
    return report
  }

  @Test("a bundle verifies without the log, by both verifiers, also after a field was erased")
  func verifies() async throws {
    try await with { scene, exporter, key in
      let before = try await exporter.bundle(.init(act: "act-1"))
      #expect(before.entries.map(\.index) == Array(3..<9) && before.entries.allSatisfy { $0.disclosures.count == 1 })
      #expect(try verify(try bytes(before), scene, key: key).entries == 6)
      try await scene.store.write { [log = scene.log] tx in _ = try log.erase(4, field: "contact", in: tx) }
      let after = try await exporter.bundle(.init(act: "act-1"))
      #expect(after.entries[1].disclosures.isEmpty && after.entries[1].entry == before.entries[1].entry)
      let report = try verify(try bytes(after), scene, key: key)
      #expect(report.isFine && report.size == 9 && report.completeness.verdict == .unknown)
      // The log as well.
      #expect(try scene.verify().isFine)
      let python = try PythonVerifier.verify([scene.directory], key: key.text)
      #expect(python.exit == 0)
    }
  }

  @Test("each proof is a file of its own in the form of tlog-proof")
  func proofs() async throws {
    try await with { scene, exporter, key in
      let bundle = try await exporter.bundle(.init(act: "act-1"))
      for item in bundle.entries {
        #expect(item.proof.hasPrefix("c2sp.org/tlog-proof@v1\nindex \(item.index)\n"))
        let proof = try #require(InclusionProofText(item.proof))
        let checkpoint = try EvidenceCheckpoint(note: Array(proof.checkpoint.utf8), key: key)
        #expect(
          Merkle.verifyInclusion(
            Merkle.leaf(Array((item.entry ?? "").utf8)), index: item.index, size: checkpoint.size, proof: proof.hashes,
            root: checkpoint.root))
      }
    }
  }

  @Test("swapped, rewritten, invented and misplaced entries are found by both verifiers")
  func tampered() async throws {
    try await with { scene, exporter, key in
      let text = String(decoding: try bytes(try await exporter.bundle(.init(act: "act-1"))), as: UTF8.self)
      let changes: [(String, String)] = [
        ("approval 5", "approval 6"), ("system/zoë", "system/zoé"), ("\"act-1\"", "\"act-2\""), ("index 5", "index 6"),
        ("\"index\": 5", "\"index\": 7"), ("aw/0193f3c2-test", "aw/0193f3c2-tesT"),
      ]
      for (old, new) in changes {
        // The text inside of the entries is escaped.
        let changed = text.replacing(old, with: new).replacing(
          old.replacing("\"", with: #"\""#), with: new.replacing("\"", with: #"\""#))
        guard changed != text else { continue }
        #expect(!(try verify(Array(changed.utf8), scene, key: key).isIntact), "\(old)")
      }
      var value = try #require(try JSONValue(parsing: text).objectValue)
      var entries = try #require(value["entries"]?.arrayValue)
      // Two approvals swapped, with and without their places.
      for name in ["entry", "index"] {
        var swapped = entries
        let (first, second) = (entries[1][name] ?? .null, entries[2][name] ?? .null)
        swapped[1] = .object((entries[1].objectValue ?? [:]).merging([name: second]) { $1 })
        swapped[2] = .object((entries[2].objectValue ?? [:]).merging([name: first]) { $1 })
        value["entries"] = .array(swapped)
        #expect(!(try verify(Array(JSONValue.object(value).canonical.utf8), scene, key: key).isIntact))
      }
      entries.swapAt(1, 2)
      value["entries"] = .array(entries)
      #expect(!(try verify(Array(JSONValue.object(value).canonical.utf8), scene, key: key).isIntact))
    }
  }

  @Test("an entry that waits for a review goes out as its hash; one that holds a secret keeps all of it back")
  func unclean() async throws {
    try await with { scene, exporter, key in
      try await scene.store.write { [log = scene.log] tx in
        var entry = LogScene.entry(9)
        (entry.org, entry.act, entry.subject, entry.actor) = (nil, "act-2", nil, "system/zoë")
        entry.data = ["says": "ask anna@example.test"]
        try log.append(entry, in: tx)
      }
      let bundle = try await exporter.bundle(.init(act: "act-2"))
      #expect(bundle.entries.map(\.entry) == [nil] && bundle.entries[0].withheld != nil)
      #expect(!String(decoding: try bytes(bundle), as: UTF8.self).contains("anna"))
      #expect(try verify(try bytes(bundle), scene, key: key).isFine)
      try await scene.vault.put(Secret("approval 5 is a secret"), at: SecretReference("test/secret"))
      try await scene.vault.put(Secret("approval 5"), at: SecretReference("test/other"))
      await #expect(throws: AWError(.evidenceUnclean, "", next: "")) { try await exporter.bundle(.init(act: "act-1")) }
      await #expect(throws: AWError(.notFound, "", next: "")) { try await exporter.bundle(.init(act: "act-9")) }
    }
  }

  @Test("the tree in memory gives the proofs of the definition", arguments: [1, 2, 3, 7, 8, 9, 255, 256, 257, 300])
  func tree(size: Int) {
    let leaves = (0..<size).map { Merkle.leaf(Array("\($0)".utf8)) }
    let tree = MerkleTree(leaves)
    for index in leaves.indices {
      #expect(tree.inclusionProof(index) == Merkle.inclusionProof(index: index, in: leaves))
    }
  }
}
