import Basics
import Fleet
import Foundation
import Link
import Logging
import Vault

/// What `aw up` settles before the control plane is opened: ports that stay the same from run to run, the model
/// endpoint, and which OpenClaw to run.
public struct DemoSetup: Sendable {
  /// What is kept in `demo.json`.
  private struct Kept: Codable {
    var modelPort: Int
  }

  public let model: FixtureModelProgram
  public let settings: Demo.Settings
  /// The control plane's settings, with the ports settled.
  public let control: ControlPlaneSettings
  /// What will run as OpenClaw, for the operator.
  public let openClaw: String

  /// - Parameters:
  ///   - listen: where the console is to listen; nil takes the usual port, or a free one when that is taken.
  /// - Throws: `runtimeProgramMissing` when the stand-ins are not installed beside this program.
  public init(
    _ directory: DataDirectory, _ given: Demo.Settings, listen: ControlPlaneSettings.Listen?, logger: Logger
  ) async throws {
    guard let stand = FixtureModelProgram.path else {
      throw AWError(
        .runtimeProgramMissing, "The program '\(FixtureModelProgram.name)' is not beside this one.",
        next: "Build or install it: it holds the model endpoint that synthetic Orgs talk to.")
    }
    var (settings, control) = (given, ControlPlaneSettings())
    if let program = given.host.openClaw {
      openClaw = program
    } else if let found = Self.onSearchPath("openclaw") {
      openClaw = found
    } else {
      settings.host.openClaw = stand
      settings.host.openClawArguments = ["openclaw"]
      openClaw = "\(stand) (a synthetic stand-in: no 'openclaw' is on the search path)"
    }
    let enrolled = HostProgram(directory: directory.host, settings: settings.host, logger: logger)
    if let port = try enrolled.gatewayPort {
      control.gateway.port = port
    } else {
      control.gateway.port = try await Self.settle(ControlPlaneSettings.gatewayPort)
    }
    control.console =
      if let listen { listen } else {
        .init(address: "127.0.0.1", port: try await Self.settle(ControlPlaneSettings.consolePort))
      }
    let vault = try directory.openVault()
    let key = try await vault.putIfAbsent(try SecretReference("demo/model-key")) { .randomHex(byteCount: 24) }
    // Containers reach the machine by the address of their bridge, never by its loopback.
    model = try FixtureModelProgram(
      program: stand, address: given.runtime == .docker ? "0.0.0.0" : "127.0.0.1",
      port: try await Self.modelPort(directory), key: key, logger: logger)
    control.model = model.model
    control.vendors = model.vendors
    self.settings = settings
    self.control = control
  }

  private static func modelPort(_ directory: DataDirectory) async throws -> Int {
    let path = directory.path + "/demo.json"
    if let data = FileManager.default.contents(atPath: path),
      let kept = try? JSONDecoder().decode(Kept.self, from: data)
    {
      return kept.modelPort
    }
    let port = try await settle(0)
    do {
      try JSONEncoder().encode(Kept(modelPort: port)).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw DataDirectory.unwritable(directory.path, error)
    }
    return port
  }

  /// The wanted port when it is free, else one that is.
  private static func settle(_ wanted: Int) async throws -> Int {
    do {
      return try await ControlPlaneSettings.Listen(address: "127.0.0.1", port: wanted).freePort()
    } catch  where wanted != 0 {
      return try await settle(0)
    }
  }

  private static func onSearchPath(_ name: String) -> String? {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }
}
