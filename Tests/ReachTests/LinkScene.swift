import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ServiceLifecycle
import X509

@testable import Connector
@testable import Gateway

/// A service that runs, and can be asked to end or be cut off.
final class Running: Sendable {
  private let group: ServiceGroup
  private let task: Task<Void, any Error>

  init(_ service: any Service) {
    var logger = Logger(label: "service")
    logger.logLevel = .error
    let group = ServiceGroup(services: [service], logger: logger)
    self.group = group
    task = Task { try await group.run() }
  }

  func end() async {
    await group.triggerGracefulShutdown()
    _ = await task.result
  }

  func cancel() async {
    task.cancel()
    _ = await task.result
  }
}

/// A control plane's AW Gateway with one authority, a delegate that records, and Connectors that dial it.
final class LinkScene: Sendable {
  let authority: Authority
  let gateway: AWGateway
  let delegate: RecordingDelegate
  let directory: String
  private let running: Running

  /// How far the clocks of both ends are ahead of the machine's.
  let ahead = NIOLockedValueBox(Duration.zero)
  let clock: WallClock

  init(bufferedBytesPerConnectorMax: Int = LinkLimits.bufferedBytesPerConnectorMax) async throws {
    let ahead = ahead
    let clock = WallClock { WallClock.system.now.advanced(by: ahead.withLockedValue { $0 }) }
    self.clock = clock
    (authority, _) = try Authority.make(at: clock.now)
    delegate = RecordingDelegate(clock: clock)
    gateway = try await Self.gateway(
      authority, delegate, clock, bufferedBytesPerConnectorMax: bufferedBytesPerConnectorMax, node: "a")
    directory = NSTemporaryDirectory() + "aw-link-" + Base64URL.encode([UInt8].random(count: 9))
    running = Running(gateway)
  }

  static func gateway(
    _ authority: Authority, _ delegate: RecordingDelegate, _ clock: WallClock,
    bufferedBytesPerConnectorMax: Int = LinkLimits.bufferedBytesPerConnectorMax, port: Int = 0, node: String? = nil
  ) async throws -> AWGateway {
    var configuration = AWGateway.Configuration(
      address: "127.0.0.1", port: port, authorities: try Authorities(signer: authority),
      reconnectSpread: .milliseconds(50))
    // Tests say when, and what is measured.
    configuration.pathsEvery = .seconds(3_600)
    configuration.bufferedBytesPerConnectorMax = bufferedBytesPerConnectorMax
    configuration.node = node
    return try await AWGateway.listen(
      configuration, delegate: delegate, clock: clock, logger: Logger(label: "gateway"))
  }

  /// Asks the AW Gateway to leave, as SIGTERM does.
  func drain() async { await running.end() }

  func enrol(
    token: String = "good", name: String = "host-1", proxies: ProxyChoice = .none
  ) async throws -> HostState {
    try await Enrolment.enrol(
      directory: directory + "/" + name, address: "127.0.0.1", port: gateway.port,
      ticket: .init(fingerprint: try authority.fingerprint, token: Secret(token)), program: "test",
      proxies: proxies, logger: Logger(label: "enrolment"))
  }

  func connector(
    _ runtime: any InstanceRuntime, name: String = "host-1", connections: Int = 1, gateways: [GatewayEndpoint] = [],
    proxies: ProxyChoice = .none,
    probe: @escaping @Sendable (_ port: Int) async -> InstanceFacts.Answer = Connector.answer
  ) throws -> Running {
    var configuration = Connector.Configuration(
      directory: directory + "/" + name, program: "test", connections: connections, gateways: gateways,
      proxies: proxies, spacing: 0...0, probe: probe)
    // What failed is to be tried again while a test looks on.
    configuration.avoidFor = .milliseconds(300)
    return Running(
      try Connector(
        configuration: configuration, runtimes: Runtimes([runtime], logger: Logger(label: "runtimes")), clock: clock,
        logger: Logger(label: "connector")))
  }

  func close() async {
    await running.cancel()
    try? FileManager.default.removeItem(atPath: directory)
  }
}

final class RecordingDelegate: GatewayDelegate {
  private let arrivals: AsyncStream<Hello>
  private let arrived: AsyncStream<Hello>.Continuation
  private let losses: AsyncStream<LossEvidence>
  private let lost: AsyncStream<LossEvidence>.Continuation
  private let heartbeats: AsyncStream<Heartbeat>
  private let beats: AsyncStream<Heartbeat>.Continuation
  private let refusals: AsyncStream<HostID>
  private let refused: AsyncStream<HostID>.Continuation
  private let mends: AsyncStream<Int>
  private let healed: AsyncStream<Int>.Continuation
  private let reports: AsyncStream<TrustReport>
  private let reported: AsyncStream<TrustReport>.Continuation
  private let departed: AsyncStream<HostID>
  private let departures: AsyncStream<HostID>.Continuation
  private let used = NIOLockedValueBox<Set<String>>([])

  private let clock: WallClock

  init(clock: WallClock) {
    self.clock = clock
    (arrivals, arrived) = AsyncStream.makeStream()
    (losses, lost) = AsyncStream.makeStream()
    (heartbeats, beats) = AsyncStream.makeStream()
    (refusals, refused) = AsyncStream.makeStream()
    (reports, reported) = AsyncStream.makeStream()
    (mends, healed) = AsyncStream.makeStream()
    (departed, departures) = AsyncStream.makeStream()
  }

  func enrol(_ request: EnrolmentRequest, with authorities: Authorities) async throws -> EnrolmentGrant {
    let fresh = used.withLockedValue { $0.insert(request.token).inserted }
    guard request.token.hasPrefix("good") else {
      throw AWError(.enrolmentInvalid, "No such token.", next: "Get a new line.")
    }
    guard fresh else { throw AWError(.enrolmentUsed, "The token was used.", next: "Get a new line.") }
    let host = HostID.make(at: Timestamp(.now))
    let bundle = try authorities.signHost(host, request: request.signingRequest, at: Timestamp(.now))
    return EnrolmentGrant(host: host, slug: try Slug("host-1"), bundle: bundle)
  }

  /// Hosts that were removed.
  let removed = NIOLockedValueBox<Set<HostID>>([])

  func admit(_ hello: Hello, from host: HostID) async throws {
    guard removed.withLockedValue({ !$0.contains(host) }) else {
      refused.yield(host)
      throw AWError(.hostUnknown, "This Host was removed.", next: "Enrol it again.")
    }
  }
  func renew(_ host: HostID, request: String, with authorities: Authorities) async throws -> CertificateBundle {
    try authorities.signHost(host, request: request, at: clock.now)
  }
  func trusting(_ host: HostID, _ report: TrustReport) async { reported.yield(report) }
  func connected(_ host: HostID, _ hello: Hello, connections: @escaping @Sendable () -> Int) async {
    arrived.yield(hello)
  }
  /// What is answered to a question; nil answers with nothing.
  let secrets = NIOLockedValueBox<(@Sendable (SecretQuestion) -> SecretAnswer)?>(nil)

  func resolve(_ question: SecretQuestion, for host: HostID) async -> SecretAnswer {
    secrets.withLockedValue { $0 }?(question) ?? SecretAnswer(number: question.number, values: [:], absent: [])
  }
  func heard(_ heartbeat: Heartbeat, from host: HostID) { beats.yield(heartbeat) }
  func degraded(_ host: HostID, _ seen: LossEvidence) async { lost.yield(seen) }
  func mended(_ host: HostID, slot: Int) async { healed.yield(slot) }
  func disconnected(_ host: HostID, _ seen: LossEvidence, connections: @escaping @Sendable () -> Int) async {
    lost.yield(seen)
  }
  func moved(_ host: HostID, connections: @escaping @Sendable () -> Int) async { departures.yield(host) }

  func nextHello() async -> Hello? {
    for await hello in arrivals { return hello }
    return nil
  }
  func nextMended() async -> Int? {
    for await slot in mends { return slot }
    return nil
  }
  func nextReport() async -> TrustReport? {
    for await report in reports { return report }
    return nil
  }
  func nextHeartbeat() async -> Heartbeat? {
    for await heartbeat in heartbeats { return heartbeat }
    return nil
  }
  func nextMove() async -> HostID? {
    for await host in departed { return host }
    return nil
  }
  func nextRefusal() async -> HostID? {
    for await host in refusals { return host }
    return nil
  }
  func nextLoss() async -> LossClass? { await nextSeen().map { LossClassifier.classify($0).lossClass } }
  func nextSeen() async -> LossEvidence? {
    for await seen in losses { return seen }
    return nil
  }
}

/// A runtime with one Instance whose port is somebody's echo server.
struct EchoRuntime: InstanceRuntime {
  let kind = RuntimeKind.process
  let instance: InstanceID
  let port: Int?
  /// Of further Instances.
  var others: [InstanceID: Int] = [:]

  func availability() async -> RuntimeAvailability {
    .init(kind: .process, available: true, detail: "an echo server")
  }
  private var state: RunState { RunState(phase: .running, port: port) }
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState {
    guard environment["TOKEN"]?.equals(Secret("sentinel")) == true else {
      throw AWError(.runtimeFailed, "The environment did not arrive.", next: "Look at the codec.")
    }
    return state
  }
  func start(_ instance: InstanceID) async throws -> RunState { state }
  func stop(_ instance: InstanceID) async throws -> RunState { state }
  func inspect(_ instance: InstanceID) async throws -> RunState {
    if let port = others[instance] { return RunState(phase: .running, port: port) }
    return instance == self.instance ? state : RunState(phase: .absent)
  }
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState {
    throw AWError(.runtimeDiskFull, "The disk is full.", next: "Free space.")
  }
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] {
    (1...lines).map { "line \($0)" }
  }
  func approveDevice(_ instance: InstanceID, request: String) async throws {}
  func instances() async throws -> [InstanceID] { [instance] + others.keys }
}

/// Sends `payload` to an Instance's port through the link, half-closes, and collects what comes back.
func exchange(
  _ gateway: AWGateway, _ host: HostID, _ instance: InstanceID, _ payload: ByteBuffer
) async throws -> ByteBuffer {
  let stream = try await gateway.open(.openClaw(instance), on: host) { channel in
    channel.eventLoop.makeCompletedFuture {
      try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
    }
  }
  return try await stream.executeThenClose { inbound, outbound in
    async let sending: Void = {
      var rest = payload
      while let chunk = rest.readSlice(length: min(64 * 1_024, rest.readableBytes)), chunk.readableBytes > 0 {
        try await outbound.write(chunk)
      }
      outbound.finish()
    }()
    var received = ByteBuffer()
    for try await bytes in inbound { received.writeImmutableBuffer(bytes) }
    try await sending
    return received
  }
}

/// One stream to an Instance's port that stays open, for what is under way while something else happens.
final class HeldStream: Sendable {
  private let channel: any Channel
  private let answers: AsyncThrowingStream<ByteBuffer, any Error>

  static func open(_ gateway: AWGateway, _ host: HostID, _ instance: InstanceID) async throws -> HeldStream {
    let (answers, arrived) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
    let channel = try await gateway.open(.openClaw(instance), on: host) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(Collector(arrived))
        return channel
      }
    }
    return HeldStream(channel, answers)
  }

  private init(_ channel: any Channel, _ answers: AsyncThrowingStream<ByteBuffer, any Error>) {
    self.channel = channel
    self.answers = answers
  }

  /// Sends bytes and waits until as many have come back.
  func echo(_ bytes: ByteBuffer) async throws -> ByteBuffer {
    try await channel.writeAndFlush(bytes).get()
    var received = ByteBuffer()
    for try await more in answers {
      received.writeImmutableBuffer(more)
      if received.readableBytes >= bytes.readableBytes { return received }
    }
    throw ChannelError.eof
  }

  func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

  /// Sends again and again, until the stream takes no more.
  func sendUntilItEnds(_ bytes: ByteBuffer) async throws {
    while true { try await channel.writeAndFlush(bytes).get() }
  }

  /// Sends without waiting.
  func send(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

  /// Waits for its end.
  ///
  /// - Throws: what ended it.
  func ended() async throws { for try await _ in answers {} }

  func close() async throws {
    // The end of a stream that is not ended by both sides is an error of its own close.
    channel.close(promise: nil)
    try await channel.closeFuture.get()
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let arrived: AsyncThrowingStream<ByteBuffer, any Error>.Continuation

    init(_ arrived: AsyncThrowingStream<ByteBuffer, any Error>.Continuation) { self.arrived = arrived }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { arrived.yield(unwrapInboundIn(data)) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { arrived.finish(throwing: error) }
    func channelInactive(context: ChannelHandlerContext) { arrived.finish() }
  }
}

/// Takes connections and reads nothing from them.
enum DeafServer {
  static func start() async throws -> any Channel {
    try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelOption(.autoRead, value: false)
      .bind(host: "127.0.0.1", port: 0).get()
  }
}

enum EchoServer {
  static func start() async throws -> any Channel {
    try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
  }

  private final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      guard case .inputClosed = event as? ChannelEvent else { return }
      context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
        context.close(promise: nil)
      }
    }
  }
}
