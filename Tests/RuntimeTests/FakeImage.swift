import Basics
import Foundation
import Link
import NIOHTTP1
import Testing

@testable import Connector

/// A stand-in for OpenClaw's image: one static program, uid 1000, `openclaw` on its path.
enum FakeImage {
  static let reference = "aw-test/openclaw:fixture"

  static let source = #"""
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <unistd.h>

    static void end(int number) { _exit(0); }

    int main(int argc, char **argv) {
      const char *token = getenv("OPENCLAW_GATEWAY_TOKEN");
      if (argc > 3 && !strcmp(argv[1], "devices")) {
        if (!strcmp(argv[3], "unknown")) {
          fprintf(stderr, "unknown requestId %s\n", token);
          return 1;
        }
        FILE *approved = fopen("/home/node/.openclaw/approved", "w");
        if (!approved) return 2;
        fputs(argv[3], approved);
        fclose(approved);
        return 0;
      }
      printf("start with token %s\n", token ? token : "none");
      fflush(stdout);
      if (access(getenv("OPENCLAW_CONFIG_PATH"), R_OK) || access("/home/node/.config/openclaw", W_OK)) return 9;
      if (getenv("FAKE_EXIT")) return atoi(getenv("FAKE_EXIT"));
      signal(SIGTERM, getenv("FAKE_IGNORE_TERM") ? SIG_IGN : end);
      int listener = socket(AF_INET, SOCK_STREAM, 0);
      struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(18789)};
      if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) return 3;
      if (getenv("FAKE_READY")) {
        int ready = open(getenv("FAKE_READY"), O_WRONLY);
        if (ready < 0 || write(ready, "ready\n", 6) != 6) return 4;
        close(ready);
      }
      for (;;) {
        char request[4096];
        int peer = accept(listener, 0, 0);
        if (peer < 0) continue;
        read(peer, request, sizeof request);
        const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 27\r\nConnection: close\r\n\r\n"
                             "{\"ok\":true,\"status\":\"live\"}";
        write(peer, answer, strlen(answer));
        close(peer);
      }
    }
    """#

  private static let made = Task { try await make() }

  /// Builds and imports the image, once for all tests of this run.
  static func ensure() async throws { try await made.value }

  private static func make() async throws {
    let folder = NSTemporaryDirectory() + "aw-image-" + Hex.encode([UInt8].random(count: 6))
    let root = folder + "/root"
    for path in ["usr/local/bin", "home/node/.openclaw", "home/node/.config/openclaw", "tmp"] {
      try FileManager.default.createDirectory(atPath: root + "/" + path, withIntermediateDirectories: true)
    }
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try source.write(toFile: folder + "/fake.c", atomically: true, encoding: .utf8)
    try await run("gcc", ["-static", "-O1", "-w", "-o", root + "/usr/local/bin/openclaw", folder + "/fake.c"])
    try await run("tar", ["-C", root, "-cf", folder + "/image.tar", "."])
    try await run(
      "docker",
      [
        "-H", "unix://" + (try DockerScene.requiredSocket()), "import", "-c", "USER 1000:1000", "-c",
        "ENV PATH=/usr/local/bin", "-c", #"CMD ["/usr/local/bin/openclaw","gateway"]"#, folder + "/image.tar",
        reference,
      ])
  }

  private static func run(_ tool: String, _ arguments: [String]) async throws {
    let path = try #require(Tool.find(tool, path: ProcessInfo.processInfo.environment["PATH"]))
    let environment = ["PATH": Secret(Tool.standardPath), "HOME": Secret("/nonexistent")]
    let answer = try await Tool.run(path, arguments, environment: environment, timeMax: .seconds(60))
    try #require(answer.code == 0, "\(tool): \(answer.error)")
  }
}

/// A folder, the engine under test, and what tests do with a Docker runtime.
struct DockerScene {
  static var socket: String? { ProcessInfo.processInfo.environment["AW_TEST_DOCKER_SOCKET"] }
  static var requireAll: Bool { ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1" }
  static var isWanted: Bool { socket != nil || requireAll }

  static func requiredSocket() throws -> String {
    try #require(socket, "AW_TEST_DOCKER_SOCKET is not set: start an engine with script/test-dockerd")
  }

  let folder: String
  let socket: String
  let engine: DockerEngine
  let ports = ScenePorts.take()
  let token = Secret("token-fedcba9876543210-secret")
  let slug = "t" + Hex.encode([UInt8].random(count: 5))

  static func with(_ body: (DockerScene) async throws -> Void) async throws {
    let socket = try requiredSocket()
    try await FakeImage.ensure()
    let folder = NSTemporaryDirectory() + "aw-dock-" + Hex.encode([UInt8].random(count: 6))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let scene = DockerScene(folder: folder, socket: socket, engine: DockerEngine(socket: socket))
    let result: Result<Void, any Error>
    do { result = .success(try await body(scene)) } catch { result = .failure(error) }
    let runtime = scene.runtime(stopGrace: .zero)
    for instance in try await runtime.instances() { _ = try await runtime.remove(instance, purge: true) }
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
  }

  func runtime(stopGrace: Duration = .seconds(30), backoffFirst: Duration = .milliseconds(5)) -> DockerRuntime {
    DockerRuntime(
      socket: socket, dataDirectory: folder + "/data",
      policy: RuntimePolicy(backoffFirst: backoffFirst, stopGrace: stopGrace, ports: ports))
  }

  func spec(_ suffix: String = "", port: Int? = nil, image: String? = FakeImage.reference) throws -> InstanceSpec {
    InstanceSpec(
      instance: .make(at: WallClock.system.now), slug: try Slug(slug + suffix), org: try Slug("acme"),
      runtime: .docker, port: port, image: image,
      configuration: #"{"gateway":{"mode":"local","bind":"lan"}}"#,
      limits: .init(memoryBytesMax: 128 << 20, cpusMax: 0.5, pidsMax: 64))
  }

  func environment(_ more: [String: String] = [:]) -> [String: Secret] {
    ["OPENCLAW_GATEWAY_TOKEN": token].merging(more.mapValues { Secret($0) }) { _, last in last }
  }

  /// Prepares, hangs a bell into the state directory, and starts.
  func startRinging(
    _ runtime: DockerRuntime, _ spec: InstanceSpec, _ more: [String: String] = [:]
  ) async throws -> (bell: Bell, started: RunState) {
    let bell = try Bell(in: folder)
    let inside = more.merging(["FAKE_READY": DockerPlan.state + "/bell"]) { _, last in last }
    let prepared = try await runtime.prepare(spec, environment: environment(inside))
    try hang(bell, in: prepared)
    let started = try await runtime.start(spec.instance)
    try await bell.rung()
    return (bell, started)
  }

  private func hang(_ bell: Bell, in state: RunState) throws {
    let path = try #require(state.dataDirectory) + "/state/bell"
    // The FIFO is one file with two names; the container sees only the second.
    if access(path, F_OK) != 0 { try #require(link(bell.path, path) == 0) }
  }

  func container(_ state: RunState) async throws -> JSONValue {
    let id = try #require(state.containerID)
    return try JSONValue(parsing: try await engine.call(.GET, "/containers/\(id)/json").expect(200))
  }

  func exists(_ path: String) async throws -> Bool { try await engine.call(.GET, path).status == 200 }
}
