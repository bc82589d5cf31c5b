import ArgumentParser
import Deployment

struct DoctorCommand: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Look for what is wrong with this machine and its control plane.",
    discussion: "Exit code 1 when something is wrong. It changes nothing.")

  @Option(help: ArgumentHelp("The Docker Engine's socket.", valueName: "path"), completion: .file())
  var dockerSocket = "/var/run/docker.sock"
  @OptionGroup var context: ContextOptions
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let findings = await Doctor(
      contextPath: context.path, isNamed: context.isNamed, dockerSocket: dockerSocket
    ).examine()
    if output.json {
      try Console.json(findings)
    } else {
      for finding in findings {
        let mark =
          switch finding.verdict {
          case .fine: "✓"
          case .note: "·"
          case .wrong: "✗"
          }
        Console.line("\(mark) \(finding.what.column(14)) \(finding.detail)")
        if let next = finding.next { Console.line("    → \(next)") }
      }
    }
    if findings.contains(where: { $0.verdict == .wrong }) { throw ExitCode.failure }
  }
}
