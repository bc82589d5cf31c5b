import Basics
import Foundation
import Subprocess
import SystemPackage
import Testing

/// A program that runs while a test looks at it. Whatever happens, it is gone when the test ends.
final class LongRunning: Sendable {
  let id: Int32
  /// Where it complains: its log.
  let logPath: String
  private let lines: AsyncStream<String>
  private let task: Task<Int32, any Error>

  /// Starts it, hands it over, and kills it afterwards if it still runs. When the test fails, its log is shown.
  static func with<Value>(
    _ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:],
    _ body: (LongRunning) async throws -> Value
  ) async throws -> Value {
    let running = try await LongRunning(program, arguments, input: input, environment: environment)
    defer { try? FileManager.default.removeItem(atPath: running.logPath) }
    do {
      let value = try await body(running)
      try await running.end(SIGKILL)
      return value
    } catch {
      try await running.end(SIGKILL)
      Issue.record("the log of '\(arguments.joined(separator: " "))' ends so:\n\(running.log.suffix(4_000))")
      throw error
    }
  }

  /// Starts it. Whoever calls this ends it.
  init(
    _ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
  ) async throws {
    let (lines, sink) = AsyncStream<String>.makeStream()
    let (ids, idSink) = AsyncStream<Int32>.makeStream()
    let values = Programs.environment(environment)
    logPath = NSTemporaryDirectory() + "aw-log-" + Hex.encode([UInt8].random(count: 6))
    let file = try FileDescriptor.open(
      FilePath(logPath), .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
    task = Task {
      defer {
        sink.finish()
        idSink.finish()
      }
      let result = try await Subprocess.run(
        .path(FilePath(program)), arguments: Arguments(arguments), environment: values, input: .string(input),
        output: .sequence, error: .fileDescriptor(file, closeAfterSpawningProcess: true)
      ) { execution in
        idSink.yield(execution.processIdentifier.value)
        for try await line in execution.standardOutput.strings() { sink.yield(line) }
      }
      return switch result.terminationStatus {
      case .exited(let code): Int32(code)
      case .signaled(let signal): 128 + Int32(signal)
      }
    }
    var started: Int32?
    for await id in ids {
      started = id
      break
    }
    id = try #require(started, "\(program) did not start")
    self.lines = lines
  }

  var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

  /// The next JSON document that it prints, over as many lines as it takes.
  func document() async throws -> JSONValue {
    var text = ""
    for await line in lines {
      text += line
      if let document = try? JSONValue(parsing: text) { return document }
    }
    throw Ended(printed: text, log: log)
  }

  /// The next line that says something.
  func line(with text: String) async throws -> String {
    for await line in lines where line.contains(text) { return line }
    throw Ended(printed: "", log: log)
  }

  /// It ended before it said what was waited for.
  struct Ended: Error, CustomStringConvertible {
    let printed: String
    let log: String
    var description: String { "it ended; it had printed \(printed.suffix(500)) and complained \(log.suffix(2_000))" }
  }

  /// Sends a signal and waits for the end.
  ///
  /// - Returns: the exit code; 128 and the signal's number when a signal ended it.
  @discardableResult
  func end(_ signal: Int32) async throws -> Int32 {
    kill(id, signal)
    return try await task.value
  }

  /// Waits until it ends by itself.
  func ended() async throws -> Int32 { try await task.value }
}
