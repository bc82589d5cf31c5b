import Basics
import Client
import Credentials
import Fleet
import Foundation
import Link
import Testing
import Vault
import Work

/// `aw up --runtime docker`, on a real engine with the image that `script/image` makes.
@Suite("aw up with containers", .enabled(if: TestDocker.isWanted), .serialized, .timeLimit(.minutes(5)))
struct DockerTests {
  @Test("a hardened container is provisioned, verified by a model turn from inside it, and removed without a rest")
  func up() async throws {
    let socket = try TestDocker.required
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let data = folder + "/d"
    let docker = ["--runtime", "docker", "--docker-socket", socket]
    try await LongRunning.with(try Programs.aw(), UpTests.arguments(data) + docker) { up in
      let ready = try await up.document()
      #expect(ready["status"] == "current")
      let context = ["--context", data + "/context.json"]
      let shown = try await Programs.run(["instance", "show", "acme-main", "--json"] + context)
      #expect(shown.json?["runtime"] == "docker" && shown.json?["status"]?["status"] == "current")
      #expect(shown.json?["chain"]?.arrayValue?.allSatisfy { $0["outcome"] == "passed" } == true)
      let logs = try await Programs.run(["instance", "logs", "acme-main"] + context)
      #expect(logs.output.contains("listening"))
      // The proof that sequence 0 asks for: both milestones are reached.
      let proven = try await Programs.run(
        ["prove", "build-sequence-0", "--org", "acme", "--instance", "acme-main", "--json"] + context)
      #expect(proven.code == 0 && proven.json?["claims"]?.arrayValue?.count == 3, "\(proven)")
      let board = try await Programs.run(["programme", "board"] + context)
      #expect(board.output.contains("; container runtime started."), "\(board)")
      let missing = try await Programs.run(
        ["instance", "create", "other", "--org", "acme", "--runtime", "docker", "--image", "aw-nowhere:1"] + context)
      #expect(missing.code == 1 && missing.complaint.contains("[runtime.image-missing]"), "\(missing)")
      let removed = try await Programs.run(
        ["instance", "rm", "acme-main", "--purge", "--confirm", "acme-main"] + context)
      #expect(removed.code == 0, "\(removed)")
      for what in [["ps", "--all", "--quiet"], ["network", "ls", "--quiet", "--filter", "name=aw-acme-main"]] {
        let left = try await Programs.run("docker", ["--host", "unix://" + socket] + what)
        #expect(left.code == 0 && left.output.isEmpty, "\(left)")
      }
      #expect(try await up.end(SIGTERM) == 0)
    }
  }
}

/// Secrets inside a container, on a real engine.
@Suite("Secrets of containers", .enabled(if: TestDocker.isWanted), .serialized, .timeLimit(.minutes(5)))
struct DockerSecretTests {
  @Test("a container has its Org's credentials and its own token from AW, and neither by its environment nor a file")
  func collected() async throws {
    let engine = try TestDocker.required
    let more = Deployed.More(serve: { _, port in ["--fixture-vendors", "http://127.0.0.1:\(port)/vendors"] })
    try await Deployed.with(engine: engine, more) { deployed in
      let value = try FixtureValue.make(.openAI, name: "first")
      let body: JSONValue = ["surface": .string(CredentialSurface.openAI.rawValue), "value": .string(value)]
      _ = try await deployed.client.send(.post, "/orgs/acme/credentials", body: body)
      let wanted = FleetRoutes.InstanceBody(
        org: try Slug("acme"), slug: try Slug("acme-main"), runtime: .docker, image: TestDocker.image)
      let asked = try await deployed.client.send(.post, "/instances", body: wanted, as: RequestedView.self)
      let made = try await deployed.ended(asked.operation.id)
      // Its last step is a model turn with the key that only AW could have told it.
      #expect(made.state == .succeeded, "\(made)")
      let known = try await deployed.client.send(
        .get, "/orgs/acme/credentials/\(CredentialSurface.openAI.rawValue)", as: CredentialView.self)
      #expect(known.lastResolved?.by == "instance/acme-main")

      let id = try await deployed.client.send(.get, "/instances/acme-main", as: InstanceView.self).id
      let data = deployed.controlData
      let vault = try Vault.open(file: data + "/vault", key: .fromFile(data + "/vault.key"))
      let token = try await vault.get(try SecretReference(InstanceSecretID.gatewayToken(of: id)))
      let look = SentinelLook([value, token.withText { $0 }])
      let container = try #require(try await deployed.containers().first)
      let inspected = try await Programs.run("docker", ["--host", "unix://" + engine, "inspect", container])
      #expect(inspected.code == 0 && inspected.output.contains("AW_SECRETS=/run/aw"))
      #expect(look.texts([inspected.output]) == [] && !inspected.output.contains("OPENCLAW_GATEWAY_TOKEN"))
      #expect(try look.files(below: deployed.hostData) == [])
      let configuration = try JSONValue(
        parsing: try String(
          contentsOfFile: deployed.hostData + "/instances/acme-main/state/openclaw.json", encoding: .utf8))
      #expect(configuration.value(at: "gateway.auth.token.source") == "exec")
      #expect(configuration.value(at: "models.providers.openai.apiKey.source") == "exec")

      // The engine is shared with other tests: a network of this name would be in their way.
      let leaving = try await deployed.client.send(
        .delete, "/instances/acme-main", query: [("purge", "true"), ("confirm", "acme-main")],
        as: RequestedView.self)
      #expect(try await deployed.ended(leaving.operation.id).state == .succeeded)
      #expect(try await deployed.networks().isEmpty)
    }
  }
}

/// The engine that `script/test-dockerd` started.
enum TestDocker {
  static var socket: String? { ProcessInfo.processInfo.environment["AW_TEST_DOCKER_SOCKET"] }
  /// The image that `script/image import` puts into it.
  static let image = "aw-openclaw-synthetic:latest"

  static var required: String {
    get throws {
      try #require(socket, "AW_TEST_DOCKER_SOCKET is not set: start an engine with script/test-dockerd")
    }
  }

  static var isWanted: Bool { socket != nil || ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1" }
}
