import Basics
import Client
import Credentials
import Deployment
import Evidence
import Foundation
import Synthetic
import Testing

@Suite("Gates, by the command line", .serialized, .timeLimit(.minutes(2)))
struct GateScenarioTests {
  @Test("asked for by one, signed offline by another, handed in, used, revoked")
  func commands() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let ada = try await Gating(in: scene)
      let folder = scene.directory
      let until = Timestamp(Date()).advanced(by: .seconds(3_600)).description
      func aw(_ arguments: [String], input: String = "", code: Int32 = 0) async throws -> Programs.Answer {
        let answer = try await Programs.run(arguments, input: input)
        #expect(answer.code == code, "\(arguments): \(answer)")
        return answer
      }
      let (socket, person) = (["--context", folder + "/control/context.json"], ["--context", ada.context])
      let surface = CredentialSurface.openAI.rawValue
      let value = "sk-proj-" + String(repeating: "Ab1", count: 12)
      let set = ["credential", "set", "acme", surface, "--class", "real", "--json"] + socket
      #expect(try await aw(set, input: value, code: 4).json?["error"]?["code"] == "guardrail.credential-class")

      let request = [
        "gate", "request", "acme", "--class", "real", "--surface", surface, "--until", until, "--reason", "a pilot",
        "--out", folder + "/request.json",
      ]
      // Over the socket there is nobody in particular who asks.
      #expect(try await aw(request + ["--json"] + socket, code: 4).json?["error"]?["code"] == "gate.requester-unknown")
      _ = try await aw(request + ["--dry-run"] + person)
      #expect(!FileManager.default.fileExists(atPath: folder + "/request.json"))
      let asked = try await aw(request + ["--json"] + person)
      let id = try #require(asked.json?["id"]?.stringValue)
      #expect(try await aw(set, input: value, code: 4).json?["error"]?["code"] == "gate.not-signed")

      // An approver's machine knows neither the context nor the control plane.
      try Gating.eve().text.withText { try $0.write(toFile: folder + "/eve.key", atomically: true, encoding: .utf8) }
      let sign = ["gate", "sign", folder + "/request.json", "--key", folder + "/eve.key"]
      let said = try await aw(sign + ["--dry-run"])
      #expect(said.output.contains(surface) && said.output.contains(until) && said.output.contains("a pilot"))
      _ = try await aw(sign + ["--out", folder + "/envelope.json"])
      // A file that is there is not replaced.
      _ = try await aw(sign + ["--out", folder + "/envelope.json"], code: 2)
      _ = try await aw(["gate", "submit", id, folder + "/request.json"] + socket, code: 2)
      let opened = try await aw(["gate", "submit", id, folder + "/envelope.json"] + socket)
      #expect(opened.output.contains("is open until"))
      #expect(try await aw(["gate", "list"] + socket).output.contains(id))

      scene.model.desk.admit(value, as: "acme")
      let kept = try await aw(set, input: value)
      #expect(kept.json?["class"] == "real" && !kept.output.contains(value))
      _ = try await aw(["credential", "validate", "acme", surface] + socket)
      #expect(scene.model.desk.strays == 0)

      _ = try await aw(["gate", "revoke", id, "--reason", "the pilot is over"] + socket)
      #expect(try await aw(["gate", "show", id] + socket).output.contains("revoked"))
      let refused = try await aw(["credential", "validate", "acme", surface, "--json"] + socket, code: 4)
      #expect(refused.json?["error"]?["code"] == "gate.revoked")
      #expect(try await aw(["credential", "list", "acme", "--json"] + socket).output.contains("gate-closed"))

      let key = try await aw(["gate", "keygen", "zoe", "--out", folder + "/zoe.key"])
      let line = key.output.trimmingCharacters(in: .whitespacesAndNewlines)
      #expect(EvidenceVerifierKey(line)?.name == "zoe")
      let mode = try FileManager.default.attributesOfItem(atPath: folder + "/zoe.key")[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
  }
}
