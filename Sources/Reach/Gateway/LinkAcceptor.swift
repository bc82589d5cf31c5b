import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP2
import NIOSSL
import NIOTLS
import X509

/// What the connections of an AW Gateway may hold: those of each Connector, and all together.
final class BufferCaps: Sendable {
  let whole: BufferBudget
  private let perConnectorMax: Int
  /// As many as there are Hosts: some bytes each.
  private let connectors = NIOLockedValueBox<[HostID: BufferBudget]>([:])

  init(perConnectorMax: Int, max bytesMax: Int) {
    self.perConnectorMax = perConnectorMax
    whole = BufferBudget(bytesMax: bytesMax)
  }

  func budgets(of host: HostID) -> [BufferBudget] {
    connectors.withLockedValue { connectors in
      let own = connectors[host] ?? BufferBudget(bytesMax: perConnectorMax)
      connectors[host] = own
      return [own, whole]
    }
  }
}

/// Prepares an accepted connection: TLS, then by protocol name a link or an enrolment.
enum LinkAcceptor {
  struct NoIdentity: Error {}
  struct UnknownProtocol: Error {}
  struct StreamFromConnector: Error {}

  static func configure(
    _ channel: any Channel, presented: AWGateway.Presented, queue: HandshakeQueue, liveness: Liveness.Policy,
    caps: BufferCaps, logger: Logger, arrived: @escaping @Sendable (AWGateway.Arrival) -> Void
  ) throws {
    let pipeline = channel.pipeline.syncOperations
    let turn = HandshakeQueue.Turn(queue)
    try pipeline.addHandler(turn)
    try pipeline.addHandler(presented.tls.handler())
    let negotiation = NIOTypedApplicationProtocolNegotiationHandler<Void> { result, channel in
      switch result {
      case .negotiated(LinkProtocol.link):
        return LinkWindow.settings(for: channel).flatMap {
          link(
            channel, $0, authorities: presented.authorities, liveness: liveness, caps: caps, logger: logger,
            arrived: arrived)
        }
      case .negotiated(LinkProtocol.enrolment):
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addMessageFraming()
          arrived(.enrolment(try NIOAsyncChannel(wrappingChannelSynchronously: channel)))
        }
      default:
        return channel.eventLoop.makeFailedFuture(UnknownProtocol())
      }
    }
    try pipeline.addHandler(negotiation)
    let deadline = channel.eventLoop.scheduleTask(
      in: .nanoseconds(LinkLimits.handshakeTimeout.milliseconds * 1_000_000)
    ) { channel.close(promise: nil) }
    let over = NIOLoopBound(turn, eventLoop: channel.eventLoop)
    negotiation.protocolNegotiationResult.whenComplete { result in
      deadline.cancel()
      over.value.finish(channel)
      guard case .failure(let error) = result else { return }
      // One that hung up before it said anything is a load balancer's look, or the control plane's own.
      let isLook = if case .outputClosed = error as? ChannelError { true } else { false }
      logger.log(
        level: isLook ? .debug : .info, "a connection was refused", metadata: ["reason": "\(error)"])
      channel.close(promise: nil)
    }
  }

  private static func link(
    _ channel: any Channel, _ settings: NIOHTTP2Handler.Configuration, authorities: Authorities,
    liveness: Liveness.Policy, caps: BufferCaps, logger: Logger,
    arrived: @escaping @Sendable (AWGateway.Arrival) -> Void
  ) -> EventLoopFuture<Void> {
    do {
      let pipeline = channel.pipeline.syncOperations
      guard let certificate = try pipeline.nioSSL_peerCertificate().map({ try Certificate($0) }),
        let host = CertificateIdentity.host(of: certificate), let issuer = authorities.issuer(of: certificate)
      else { throw NoIdentity() }
      let connection = Base64URL.encode([UInt8].random(count: 12))
      let events = LivenessRelay()
      let probe = LivenessProbe(policy: liveness) { events.report($0) }
      let buffers = LinkBuffers(budgets: caps.budgets(of: host)) { [weak events] in events?.session?.tell(.shed) }
      try pipeline.addHandler(LivenessProbe.ByteWitness(probe, buffers, isServer: false))
      let multiplexer = try pipeline.configureHTTP2Pipeline(
        mode: .client, connectionConfiguration: settings.connection, streamConfiguration: settings.stream
      ) { $0.eventLoop.makeFailedFuture(StreamFromConnector()) }
      try pipeline.addHandler(LivenessProbe.Pinger(probe))
      let session = Session(
        host: host, connection: connection,
        shown: .init(issuer: issuer, notAfter: Timestamp(certificate.notValidAfter)), channel: channel,
        multiplexer: multiplexer, buffers: NIOLoopBound(buffers, eventLoop: channel.eventLoop))
      events.session = session
      let control = channel.eventLoop.makePromise(of: NIOAsyncChannel<ByteBuffer, ByteBuffer>.self)
      multiplexer.createStreamChannel(promise: nil) { stream in
        let framed = stream.eventLoop.makeCompletedFuture {
          try stream.pipeline.syncOperations.addHandler(StreamOpener(target: .control))
          try stream.pipeline.syncOperations.addMessageFraming()
          return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
            wrappingChannelSynchronously: stream, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
        framed.cascade(to: control)
        return framed.map { _ in }
      }
      return control.futureResult.map { arrived(.link(session, control: $0)) }
    } catch {
      return channel.eventLoop.makeFailedFuture(error)
    }
  }
}

/// Hands liveness events to the session, which exists only after the pipeline does. Confined to the event loop.
final class LivenessRelay {
  var session: Session?

  func report(_ event: LivenessProbe.Event) {
    session?.note { $0.note(event) }
    switch event {
    case .suspected: session?.tell(.suspect(true))
    case .recovered: session?.tell(.suspect(false))
    case .answered(let roundTrip): session?.note(roundTrip: roundTrip)
    case .died, .stalled, .failed, .ended: break
    }
  }
}
