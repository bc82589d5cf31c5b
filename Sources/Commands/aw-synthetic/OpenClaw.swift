import ArgumentParser
import Foundation
import Synthetic

/// The verbs of the real command line that AW uses.
struct OpenClaw: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openclaw", abstract: "The command line of OpenClaw.", version: OpenClawCommands.versionLine,
    subcommands: [GatewayCommand.self, Devices.self, Config.self, Health.self])

  struct Devices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Paired devices and pairing requests.", subcommands: [List.self, Approve.self])

    struct List: AsyncParsableCommand {
      @Flag(help: "Answer as one JSON document.") var json = false

      func run() async throws { throw ExitCode(commands.listDevices(json: json)) }
    }

    struct Approve: AsyncParsableCommand {
      @Argument(help: "The request to approve.") var requestID: String
      @Flag(help: "Answer as one JSON document.") var json = false

      func run() async throws { throw ExitCode(commands.approve(requestID: requestID, json: json)) }
    }
  }

  struct Config: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The config file.", subcommands: [Validate.self])

    struct Validate: AsyncParsableCommand {
      @Flag(help: "Answer as one JSON document.") var json = false

      func run() async throws { throw ExitCode(commands.validateConfig(json: json)) }
    }
  }

  struct Health: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The health of the running Gateway.")

    @Flag(help: "Answer as one JSON document.") var json = false
    @Option(help: "Milliseconds to wait.") var timeout: Int64 = 10_000

    func run() async throws { throw ExitCode(await commands.health(json: json, timeoutMilliseconds: timeout)) }
  }
}

private var commands: OpenClawCommands { OpenClawCommands(environment: ProcessInfo.processInfo.environment) }
