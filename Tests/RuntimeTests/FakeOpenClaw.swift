import Basics
import Connector
import Foundation
import Link
import Synchronization
import Testing

/// A stand-in for `openclaw` as a program: listens, answers probes, and misbehaves on request.
///
/// Its variables: `FAKE_EXIT` ends it at once with that code, `FAKE_IGNORE_TERM` makes it deaf to SIGTERM,
/// `FAKE_CHILD` leaves a child behind, `FAKE_READY` is a FIFO that gets one line once it listens.
enum FakeOpenClaw {
  static let script = #"""
    #!/usr/bin/python3
    import http.server, os, signal, subprocess, sys
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print("2026.7.1-2 (fake)")
        sys.exit(0)
    if arguments[:2] == ["devices", "approve"]:
        if arguments[2] == "unknown":
            print("unknown requestId", os.environ.get("OPENCLAW_GATEWAY_TOKEN"), file=sys.stderr)
            sys.exit(1)
        open(os.path.join(os.environ["OPENCLAW_STATE_DIR"], "approved"), "w").write(arguments[2])
        sys.exit(0)
    assert arguments[0] == "gateway" and arguments[1] == "--port" and arguments[3:] == ["--bind", "loopback"]
    print("start with token", os.environ.get("OPENCLAW_GATEWAY_TOKEN", "none"), flush=True)
    for name in ("OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_NO_RESPAWN",
                 "OPENCLAW_SUPERVISOR_MODE", "OPENCLAW_DISABLE_BONJOUR", "OPENCLAW_NO_AUTO_UPDATE"):
        assert os.environ[name], name
    assert os.environ["OPENCLAW_GATEWAY_PORT"] == arguments[2]
    os.stat(os.environ["OPENCLAW_CONFIG_PATH"])
    if "FAKE_EXIT" in os.environ:
        sys.exit(int(os.environ["FAKE_EXIT"]))
    if "FAKE_IGNORE_TERM" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        def end(number, frame):
            print("terminated", flush=True)
            os._exit(0)
        signal.signal(signal.SIGTERM, end)
    if "FAKE_CHILD" in os.environ:
        child = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
        open(os.path.join(os.environ["OPENCLAW_STATE_DIR"], "child"), "w").write(str(child.pid))
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"ok":true,"status":"live"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *ignored):
            pass
    server = http.server.HTTPServer(("127.0.0.1", int(arguments[2])), Handler)
    print("listening", os.getuid(), flush=True)
    if "FAKE_READY" in os.environ:
        with open(os.environ["FAKE_READY"], "w") as ready:
            ready.write("ready\n")
    server.serve_forever()
    """#

  static func install(in folder: String) throws -> String {
    let path = folder + "/openclaw"
    try script.write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }
}

/// A FIFO through which another process says "now": waiting without a clock.
final class Bell: Sendable {
  let path: String
  private let descriptor: Int32

  init(in folder: String) throws {
    path = folder + "/bell-" + Hex.encode([UInt8].random(count: 4))
    try #require(mkfifo(path, 0o600) == 0)
    // Past the umask: an Instance may run as another user.
    try #require(chmod(path, 0o622) == 0)
    // Both ends, so that neither opening blocks.
    descriptor = open(path, O_RDWR | O_CLOEXEC)
    try #require(descriptor >= 0)
  }

  deinit { close(descriptor) }

  struct Silent: Error {}

  /// Waits for one line; throws after 30 s of silence.
  func rung() async throws {
    let descriptor = descriptor
    let rang: Bool = await withCheckedContinuation { continuation in
      DispatchQueue(label: "bell").async {
        var look = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        while poll(&look, 1, 30_000) == 1, read(descriptor, &byte, 1) == 1 {
          if byte == UInt8(ascii: "\n") { return continuation.resume(returning: true) }
        }
        continuation.resume(returning: false)
      }
    }
    if !rang { throw Silent() }
  }
}

/// Ports of its own for each scene, so that scenes run side by side.
enum ScenePorts {
  private static let next = Atomic<Int>(19_100)

  static func take() -> ClosedRange<Int> {
    let first = next.add(200, ordering: .relaxed).oldValue
    return first...(first + 199)
  }
}

/// A folder with a fake program, and what tests do with a process runtime in it.
struct ProcessScene {
  let folder: String
  let program: String
  let bell: Bell
  let ports = ScenePorts.take()
  let token = Secret("token-0123456789abcdef-secret")

  static func with(_ body: (ProcessScene) async throws -> Void) async throws {
    let folder = NSTemporaryDirectory() + "aw-run-" + Hex.encode([UInt8].random(count: 6))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let scene = ProcessScene(
      folder: folder, program: try FakeOpenClaw.install(in: folder), bell: try Bell(in: folder))
    let result: Result<Void, any Error>
    do { result = .success(try await body(scene)) } catch { result = .failure(error) }
    try await scene.clear()
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
  }

  var data: String { folder + "/data" }

  func runtime(
    program: String? = nil, ownUser: Bool = false, stopGrace: Duration = .seconds(30),
    backoffFirst: Duration = .milliseconds(5)
  ) -> ProcessRuntime {
    ProcessRuntime(
      dataDirectory: data, program: program ?? self.program, ownUser: ownUser,
      policy: RuntimePolicy(backoffFirst: backoffFirst, stopGrace: stopGrace, ports: ports))
  }

  func spec(_ slug: String = "acme-main", port: Int? = nil, instance: InstanceID = .make(at: WallClock.system.now))
    throws -> InstanceSpec
  {
    InstanceSpec(
      instance: instance, slug: try Slug(slug), org: try Slug("acme"), runtime: .process, port: port, image: nil,
      configuration: #"{"gateway":{"mode":"local"}}"#)
  }

  /// The environment of an Instance that rings the bell once it listens.
  func environment(_ more: [String: String] = [:]) -> [String: Secret] {
    ["OPENCLAW_GATEWAY_TOKEN": token, "FAKE_READY": Secret(bell.path)]
      .merging(more.mapValues { Secret($0) }) { _, last in last }
  }

  /// Ends what a failed test left running, by a runtime of its own.
  private func clear() async throws {
    let runtime = runtime(stopGrace: .zero)
    for instance in try await runtime.instances() { _ = try await runtime.remove(instance, purge: true) }
  }
}
