import Basics
import Foundation
import TestSupport
import Testing

@testable import Alerts

@Suite("Local commands")
struct CommandTests {
  /// Runs a shell script as a command and gives how it ended.
  static func run(
    _ script: String, arguments: [JSONValue] = [], input: String = "{}\n", within limit: Duration = .seconds(15)
  ) async throws -> (end: CommandRunner.End, folder: [String: String]) {
    try await TestFolder.with { folder in
      let path = folder + "/command"
      try "#!/bin/sh\ncd '\(folder)'\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
      guard
        case .command(let form) = try EndpointForm(
          Samples.endpoint(.command, path, settings: ["arguments": .array(arguments)]))
      else { throw RequestTests.Missing() }
      let end = await CommandRunner.run(form, input: input, within: limit)
      var files: [String: String] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name != "command" {
        files[name] = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
      }
      return (end, files)
    }
  }

  @Test("a command gets the notification on standard input, its arguments as they are, and a bare environment")
  func whole() async throws {
    setenv("AW_SENTINEL", "sentinel", 1)
    defer { unsetenv("AW_SENTINEL") }
    let input = CommandInput.text(try Samples.notification(), endpoint: try Samples.endpoint(.command, "/x"))
    let (end, files) = try await Self.run(
      "cat > input; env > environment; printf '%s|' \"$@\" > arguments; pwd > /dev/null; echo fine",
      arguments: ["a b", "$(id)", "; rm -rf /"], input: input)
    #expect(end == CommandRunner.End(outcome: .delivered(detail: "exit 0"), output: "fine "))
    #expect(files["input"] == input)
    #expect(files["arguments"] == "a b|$(id)|; rm -rf /|")
    let names = Set((files["environment"] ?? "").split(separator: "\n").map { $0.prefix { $0 != "=" } })
    // The shell adds three of its own.
    #expect(names.subtracting(["PWD", "OLDPWD", "SHLVL", "_"]) == ["PATH", "LANG"])
  }

  @Test(
    "the exit code decides",
    arguments: [
      ("exit 0", OutcomeTests.Kind.delivered), ("exit 75", .retry), ("exit 1", .rejected), ("kill -9 $$", .rejected),
    ])
  func codes(_ script: String, _ kind: OutcomeTests.Kind) async throws {
    let (end, _) = try await Self.run(script)
    #expect(OutcomeTests.kind(end.outcome) == kind)
  }

  @Test("a command that reads nothing of a long notification has taken it when it says so")
  func deaf() async throws {
    let (end, _) = try await Self.run("exit 0", input: String(repeating: "x", count: 1 << 20))
    #expect(end.outcome == .delivered(detail: "exit 0"))
  }

  @Test("a command that takes too long is ended, with all that it started")
  func slow() async throws {
    let (end, files) = try await Self.run(
      "echo $$ > pid; sleep 600 & echo $! > child; wait", within: .milliseconds(500))
    #expect(OutcomeTests.kind(end.outcome) == .retry)
    for name in ["pid", "child"] {
      let id = try #require(Int32((files[name] ?? "").trimmingCharacters(in: .newlines)))
      #expect(kill(id, 0) != 0 || Self.isZombie(id), "\(name) still runs")
    }
  }

  /// A child whose parent has not collected it yet runs no more.
  private static func isZombie(_ id: Int32) -> Bool {
    let status = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)
    return status.map { $0.contains(") Z ") } ?? true
  }

  @Test("what a command leaves running in the background does not hold the delivery up")
  func daemon() async throws {
    let (end, files) = try await Self.run("setsid sleep 600 & echo $! > child; exit 0", within: .seconds(4))
    let id = try #require(Int32((files["child"] ?? "").trimmingCharacters(in: .newlines)))
    kill(id, SIGKILL)
    #expect(OutcomeTests.kind(end.outcome) == .delivered)
  }

  @Test("of what a command prints one kilobyte is kept, without control characters")
  func chatty() async throws {
    let (end, _) = try await Self.run("yes 'abc\u{1b}[31m' | head -c 3000000; echo done >&2")
    #expect(end.outcome == .delivered(detail: "exit 0"))
    #expect(end.output.utf8.count == 1_024)
    #expect(end.output.allSatisfy { $0.isASCII && !$0.isNewline && $0 != "\u{1b}" })
  }

  @Test("a command that is not there is refused")
  func missing() async throws {
    guard case .command(let form) = try EndpointForm(Samples.endpoint(.command, "/nowhere/at/all"))
    else { throw RequestTests.Missing() }
    #expect(OutcomeTests.kind(await CommandRunner.run(form, input: "").outcome) == .rejected)
    #expect(CommandRunner.problem(with: form) == "it is not there")
  }

  @Test("what a command says is in the log")
  func logged() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/command"
      try "#!/bin/sh\necho paged Ada\n".write(toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
      try await Scene.with { scene in
        let endpoint = try Samples.endpoint(.command, path)
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(outcome == .delivered(detail: "exit 0"))
        #expect(scene.log.text.contains("paged Ada"))
      }
    }
  }
}
