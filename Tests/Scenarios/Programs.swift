import Basics
import Foundation
import Link
import Subprocess
import SystemPackage
import Testing

/// The built programs, and what running them gives.
enum Programs {
  /// A folder of its own, on a path that is short enough for unix sockets.
  static func folder() -> String {
    let path = "/tmp/aw-scene-" + Hex.encode([UInt8].random(count: 6))
    // A test whose folder is missing fails at its first use, by name.
    try? FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    return path
  }

  static func aw() throws -> String { try built("aw") }
  static func synthetic() throws -> String { try built("aw-synthetic") }
  static func secretExec() throws -> String { try built("aw-secret-exec") }

  private static func built(_ name: String) throws -> String {
    let folders = [Bundle.main.bundleURL.deletingLastPathComponent(), Bundle.main.bundleURL]
    let paths = folders.map { $0.appending(path: name).path(percentEncoded: false) }
    return try #require(
      paths.first { FileManager.default.isExecutableFile(atPath: $0) }, "\(name) is not built: \(paths)")
  }

  /// The ticket of an enrolment line.
  static func ticket(in line: Secret) throws -> EnrolmentTicket {
    try EnrolmentTicket(line.withText { String($0.split(separator: " ")[1]) })
  }

  struct Answer: Sendable {
    let code: Int32
    let output: String
    let complaint: String

    var json: JSONValue? { try? JSONValue(parsing: output) }
  }

  /// This process's environment, with these variables changed.
  static func environment(_ changes: [String: String]) -> Environment {
    var values: [Environment.Key: String?] = [:]
    for (name, value) in changes {
      if let key = Environment.Key(rawValue: name) { values[key] = value }
    }
    return .inherit.updating(values)
  }

  /// Runs a verb of `aw` to its end.
  static func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:]
  ) async throws -> Answer {
    try await run(try aw(), arguments, input: input, environment: environment)
  }

  static func run(
    _ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
  ) async throws -> Answer {
    let path = program.contains("/") ? Executable.path(FilePath(program)) : .name(program)
    let result = try await Subprocess.run(
      path, arguments: Arguments(arguments), environment: Self.environment(environment), input: .string(input),
      output: .string(limit: 16 << 20), error: .string(limit: 1 << 20))
    let code: Int32 =
      switch result.terminationStatus {
      case .exited(let code): Int32(code)
      case .signaled(let signal): 128 + Int32(signal)
      }
    return Answer(code: code, output: result.standardOutput, complaint: result.standardError)
  }
}
