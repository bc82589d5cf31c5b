import Basics
import Foundation
import Glibc
import Testing

/// Values are in memory while they are on their way: a crash must not write that to a file.
@Suite("No program of AW leaves a core dump", .serialized, .timeLimit(.minutes(3)))
struct MemoryDumpTests {
  /// A shell that allows dumps of any size, in a folder of its own, and becomes the program.
  private static func allowing(_ folder: String) -> [String] {
    ["-c", #"ulimit -c unlimited && cd "$0" && exec "$@""#, folder]
  }

  /// Where this machine's kernel would put a dump: nil when it would not be a file of the working directory.
  private static var isInFolder: Bool {
    let pattern = (try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)) ?? "|"
    return !pattern.contains("|") && !pattern.contains("/")
  }

  private static func dumps(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("core") }
  }

  /// The most that the kernel would write of a process.
  private static func limit(_ id: Int32) -> String {
    let limits = (try? String(contentsOfFile: "/proc/\(id)/limits", encoding: .utf8)) ?? ""
    let line = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") } ?? ""
    return line.dropFirst("Max core file size".count).split(separator: " ").prefix(2).joined(separator: " ")
  }

  /// Raises the limit again from outside where this machine lets root do that, so that only the mark of the process
  /// itself is left, and lets it crash. What it complains of then shows nothing of its memory.
  private static func crash(_ running: LongRunning) async throws {
    let children = ProcessLook.descendants(of: running.id)
    defer { for child in children { kill(child, SIGKILL) } }
    #expect(limit(running.id) == "0 0")
    let raised = try await Programs.run("prlimit", ["--pid", "\(running.id)", "--core=unlimited:unlimited"])
    #expect(raised.code != 0 || limit(running.id) == "unlimited unlimited", "\(raised)")
    #expect(try await running.end(SIGABRT) == 128 + SIGABRT)
    #expect(!running.log.contains("Backtrace took") && !running.log.contains("rflags"), "\(running.log.suffix(2_000))")
  }

  private static func with(
    _ arguments: [String], _ body: (LongRunning, _ folder: String) async throws -> Void
  ) async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await LongRunning.with("/bin/bash", allowing(folder) + arguments) { running in
      try await body(running, folder)
      #expect(try dumps(folder) == [])
    }
  }

  @Test("a program that does nothing against it leaves one here, so that the others could", .enabled(if: isInFolder))
  func canFail() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await LongRunning.with("/bin/bash", Self.allowing(folder) + ["/usr/bin/tail", "-f", "/dev/null"]) { running in
      while ProcessLook.all().first(where: { $0.id == running.id })?.arguments.hasPrefix("/usr/bin/tail") != true {
        await Task.yield()
      }
      try await running.end(SIGABRT)
      #expect(try Self.dumps(folder).count == 1)
    }
  }

  @Test("the control plane")
  func controlPlane() async throws {
    let data = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: data) }
    let serve = [
      try Programs.aw(), "serve", "--data", data + "/d", "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0",
      "--json",
    ]
    try await Self.with(serve) { running, _ in
      _ = try await running.document()
      try await Self.crash(running)
    }
  }

  /// Before a program whose standard input is never closed and never says anything.
  private static let waiting = ["/bin/bash", "-c", #"exec "$@" < <(exec /usr/bin/tail -f /dev/null)"#, "bash"]

  @Test("the Connector, while it waits for its ticket")
  func connector() async throws {
    let data = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: data) }
    let connect = [try Programs.aw(), "connect", "--data", data + "/d", "--enrol", "127.0.0.1:9"]
    try await Self.with(Self.waiting + connect) { running, _ in
      while Self.limit(running.id) != "0 0" { await Task.yield() }
      try await Self.crash(running)
    }
  }

  @Test("what an Instance runs to resolve secrets, while it waits for its question")
  func secretExec() async throws {
    try await Self.with(Self.waiting + [try Programs.secretExec(), "--socket", "/nowhere"]) { running, _ in
      while Self.limit(running.id) != "0 0" { await Task.yield() }
      try await Self.crash(running)
    }
  }
}
