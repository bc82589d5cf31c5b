import Deployment
import Basics
import Client
import Credentials
import Fleet
import Foundation
import Synthetic
import Testing
import Work

@Suite("Secrets of an Org, through AW to its Instance", .serialized, .timeLimit(.minutes(3)))
struct SecretTests {
  private static func configuration(_ scene: Scene) throws -> String {
    try String(
      contentsOfFile: scene.directory + "/host/instances/acme-main/state/openclaw.json", encoding: .utf8)
  }

  @Test("an Instance works with its Org's own key, which lies nowhere on its Host, and has the next one when it starts")
  func ownKey() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.setCredential(.openAI, "first")
      try await scene.setCredential(.slack, "first")
      let made = try await scene.provision()
      #expect(made.state == .succeeded, "\(made.failure.map(String.init(describing:)) ?? "")")
      let configuration = try Self.configuration(scene)
      let parsed = try JSONValue(parsing: configuration)
      let provider = parsed["models"]?["providers"]?["openai"]
      #expect(provider?["apiKey"]?["id"] == "orgs/acme/models.providers.openai.apiKey#v1")
      #expect(parsed["models"]?["providers"]?["fixture"] == nil)
      #expect(parsed["channels"]?["slack"]?["enabled"] == false)
      #expect(parsed["channels"]?["slack"]?["botToken"]?["id"] == "orgs/acme/channels.slack.botToken#v1")

      // What it works with is the Org's: once that is dead at the vendor, the chain says so.
      let value = try FixtureValue.make(.openAI, name: "first")
      for file in try FileManager.default.subpathsOfDirectory(atPath: scene.directory + "/host") {
        let text = FileManager.default.contents(atPath: scene.directory + "/host/" + file) ?? Data()
        #expect(text.range(of: Data(value.utf8)) == nil, "\(file)")
      }
      scene.model.desk.revoke(value)
      #expect(try await scene.operate("restart").state == .failed)

      try await scene.setCredential(.openAI, "second")
      #expect(try await scene.operate("restart").state == .succeeded)
      #expect(try Self.configuration(scene).contains("models.providers.openai.apiKey#v2"))
      let standing = try await scene.control.credentials.standing(.openAI, org: Slug("acme"))
      #expect(standing.credential.lastResolved?.by == "instance/acme-main")
    }
  }

  @Test("a restart that cannot be prepared fails before anything is stopped: the Instance goes on")
  func notPrepared() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.setCredential()
      #expect(try await scene.provision().state == .succeeded)
      let running = ProcessLook.instances(below: scene.directory).map(\.id)
      #expect(running.count == 1)
      let folder = scene.directory + "/host/instances/acme-main/secrets"
      try FileManager.default.moveItem(atPath: folder, toPath: folder + ".away")
      try "".write(toFile: folder, atomically: true, encoding: .utf8)
      let failed = try await scene.operate("restart")
      #expect(failed.state == .failed && failed.steps.first { $0.name == "stop" }?.startedAt == nil, "\(failed)")
      #expect(ProcessLook.instances(below: scene.directory).map(\.id) == running)
      try FileManager.default.removeItem(atPath: folder)
      try FileManager.default.moveItem(atPath: folder + ".away", toPath: folder)
      #expect(try await scene.operate("restart").state == .succeeded)
      #expect(ProcessLook.instances(below: scene.directory).map(\.id) != running)
    }
  }

  @Test("an id of another Org that somebody wrote into a configuration is not there, and is told of")
  func otherOrg() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.createOrg("globex")
      try await scene.setCredential(.openAI, "acme")
      try await scene.setCredential(.openAI, "globex", org: "globex")
      #expect(try await scene.provision().state == .succeeded)
      let folder = scene.directory + "/host/instances/acme-main/secrets"
      let ids = ["acme", "globex"].map { "orgs/\($0)/models.providers.openai.apiKey#v1" }
      let request: JSONValue = [
        "protocolVersion": 1, "provider": "aw", "ids": .array(ids.map { .string($0) }),
      ]
      for (program, verb) in [(folder + "/aw-secret-exec", []), (try Programs.aw(), ["secret-exec"])] {
        let answer = try await Programs.run(
          program, verb + ["--socket", folder + "/socket"], input: request.canonical)
        #expect(answer.code == 0)
        #expect(
          answer.json == [
            "protocolVersion": 1, "values": .object([ids[0]: .string(try FixtureValue.make(.openAI, name: "acme"))]),
            "errors": .object([ids[1]: ["code": "NOT_FOUND"]]),
          ])
      }
      let entries = try await scene.client.send(.get, "/evidence", query: [("limit", "100")])
      #expect(entries.canonical.contains("credential.cross-org-asked"))
    }
  }
}
