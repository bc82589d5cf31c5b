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
    /// Those to begin with, see `AWGateway.present`.
    public var authorities: Authorities
    public var liveness: Liveness.Policy
    /// How long Connectors spread their return over at least, when this AW Gateway leaves.
    public var reconnectSpread: Duration
    /// How often each Connector tells of all its Instances.
    public var heartbeatEvery: Duration
    /// How often the paths of all connections are measured.
    public var pathsEvery = PathPolicy.every
    /// See `LinkLimits`.
    public var bufferedBytesPerConnectorMax = LinkLimits.bufferedBytesPerConnectorMax
    public var bufferedBytesMax = LinkLimits.bufferedBytesMax
    /// Names this control plane among those that serve the same fleet; nil where there is no other.
    public var node: String?

    public init(
      address: String, port: Int, authorities: Authorities, liveness: Liveness.Policy = .init(),
      reconnectSpread: Duration = .seconds(2), heartbeatEvery: Duration = .seconds(15)
    ) {
      self.address = address
      self.port = port
      self.authorities = authorities
      self.liveness = liveness
      self.reconnectSpread = reconnectSpread
      self.heartbeatEvery = heartbeatEvery
    }
  }

  struct Shared {
    var table = SessionTable()
    var sessions: [String: Session] = [:]
    var counts = LinkFigures.Counts()
    var freed = FreedMemory()
    /// By Host and slot: what is known of the path, from one connection to the next.
    var paths: [HostID: [Int: PathWatch]] = [:]
    /// Every AW Gateway of the fleet, as Connectors are told.
    var gateways: [GatewayAddress] = []
    /// Which Hosts lost a connection when, as far back as counts as together.
    var losses: [(at: ContinuousClock.Instant, host: HostID)] = []

    /// Counts one more loss.
    ///
    /// - Returns: how many Hosts lost a connection together with this one, and how many had one before the first.
    mutating func lost(_ host: HostID, at now: ContinuousClock.Instant) -> (together: Int, before: Int) {
      losses.removeAll { now - $0.at > LinkLimits.lostTogetherWithin }
      losses.append((now, host))
      let hosts = Set(losses.map(\.host))
      return (hosts.count, table.linked + hosts.count { table.connections(of: $0).isEmpty })
    }

    /// The connection of a Host that a new stream goes to.
    func route(_ host: HostID) -> Session? {
      table.route(host) { sessions[$0]?.load }.flatMap { sessions[$0] }
    }
  }

  /// What new connections are shown, and whom they are believed from.
  struct Presented: Sendable {
    let authorities: Authorities
    let identity: TLSIdentity
    let tls: GatewayTLS

    init(_ authorities: Authorities, _ clock: WallClock) throws {
      self.authorities = authorities
      identity = try authorities.signer.gatewayIdentity(at: clock.now)
      tls = try LinkTLS.gateway(identity: identity, authorities: authorities, now: { clock.now })
    }
  }

  let configuration: Configuration
  let delegate: any GatewayDelegate
  let clock: WallClock
  let logger: Logger
  let shared = NIOLockedValueBox(Shared())
  let presented: NIOLockedValueBox<Presented>
  let caps: BufferCaps
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
    let presented = NIOLockedValueBox(try Presented(configuration.authorities, clock))
    let (arrivals, continuation) = AsyncStream<Arrival>.makeStream()
    let liveness = configuration.liveness
    let caps = BufferCaps(
      perConnectorMax: configuration.bufferedBytesPerConnectorMax, max: configuration.bufferedBytesMax)
    let queue = HandshakeQueue()
    let server: any Channel
    do {
      server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .serverChannelOption(.backlog, value: Int32(LinkLimits.handshakesWaitingMax))
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .serverChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(HandshakeQueue.Door(queue))
          }
        }
        .childChannelInitializer { channel in
          channel.setLinkSocketOptions().flatMap {
            channel.eventLoop.makeCompletedFuture {
              try LinkAcceptor.configure(
                channel, presented: presented.withLockedValue { $0 }, queue: queue, liveness: liveness, caps: caps,
                logger: logger, arrived: { continuation.yield($0) })
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
      caps: caps, server: server, arrivals: arrivals)
  }

  private init(
    configuration: Configuration, delegate: any GatewayDelegate, clock: WallClock, logger: Logger,
    presented: NIOLockedValueBox<Presented>, caps: BufferCaps, server: any Channel, arrivals: AsyncStream<Arrival>
  ) {
    self.configuration = configuration
    self.delegate = delegate
    self.clock = clock
    self.logger = logger
    self.presented = presented
    self.caps = caps
    self.server = server
    self.arrivals = arrivals
  }

  /// The port that Connectors dial.
  public var port: Int { server.localAddress?.port ?? configuration.port }

  // MARK: - Reaching a Host

  /// The connection of a Host that a new stream would go to.
  ///
  /// - Throws: `hostOffline` when there is none.
  public func session(of host: HostID) throws -> Session {
    guard let session = shared.withLockedValue({ $0.route(host) }) else { throw Self.offline }
    return session
  }

  /// Said of a Host that has no link.
  public static var offline: AWError {
    AWError(
      .hostOffline, "The Host has no link to this control plane now.",
      next: "Check that its Connector runs and can reach the AW Gateway; it dials again by itself.")
  }

  /// Opens a stream to a target on a Host; `initialize` adds the handlers for its bytes.
  ///
  /// - Throws: `hostOffline`, `linkLost`; what the target refused arrives in the stream as `TargetRefused`.
  public func open<Value: Sendable>(
    _ target: LinkTarget, on host: HostID,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await onSomeConnection(of: host) { try await $0.open(target, initialize) }
  }

  /// Makes one runtime call on a Host and waits for its answer.
  ///
  /// - Throws: `hostOffline`, `linkLost`, `operationDeadline`, and the Host's own `AWError`.
  public func call(_ call: RuntimeCall, on host: HostID, deadline: Duration) async throws -> RuntimeReply {
    try await onSomeConnection(of: host) { try await $0.call(call, deadline: deadline) }
  }

  /// A connection may end between its choice and its use. Then nothing was sent, and the next one is tried.
  private func onSomeConnection<Value: Sendable>(
    of host: HostID, _ body: (Session) async throws -> Value
  ) async throws -> Value {
    for _ in 0..<LinkLimits.connectionsMax {
      do { return try await body(try session(of: host)) } catch is Session.Closed { continue }
    }
    throw Session.lost(Session.Closed())
  }

  /// Where the streams to a Host are served: what talks with its Instances a little and often had best run there. It
  /// must not block. Nil without a link.
  public func executor(of host: HostID) -> (any TaskExecutor)? {
    shared.withLockedValue { $0.route(host) }.map { LoopExecutor($0.channel.eventLoop) }
  }

  public func isConnected(_ host: HostID) -> Bool { connections(of: host) > 0 }

  /// The Hosts that have a link now.
  public var connectedHosts: Set<HostID> { shared.withLockedValue { $0.table.linkedHosts } }

  /// How many connections of each Host that has any take new streams.
  public var connectionCounts: [HostID: Int] { shared.withLockedValue { $0.table.connectionCounts } }

  /// Takes note of how many connections Hosts have to other control planes: those count too.
  public func note(elsewhere: [HostID: Int]) { shared.withLockedValue { $0.table.note(elsewhere: elsewhere) } }

  /// Tells every Connector of every AW Gateway that there is, and those that come later.
  public func announce(_ gateways: [GatewayAddress]) {
    let sessions = shared.withLockedValue { shared in
      shared.gateways = gateways
      return Array(shared.sessions.values)
    }
    for session in sessions { session.tell(.gateways(gateways), logger: logger) }
  }

  /// How many connections of a Host take new streams.
  public func connections(of host: HostID) -> Int { shared.withLockedValue { $0.table.routed(host) } }

  /// What is wrong with a Host that has fewer connections than its Connector means to keep, for so long that the
  /// Connector will not mend it within its next tries; nil when nothing is.
  public func shortage(of host: HostID) -> AWError? {
    guard let shortage = shared.withLockedValue({ $0.table.shortage(of: host) }) else { return nil }
    let lasted = ContinuousClock.now - shortage.since
    guard lasted >= LinkLimits.shortageToldAfter else { return nil }
    return AWError(
      .linkNotRedundant,
      "The Host has had only \(shortage.up) of its \(shortage.wanted) connections for \(Int(lasted.seconds)) s.",
      next: "Look into the Connector's log for why the other one fails: an address, a firewall, a proxy.")
  }

  /// Dials the listener as a Connector would, and hangs up.
  ///
  /// - Throws: when it does not take the connection in time.
  public func dialItself(within deadline: Duration) async throws {
    guard let address = server.localAddress else { throw ChannelError.ioOnClosedChannel }
    try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connectTimeout(.milliseconds(deadline.milliseconds)).connect(to: address).get().close().get()
  }

  /// Dials a place outside, by name or address, and hangs up.
  ///
  /// - Throws: when its name has no address, or it does not take the connection in time.
  public static func dial(_ host: String, port: Int, within deadline: Duration) async throws {
    try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connectTimeout(.milliseconds(deadline.milliseconds)).connect(host: host, port: port).get().close().get()
  }

  /// Ends every connection of a Host that may no longer have one, and lets none in that was let in before.
  public func disconnect(_ host: HostID, reason: String) {
    let sessions = shared.withLockedValue { shared in
      shared.paths[host] = nil
      return shared.table.revoke(host).compactMap { shared.sessions[$0] }
    }
    for session in sessions {
      session.note(.revoked, reason)
      session.channel.close(promise: nil)
    }
  }

  // MARK: - Running

  public func run() async throws {
    await withDiscardingTaskGroup { group in
      group.addTask { await cancelWhenGracefulShutdown { await self.renewInTime() } }
      group.addTask { await self.again(every: LinkLimits.agesLookedAtEvery) { self.refreshAged(at: .now) } }
      group.addTask { await self.again(every: self.configuration.pathsEvery) { self.lookAtPaths() } }
      group.addTask { await self.again(every: LinkLimits.freedMemoryLookedAtEvery) { self.giveBackMemory() } }
      for await arrival in arrivals.cancelOnGracefulShutdown() {
        group.addTask { await self.serve(arrival) }
      }
      // The conversations say goodbye when they see the shutdown, and end when their streams have.
      try? await self.server.close()
    }
  }

  private func again(every: Duration, _ look: @escaping @Sendable () -> Void) async {
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: every)) != nil { look() }
    }
  }

  private func giveBackMemory() {
    let isDue = shared.withLockedValue { shared in
      let handshakes = shared.counts.registrations.values.reduce(0, +)
      return shared.freed.isDue(handshakes: handshakes)
    }
    if isDue { FreedMemory.giveBack() }
  }

  /// Shows new connections a new certificate before the old one has come near its end. Links that are up stay up.
  private func renewInTime() async {
    while !Task.isCancelled {
      let left = presented.withLockedValue { $0.identity.notAfter }.since(clock.now)
      let wait = max(.seconds(60), min(left - Authority.gatewayLifetime / 2, .seconds(24 * 3_600)))
      // Cancellation is how a shutdown interrupts the wait; the loop's condition sees it.
      try? await Task.sleep(for: wait)
      guard presented.withLockedValue({ $0.identity.notAfter }).since(clock.now) <= Authority.gatewayLifetime / 2 else {
        continue
      }
      do {
        try present(authorities)
      } catch {
        logger.error("the AW Gateway's certificate was not renewed", metadata: ["error": "\(error)"])
      }
    }
  }

  private func serve(_ arrival: Arrival) async {
    switch arrival {
    case .link(let session, let control): await LinkConversation(gateway: self, session: session).run(control)
    case .enrolment(let channel): await EnrolmentConversation(gateway: self).run(channel)
    }
  }
}
