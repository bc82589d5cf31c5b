import Basics
import Foundation
import Subprocess
import SystemPackage

/// Runs a short-lived program to its end.
enum Tool {
  struct Answer: Sendable {
    var code: Int32
    var output: String
    var error: String
  }

  /// - Throws: `runtimeProgramMissing`, `runtimeFailed` when it takes longer than `timeMax` or writes too much.
  static func run(
    _ program: String, _ arguments: [String], environment: [String: Secret], timeMax: Duration
  ) async throws -> Answer {
    var values: [Environment.Key: String] = [:]
    for (key, value) in environment {
      if let name = Environment.Key(rawValue: key) { values[name] = value.withText { $0 } }
    }
    do {
      return try await withThrowingTaskGroup(of: Answer?.self) { group in
        group.addTask { [values] in try await answer(program, arguments, .custom(values)) }
        group.addTask {
          try await Task.sleep(for: timeMax)
          return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let answer = first else { throw tooSlow(program, timeMax) }
        return answer
      }
    } catch let error as SubprocessError where error.code == .executableNotFound {
      throw AWError.programMissing(program)
    } catch let error as SubprocessError {
      throw AWError(
        .runtimeFailed, "The program \(program) could not be run.", next: "Try it by hand on the Host.", cause: error)
    }
  }

  private static func answer(
    _ program: String, _ arguments: [String], _ environment: Environment
  ) async throws -> Answer {
    var options = PlatformOptions()
    options.createSession = true
    options.teardownSequence = [
      .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(1))
    ]
    let limit = RuntimeLimits.toolOutputBytesMax
    let result = try await Subprocess.run(
      .path(FilePath(program)), arguments: Arguments(arguments), environment: environment, platformOptions: options,
      output: .string(limit: limit), error: .string(limit: limit))
    let code: Int32 =
      switch result.terminationStatus {
      case .exited(let code): Int32(code)
      case .signaled(let signal): 128 + Int32(signal)
      }
    return Answer(code: code, output: result.standardOutput, error: result.standardError)
  }

  private static func tooSlow(_ program: String, _ time: Duration) -> AWError {
    AWError(
      .runtimeFailed, "The program \(program) did not end within \(time.seconds) s.",
      next: "Look at the load of the Host, then try again.")
  }

  /// Where a program lies on the search path; nil when nowhere. A name with `/` is a path already.
  static func find(_ name: String, path: String?) -> String? {
    let candidates =
      name.contains("/") ? [name] : (path ?? standardPath).split(separator: ":").map { $0 + "/" + name }
    return candidates.first { access($0, X_OK) == 0 && !isDirectory($0) }
  }

  static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  private static func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
  }
}
