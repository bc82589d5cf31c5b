import Basics
import Connector
import Foundation
import Link
import Logging
import ServiceLifecycle
import UnixSignals

/// The Connector of one machine, put together with its runtimes.
public struct HostProgram: Sendable {
  public struct Settings: Sendable {
    /// The path or name of `openclaw`; nil looks for it on the search path.
    public var openClaw: String?
    /// What goes between the program and its verbs, such as a script for an interpreter.
    public var openClawArguments: [String] = []
    public var dockerSocket = "/var/run/docker.sock"
    /// The path or name of `cloudflared`; nil looks for it on the search path when one is asked for.
    public var cloudflared: String?
    /// The path of `aw-secret-exec`; nil looks for it beside this program.
    public var secretExec: String?
    /// Each Instance of the process runtime as a system user of its own; root only.
    public var ownUsers = false
    /// How many connections to keep to the AW Gateway.
    public var connections = LinkLimits.connectionsDefault
    /// Where to dial it, one address for each connection in turn; empty takes that of the enrolment.
    public var gateways: [ControlPlaneSettings.Listen] = []
    /// The proxies on the way there.
    public var proxies = ProxyChoice.none
    /// Ends the Instances when the Connector is asked to end; the next one starts them again.
    public var haltsInstances = false

    public init() {}

    /// - Parameters:
    ///   - url: of the proxy for every dial; nil leaves it to the environment.
    ///   - environment: its `https_proxy` and `no_proxy` count.
    /// - Throws: `usage` for what is no URL of a proxy.
    public mutating func useProxy(_ url: String?, password: Secret?, environment: [String: String]) throws {
      let always = try url.map { try ForwardProxy(url: $0, password: password) }
      proxies = try ProxyChoice(always: always, environment: environment)
    }
  }

  /// The directory in which a machine keeps its identity and its Instances.
  public let directory: String
  let settings: Settings
  let clock: WallClock
  let logger: Logger

  public init(directory: String, settings: Settings, clock: WallClock = .system, logger: Logger) {
    self.directory = directory
    self.settings = settings
    self.clock = clock
    self.logger = logger
  }

  public var isEnrolled: Bool { HostState.exists(in: directory) }

  /// The Host that this machine is.
  public var slug: Slug { get throws { try HostState.load(from: directory).slug } }

  /// The port of the AW Gateway that this machine dials; nil when it is not enrolled.
  var gatewayPort: Int? {
    get throws { isEnrolled ? try HostState.load(from: directory).gatewayPort : nil }
  }

  /// Redeems a ticket, and keeps what it is given in the directory.
  @discardableResult
  public func enrol(at gateway: ControlPlaneSettings.Listen, ticket: EnrolmentTicket) async throws -> Slug {
    try await Enrolment.enrol(
      directory: directory, address: gateway.address, port: gateway.port, ticket: ticket, program: Release.program,
      proxies: settings.proxies, clock: clock, logger: logger
    ).slug
  }

  /// Keeps the link until SIGTERM or SIGINT.
  public func run() async throws {
    try await ServiceGroup(
      services: [try connector()], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    ).run()
  }

  /// The service that keeps the link. It ends only when it is asked to.
  public func connector() throws -> any Service {
    let (broker, secrets) = try secretParts()
    let runtimes = Runtimes(
      [
        ProcessRuntime(
          dataDirectory: directory, program: settings.openClaw, programArguments: settings.openClawArguments,
          ownUser: settings.ownUsers, clock: clock, secrets: secrets, logger: logger),
        DockerRuntime(
          socket: settings.dockerSocket, dataDirectory: directory, clock: clock, secrets: secrets, logger: logger),
      ], tunnels: Tunnels(directory: directory, program: settings.cloudflared, logger: logger), secrets: broker,
      logger: logger)
    return try Connector(
      configuration: .init(
        directory: directory, program: Release.program, connections: settings.connections,
        gateways: settings.gateways.map { .init(address: $0.address, port: $0.port) },
        proxies: settings.proxies, haltsInstances: settings.haltsInstances),
      runtimes: runtimes, clock: clock, logger: logger)
  }

  /// What resolves the secrets of Instances; nothing where the program for it is not installed.
  private func secretParts() throws -> (SecretBroker?, SecretSource?) {
    let beside = Bundle.main.executableURL?.resolvingSymlinksInPath().deletingLastPathComponent().path
    guard let program = settings.secretExec ?? beside.map({ $0 + "/aw-secret-exec" }),
      FileManager.default.isExecutableFile(atPath: program)
    else {
      logger.notice("aw-secret-exec is not installed beside aw: Instances here cannot resolve secrets through AW")
      return (nil, nil)
    }
    let broker = SecretBroker(
      directory: directory, key: try HostState.load(from: directory).key.secret, clock: clock, logger: logger)
    return (broker, SecretSource(broker: broker, program: program))
  }
}
