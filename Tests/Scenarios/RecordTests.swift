import Basics
import Client
import Deployment
import Evidence
import Fleet
import Foundation
import Hygiene
import Testing
import Vault
import Web

/// The record of a real fleet: clean by test, erasable, and taken along with proofs.
@Suite("The record, end to end", .serialized, .timeLimit(.minutes(5)))
struct RecordTests {
  private static func refused(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await body() }
  }

  /// The index of the newest entry of a kind.
  private static func entry(_ kind: String, _ scene: Scene) async throws -> Int64 {
    try #require(
      try await scene.client.all("/evidence", query: [("kind", kind)], as: EvidenceView.self, max: 1).first?.index)
  }

  @Test("what a synthetic fleet leaves passes all four checks, and a verdict goes stale with the next act")
  func clean() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.onboard()
      try await scene.verify()
      _ = try await scene.operate("restart", on: "acme-handed")
      let view = try await scene.client.send(.post, "/evidence-hygiene", as: HygieneView.self)
      #expect(view.verdict.findings == [], "a kind or a field is not in EvidenceProfiles")
      #expect(view.outcome == .passed && view.verdict.checks.count == 4 && view.verdict.tooPlain == [])
      #expect(view.verdict.items > 20 && view.verdict.values > 5 && view.verdict.identities >= 3)
      try await scene.createOrg("globex")
      let later = try await scene.client.send(.get, "/evidence-hygiene", as: HygieneView.self)
      #expect(later.isStale && later.verdict == view.verdict)
    }
  }

  @Test("a value of the vault does not get into the record, in whatever form somebody says it")
  func secret() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      _ = try await scene.provision()
      let reference = try #require(
        try await scene.control.vault.references().first { $0.text.hasSuffix("/gateway-token") })
      let token = try await scene.control.vault.get(reference).withText { $0 }
      for said in [token, Hex.encode(Array(token.utf8)), Data("x\(token)".utf8).base64EncodedString()] {
        await Self.refused(.evidenceSecret) {
          _ = try await scene.client.send(.post, "/evidence/0/review", body: ["reason": "it says \(said)"])
        }
      }
      let kinds = try await scene.client.all("/evidence", as: EvidenceView.self)
      #expect(kinds.contains { $0.kind == "act.refused" && $0.data["code"] == "evidence.secret-found" })
      #expect(!kinds.contains { $0.data.canonical.contains(token) })
      // Of what OpenClaw masks, nothing is left.
      let mask = "\(token.prefix(6))…\(token.suffix(4))"
      _ = try await scene.client.send(.post, "/evidence/0/review", body: ["reason": "the log says \(mask)"])
      let newest = try await scene.client.all(
        "/evidence", query: [("kind", "evidence.reviewed")], as: EvidenceView.self, max: 1
      ).first
      let reason = try #require(newest?.data["reason"]?.stringValue)
      #expect(reason.contains("[masked ") && !reason.contains(String(token.prefix(6))))
    }
  }

  @Test("what looks like a secret is in quarantine, and a review is what lets it be seen and go out")
  func quarantine() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      // A key of somebody's that is in no vault of AW's.
      let key = "sk-proj-" + String(repeating: "aB3_", count: 8)
      _ = try await scene.client.send(.post, "/evidence/0/review", body: ["reason": "it says \(key)"])
      let entry = try await Self.entry("evidence.reviewed", scene)
      func fields() async throws -> EvidenceFieldsView {
        try await scene.client.send(.get, "/evidence/\(entry)/fields", as: EvidenceFieldsView.self)
      }
      let shown = try await scene.client.send(.get, "/evidence/\(entry)", as: EvidenceView.self)
      #expect(shown.data["reason"] == nil && shown.data["_quarantined"] == ["reason": "openai-key"])
      let aside = try await fields()
      #expect(aside.fields == [] && aside.quarantined.map(\.field) == ["reason"])
      func scan() async throws -> HygieneVerdict {
        try await scene.client.send(.post, "/evidence-hygiene", as: HygieneView.self).verdict
      }
      let verdict = try await scan()
      #expect(verdict.outcome == .review && verdict.findings.map(\.entry) == [entry])
      func bundle() async throws -> EvidenceBundle {
        try await scene.client.send(
          .get, "/evidence-bundle", query: [("subject", "0")], as: EvidenceBundle.self)
      }
      #expect(try await bundle().entries.map(\.withheld) == ["it waits for a review"])

      _ = try await scene.client.send(.post, "/evidence/\(entry)/review", body: ["reason": "a key of a test"])
      #expect(try await scan().outcome == .passed)
      let released = try await fields()
      #expect(released.quarantined == [] && released.fields.map(\.value) == [.string("it says \(key)")])
      #expect(try await bundle().entries.map(\.disclosures.count) == [1])
      _ = try await scene.client.send(
        .post, "/evidence/\(entry)/erase", body: ["field": "reason", "reason": "a test"])
      let left = try await fields()
      #expect(left.fields == [] && left.quarantined == [] && left.erased == 1)
      let log = scene.directory + "/control/evidence"
      #expect(try await Programs.run(["evidence", "verify", log]).code == 0)
    }
  }

  @Test("a contact is erased, and log and bundle verify before and after, by both programs and with a witness")
  func erased() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.onboard()
      let context = scene.directory + "/context.json"
      try scene.running.context.save(to: context)
      let saved = try await Self.entry("onboarding.saved", scene)
      func aw(_ arguments: String...) async throws -> Programs.Answer {
        try await Programs.run(["evidence"] + arguments)
      }
      let (log, witness) = (scene.directory + "/control/evidence", scene.directory + "/witness")
      let before = scene.directory + "/before.json"
      var done = try await aw("export", "--org", "acme", "--out", before, "--context", context, "--json")
      #expect(done.code == 0, "\(done.complaint)")
      done = try await aw("witness", log, "--folder", witness, "--name", "w1", "--json")
      #expect(done.code == 0, "\(done.complaint)")
      let key = try #require(done.json?["witness"]?.stringValue)

      done = try await aw(
        "erase", "\(saved)", "contactEmail", "--reason", "a test", "--context", context, "--json")
      #expect(done.code == 0 && done.json?["erased"] == 1, "\(done.complaint)")
      done = try await aw("erase", "\(saved)", "contactEmail", "--reason", "a test", "--context", context)
      #expect(done.code == 1)
      let after = scene.directory + "/after.json"
      done = try await aw("export", "--org", "acme", "--out", after, "--context", context)
      #expect(done.code == 0, "\(done.complaint)")
      let texts = try [before, after].map { try String(contentsOfFile: $0, encoding: .utf8) }
      let email = Redactable("contactEmail", "ada@example.com")
      #expect(try texts.map { try Self.fields($0).contains(email) } == [true, false])
      for file in [before, after] { #expect(try await aw("verify", file, "--json").code == 0) }
      done = try await aw("verify", log, "--witness", key, "--cosigned", witness + "/checkpoint", "--json")
      #expect(done.code == 0, "\(done.output)")
      #expect(done.json?["completeness"]?["verdict"] == "witnessed")
      #expect(try await aw("witness", log, "--folder", witness).code == 0)
    }
  }

  /// What a bundle discloses.
  private static func fields(_ text: String) throws -> [Redactable] {
    let bundle = try JSONValue(parsing: text).decode(EvidenceBundle.self)
    return bundle.entries.flatMap(\.disclosures).compactMap { Redactable(disclosure: $0) }
  }
}
