import ArgumentParser
import Foundation
import Synthetic

/// One program with two faces: its own, and that of `openclaw` when it is called by that name.
@main
struct AwSynthetic: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aw-synthetic", abstract: "Stand-ins for what AW talks to: an OpenClaw Gateway and a model.",
    subcommands: [GatewayCommand.self, ModelCommand.self, OpenClaw.self])

  static func main() async {
    let name = CommandLine.arguments.first.map { ($0 as NSString).lastPathComponent }
    if name == "openclaw" { await OpenClaw.main(nil) } else { await Self.main(nil) }
  }
}

struct GatewayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "Run the Gateway of the state directory that the environment names.")

  @Option(help: "Port to listen on.") var port: Int?
  @Option(help: "loopback, lan, auto or custom.") var bind: String?
  @Flag(help: "Start without gateway.mode in the config.") var allowUnconfigured = false
  @Option(help: "A fault to start with, KIND or KIND=ARGUMENT; may be repeated.") var fault: [String] = []

  func run() async throws {
    let program = GatewayProgram(port: port, bind: bind, allowUnconfigured: allowUnconfigured, faults: fault)
    throw ExitCode(await program.run(environment: ProcessInfo.processInfo.environment))
  }
}

struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Run an OpenAI-compatible model endpoint that always says the same.")

  @Option(help: "Port to listen on; 0 picks a free one.") var port: Int
  @Option(help: "Address to listen on.") var host = "127.0.0.1"
  @Flag(help: "End when standard input is closed.") var untilStdinCloses = false

  func run() async throws {
    throw ExitCode(
      await ModelProgram(host: host, port: port, untilInputCloses: untilStdinCloses)
        .run(environment: ProcessInfo.processInfo.environment))
  }
}
