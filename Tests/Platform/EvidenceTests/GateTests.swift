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
