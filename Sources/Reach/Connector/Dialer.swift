import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS

/// A link as the Connector holds it.
struct DialledLink: Sendable {
  let channel: any Channel
  /// The streams that the AW Gateway opens, each with its request read.
  let streams: AsyncStream<TargetStream>
}

/// A stream that asks for a target and waits for the answer.
struct TargetStream: Sendable {
  let channel: any Channel
  let target: LinkTarget?
  let acceptor: NIOLoopBound<StreamAcceptor>

  /// Accepts the stream as one of framed messages.
  func messages() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
    try await channel.eventLoop.submit {
      var wrapped: NIOAsyncChannel<ByteBuffer, ByteBuffer>?
      try acceptor.value.accept { pipeline in
        try pipeline.addMessageFraming()
        wrapped = try NIOAsyncChannel(
          wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
      }
      guard let wrapped else { throw ChannelError.ioOnClosedChannel }
      return wrapped
    }.get()
  }
}

/// A dial that failed: in words, and as what was seen.
struct DialFailure: ExplainedError {
  let explained: AWError
  let seen: LossEvidence
}

/// Dials the AW Gateway, for a link or for an enrolment. Every stage has its own deadline and its own error.
struct Dialer: Sendable {
  let endpoint: GatewayEndpoint
  /// Nil dials the AW Gateway itself.
  let proxy: ForwardProxy?
  let liveness: Liveness.Policy
  /// What its links may hold.
  var budgets: [BufferBudget] = []
  let clock: WallClock
  let logger: Logger

  /// - Parameter notes: where what is seen of the link's end is kept.
  /// - Throws: `DialFailure` with `linkRefused`, `linkForeignAuthority` or `linkClockSkew`.
  func link(_ tls: ConnectorTLS, notes: NIOLockedValueBox<LossNotes>) async throws -> DialledLink {
    let (streams, continuation) = AsyncStream<TargetStream>.makeStream()
    let channel = try await dial(tls) { channel in
      // Behind a proxy the kernel sees the round trip to that only.
      let settings =
        proxy == nil ? LinkWindow.settings(for: channel) : channel.eventLoop.makeSucceededFuture(LinkWindow.largest)
      return settings.flatMapThrowing { settings in
        let pipeline = channel.pipeline.syncOperations
        let probe = LivenessProbe(policy: liveness) { event in
          notes.withLockedValue { $0.note(event) }
        }
        let buffers = LinkBuffers(budgets: budgets) {
          logger.warning("a stream was given up", metadata: ["class": "\(LossClass.backpressureShed.rawValue)"])
        }
        try pipeline.addHandler(LivenessProbe.ByteWitness(probe, buffers, isServer: true))
        let bound = NIOLoopBound(buffers, eventLoop: channel.eventLoop)
        _ = try pipeline.configureHTTP2Pipeline(
          mode: .server, connectionConfiguration: settings.connection, streamConfiguration: settings.stream
        ) { stream in
          stream.eventLoop.makeCompletedFuture {
            try stream.pipeline.syncOperations.addHandler(
              StreamAcceptor(buffers: bound.value) { continuation.yield($0) })
          }
        }
        try pipeline.addHandler(LivenessProbe.Pinger(probe))
        return channel
      }
    }
    channel.closeFuture.whenComplete { _ in continuation.finish() }
    return DialledLink(channel: channel, streams: streams)
  }

  func enrolment(_ tls: ConnectorTLS) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
    try await dial(tls) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addMessageFraming()
        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
      }
    }
  }

  private func dial<Value: Sendable>(
    _ tls: ConnectorTLS, _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    let reason = RefusalReason()
    let negotiated: EventLoopFuture<Value>
    do {
      negotiated = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connectTimeout(.milliseconds(LinkLimits.dialTimeout.milliseconds))
        .connect(host: proxy?.address ?? endpoint.address, port: proxy?.port ?? endpoint.port) { channel in
          channel.setLinkSocketOptions().map {
            guard let proxy else { return secure(channel, tls, reason, initialize) }
            return ProxyConnect.add(proxy.request(to: endpoint), to: channel).flatMap {
              secure(channel, tls, reason, initialize)
            }
          }
        }
    } catch {
      let explained =
        proxy.map { DialWords.proxyUnreached($0, error) } ?? DialWords.unreached(endpoint, error)
      throw DialFailure(explained: explained, seen: Dialer.unconnected(error, at: clock.now))
    }
    do {
      return try await negotiated.get()
    } catch let refused as ProxyRefused {
      throw DialFailure(
        explained: DialWords.refused(refused, by: proxy, endpoint), seen: Dialer.refused(refused, at: clock.now))
    } catch {
      throw DialFailure(
        explained: DialWords.explain(reason.verdict, error, endpoint),
        seen: Dialer.untrusted(reason.verdict, error, at: clock.now))
    }
  }

  /// TLS on a channel that leads to the AW Gateway, and what comes behind it.
  private func secure<Value: Sendable>(
    _ channel: any Channel, _ tls: ConnectorTLS, _ reason: RefusalReason,
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) -> EventLoopFuture<Value> {
    let negotiation = NIOTypedApplicationProtocolNegotiationHandler<Value> { result, channel in
      guard case .negotiated = result else {
        return channel.eventLoop.makeFailedFuture(ChannelError.inappropriateOperationForState)
      }
      return initialize(channel)
    }
    do {
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(tls.handler(reportingTo: reason))
      try pipeline.addHandler(negotiation)
    } catch {
      channel.close(promise: nil)
      return channel.eventLoop.makeFailedFuture(error)
    }
    let deadline = channel.eventLoop.scheduleTask(in: .milliseconds(LinkLimits.handshakeTimeout.milliseconds)) {
      channel.close(promise: nil)
    }
    negotiation.protocolNegotiationResult.whenComplete { result in
      deadline.cancel()
      if case .failure = result { channel.close(promise: nil) }
    }
    return negotiation.protocolNegotiationResult
  }

  /// What a proxy that did not connect looks like.
  static func refused(_ refused: ProxyRefused, at now: Timestamp) -> LossEvidence {
    var seen = LossNotes().evidence(by: .connector, .connecting, at: now, lived: .zero)
    seen.proxy = refused.failure
    seen.detail = refused.status.map { "the proxy answered \($0)" } ?? "the proxy gave no answer that could be read"
    return seen
  }

  /// What a dial that reached nobody looks like.
  static func unconnected(_ error: any Error, at now: Timestamp) -> LossEvidence {
    var notes = LossNotes()
    let connection = error as? NIOConnectionError
    // A name that resolved is dialled; when nothing was, the name is what failed.
    let phase: LossEvidence.Phase = connection.map { $0.connectionErrors.isEmpty } == true ? .resolving : .connecting
    for failure in connection?.connectionErrors ?? [] { notes.note(error: failure.error) }
    notes.note(error: error)
    var seen = notes.evidence(by: .connector, phase, at: now, lived: .zero)
    let timedOut = ([error] + (connection?.connectionErrors.map(\.error) ?? [])).contains {
      if case .connectTimeout = $0 as? ChannelError { true } else { false }
    }
    if seen.socket == nil, timedOut { seen.socket = .timedOut }
    if seen.detail.isEmpty { seen.detail = String("\(error)".prefix(300)) }
    return seen
  }

  /// What a handshake that failed looks like.
  static func untrusted(_ verdict: ChainVerdict?, _ error: any Error, at now: Timestamp) -> LossEvidence {
    var notes = LossNotes()
    notes.note(error: error)
    var seen = notes.evidence(by: .connector, .handshake, at: now, lived: .zero)
    seen.tls =
      switch verdict {
      case .foreign(let issuer):
        issuer == nil || issuer == CertificateIdentity.authorityName ? .foreignAuthority : .intercepted
      case .expired: .expired
      case .notYetValid: .notYetValid
      case .wrongUse: .wrongUse
      case .trusted, nil: .closed
      }
    if case .foreign(let issuer) = verdict { seen.issuer = issuer }
    if seen.detail.isEmpty { seen.detail = String("\(error)".prefix(300)) }
    return seen
  }
}

/// The Connector's end of a fresh stream: reads the request, waits for the decision, holds early bytes meanwhile.
///
/// Reading stops after the request, so flow control bounds what is held to one stream window.
final class StreamAcceptor: ChannelDuplexHandler, RemovableChannelHandler {
  typealias OutboundIn = HTTP2Frame.FramePayload
  typealias InboundIn = HTTP2Frame.FramePayload
  typealias InboundOut = HTTP2Frame.FramePayload
  typealias OutboundOut = HTTP2Frame.FramePayload

  private let buffers: LinkBuffers
  private let arrived: (TargetStream) -> Void
  private var context: ChannelHandlerContext?
  private var held: [HTTP2Frame.FramePayload] = []
  private var readPending = false
  private var requested = false

  init(buffers: LinkBuffers, arrived: @escaping (TargetStream) -> Void) {
    self.buffers = buffers
    self.arrived = arrived
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let payload = unwrapInboundIn(data)
    if !requested, case .headers(let request) = payload {
      requested = true
      let authority = request.headers.first(name: ":authority") ?? ""
      let isConnect = request.headers.first(name: ":method") == "CONNECT"
      arrived(
        TargetStream(
          channel: context.channel, target: isConnect ? LinkTarget(authority: authority) : nil,
          acceptor: NIOLoopBound(self, eventLoop: context.eventLoop)))
      return
    }
    held.append(payload)
  }

  func read(context: ChannelHandlerContext) {
    if requested {
      readPending = true
    } else {
      context.read()
    }
  }

  func refuse(_ failure: TargetFailure) {
    guard let context else { return }
    context.writeAndFlush(wrapOutboundOut(StreamBytes.refused(failure))).assumeIsolated().whenComplete { _ in
      context.close(promise: nil)
    }
  }

  /// Answers 200, adds `handlers` behind the byte codec, and replays what came early.
  func accept(_ handlers: (ChannelPipeline.SynchronousOperations) throws -> Void) throws {
    guard let context else { throw ChannelError.ioOnClosedChannel }
    StreamBytes.accepted(context)
    let pipeline = context.pipeline.syncOperations
    try pipeline.addHandler(StreamBytes(buffers: buffers))
    try handlers(pipeline)
    for payload in held { context.fireChannelRead(wrapInboundOut(payload)) }
    context.fireChannelReadComplete()
    held = []
    pipeline.removeHandler(context: context, promise: nil)
    if readPending { context.channel.read() }
  }
}
