import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle

/// The control stream of one link: HELLO, REGISTERED, renewals, goodbye.
struct LinkConversation: Sendable {
  let gateway: AWGateway
  let session: Session

  private var logger: Logger {
    var logger = gateway.logger
    logger[metadataKey: "host"] = "\(session.host)"
    logger[metadataKey: "connection"] = "\(session.connection)"
    return logger
  }

  func run(_ control: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
    do {
      try await control.executeThenClose { inbound, outbound in
        try await withGracefulShutdownHandler {
          try await converse(inbound, outbound)
        } onGracefulShutdown: {
          sayGoodbye()
        }
      }
    } catch {
      logger.debug("the control stream ended", metadata: ["error": "\(error)"])
    }
    await leave()
  }

  private func converse(
    _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) async throws {
    let deadline = session.channel.eventLoop.scheduleTask(
      in: .nanoseconds(LinkLimits.registrationTimeout.milliseconds * 1_000_000)
    ) { session.channel.close(promise: nil) }
    defer { deadline.cancel() }
    var registered = false
    for try await bytes in inbound {
      switch (try LinkCodec.decode(ControlMessage.self, from: bytes), registered) {
      case (.hello(let hello), false):
        guard try await register(hello, outbound) else { return }
        registered = true
        deadline.cancel()
        // What began before this connection was registered did not reach its Connector.
        if Task.isShuttingDownGracefully { sayGoodbye() }
        await gateway.delegate.connected(session.host, hello, connections: connections)
      case (.renew(let request), true):
        let bundle = try await gateway.delegate.renew(session.host, request: request, with: gateway.authorities)
        try await outbound.write(try LinkCodec.encode(ControlMessage.certificate(bundle)))
      case (.trusting(let report), true):
        gateway.note(report, of: session.host)
        await gateway.delegate.trusting(session.host, report)
      case (.heartbeat(let heartbeat), true):
        gateway.delegate.heard(heartbeat, from: session.host)
      case (.resolve(let question), true):
        answer(question)
      case (.unregister(let reason), true):
        session.note(.unregister, reason)
        gateway.shared.withLockedValue { $0.table.unroute(session.connection, of: session.host) }
        session.retire(within: LinkLimits.drainGrace)
      case (.moved, true):
        session.move()
        gateway.shared.withLockedValue { $0.table.unroute(session.connection, of: session.host) }
        session.retire(within: LinkLimits.drainGrace)
      default:
        session.note(.protocolViolation, "the Connector sent a message out of turn")
        return
      }
    }
  }

  /// Answers beside the conversation: a vault may be slow. What is too much at once is not answered, and the Connector
  /// goes by what it knows.
  private func answer(_ question: SecretQuestion) {
    guard session.beginAnswer() else { return }
    Task { [gateway, session, logger] in
      defer { session.endAnswer() }
      let answer = await gateway.delegate.resolve(question, for: session.host)
      do {
        _ = try await gateway.call(.secrets(answer), on: session.host, deadline: SecretLimits.answerWithin)
      } catch {
        logger.debug("an answer did not reach its Connector", metadata: ["reason": "\(error)"])
      }
    }
  }

  private func sayGoodbye() {
    session.note(.drain, "the control plane is shutting down")
    session.drain(.restart, spread: gateway.spread, logger: logger)
  }

  /// How many connections the Host has when it is asked.
  private var connections: @Sendable () -> Int {
    { [gateway, session] in gateway.shared.withLockedValue { $0.table.connections(of: session.host).count } }
  }

  private func register(
    _ hello: Hello, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) async throws -> Bool {
    let revocations = gateway.shared.withLockedValue { $0.table.revocations(of: session.host) }
    do {
      try Self.check(hello)
      try await gateway.delegate.admit(hello, from: session.host)
    } catch {
      let error = AWError.wrapping(error, doing: "Admitting the Host")
      gateway.count { $0.registrations[.refused, default: 0] += 1 }
      logger.notice("a Host was refused", metadata: ["reason": "\(error.chain)"])
      let retry = error.code == .internalFailure || error.code == .storeLocked
      try await refuse(Refused(error, retry: retry), outbound)
      return false
    }
    let admission = gateway.shared.withLockedValue { shared in
      let admission = shared.table.admit(
        session.host, slot: hello.slot, epoch: hello.epoch, connection: session.connection,
        wanted: hello.connections ?? 1, revocations: revocations)
      if case .routed = admission {
        shared.sessions[session.connection] = session
        session.registered(hello, outbound)
      }
      return admission
    }
    gateway.count {
      switch admission {
      case .stale: $0.registrations[.stale, default: 0] += 1
      case .revoked: $0.registrations[.refused, default: 0] += 1
      case .routed(let superseded):
        $0.registrations[.registered, default: 0] += 1
        if superseded != nil { $0.superseded += 1 }
      }
    }
    switch admission {
    case .stale(let known):
      let error = AWError(
        .linkRefused, "The Connector's epoch \(hello.epoch) is not newer than \(known).",
        next: "The Connector dials again with a newer one by itself.")
      try await refuse(Refused(error, epochKnown: known, retry: true), outbound)
      return false
    case .revoked:
      let error = AWError(
        .hostUnknown, "This Host was removed from the control plane.",
        next: "Enrol the machine again if that was wrong.")
      try await refuse(Refused(error, retry: false), outbound)
      return false
    case .routed(let superseded):
      if let superseded { supersede(superseded) }
      session.attach { [weak gateway, host = session.host, connection = session.connection] event in
        gateway?.note(event, of: connection, on: host)
      }
      let registered = Registered(
        connection: session.connection,
        reconnectSpreadMilliseconds: gateway.configuration.reconnectSpread.milliseconds,
        certificateNotAfter: gateway.presented.withLockedValue { $0.identity.notAfter },
        heartbeatMilliseconds: gateway.configuration.heartbeatEvery.milliseconds, node: gateway.configuration.node,
        resolvesSecrets: true)
      try await outbound.write(try LinkCodec.encode(ControlMessage.registered(registered)))
      let gateways = gateway.shared.withLockedValue { $0.gateways }
      if !gateways.isEmpty { try await outbound.write(try LinkCodec.encode(ControlMessage.gateways(gateways))) }
      logger.info("a Host is connected", metadata: ["epoch": "\(hello.epoch)", "slot": "\(hello.slot)"])
      gateway.align([session])
      return true
    }
  }

  /// - Throws: `linkRefused` for a Hello that this AW Gateway cannot serve.
  static func check(_ hello: Hello) throws(AWError) {
    guard hello.version == LinkProtocol.version else {
      throw AWError(
        .linkRefused,
        "The Connector speaks version \(hello.version) of the link, this AW Gateway version \(LinkProtocol.version).",
        next: "Install the same release of AW on both machines.")
    }
    let (slots, wanted) = (0..<LinkLimits.connectionsMax, hello.connections ?? 1)
    guard slots.contains(hello.slot), (1...LinkLimits.connectionsMax).contains(wanted) else {
      throw AWError(
        .linkRefused, "A Connector may have \(LinkLimits.connectionsMax) connections, and this one asks for more.",
        next: "Install the same release of AW on both machines.")
    }
  }

  private func refuse(_ refused: Refused, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
    try await outbound.write(try LinkCodec.encode(ControlMessage.refused(refused)))
  }

  /// The old connection was unrouted by the new one's admission. One that is alive lets its streams end; a dead one
  /// ends by its own silence if nobody could tell.
  private func supersede(_ connection: String) {
    let old = gateway.shared.withLockedValue { $0.sessions[connection] }
    old?.note(.superseded, "a newer connection of the same Host took over")
    old?.drain(.superseded, spread: .zero, logger: logger)
  }

  private func leave() async {
    session.channel.close(promise: nil)
    // The socket's own end is told on its event loop: what was seen is complete once that is done.
    try? await session.channel.closeFuture.get()
    if let drained = session.drainedFor { gateway.count { $0.drains.append(drained) } }
    let (slot, host) = (session.slot, session.host)
    var wasDegraded = false
    let lost = gateway.shared.withLockedValue { shared -> (together: Int, before: Int)? in
      shared.sessions[session.connection] = nil
      guard shared.table.remove(host, connection: session.connection) else { return nil }
      if let slot { wasDegraded = shared.paths[host]?[slot]?.end() ?? false }
      return session.isMoved ? (0, 0) : shared.lost(host, at: .now)
    }
    guard let lost else { return }
    // Its loss says more.
    if let slot, wasDegraded { await gateway.delegate.mended(host, slot: slot) }
    guard !session.isMoved else { return await gateway.delegate.moved(host, connections: connections) }
    var seen = session.evidence(at: gateway.clock.now)
    (seen.lostTogether, seen.linksBefore) = (lost.together, lost.before)
    logger.notice(
      "a Host is disconnected",
      metadata: ["class": "\(LossClassifier.classify(seen).lossClass.rawValue)", "detail": "\(seen.detail)"])
    await gateway.delegate.disconnected(session.host, seen, connections: connections)
  }
}

/// One enrolment: a request in, a grant or a refusal out.
struct EnrolmentConversation: Sendable {
  let gateway: AWGateway

  private var logger: Logger { gateway.logger }

  func run(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
    do {
      try await channel.executeThenClose { inbound, outbound in
        var messages = inbound.makeAsyncIterator()
        guard let bytes = try await messages.next() else { return }
        let request = try LinkCodec.decode(EnrolmentRequest.self, from: bytes)
        let reply: EnrolmentReply
        do {
          reply = .granted(try await gateway.delegate.enrol(request, with: gateway.authorities))
        } catch {
          let error = AWError.wrapping(error, doing: "Enrolling the Host")
          logger.notice("an enrolment was refused", metadata: ["reason": "\(error.chain)"])
          reply = .refused(Refused(error, retry: false))
        }
        try await outbound.write(try LinkCodec.encode(reply))
      }
    } catch {
      logger.info("an enrolment ended early", metadata: ["error": "\(error)"])
    }
  }
}
