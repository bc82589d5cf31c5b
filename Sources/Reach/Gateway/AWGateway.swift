import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS
import ServiceLifecycle
import X509

/// The control plane's end of the links: listens, authenticates, fences, routes.
public final class AWGateway: Service {
  public struct Configuration: Sendable {
    public var address: String
    /// 0 takes a free port.
    public var port: Int
    public var identity: TLSIdentity
    /// Gives the next identity when the present one has come to half of its life; nil keeps it to its end.
    public var nextIdentity: (@Sendable () throws -> TLSIdentity)?
    public var authorities: [Certificate]
    public var liveness: Liveness.Policy
    /// How long Connectors spread their return over, when this AW Gateway leaves.
    public var reconnectSpread: Duration
    /// How often each Connector tells of all its Instances.
    public var heartbeatEvery: Duration

    public init(
      address: String, port: Int, identity: TLSIdentity, authorities: [Certificate],
      nextIdentity: (@Sendable () throws -> TLSIdentity)? = nil, liveness: Liveness.Policy = .init(),
      reconnectSpread: Duration = .seconds(2), heartbeatEvery: Duration = .seconds(15)
    ) {
      self.address = address
      self.port = port
      self.identity = identity
      self.authorities = authorities
      self.nextIdentity = nextIdentity
      self.liveness = liveness
      self.reconnectSpread = reconnectSpread
      self.heartbeatEvery = heartbeatEvery
    }
  }

  struct Shared {
    var table = SessionTable()
    var sessions: [String: Session] = [:]
    var draining = false
    /// When links were lost, as far back as counts as together.
    var losses: [ContinuousClock.Instant] = []

    /// Counts one more loss.
    ///
    /// - Returns: how many links were lost together with it, and how many there were before the first of them.
    mutating func lost(at now: ContinuousClock.Instant) -> (together: Int, before: Int) {
      losses.removeAll { now - $0 > LinkLimits.lostTogetherWithin }
      losses.append(now)
      return (losses.count, sessions.count + losses.count)
    }
  }

  /// What new connections are shown.
  struct Presented: Sendable {
    let identity: TLSIdentity
    let tls: GatewayTLS

    init(_ identity: TLSIdentity, _ configuration: Configuration, _ clock: WallClock) throws {
      self.identity = identity
      tls = try LinkTLS.gateway(
        identity: identity, authorities: configuration.authorities, now: { clock.now })
    }
  }

  let configuration: Configuration
  let delegate: any GatewayDelegate
  let clock: WallClock
  let logger: Logger
  let shared = NIOLockedValueBox(Shared())
  let presented: NIOLockedValueBox<Presented>
  private let server: any Channel
  private let arrivals: AsyncStream<Arrival>

  enum Arrival: Sendable {
    case link(Session, control: NIOAsyncChannel<ByteBuffer, ByteBuffer>)
    case enrolment(NIOAsyncChannel<ByteBuffer, ByteBuffer>)
  }

  /// Listens at once, so that the port is known before the first Connector is told of it.
  public static func listen(
    _ configuration: Configuration, delegate: any GatewayDelegate, clock: WallClock, logger: Logger
  ) async throws -> AWGateway {
    let presented = NIOLockedValueBox(try Presented(configuration.identity, configuration, clock))
    let (arrivals, continuation) = AsyncStream<Arrival>.makeStream()
    let liveness = configuration.liveness
    let server: any Channel
    do {
      server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .serverChannelOption(.backlog, value: 1_024)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelInitializer { channel in
          channel.setLinkSocketOptions().flatMap {
            channel.eventLoop.makeCompletedFuture {
              try LinkAcceptor.configure(
                channel, tls: presented.withLockedValue { $0.tls }, liveness: liveness, logger: logger,
                arrived: { continuation.yield($0) })
            }
          }
        }
        .bind(host: configuration.address, port: configuration.port).get()
    } catch {
      throw AWError(
        .portTaken, "The AW Gateway cannot listen on \(configuration.address):\(configuration.port).",
        next: "Free the port, or choose another with --gateway-listen.", cause: error)
    }
    return AWGateway(
      configuration: configuration, delegate: delegate, clock: clock, logger: logger, presented: presented,
      server: server, arrivals: arrivals)
  }

  private init(
    configuration: Configuration, delegate: any GatewayDelegate, clock: WallClock, logger: Logger,
    presented: NIOLockedValueBox<Presented>, server: any Channel, arrivals: AsyncStream<Arrival>
  ) {
    self.configuration = configuration
    self.delegate = delegate
    self.clock = clock
    self.logger = logger
    self.presented = presented
    self.server = server
    self.arrivals = arrivals
  }

  /// The port that Connectors dial.
  public var port: Int { server.localAddress?.port ?? configuration.port }

  /// The routed link of a Host.
  ///
  /// - Throws: `hostOffline` when there is none.
  public func session(of host: HostID) throws -> Session {
    let session = shared.withLockedValue { shared in
      shared.table.route(host).flatMap { shared.sessions[$0] }
    }
    guard let session else { throw Self.offline }
    return session
  }

  /// Said of a Host that has no link.
  public static var offline: AWError {
    AWError(
      .hostOffline, "The Host has no link to this control plane now.",
      next: "Check that its Connector runs and can reach the AW Gateway; it dials again by itself.")
  }

  public func isConnected(_ host: HostID) -> Bool {
    shared.withLockedValue { $0.table.route(host) != nil }
  }

  /// The Hosts that have a link now.
  public var connectedHosts: Set<HostID> { shared.withLockedValue { Set($0.table.entries.keys.map(\.host)) } }

  /// Dials the listener as a Connector would, and hangs up.
  ///
  /// - Throws: when it does not take the connection in time.
  public func dialItself(within deadline: Duration) async throws {
    guard let address = server.localAddress else { throw ChannelError.ioOnClosedChannel }
    try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connectTimeout(.milliseconds(deadline.milliseconds)).connect(to: address).get().close().get()
  }

  /// Ends every link of a Host that may no longer have one.
  public func disconnect(_ host: HostID, reason: String) {
    let sessions = shared.withLockedValue { shared in
      shared.table.connections(of: host).compactMap { shared.sessions[$0] }
    }
    for session in sessions {
      session.note(.revoked, reason)
      session.channel.close(promise: nil)
    }
  }

  public func run() async throws {
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        group.addTask { await cancelWhenGracefulShutdown { await self.renewInTime() } }
        for await arrival in arrivals.cancelOnGracefulShutdown() {
          group.addTask { await self.serve(arrival) }
        }
        try? await self.server.close()
        await self.drain()
      }
    } onGracefulShutdown: {
      self.shared.withLockedValue { $0.draining = true }
    }
  }

  /// Shows new connections a new certificate before the old one has come near its end. Links that are up stay up.
  private func renewInTime() async {
    guard let next = configuration.nextIdentity else { return }
    while !Task.isCancelled {
      let left = presented.withLockedValue { $0.identity.notAfter }.since(clock.now)
      let wait = max(.seconds(60), min(left - Authority.gatewayLifetime / 2, .seconds(24 * 3_600)))
      // Cancellation is how a shutdown interrupts the wait; the loop's condition sees it.
      try? await Task.sleep(for: wait)
      guard presented.withLockedValue({ $0.identity.notAfter }).since(clock.now) <= Authority.gatewayLifetime / 2 else {
        continue
      }
      do {
        let fresh = try Presented(try next(), configuration, clock)
        presented.withLockedValue { $0 = fresh }
        logger.info("the AW Gateway's certificate was renewed", metadata: ["notAfter": "\(fresh.identity.notAfter)"])
      } catch {
        logger.error("the AW Gateway's certificate was not renewed", metadata: ["error": "\(error)"])
      }
    }
  }

  private func serve(_ arrival: Arrival) async {
    switch arrival {
    case .link(let session, let control): await LinkConversation(gateway: self, session: session).run(control)
    case .enrolment(let channel): await EnrolmentConversation(delegate: delegate, logger: logger).run(channel)
    }
  }

  /// Ends the links that are left; their conversations have said goodbye when they saw the shutdown.
  private func drain() async {
    let sessions = shared.withLockedValue { Array($0.sessions.values) }
    for session in sessions {
      session.note(.drain, "the control plane is shutting down")
      session.channel.close(promise: nil)
    }
  }
}
