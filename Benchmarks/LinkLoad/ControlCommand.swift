import ArgumentParser
import Basics
import Deployment
import Fleet
import Foundation
import Gateway
import Logging
import ServiceLifecycle

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
  @Flag(help: "Tell on standard output of every registration: how many there were, refused, stale.") var tell = false

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
    let services: [any Service] = tell ? [forwarder, RegistrationTeller(gateway: control.gateway)] : [forwarder]
    try await control.run { _ in services }
  }
}

/// Tells how many registrations there were, whenever that has changed: what a storm is timed by.
struct RegistrationTeller: Service {
  let gateway: AWGateway

  private static let every = Duration.milliseconds(10)

  func run() async throws {
    try await cancelWhenGracefulShutdown { try await tell() }
  }

  private func tell() async throws {
    var told: [Int64] = []
    while !Task.isCancelled {
      let counts = gateway.registrations
      let now = [LinkFigures.Registration.registered, .refused, .stale].map { counts[$0] ?? 0 }
      if now != told {
        told = now
        let line = now.map(String.init).joined(separator: " ") + "\n"
        try FileHandle.standardOutput.write(contentsOf: Data(line.utf8))
      }
      // Cancelled is over.
      try? await Task.sleep(for: Self.every)
    }
  }
}
