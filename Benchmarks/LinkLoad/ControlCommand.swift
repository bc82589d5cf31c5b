import ArgumentParser
import Basics
import Deployment
import Fleet
import Foundation
import Logging

/// The control plane of `aw serve`, with one thing more: connections to `--forward` go through the link.
struct ControlCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "control", abstract: "A control plane that forwards connections through its links.")

  @Option(help: "Where the data is kept.") var data: String
  @Option(help: "ADDRESS:PORT of the console.") var listen: String
  @Option(help: "ADDRESS:PORT for Hosts.") var gatewayListen: String
  @Option(help: "The same, as Hosts reach it.") var gatewayAddress: String?
  @Option(help: "The model endpoint of synthetic Orgs.") var fixtureModel: String?
  @Option(help: "A file with the key of that endpoint.") var fixtureModelKeyFile: String?
  @Option(help: "ADDRESS:PORT or the path of a socket, for connections to forward.") var forward: String
  @Option(help: "A file that holds 'HOST-ID INSTANCE-ID': where they go. Read anew for each.") var target: String

  func run() async throws {
    var settings = ControlPlaneSettings()
    settings.console = try .init(listen)
    settings.gateway = try .init(gatewayListen)
    settings.gatewayAddress = gatewayAddress
    if let fixtureModel, let url = URL(string: fixtureModel) {
      let key = try fixtureModelKeyFile.map { try String(contentsOfFile: $0, encoding: .utf8) } ?? ""
      settings.model = FixtureModel(url: url, key: Secret(key.trimmingCharacters(in: .whitespacesAndNewlines)))
    }
    var logger = Logger(label: "link-load", factory: ConsoleLog.factory(level: .info, format: .text))
    logger.logLevel = .info
    let control = try await ControlPlane.open(try DataDirectory(data), settings, logger: logger)
    let forwarder = Forwarder(gateway: control.gateway, listen: forward, target: target, logger: logger)
    try await control.run { _ in [forwarder] }
  }
}
