import Access
import Basics
import Client
import Credentials
import Evidence
import Fleet
import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Onboarding
import ServiceLifecycle
import Store
import UnixSignals
import Web

extension ControlPlane {
  /// A control plane that answers.
  public struct Running: Sendable {
    /// What browsers use: `http://127.0.0.1:7080`.
    public let url: String
    public let context: ContextFile
    /// Asks everything to end, as SIGTERM does.
    public let stop: @Sendable () async -> Void
  }

  /// How late the end of a validation may be recorded.
  static let settleEvery = Duration.seconds(60)
  static let sweepEvery = Duration.seconds(3_600)

  /// Runs until SIGTERM or SIGINT, or until `beside` ends with an error.
  ///
  /// - Parameter beside: other services of this process, such as the Connector of `aw up`; ended before the control
  ///   plane's own. They begin when the control plane answers.
  public func run(beside: @escaping @Sendable (Running) async throws -> [any Service]) async throws {
    let socket = try directory.socket()
    // The directory is held, so whatever is there was left by a process that is gone.
    try? FileManager.default.removeItem(atPath: socket)
    let console = try await Self.reserve(settings.console)
    let url = settings.publicURL ?? "http://" + settings.console.text(port: console.port)
    let server = try server(publicURL: url)
    let (answering, answers) = AsyncStream<Void>.makeStream()
    let network = server.application(address: console.address) { _ in answers.yield() }
    let local = server.application(address: .unixDomainSocket(path: socket)) { _ in answers.yield() }
    let whole = Late<ServiceGroup>()
    let running = Running(
      url: url, context: ContextFile(url: url, socket: socket, evidence: directory.evidence),
      stop: { await whole.value?.triggerGracefulShutdown() })
    let contextPath = directory.context
    let guests = Loop("guests") {
      var servers = 2
      for await _ in answering {
        servers -= 1
        if servers == 0 { break }
      }
      try Task.checkCancellation()
      try running.context.save(to: contextPath)
      try await Self.run(try await beside(running))
    }
    let services =
      own.map { ServiceGroupConfiguration.ServiceConfiguration(service: $0) }
      + [
        .init(service: network), .init(service: local),
        .init(service: guests, failureTerminationBehavior: .gracefullyShutdownGroup),
      ]
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    whole.set(group)
    // Before anybody is answered, so that the record says who was there when it grew.
    try await heartbeat.begin()
    defer { try? FileManager.default.removeItem(atPath: socket) }
    do {
      try await group.run()
    } catch {
      await store.close()
      throw error
    }
    await store.close()
  }

  /// Runs the guests until the shutdown, which reaches each of them.
  private static func run(_ services: [any Service]) async throws {
    guard !services.isEmpty else { return try await gracefulShutdown() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for service in services { group.addTask { try await service.run() } }
      try await group.waitForAll()
    }
  }

  /// The control plane's own services, in the order in which they start; they stop in reverse.
  private var own: [any Service] {
    let (publisher, access, fleet, intake, logger) = (publisher, access, fleet, intake, logger)
    let (ledger, heartbeat) = (onboardingLedger, heartbeat)
    let keeper = HygieneKeeper(hygiene: hygiene, log: evidence, store: store, clock: clock, logger: logger)
    return [
      Loop("evidence") { await cancelWhenGracefulShutdown { await publisher.run() } },
      // Everything that may add entries has ended before this one says that it ends.
      Loop("heartbeats") {
        await cancelWhenGracefulShutdown { await heartbeat.run() }
        await heartbeat.end()
      },
      Loop("hygiene") { await cancelWhenGracefulShutdown { await keeper.run() } },
      // They end in reverse: what this one watches and works on is let go before it is handed over, and handed over
      // before the links are drained.
      feed, gateway, authorities, paths, nodes, engine, alertsEngine, samples, watch, linkWatch,
      FleetMetrics(reader: reader, evidence: evidence, factory: metrics, logger: logger),
      Loop("onboarding") {
        await cancelWhenGracefulShutdown {
          repeat {
            do {
              try await ledger.settleAll()
            } catch {
              logger.warning("Onboardings could not be looked at", metadata: ["error": "\(error)"])
            }
          } while (try? await Task.sleep(for: Self.settleEvery)) != nil
        }
      },
      Loop("sweep") {
        await cancelWhenGracefulShutdown {
          repeat {
            do {
              _ = try await access.sweep()
              try await fleet.forgetOrphanedSecrets()
              try await intake.sweepSealingKeys()
            } catch {
              logger.warning("What nobody needs any more could not be swept", metadata: ["error": "\(error)"])
            }
          } while (try? await Task.sleep(for: Self.sweepEvery)) != nil
        }
      },
    ]
  }

  /// Finds out before anything starts whether the console can listen, so that the error says so by name.
  private static func reserve(
    _ listen: ControlPlaneSettings.Listen
  ) async throws -> (address: BindAddress, port: Int) {
    do {
      let port = try await listen.freePort()
      return (.hostname(listen.address, port: port), port)
    } catch {
      throw AWError(
        .portTaken, "The console cannot listen on \(listen.address):\(listen.port).",
        next: "Free the port, or choose another with --listen.", cause: error)
    }
  }
}

/// Something that runs as long as the process does.
struct Loop: Service {
  let name: String
  let body: @Sendable () async throws -> Void

  init(_ name: String, body: @escaping @Sendable () async throws -> Void) {
    self.name = name
    self.body = body
  }

  func run() async throws { try await body() }
}
