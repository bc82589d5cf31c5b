import Deployment
import Basics
import Client
import Credentials
import Fleet
import Foundation
import Link
import Onboarding
import Synthetic
import Testing
import Vault
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

  @Test("its Gateway's own token lies nowhere on its Host, whoever wrote its configuration last")
  func gatewayToken() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      #expect(try await scene.provision().state == .succeeded)
      let id = InstanceSecretID.gatewayToken(of: try await scene.instance().id)
      let token = try await scene.control.vault.get(try SecretReference(id))
      let look = SentinelLook([token.withText { $0 }])
      func isResolved() async throws {
        let configuration = try JSONValue(parsing: try Self.configuration(scene))
        #expect(
          configuration.value(at: "gateway.auth.token") == ["source": "exec", "provider": "aw", "id": .string(id)])
        let running = ProcessLook.instances(below: scene.directory)
        #expect(running.count == 1 && running.allSatisfy { !$0.environment.contains("OPENCLAW_GATEWAY_TOKEN=") })
        #expect(look.processes() == [])
        #expect(try look.files(below: scene.directory + "/host") == [])
      }
      try await isResolved()
      // What an earlier release wrote, with a change of somebody's own: their file stays, the reference does not.
      let path = scene.directory + "/host/instances/acme-main/state/openclaw.json"
      try JSONValue(parsing: try Self.configuration(scene))
        .setting(["source": "env", "provider": "default", "id": "OPENCLAW_GATEWAY_TOKEN"], at: "gateway.auth.token")
        .setting("theirs", at: "ui.assistant.name").canonical.write(toFile: path, atomically: true, encoding: .utf8)
      #expect(try await scene.operate("restart").state == .succeeded)
      try await isResolved()
      #expect(try JSONValue(parsing: try Self.configuration(scene)).value(at: "ui.assistant.name") == "theirs")
    }
  }

  @Test(
    "real keys reach the configuration by reference; a channel is on when what it needs is good, and it is told why not"
  )
  func gated() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await Gating(in: scene).open([.openAI, .telegram])
      let key = "sk-proj-" + String(repeating: "Ab1", count: 12)
      let (bot, dead) = (
        "12345678:" + String(repeating: "Ab1xY", count: 7), "87654321:" + String(repeating: "Cd2xY", count: 7)
      )
      for value in [key, bot] { scene.model.desk.admit(value, as: "acme") }
      let surfaces: [CredentialSurface] = [.openAI, .telegram, .slack]
      func set(_ surface: CredentialSurface, _ value: String, real: Bool = true) async throws -> CredentialStatus {
        var body: JSONValue = ["surface": .string(surface.rawValue), "value": .string(value)]
        if real { body = body.setting("real", at: "class") }
        _ = try await scene.client.send(.post, "/orgs/acme/credentials", body: body)
        return try await scene.client.send(
          .post, "/orgs/acme/credentials/\(surface.rawValue)/validate", as: CredentialView.self
        ).status
      }
      let body: JSONValue = [
        "contact": ["name": "Ada", "email": "ada@example.com"],
        "instance": ["slug": "acme-main", "runtime": "process"],
        "surfaces": .array(surfaces.map { .string($0.rawValue) }),
      ]
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: body)
      #expect(try await set(.openAI, key) == .valid)
      #expect(try await set(.telegram, bot) == .valid)
      #expect(try await set(.slack, try FixtureValue.make(.slack, name: "acme"), real: false) == .valid)
      let asked = try await scene.client.send(
        .post, "/orgs/acme/onboarding/provision", as: OnboardingRequestedView.self)
      #expect(try await scene.ended(asked.operation).state == .succeeded)

      let configuration = try JSONValue(parsing: try Self.configuration(scene))
      let openAI = configuration.value(at: "models.providers.openai")
      #expect(openAI?["apiKey"]?["id"] == "orgs/acme/models.providers.openai.apiKey#v1" && openAI?["models"] == [])
      #expect(openAI?["baseUrl"] == .string("http://127.0.0.1:\(scene.model.port)/endpoints/openai/v1"))
      #expect(configuration.value(at: "channels.telegram.enabled") == true)
      #expect(configuration.value(at: "channels.slack.enabled") == false)
      let view = try await scene.client.send(.get, "/orgs/acme/onboarding", as: OnboardingView.self)
      #expect(view.state == .verified)
      let channels = try #require(view.report?.channels)
      #expect(channels.map(\.channel) == ["slack", "telegram"] && channels.map(\.isOn) == [false, true])
      #expect(channels.first?.reason?.contains("fixture") == true)
      let shown = try await Programs.run(
        ["org", "onboard", "acme", "--context", scene.directory + "/control/context.json"])
      #expect(shown.output.contains("channel slack: off") && shown.output.contains("channel telegram: on"))

      // The Instance has them from AW, and they lie nowhere on its Host.
      let folder = scene.directory + "/host/instances/acme-main/secrets"
      let ids = [CredentialSurface.openAI, .telegram].map { "orgs/acme/\($0.rawValue)#v1" }
      let request: JSONValue = ["protocolVersion": 1, "provider": "aw", "ids": .array(ids.map { .string($0) })]
      let answer = try await Programs.run(
        folder + "/aw-secret-exec", ["--socket", folder + "/socket"], input: request.canonical)
      #expect(answer.json?["values"] == .object([ids[0]: .string(key), ids[1]: .string(bot)]))
      #expect(try SentinelLook([key, bot]).files(below: scene.directory + "/host") == [])
      #expect(SentinelLook([key, bot]).processes() == [])

      // One that the vendor refuses switches its channel off at the next start.
      #expect(try await set(.telegram, dead) == .invalid)
      #expect(try await scene.operate("restart").state == .succeeded)
      let after = try JSONValue(parsing: try Self.configuration(scene))
      #expect(after.value(at: "channels.telegram.enabled") == false)
      #expect(scene.model.desk.strays == 0)
    }
  }
}
