import Basics
import Foundation
import Subprocess
import SystemPackage
import Testing

/// Runs programs to their end.
enum Shell {
  struct Answer: Sendable {
    let code: Int32
    let output: String
    let complaint: String
  }

  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  static func environment(_ changes: [String: String]) -> Environment {
    var values: [Environment.Key: String?] = [:]
    for (name, value) in changes {
      if let key = Environment.Key(rawValue: name) { values[key] = value }
    }
    return .inherit.updating(values)
  }

  /// Runs the words of a line, whatever comes of it.
  @discardableResult
  static func run(_ line: String) async throws -> Answer {
    let words = line.split(separator: " ").map(String.init)
    let result = try await Subprocess.run(
      .name(words[0]), arguments: Arguments(Array(words.dropFirst())), output: .string(limit: 1 << 20),
      error: .string(limit: 1 << 20))
    return Answer(
      code: code(result.terminationStatus), output: result.standardOutput, complaint: result.standardError)
  }

  /// Runs the words of a line, which must succeed.
  @discardableResult
  static func must(_ line: String) async throws -> String {
    let answer = try await run(line)
    guard answer.code == 0 else { throw Failed(description: "'\(line)' ended with \(answer)") }
    return answer.output
  }

  static func code(_ status: TerminationStatus) -> Int32 {
    switch status {
    case .exited(let code): Int32(code)
    case .signaled(let signal): 128 + Int32(signal)
    }
  }

  /// One of the built programs.
  static func built(_ name: String) throws -> String {
    let folders = [Bundle.main.bundleURL.deletingLastPathComponent(), Bundle.main.bundleURL]
    let paths = folders.map { $0.appending(path: name).path(percentEncoded: false) }
    return try #require(
      paths.first { FileManager.default.isExecutableFile(atPath: $0) }, "\(name) is not built: \(paths)")
  }
}

/// A program that runs in a namespace until it is ended. What it says goes to a file.
final class Spawned: Sendable {
  let id: Int32
  let logPath: String
  private let task: Task<Int32, any Error>

  init(
    in namespace: String, _ words: [String], input: String = "", environment: [String: String] = [:], log: String
  ) async throws {
    logPath = log
    let file = try FileDescriptor.open(
      FilePath(log), .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
    let (ids, sink) = AsyncStream<Int32>.makeStream()
    let values = Shell.environment(environment)
    task = Task {
      defer { sink.finish() }
      // 'ip netns exec' becomes the program, so the id is the program's.
      let result = try await Subprocess.run(
        .name("ip"), arguments: Arguments(["netns", "exec", namespace] + words), environment: values,
        input: .string(input), output: .sequence, error: .fileDescriptor(file, closeAfterSpawningProcess: true)
      ) { execution in
        sink.yield(execution.processIdentifier.value)
        for try await _ in execution.standardOutput {}
      }
      return Shell.code(result.terminationStatus)
    }
    var started: Int32?
    for await id in ids {
      started = id
      break
    }
    id = try #require(started, "\(words) did not start")
  }

  var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

  func signal(_ signal: Int32) { kill(id, signal) }

  @discardableResult
  func end(_ signal: Int32) async throws -> Int32 {
    kill(id, signal)
    return try await task.value
  }
}

/// Time, as a fault needs it: it lasts for as long as it is told to.
enum Pace {
  static func wait(_ duration: Duration) async throws { try await ContinuousClock().sleep(for: duration) }

  /// Asks every 200 ms until it is so.
  ///
  /// - Returns: after how long it was; nil when it was not in time.
  static func until(
    within limit: Duration, since start: ContinuousClock.Instant = .now, _ isSo: () async throws -> Bool
  ) async throws -> Duration? {
    while true {
      if try await isSo() { return ContinuousClock.now - start }
      guard ContinuousClock.now - start < limit else { return nil }
      try await wait(.milliseconds(200))
    }
  }
}
