import ArgumentParser
import Basics
import Deployment
import Foundation
import SecretExec

/// The one program of AW: the control plane, the Connector, and the verbs of operators.
@main
struct AW: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aw",
    abstract: "The control plane for people who run OpenClaw for other organisations.",
    discussion: """
      Try it:        aw up
      For real:      aw serve, then 'aw host enroll NAME' and its line on each machine.
      Every verb takes --json. Every verb that changes something takes --dry-run.
      A name is made of a-z, 0-9 and '-', up to 40 characters.
      Exit codes: 0 fine, 1 failed, 2 usage, 3 something is degraded or worse (status, path check),
      4 refused by policy.
      """,
    version: Release.version,
    groupedSubcommands: [
      CommandGroup(name: "Run", subcommands: [Up.self, Serve.self, Connect.self, SecretExecCommand.self]),
      CommandGroup(
        name: "Look",
        subcommands: [
          StatusCommand.self, NodeCommands.self, LossCommands.self, AlertCommands.self, EvidenceCommands.self,
          DoctorCommand.self,
        ]),
      CommandGroup(
        name: "Change",
        subcommands: [
          OrgCommands.self, BaselineCommands.self, HandoffCommands.self, CredentialCommands.self, GateCommands.self,
          ProgrammeCommands.self, ProveCommand.self, HostCommands.self, InstanceCommands.self, PathCommands.self,
          AuthorityCommands.self, ApprovalCommands.self, EmergencyCommands.self,
          OperatorCommands.self, VaultCommands.self,
        ]),
    ])

  static func main() async {
    var json = false
    do {
      // Every verb can hold a secret: a control plane and a Connector do for as long as they run.
      guard MemoryDumps.forbid() else {
        throw AWError(
          .internalFailure, "The kernel does not let this process keep its memory out of core dumps.",
          next: "Look at what confines it, such as a seccomp profile that refuses prctl or setrlimit.")
      }
      var command = try parseAsRoot()
      json = (command as? any JSONAnswering)?.output.json ?? false
      if var verb = command as? any AsyncParsableCommand {
        try await verb.run()
      } else {
        try command.run()
      }
    } catch {
      end(with: error, json: json)
    }
  }

  /// The one place where an error becomes words and an exit code.
  private static func end(with error: any Error, json: Bool) -> Never {
    if let code = error as? ExitCode { Foundation.exit(code.rawValue) }
    if exitCode(for: error) == .success {
      Console.line(fullMessage(for: error))
      Foundation.exit(0)
    }
    // What the argument parser throws is about usage: its code is 64, AW's is 2.
    if !(error is AWError), !(error is any ExplainedError), exitCode(for: error) == .validationFailure {
      Console.complain(fullMessage(for: error))
      Foundation.exit(2)
    }
    let problem = AWError.wrapping(error, doing: "The command")
    Console.show(problem, json: json)
    Foundation.exit(problem.code.exitCode)
  }
}
