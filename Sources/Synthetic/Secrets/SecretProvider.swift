import Basics
import Foundation
import Subprocess
import SystemPackage

/// A provider of `secrets.providers` with the source exec: a program that is asked once, with one batch.
struct SecretProvider: Sendable {
  let alias: String
  let command: String
  let arguments: [String]
  let timeout: Duration
  let outputBytesMax: Int
  let environment: [String: String]
  let trustedDirectories: [String]

  /// Why a provider has nothing to say, as the log tells it.
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// - Parameter environment: of the Gateway. `${NAME}` in the configuration and `passEnv` take from it.
  init?(alias: String, _ configured: JSONValue, environment: [String: String]) {
    let given = Substitution.apply(to: configured, environment: environment)
    guard given["source"]?.stringValue == "exec", let command = given["command"]?.stringValue else { return nil }
    self.alias = alias
    self.command = command
    arguments = given["args"]?.strings ?? []
    timeout = .milliseconds(given["timeoutMs"]?.intValue ?? 5_000)
    outputBytesMax = Int(given["maxOutputBytes"]?.intValue ?? 1_048_576)
    let passed = environment.filter { name, _ in given["passEnv"]?.strings.contains(name) ?? false }
    self.environment = passed.merging(given["env"]?.objectValue?.compactMapValues(\.stringValue) ?? [:]) { $1 }
    trustedDirectories = given["trustedDirs"]?.strings ?? []
  }

  /// - Returns: by id, the value or the code of its error.
  func resolve(_ ids: [String]) async throws -> [String: Result<Secret, SecretError>] {
    if let problem { throw Failure(description: problem) }
    let request: JSONValue = [
      "protocolVersion": 1, "provider": .string(alias), "ids": .array(ids.map { .string($0) }),
    ]
    let (command, arguments, environment, limit) = (command, arguments, environment, outputBytesMax)
    let output = try await Deadline.run(timeout) {
      try await Self.output(of: command, arguments, environment, limit: limit, input: request.canonical)
    }
    guard let output else { throw Failure(description: "timed out after \(timeout.milliseconds)ms") }
    guard let reply = try? JSONValue(parsing: output), reply["protocolVersion"] == 1,
      let values = reply["values"]?.objectValue
    else { throw Failure(description: "returned no reply of protocol version 1") }
    return Dictionary(
      uniqueKeysWithValues: ids.map { id in
        if let value = values[id]?.stringValue { return (id, .success(Secret(value))) }
        return (id, .failure(SecretError(code: reply["errors"]?[id]?["code"]?.stringValue ?? "NOT_FOUND")))
      })
  }

  private static func output(
    of command: String, _ arguments: [String], _ environment: [String: String], limit: Int, input: String
  ) async throws -> [UInt8] {
    var options = PlatformOptions()
    options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .milliseconds(200))]
    var values: [Environment.Key: String] = [:]
    for (name, value) in environment {
      if let key = Environment.Key(rawValue: name) { values[key] = value }
    }
    let request = try FilledPipe.reading(Array(input.utf8))
    let result = try await Subprocess.run(
      .path(FilePath(command)), arguments: Arguments(arguments), environment: .custom(values), platformOptions: options,
      input: .fileDescriptor(request, closeAfterSpawningProcess: true), output: .bytes(limit: limit), error: .discarded)
    guard case .exited(0) = result.terminationStatus else {
      throw Failure(description: "exited with a failure (\(result.terminationStatus))")
    }
    return result.standardOutput
  }

  /// Why the program is not run at all; nil when it is.
  private var problem: String? {
    guard command.hasPrefix("/") else { return "command must be an absolute path" }
    var status = stat()
    guard lstat(command, &status) == 0 else { return "command is not readable" }
    guard status.st_mode & S_IFMT == S_IFREG else { return "command must be a regular file, not a symlink" }
    guard status.st_mode & 0o022 == 0 else { return "command must not be writable by group or others" }
    guard status.st_uid == geteuid() else { return "command must be owned by the current user" }
    guard trustedDirectories.isEmpty || trustedDirectories.contains(where: { command.hasPrefix($0 + "/") }) else {
      return "command is outside of trustedDirs"
    }
    return nil
  }
}

/// What a provider says of one id that has no value.
struct SecretError: Error, Equatable {
  /// Others than these are not shown.
  static let shown = ["NOT_FOUND", "AMBIGUOUS_DUPLICATE_KEY"]
  var code: String
}

/// `${NAME}` in any string of the configuration. What is not set stays as it is.
enum Substitution {
  static func apply(to value: JSONValue, environment: [String: String]) -> JSONValue {
    switch value {
    case .string(let text):
      return .string(
        text.replacing(/\$\{([A-Z_][A-Z0-9_]*)\}/) { match in
          environment[String(match.1)].flatMap { $0.isEmpty ? nil : $0 } ?? String(match.0)
        })
    case .array(let elements): return .array(elements.map { apply(to: $0, environment: environment) })
    case .object(let members): return .object(members.mapValues { apply(to: $0, environment: environment) })
    default: return value
    }
  }
}
