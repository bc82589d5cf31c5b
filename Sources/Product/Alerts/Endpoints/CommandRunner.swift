import Basics
import Foundation
import Subprocess
import SystemPackage

/// Runs a local command with a notification on its standard input. No shell is between.
enum CommandRunner {
  struct End: Sendable, Equatable {
    let outcome: DeliveryOutcome
    /// The beginning of what it printed.
    let output: String
  }

  /// All that a command finds in its environment.
  static let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"]

  static func run(_ form: CommandForm, input: String, within limit: Duration = EndpointLimits.answerWithin) async -> End
  {
    do {
      let end = try await Deadline.run(limit) { try await run(form, input) }
      let tooSlow = DeliveryOutcome.retry(after: nil, detail: "the command did not end within \(limit.words)")
      return end ?? End(outcome: tooSlow, output: "")
    } catch let error as SubprocessError where error.code == .executableNotFound {
      return End(outcome: .rejected(detail: "the command is not there, or is not executable"), output: "")
    } catch {
      return End(outcome: .retry(after: nil, detail: "the command could not be run"), output: "")
    }
  }

  /// Why a command cannot be run as it is; nil when it can.
  static func problem(with form: CommandForm) -> String? {
    var status = stat()
    guard stat(form.program, &status) == 0 else { return "it is not there" }
    guard status.st_mode & S_IFMT == S_IFREG else { return "it is no file" }
    return access(form.program, X_OK) == 0 ? nil : "AW may not execute it"
  }

  private static func run(_ form: CommandForm, _ input: String) async throws -> End {
    var options = PlatformOptions()
    options.createSession = true
    options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
    var values: [Environment.Key: String] = [:]
    for (name, value) in environment {
      if let key = Environment.Key(rawValue: name) { values[key] = value }
    }
    let result = try await Subprocess.run(
      .path(FilePath(form.program)), arguments: Arguments(form.arguments), environment: .custom(values),
      workingDirectory: "/", platformOptions: options, input: .inputWriter, output: .sequence,
      error: .combinedWithOutput
    ) { execution in
      // A command that ends without reading is none of our business: its exit code counts.
      async let written: Void = write(input, to: execution.standardInputWriter)
      var kept: [UInt8] = []
      for try await chunk in execution.standardOutput where kept.count < EndpointLimits.commandOutputBytesMax {
        chunk.withUnsafeBytes { kept += $0.prefix(EndpointLimits.commandOutputBytesMax) }
      }
      await written
      return kept
    }
    let code: Int32 =
      switch result.terminationStatus {
      case .exited(let code): Int32(code)
      case .signaled(let signal): 128 + Int32(signal)
      }
    return End(outcome: CommandInput.outcome(code: code), output: CommandInput.kept(result.closureResult))
  }

  private static func write(_ input: String, to writer: StandardInputWriter) async {
    _ = try? await writer.write(input)
    try? await writer.finish()
  }
}
