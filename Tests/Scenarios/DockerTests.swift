import Basics
import Foundation
import Testing

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
