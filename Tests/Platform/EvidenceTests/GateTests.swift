import Basics
import Foundation
import Hygiene
import Store
import TestSupport
import Testing
import Vault

@testable import Evidence

@Suite("No entry holds a secret")
struct GateTests {
  static let secret = "sk-proj-0123456789-of-the-tests"

  /// A log that watches over the scene's vault, which holds one secret.
  static func log(_ scene: LogScene) async throws -> EvidenceLog {
    try await scene.vault.put(Secret(secret), at: SecretReference("credential/acme/v1"))
    return EvidenceLog(watch: scene.vault.watch)
  }

  private static func entry(_ data: JSONValue) -> EvidenceEntry {
    var entry = LogScene.entry(0)
    entry.data = data
    return entry
  }

  @Test("what somebody asked for is refused, in whatever form the secret is, and nothing is written")
  func refused() async throws {
    try await LogScene.with { scene in
      let log = try await Self.log(scene)
      let forms = [
        Self.secret, Hex.encode(Array(Self.secret.utf8)), Data("a\(Self.secret)".utf8).base64EncodedString(),
      ]
      for form in forms {
        for (data, fields) in [(["says": .string("x \(form) y")], []), ([:], [Redactable("says", .string(form))])]
          as [(JSONValue, [Redactable])]
        {
          let error = await #expect(throws: AWError.self) {
            try await scene.store.write { tx in
              _ = try log.append(Self.entry(data), redactable: fields, secrets: .refuse, in: tx)
            }
          }
          #expect(error?.code == .evidenceSecret && error?.message.contains("credential/acme/v1") == true)
          #expect(error?.chain.contains("0123456789") == false)
        }
      }
      #expect(try await scene.store.read { try log.head(in: $0).size } == 0)
    }
  }

  @Test("what AW saw is recorded without the text that holds it, and that it was withheld is recorded, too")
  func withheld() async throws {
    try await LogScene.with { scene in
      let log = try await Self.log(scene)
      let data: JSONValue = ["step": "start", "detail": ["lines": ["fine", .string("key=\(Self.secret)")]]]
      try await scene.store.write { tx in _ = try log.append(Self.entry(data), in: tx) }
      let entries = try await scene.store.read { try log.list(limit: 10, in: $0).reversed().map(\.entry) }
      #expect(entries.map(\.kind) == [.tested, .evidenceWithheld])
      #expect(entries[0].data["detail"]?["lines"] == ["fine", "[withheld: credential/acme/v1]"])
      #expect(entries[1].data["entry"] == 0)
      #expect(entries[1].data["found"] == [["reference": "credential/acme/v1", "form": "raw"]])
      #expect(entries[1].subject == EvidenceSubject(type: "evidence", id: "0"))
    }
  }

  private static let profiles = FieldProfiles(
    "test.happened: number number, says text, lines parts, contact commitment")
  private static let key = "sk-proj-" + String(repeating: "aB3_", count: 8)

  @Test(
    "a field that no profile has is not written, nor one beside the entry; how many there were is",
    arguments: TestEngine.available)
  func dropped(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      let log = EvidenceLog(profiles: Self.profiles)
      let data: JSONValue = ["says": "fine", "colour": "SENTINEL-1", "x-9": "SENTINEL-2"]
      let fields = [Redactable("contact", "anna"), Redactable("address", "SENTINEL-3")]
      try await scene.store.write { tx in
        _ = try log.append(Self.entry(data), redactable: fields, in: tx)
        _ = try log.append(Self.entry(["number": 1]), in: tx)
        // As it was before the profiles closed.
        _ = try scene.log.append(Self.entry(data), in: tx)
      }
      let (records, kept) = try await scene.store.read { tx in
        (try log.list(limit: 10, in: tx).reversed().map { $0 }, try log.disclosures(of: 0, in: tx))
      }
      #expect(records[0].entry.data["_dropped"] == ["count": 3, "names": ["address", "colour"]])
      #expect(!String(decoding: records[0].bytes, as: UTF8.self).contains("SENTINEL"))
      #expect(kept == [Redactable("contact", "anna")])
      #expect(records[1].entry.data == ["number": 1])
      let shown = try await scene.store.read { try #require(try log.record(at: 2, in: $0)) }
      #expect(shown.entry == records[2].entry && shown.hash == Merkle.leaf(shown.bytes))
      #expect(shown.entry.data == ["says": "fine", "_dropped": ["count": 2, "names": ["colour"]]])
      let hygiene = EvidenceHygiene(
        log: log, store: scene.store, watch: scene.vault.watch, profiles: Self.profiles,
        kinds: .init(orgs: [], others: []))
      #expect(try await hygiene.run().unknown == [2])
      _ = try await scene.publisher().publish()
      #expect(try scene.verify().isIntact)
    }
  }

  @Test(
    "what looks like a secret is put aside: nobody is shown it until it may stay or is erased, and the log verifies",
    arguments: TestEngine.available)
  func quarantined(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      let log = EvidenceLog(profiles: Self.profiles)
      let data: JSONValue = [
        "says": .string("it said \(Self.key)"), "lines": ["a", ["b", .string(Self.key)]], "number": 1,
      ]
      let fields = [Redactable("contact", .string(Self.key))]
      try await scene.store.write { tx in
        for _ in 0..<3 { _ = try log.append(Self.entry(data), redactable: fields, in: tx) }
      }
      func look(_ index: Int64) async throws -> (aside: [String], shown: [Redactable], bundled: Int) {
        try await scene.store.read { tx in
          let record = try #require(try log.record(at: index, in: tx))
          #expect(!String(decoding: record.bytes, as: UTF8.self).contains(Self.key))
          #expect(record.entry.data["_sd"]?.arrayValue?.count == 3 && record.entry.data["number"] == 1)
          return (
            try log.quarantine(of: record, in: tx).map(\.field), try log.disclosures(of: index, in: tx),
            try log.keptDisclosures(of: record, in: tx).count
          )
        }
      }
      let before = try await look(1)
      #expect(before.aside == ["contact", "lines", "says"] && before.shown == [] && before.bundled == 0)
      let reviewed = EvidenceEntry(
        kind: .evidenceReviewed, at: LogScene.start, actor: "user/zoë",
        subject: EvidenceSubject(type: "evidence", id: "1"), data: ["entry": 1, "reason": "a fixture"])
      let both = FieldProfiles(Self.profiles.text + "\nevidence.reviewed: entry number, reason text")
      try await scene.store.write { tx in
        _ = try log.erase(0, field: "says", in: tx)
        _ = try EvidenceLog(profiles: both).append(reviewed, in: tx)
      }
      let after = try await look(1)
      #expect(after.aside == [] && after.shown.map(\.name) == ["contact", "lines", "says"] && after.bundled == 3)
      #expect(after.shown[2].value == .string("it said \(Self.key)"))
      #expect(try await look(0).aside == ["contact", "lines"])
      #expect(try await look(2).aside == ["contact", "lines", "says"])
      let hygiene = EvidenceHygiene(
        log: log, store: scene.store, watch: scene.vault.watch, profiles: both, kinds: .init(orgs: [], others: []))
      #expect(try await hygiene.run().open(.patterns) == [0, 2])
      _ = try await scene.publisher().publish()
      #expect(try scene.verify().isIntact)
    }
  }

  @Test("a scan of the log says what it looked at, finds what the gate did not know, and goes stale")
  func scan() async throws {
    try await LogScene.with { scene in
      // Written while nobody knew of the secret.
      try await scene.store.write { tx in
        _ = try scene.log.append(Self.entry(["says": .string(Self.secret)]), in: tx)
        let hidden = Redactable("contact", .string("ask \(Self.secret)"))
        _ = try scene.log.append(Self.entry(["colour": "red"]), redactable: [hidden], in: tx)
      }
      let log = try await Self.log(scene)
      let hygiene = EvidenceHygiene(
        log: log, store: scene.store, watch: scene.vault.watch, profiles: FieldProfiles("test.happened: says text"),
        kinds: .init(orgs: ["org.created"], others: []))
      let verdict = try await hygiene.verdict(at: LogScene.start)
      #expect(verdict.items == 2 && verdict.values == 1 && verdict.outcome == .failed)
      #expect(verdict.checks.map(\.found) == [2, 1, 1, 2])
      #expect(verdict.checks.allSatisfy { $0.rules.count == 64 && $0.items == 2 })
      #expect(!"\(verdict)".contains("0123456789"))
      let scanned = EvidenceEntry(
        kind: .evidenceScanned, at: LogScene.start, actor: "system/test",
        data: ["verdict": try JSONValue(encoding: verdict)])
      try await scene.store.write { tx in _ = try log.append(scanned, in: tx) }
      let fresh = try #require(try await scene.store.read { try hygiene.newest(in: $0) })
      #expect(fresh.verdict == verdict && !fresh.isStale)
      try await scene.append(2)
      let stale = try #require(try await scene.store.read { try hygiene.newest(in: $0) })
      #expect(stale.isStale && stale.added == 2)
    }
  }
}
