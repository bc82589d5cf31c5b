import Foundation
import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing
import X509

@testable import Connector
@testable import Gateway

/// A control plane's AW Gateway with one authority, a delegate that records, and Connectors that dial it.
final class LinkScene: Sendable {
  let authority: Authority
  let gateway: AWGateway
  let delegate: RecordingDelegate
  let directory: String
  private let running: Task<Void, any Error>

  /// How far the clocks of both ends are ahead of the machine's.
  let ahead = NIOLockedValueBox(Duration.zero)
  let clock: WallClock

  init() async throws {
    let ahead = ahead
    let clock = WallClock { WallClock.system.now.advanced(by: ahead.withLockedValue { $0 }) }
    self.clock = clock
    (authority, _) = try Authority.make(at: clock.now)
    delegate = RecordingDelegate(authority: authority, clock: clock)
    let identity = try authority.gatewayIdentity(at: clock.now)
    gateway = try await AWGateway.listen(
      .init(address: "127.0.0.1", port: 0, identity: identity, authorities: [authority.certificate]),
      delegate: delegate, clock: clock, logger: Logger(label: "gateway"))
    directory = NSTemporaryDirectory() + "aw-link-" + Base64URL.encode([UInt8].random(count: 9))
    running = Task { [gateway] in try await gateway.run() }
  }

  func enrol(token: String = "good", name: String = "host-1") async throws -> HostState {
    try await Enrolment.enrol(
      directory: directory + "/" + name, address: "127.0.0.1", port: gateway.port,
      ticket: .init(fingerprint: try authority.fingerprint, token: Secret(token)), program: "test",
      logger: Logger(label: "enrolment"))
  }

  func connector(_ runtime: any InstanceRuntime, name: String = "host-1") throws -> Task<Void, any Error> {
    let connector = try Connector(
      configuration: .init(directory: directory + "/" + name, program: "test"),
      runtimes: Runtimes([runtime], logger: Logger(label: "runtimes")), clock: clock,
      logger: Logger(label: "connector"))
    return Task { try await connector.run() }
  }

  func close() async {
    running.cancel()
    _ = await running.result
    try? FileManager.default.removeItem(atPath: directory)
  }
}

final class RecordingDelegate: GatewayDelegate {
  let authority: Authority
  private let arrivals: AsyncStream<Hello>
  private let arrived: AsyncStream<Hello>.Continuation
  private let losses: AsyncStream<LossEvidence>
  private let lost: AsyncStream<LossEvidence>.Continuation
  private let heartbeats: AsyncStream<Heartbeat>
  private let beats: AsyncStream<Heartbeat>.Continuation
  private let used = NIOLockedValueBox<Set<String>>([])

  private let clock: WallClock

  init(authority: Authority, clock: WallClock) {
    self.authority = authority
    self.clock = clock
    (arrivals, arrived) = AsyncStream.makeStream()
    (losses, lost) = AsyncStream.makeStream()
    (heartbeats, beats) = AsyncStream.makeStream()
  }

  func enrol(_ request: EnrolmentRequest) async throws -> EnrolmentGrant {
    let fresh = used.withLockedValue { $0.insert(request.token).inserted }
    guard request.token.hasPrefix("good") else {
      throw AWError(.enrolmentInvalid, "No such token.", next: "Get a new line.")
    }
    guard fresh else { throw AWError(.enrolmentUsed, "The token was used.", next: "Get a new line.") }
    let host = HostID.make(at: Timestamp(.now))
    let bundle = try authority.signHost(host, request: request.signingRequest, at: Timestamp(.now))
    return EnrolmentGrant(host: host, slug: try Slug("host-1"), bundle: bundle)
  }

  func admit(_ hello: Hello, from host: HostID) async throws {}
  func renew(_ host: HostID, request: String) async throws -> CertificateBundle {
    try authority.signHost(host, request: request, at: clock.now)
  }
  func connected(_ host: HostID, _ hello: Hello) async { arrived.yield(hello) }
  func heard(_ heartbeat: Heartbeat, from host: HostID) { beats.yield(heartbeat) }
  func disconnected(_ host: HostID, _ seen: LossEvidence) async { lost.yield(seen) }

  func nextHello() async -> Hello? {
    for await hello in arrivals { return hello }
    return nil
  }
  func nextHeartbeat() async -> Heartbeat? {
    for await heartbeat in heartbeats { return heartbeat }
    return nil
  }
  func nextLoss() async -> LossClass? {
    for await seen in losses { return LossClassifier.classify(seen).lossClass }
    return nil
  }
}

/// A runtime with one Instance whose port is somebody's echo server.
struct EchoRuntime: InstanceRuntime {
  let kind = RuntimeKind.process
  let instance: InstanceID
  let port: Int?

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
    instance == self.instance ? state : RunState(phase: .absent)
  }
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState {
    throw AWError(.runtimeDiskFull, "The disk is full.", next: "Free space.")
  }
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] {
    (1...lines).map { "line \($0)" }
  }
  func approveDevice(_ instance: InstanceID, request: String) async throws {}
  func instances() async throws -> [InstanceID] { [instance] }
}

@Suite("A link over loopback", .timeLimit(.minutes(2)))
struct LinkTests {
  @Test("a machine enrols, links, answers runtime calls and carries bytes both ways")
  func thread() async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    let hello = await scene.delegate.nextHello()
    #expect((hello?.epoch ?? 0) >= 1)
    let session = try scene.gateway.session(of: state.host)

    let reply = try await session.call(.logs(.process, instance, lines: 3), deadline: .seconds(5))
    guard case .lines(let lines) = reply else { return #expect(Bool(false), "\(reply)") }
    #expect(lines == ["line 1", "line 2", "line 3"])

    let spec = InstanceSpec(
      instance: instance, slug: try Slug("acme-main"), org: try Slug("acme"), runtime: .process, port: nil, image: nil,
      configuration: "{}")
    _ = try await session.call(.prepare(spec, .init(["TOKEN": Secret("sentinel")])), deadline: .seconds(5))

    await #expect(throws: AWError(.runtimeDiskFull, "", next: "")) {
      try await session.call(.remove(.process, instance, purge: false), deadline: .seconds(5))
    }
    await #expect(throws: AWError(.runtimeUnavailable, "", next: "")) {
      try await session.call(.start(.docker, instance), deadline: .seconds(5))
    }

    let payload = ByteBuffer(repeating: 7, count: 3 << 20)
    #expect(try await exchange(session, instance, payload) == payload)

    await #expect(throws: TargetRefused(.notFound)) {
      try await exchange(session, InstanceID.make(at: Timestamp(.now)), ByteBuffer(string: "x"))
    }

    let told = await scene.delegate.nextHeartbeat()?.groups ?? []
    #expect(told.map(\.instances) == [[instance]] && told.map(\.facts.phase) == [.running])

    connector.cancel()
    _ = await connector.result
    let loss = await scene.delegate.nextLoss()
    #expect(loss != nil)
    #expect(throws: AWError(.hostOffline, "", next: "")) { try scene.gateway.session(of: state.host) }
    try await echo.close()
    await scene.close()
  }

  @Test("many streams at once lose nothing", arguments: [1, 2, 3])
  func streams(round: Int) async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    _ = await scene.delegate.nextHello()
    let session = try scene.gateway.session(of: state.host)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<40 {
        group.addTask {
          let payload = ByteBuffer(repeating: UInt8(number), count: 100_000 + number)
          return try await exchange(session, instance, payload) == payload
        }
      }
      for try await same in group { #expect(same) }
    }
    connector.cancel()
    _ = await connector.result
    try await echo.close()
    await scene.close()
  }

  @Test("a used token, an unknown token and a foreign authority are refused by name")
  func refusals() async throws {
    let scene = try await LinkScene()
    _ = try await scene.enrol()
    await #expect(throws: AWError(.enrolmentUsed, "", next: "")) { try await scene.enrol(name: "host-2") }
    await #expect(throws: AWError(.enrolmentInvalid, "", next: "")) {
      try await scene.enrol(token: "bad", name: "host-3")
    }
    let (stranger, _) = try Authority.make(at: Timestamp(.now))
    await #expect(throws: AWError(.linkForeignAuthority, "", next: "")) {
      try await Enrolment.enrol(
        directory: scene.directory + "/host-4", address: "127.0.0.1", port: scene.gateway.port,
        ticket: .init(fingerprint: try stranger.fingerprint, token: Secret("good-2")), program: "test",
        logger: Logger(label: "enrolment"))
    }
    await #expect(throws: AWError(.linkClockSkew, "", next: "")) {
      try await Enrolment.enrol(
        directory: scene.directory + "/host-5", address: "127.0.0.1", port: scene.gateway.port,
        ticket: .init(fingerprint: try scene.authority.fingerprint, token: Secret("good-3")), program: "test",
        clock: WallClock { Timestamp(.now).advanced(by: .seconds(-2 * 3_600)) }, logger: Logger(label: "enrolment"))
    }
    await scene.close()
  }

  @Test("a second Connector with the same identity takes over, and the first is closed as superseded")
  func takeOver() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let runtime = EchoRuntime(instance: InstanceID.make(at: Timestamp(.now)), port: nil)
    let first = try scene.connector(runtime)
    let earlier = try #require(await scene.delegate.nextHello()?.epoch)
    let old = try scene.gateway.session(of: state.host).connection
    first.cancel()
    _ = await first.result
    let second = try scene.connector(runtime)
    let later = try #require(await scene.delegate.nextHello()?.epoch)
    #expect(later > earlier)
    #expect(try scene.gateway.session(of: state.host).connection != old)
    second.cancel()
    _ = await second.result
    await scene.close()
  }

  @Test("a certificate past half of its life is renewed through the link, which stays up")
  func renewal() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let first = state.document.bundle.notAfter
    // Twenty of its twenty-four hours later, for both ends.
    scene.ahead.withLockedValue { $0 = .seconds(20 * 3_600) }
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: nil))
    _ = await scene.delegate.nextHello()
    var renewed = first
    while renewed <= first {
      renewed = try HostState.load(from: scene.directory + "/host-1").document.bundle.notAfter
    }
    #expect(renewed.since(first) > .seconds(19 * 3_600))
    // The same link, and the next one with the new certificate once the old one is past its end.
    #expect(scene.gateway.isConnected(state.host))
    scene.ahead.withLockedValue { $0 = .seconds(30 * 3_600) }
    connector.cancel()
    _ = await connector.result
    _ = await scene.delegate.nextLoss()
    let again = try scene.connector(EchoRuntime(instance: instance, port: nil))
    #expect(await scene.delegate.nextHello() != nil)
    again.cancel()
    _ = await again.result
    await scene.close()
  }

  @Test("secrets in a call encode on the link only")
  func codec() throws {
    let environment = InstanceEnvironment(["TOKEN": Secret("sentinel")])
    #expect(throws: EncodingError.self) { try JSONEncoder().encode(environment) }
    #expect(String(buffer: try LinkCodec.encode(environment)).contains("sentinel"))
  }
}

/// Sends `payload` to an Instance's port through the link, half-closes, and collects what comes back.
private func exchange(_ session: Session, _ instance: InstanceID, _ payload: ByteBuffer) async throws -> ByteBuffer {
  let stream = try await session.open(.openClaw(instance)) { channel in
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
