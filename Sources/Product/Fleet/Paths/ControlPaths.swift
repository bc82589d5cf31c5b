import Addresses
import Basics
import Foundation
import Gateway
import Link
import Logging
import NIOCore
import OpenClaw
import Paths
import ServiceLifecycle
import Vault

/// Reaches the port of one Instance through its Host's link.
struct LinkWay: ControlWay {
  let gateway: AWGateway
  let host: HostID
  let instance: InstanceID

  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await OpeningTimes.measure(.stream) {
      try await gateway.open(.openClaw(instance), on: host) { stream in initialize(stream) }
    }
  }

  func look() async throws -> JSONValue {
    let session = try gateway.session(of: host)
    var seen: [String: JSONValue] = [
      "path": .string(PathKind.gateway.rawValue), "connection": .string(session.connection),
      "connections": .integer(Int64(gateway.connections(of: host))),
    ]
    if let roundTrip = session.roundTrip {
      seen[CheckResult.roundTripKey] = .integer(Int64(roundTrip / .microseconds(1)))
    }
    return .object(seen)
  }
}

/// The control paths in use: gives each Instance's, and keeps what runs for it.
public actor ControlPaths: Service {
  /// How often paths that were switched away from are looked through.
  static let reapEvery = Duration.seconds(5)

  public nonisolated let gateway: AWGateway
  private let vault: Vault
  private let folder: String
  private let resolver: AddressResolver
  private let timer: any Clock<Duration>
  private let logger: Logger
  private var current: [InstanceID: Kept] = [:]
  private var retired: [(kept: Kept, until: ContinuousClock.Instant)] = []

  /// A path that is ready to be used.
  struct Kept: Sendable {
    let instance: InstanceID
    let path: ControlPath
    let port: Int?
    let way: any ControlWay

    func serves(_ other: Instance) -> Bool { instance == other.id && path == other.path && port == other.port }

    /// Ends what runs for it, here and on the Host.
    func close(_ logger: Logger) async {
      if let forward = way as? SSHForward { await forward.close() }
      guard let tunnel = (way as? TunnelledWay)?.tunnel else { return }
      do {
        try await tunnel.end()
      } catch {
        logger.warning(
          "the Host was not told to end a cloudflared", metadata: ["instance": "\(instance)", "error": "\(error)"])
      }
    }
  }

  /// - Parameter folder: for the sockets and keys of ssh forwards; emptied here.
  public init(
    gateway: AWGateway, vault: Vault, folder: String, resolver: AddressResolver = .system,
    timer: any Clock<Duration> = ContinuousClock(), logger: Logger
  ) throws {
    self.gateway = gateway
    self.vault = vault
    self.folder = folder
    self.resolver = resolver
    self.timer = timer
    self.logger = logger
    do {
      if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw AWError(
        .dataUnwritable, "The folder \(folder) of the control paths cannot be made anew.",
        next: "Check that it belongs to the user that runs AW.", cause: error)
    }
  }

  /// The path of an Instance, as it is recorded. A caller whose record is a little older than a switch gets the path
  /// that it knows, which stays for what is under way.
  func way(to instance: Instance) async throws -> any ControlWay {
    if case .gateway = instance.path {
      return LinkWay(gateway: gateway, host: instance.host, instance: instance.id)
    }
    if let kept = kept(for: instance) { return kept.way }
    var secrets: [Secret] = []
    for reference in instance.path.references { secrets.append(try await vault.get(SecretReference(reference))) }
    // Somebody else may have asked for the same meanwhile.
    if let kept = kept(for: instance) { return kept.way }
    let made = try make(instance, secrets)
    adopt(made)
    return made.way
  }

  /// The same Instance over a path that is not recorded yet.
  ///
  /// - Parameter secrets: of the path's references, in their order.
  func make(_ instance: Instance, _ secrets: [Secret]) throws -> Kept {
    let way: any ControlWay
    switch instance.path {
    case .gateway: way = LinkWay(gateway: gateway, host: instance.host, instance: instance.id)
    case .ssh(let server, let key):
      guard let port = instance.port, let secret = secrets.first else {
        throw AWError(
          .conflict, "The Instance '\(instance.slug)' has no port on its Host yet.", next: "Provision it first.")
      }
      let forward = SSHForward(
        .init(server: server, key: key, port: port), key: secret, folder: folder, timer: timer, logger: logger)
      forward.start()
      way = forward
    case .cloudflared(let hostname, _, let tunnel):
      let direct = try HostnameWay(hostname, clientID: secrets[0], clientSecret: secrets[1], resolver: resolver)
      way =
        try tunnel.map {
          TunnelledWay(hostname: direct, tunnel: try HostTunnel($0, of: instance, gateway: gateway))
        } ?? direct
    }
    return Kept(instance: instance.id, path: instance.path, port: instance.port, way: way)
  }

  /// From now on the Instance's path. The one before stays a while for what is under way on it.
  func adopt(_ kept: Kept) {
    let old = current.removeValue(forKey: kept.instance)
    if case .gateway = kept.path {} else { current[kept.instance] = kept }
    if let old { retired.append((old, ContinuousClock.now + PathLimits.drainFor)) }
  }

  /// Ends the path of an Instance that is gone.
  func close(_ id: InstanceID) async {
    let gone = [current.removeValue(forKey: id)].compactMap { $0 } + retired.map(\.kept).filter { $0.instance == id }
    retired.removeAll { $0.kept.instance == id }
    for kept in gone { await kept.close(logger) }
  }

  /// Ends a path that was made and not adopted.
  func drop(_ kept: Kept) async { await kept.close(logger) }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      while (try? await self.timer.sleep(for: Self.reapEvery)) != nil { await self.reap() }
    }
    let (inUse, over) = (Array(current.values), retired.map(\.kept))
    (current, retired) = ([:], [])
    for kept in over { await kept.close(logger) }
    // What a Host runs for the paths in use goes on without this control plane.
    for kept in inUse { if let forward = kept.way as? SSHForward { await forward.close() } }
  }

  private func reap() async {
    let now = ContinuousClock.now
    let over = retired.filter { $0.until <= now }
    retired.removeAll { $0.until <= now }
    for one in over { await one.kept.close(logger) }
  }

  private func kept(for instance: Instance) -> Kept? {
    if let kept = current[instance.id], kept.serves(instance) { return kept }
    return retired.first { $0.kept.serves(instance) }?.kept
  }
}
