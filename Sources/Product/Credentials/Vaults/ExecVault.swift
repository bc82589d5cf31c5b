import Basics
import Foundation
import Subprocess
import SystemPackage

/// A program that speaks OpenClaw's exec protocol, version 1: what resolves secrets for OpenClaw resolves them for AW.
///
/// No shell is between, and the program gets the environment that was named for it, nothing more.
struct ExecVault: SecretSource {
  let name: String
  let command: String
  let arguments: [String]
  let environment: [String: String]
  var within = CredentialLimits.vaultWithin

  func read(_ key: String) async throws -> Secret {
    if let rule = ExecProtocol.broken(key) { throw VaultFailure.key(key, name, rule) }
    if let problem = problem { throw VaultFailure.refused(name, problem) }
    let output: [UInt8]
    do {
      let run = try await Deadline.run(within) { try await ask(key) }
      guard let run else { throw VaultFailure.unreachable(name, "its program did not end within \(within.words)") }
      output = run
    } catch let error as AWError {
      throw error
    } catch {
      throw VaultFailure.unreachable(name, "its program could not be run", cause: error)
    }
    switch ExecProtocol.answer(output, for: key) {
    case .value(let secret): return secret
    case .missing: throw VaultFailure.missing(key, in: name)
    case .refused(let why): throw VaultFailure.refused(name, why)
    }
  }

  /// Why the program must not be run; nil when it may. The rules are OpenClaw's.
  private var problem: String? {
    var status = stat()
    guard lstat(command, &status) == 0 else { return "its program \(command.quoted) is not there" }
    guard status.st_mode & S_IFMT == S_IFREG else { return "its program \(command.quoted) is a link or no file" }
    guard status.st_mode & 0o022 == 0 else { return "its program \(command.quoted) can be changed by others" }
    return access(command, X_OK) == 0 ? nil : "AW may not execute its program \(command.quoted)"
  }

  private func ask(_ key: String) async throws -> [UInt8] {
    var options = PlatformOptions()
    options.createSession = true
    options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
    var values: [Environment.Key: String] = [:]
    for (name, value) in environment {
      if let key = Environment.Key(rawValue: name) { values[key] = value }
    }
    let request = try FilledPipe.reading(Array(ExecProtocol.request(key, provider: name).utf8))
    let result = try await Subprocess.run(
      .path(FilePath(command)), arguments: Arguments(arguments), environment: .custom(values), workingDirectory: "/",
      platformOptions: options, input: .fileDescriptor(request, closeAfterSpawningProcess: true),
      output: .bytes(limit: CredentialLimits.answerBytesMax), error: .discarded)
    guard case .exited(0) = result.terminationStatus else {
      throw VaultFailure.unreachable(name, "its program ended with a failure")
    }
    return result.standardOutput
  }
}
