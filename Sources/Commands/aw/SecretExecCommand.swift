import ArgumentParser
import SecretExec

struct SecretExecCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secret-exec",
    abstract: "Resolve secrets for OpenClaw, by its exec protocol.",
    discussion: """
      OpenClaw runs this as a secret provider of source exec: a request on standard input, the reply on standard \
      output. It asks the Connector of this Host, at the socket of one Instance, and ends within 4 s. Instances are \
      given the same as a small program of its own, aw-secret-exec.
      """)

  @Option(help: ArgumentHelp("The socket of the Instance on this Host.", valueName: "path"))
  var socket: String

  func run() throws {
    let code = SecretExec.run(["--socket", socket])
    if code != 0 { throw ExitCode(code) }
  }
}
