import Basics
import Client
import Credentials
import Deployment
import Fleet
import Foundation
import Onboarding
import Programme
import Synthetic
import Testing
import Work

@Suite("Rotation, end to end", .serialized, .timeLimit(.minutes(3)))
struct RotationScenarioTests {
  @Test("a verified Org goes from a fixture to a real key, and to the next one, its Instance verified each time")
  func thread() async throws {
    try await Scene.with { scene in
      let surface = CredentialSurface.openAI.rawValue
      let (one, two) = (
        "sk-proj-" + String(repeating: "Ab1", count: 12), "sk-proj-" + String(repeating: "Cd2", count: 12)
      )
      for value in [one, two] { scene.model.desk.admit(value, as: "acme") }
      try await scene.createOrg()
      let body: JSONValue = [
        "contact": ["name": "Ada", "email": "ada@example.com"], "surfaces": [.string(surface)],
        "instance": ["slug": "acme-main", "runtime": "process"],
      ]
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: body)
      try await scene.setCredential()
      _ = try await scene.client.send(.post, "/orgs/acme/credentials/\(surface)/validate")
      let asked = try await scene.client.send(
        .post, "/orgs/acme/onboarding/provision", as: OnboardingRequestedView.self)
      #expect(try await scene.ended(asked.operation).state == .succeeded)
      try await Gating(in: scene).open([.openAI])

      let context = ["--context", scene.directory + "/control/context.json"]
      func rotate(_ value: String, _ more: [String], code: Int32 = 0) async throws -> Programs.Answer {
        let answer = try await Programs.run(["credential", "rotate", "acme", surface] + more + context, input: value)
        #expect(answer.code == code, "\(answer)")
        #expect(!answer.output.contains(value))
        return answer
      }
      func onboarding() async throws -> OnboardingView {
        try await scene.client.send(.get, "/orgs/acme/onboarding", as: OnboardingView.self)
      }
      let before = try await onboarding()
      #expect(before.state == .verified)
      let rehearsed = try await rotate(one, ["--class", "real", "--dry-run"])
      #expect(rehearsed.output.contains("Restart acme-main"))
      #expect(try await onboarding() == before)

      _ = try await rotate(one, ["--class", "real"])
      let real = try await onboarding()
      #expect(real.state == .verified && real.digest != before.digest && real.report?.digest == real.digest)
      #expect(scene.model.desk.strays == 0)
      // Nothing that the vendor does not let in gets as far as the Instance.
      let bad = try await rotate("sk-proj-" + String(repeating: "Ef3", count: 12), ["--json"], code: 1)
      #expect(bad.json?["error"]?["code"] == "credential.refused")
      #expect(try await onboarding().report == real.report)

      let rotated = try await rotate(two, [])
      #expect(rotated.output.contains("still lets it in"))
      let retire = ["credential", "retire", "acme", surface, "--json"] + context
      #expect(try await Programs.run(retire).json?["error"]?["code"] == "credential.still-alive")
      scene.model.desk.revoke(one)
      #expect(try await Programs.run(retire).json?["retired"] == [2])
      #expect(try await onboarding().state == .verified)
      #expect(try await scene.instance().status.status == .current)
      // The programme's proofs look at just this.
      let proof = try await Programs.run(
        ["prove", "build-sequence-2", "--org", "acme", "--instance", "acme-main", "--json"] + context)
      let claims = try JSONValue.decode(ProofReport.self, from: proof.output).claims
      for name in ["secret-references-only", "credential-transition"] {
        #expect(claims.contains { $0.proof == name && $0.holds && !$0.evidence.isEmpty }, "\(claims.map(\.text))")
      }
    }
  }
}
