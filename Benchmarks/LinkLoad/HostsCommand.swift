import ArgumentParser
import Basics
import Connector
import Deployment
import Foundation
import Link
import Logging
import ServiceLifecycle
import UnixSignals

/// Many Connectors in one process. Whatever Instance is asked for, it is the port of `--origin`.
struct HostsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hosts", abstract: "Connectors, one for each ticket on standard input and each identity kept.")

  @Option(help: "Where the identities are kept.") var data: String
  @Option(help: "ADDRESS:PORT of the AW Gateway.") var gateway: String
  @Option(help: "The port of 127.0.0.1 that stands for every Instance.") var origin: Int
  @Option(help: "How many connections each keeps.") var connections = 1
  @Option(help: "Take only the first so many of the identities kept.") var first = Int.max
  @Option(help: "Start so many in a second; without it all at once.") var perSecond: Int?
  @Flag(help: "End when all tickets are redeemed.") var enrolOnly = false

  /// Enrolments under way at once: each waits for the other end most of the time.
  private static let enrolmentsMax = 16

  func run() async throws {
    var logger = Logger(label: "link-load", factory: ConsoleLog.factory(level: .notice, format: .text))
    logger.logLevel = .notice
    let address = try ControlPlaneSettings.Listen(gateway)
    var tickets: [EnrolmentTicket] = []
    while let line = readLine(), !line.isEmpty {
      tickets.append(try EnrolmentTicket(line.trimmingCharacters(in: .whitespaces)))
    }
    try await redeem(tickets, at: address, logger)
    if enrolOnly { return }
    let runtime = FixedRuntime(port: origin)
    let connectors = try (0..<min(first, kept)).map { number in
      LateStarter(
        service: try Connector(
          configuration: .init(directory: "\(data)/\(number)", program: "link-load", connections: connections),
          runtimes: Runtimes([runtime], logger: logger), logger: logger),
        after: perSecond.map { .seconds(Double(number) / Double($0)) } ?? .zero)
    }
    try FileHandle.standardOutput.write(contentsOf: Data("dialling\n".utf8))
    try await ServiceGroup(
      services: connectors, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    ).run()
  }

  /// How many identities there are.
  private var kept: Int { (try? FileManager.default.contentsOfDirectory(atPath: data).count) ?? 0 }

  private func redeem(
    _ tickets: [EnrolmentTicket], at address: ControlPlaneSettings.Listen, _ logger: Logger
  ) async throws {
    let before = kept
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, ticket) in tickets.enumerated() {
        if index >= Self.enrolmentsMax { try await group.next() }
        let directory = "\(data)/\(before + index)"
        group.addTask {
          _ = try await Enrolment.enrol(
            directory: directory, address: address.address, port: address.port, ticket: ticket, program: "link-load",
            logger: logger)
        }
      }
      try await group.waitForAll()
    }
  }
}

/// Waits before it starts. Thousands of Connectors that share this process also share its processor, which the machines
/// of a fleet do not.
private struct LateStarter: Service {
  let service: Connector
  let after: Duration

  func run() async throws {
    await cancelWhenGracefulShutdown { try? await Task.sleep(for: after) }
    guard !Task.isShuttingDownGracefully else { return }
    try await service.run()
  }
}

/// Every Instance is one port of this machine.
struct FixedRuntime: InstanceRuntime {
  let kind = RuntimeKind.process
  let port: Int

  private var state: RunState { RunState(phase: .running, port: port) }

  func availability() async -> RuntimeAvailability {
    .init(kind: .process, available: true, detail: "one port for every Instance")
  }
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState { state }
  func start(_ instance: InstanceID) async throws -> RunState { state }
  func stop(_ instance: InstanceID) async throws -> RunState { state }
  func inspect(_ instance: InstanceID) async throws -> RunState { state }
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState { state }
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] { [] }
  func approveDevice(_ instance: InstanceID, request: String) async throws {}
  func instances() async throws -> [InstanceID] { [] }
}
