import Basics
import Client
import Credentials
import Deployment
import Evidence
import Fleet
import Foundation
import Onboarding
import Testing
import Work

@Suite("The handoff, end to end", .serialized, .timeLimit(.minutes(5)))
struct HandoffTests {
  private static func refused(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await body() }
  }

  @Test("a verified onboarding is exported, signed by both, taken back, and stale when the desired state changes")
  func thread() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.onboard()
      let (grace, ada) = (try ApproverKey.make(name: "grace"), try ApproverKey.make(name: "ada"))
      var body = OnboardingService.HandoffRequest(
        attested: ["contacts": "page 3", "data-and-backups": "here", "operator-access": "Grace"],
        operatorName: "Grace", operatorKey: grace.verifierKey.text, contactKey: ada.verifierKey.text)
      await Self.refused(.handoffNotReady) { _ = try await scene.client.send(.post, "/orgs/acme/handoff", body: body) }
      try await scene.verify()

      let before = try await scene.client.send(.get, "/orgs/acme/handoff", as: HandoffView.self)
      #expect(before.lines.filter { $0.answer == .open }.map(\.id) == HandoffQuestion.allCases.map(\.rawValue))
      #expect(before.lines.contains { $0.id == "first-run" && $0.answer == .machineChecked })
      await Self.refused(.handoffOpen) { _ = try await scene.client.send(.post, "/orgs/acme/handoff", body: body) }
      body.notApplicable = ["channel-accounts": "no channel", "linked-devices": "no channel"]
      let envelope = try await scene.client.send(.post, "/orgs/acme/handoff", body: body, as: Envelope.self)
      await Self.refused(.handoffRefused) {
        _ = try await scene.client.send(.post, "/orgs/acme/handoff/complete", body: envelope)
      }

      // By the program, as people do it.
      let file = scene.directory + "/handoff.json"
      try HandoffVerification.text(envelope).write(toFile: file, atomically: true, encoding: .utf8)
      for key in [grace, ada] {
        let path = scene.directory + "/\(key.verifierKey.name).key"
        try key.text.withText { try $0.write(toFile: path, atomically: true, encoding: .utf8) }
        #expect(try await Programs.run(["handoff", "verify", file]).code == 1)
        #expect(try await Programs.run(["handoff", "sign", file, "--key", path]).code == 0)
      }
      #expect(try await Programs.run(["handoff", "verify", file, "--contact-key", ada.verifierKey.text]).code == 0)
      #expect(try await Programs.run(["handoff", "verify", file, "--contact-key", grace.verifierKey.text]).code == 1)

      let bytes = Array(try Data(contentsOf: URL(filePath: file)))
      let signed = try HandoffVerification.read(bytes).envelope
      let done = try await scene.client.send(.post, "/orgs/acme/handoff/complete", body: signed, as: HandoffView.self)
      #expect(done.mark?.completedAt != nil && done.mark?.desired == done.desired)
      await Self.refused(.conflict) {
        _ = try await scene.client.send(.post, "/orgs/acme/handoff/complete", body: signed)
      }
      let text = String(decoding: bytes, as: UTF8.self) + String(decoding: signed.document ?? [], as: UTF8.self)
      #expect(!text.contains("aw-fixture-"), "no value of a credential is in it")

      _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: ["baseline": "strict"] as JSONValue)
      let stale = try await scene.client.send(.get, "/orgs/acme/handoff", as: HandoffView.self)
      #expect(stale.mark?.desired != stale.desired)
      await Self.refused(.handoffStale) {
        _ = try await scene.client.send(.post, "/orgs/acme/handoff/complete", body: signed)
      }
    }
  }
}

extension Scene {
  func onboard(_ org: String = "acme") async throws {
    let body: JSONValue = [
      "contact": ["name": "Ada", "email": "ada@example.com"],
      "instance": ["slug": .string(org + "-handed"), "runtime": "process"],
      "surfaces": ["models.providers.openai.apiKey"],
    ]
    _ = try await client.send(.post, "/orgs/\(org)/onboarding", body: body)
  }

  /// Provisions what is onboarded, with a credential of its own.
  func verify(_ org: String = "acme") async throws {
    try await setCredential(.openAI, org, org: org)
    _ = try await client.send(.post, "/orgs/\(org)/credentials/models.providers.openai.apiKey/validate")
    let asked = try await client.send(.post, "/orgs/\(org)/onboarding/provision", as: OnboardingRequestedView.self)
    #expect(try await ended(asked.operation).state == .succeeded)
  }

  /// What the writers of a handoff are rehearsed with: an Org that is ready to be handed over.
  func handoffRehearsals() async throws -> [String: (path: String, body: JSONValue?)] {
    try await createOrg("initech")
    try await onboard("initech")
    try await verify("initech")
    let keys = [try ApproverKey.make(name: "grace"), try ApproverKey.make(name: "ada")]
    let reasons = Dictionary(uniqueKeysWithValues: HandoffQuestion.allCases.map { ($0.rawValue, "a test") })
    let body = try JSONValue(
      encoding: OnboardingService.HandoffRequest(
        notApplicable: reasons, operatorName: "Grace", operatorKey: keys[0].verifierKey.text,
        contactKey: keys[1].verifierKey.text))
    let made = try await client.send(.post, "/orgs/initech/handoff", body: body, as: Envelope.self)
    let signed = try Envelope(signing: try #require(made.document), by: keys)
    return [
      "POST /api/v1/orgs/{org}/handoff": ("/orgs/initech/handoff", body),
      "POST /api/v1/orgs/{org}/handoff/complete": ("/orgs/initech/handoff/complete", try JSONValue(encoding: signed)),
    ]
  }
}
