import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle
import SwiftASN1
import X509

/// One of a Connector's connections, for as long as the Connector runs: dials, serves, and dials again. When the AW
/// Gateway leaves, the next connection is dialled while the old one still serves.
struct LinkSlot: Sendable {
  /// How the conversation on a link ended, as far as words were exchanged. What was seen is in `LossNotes`.
  private enum Ending: Sendable {
    case broken(String)
    case drained(DrainReason, spread: Duration)
    case refused(Refused)
    /// Another connection is to take its place, at another control plane.
    case moved

    /// This AW Gateway will not be there for the next connection.
    var isDeparture: Bool { if case .drained(.restart, _) = self { true } else { false } }
  }

  /// What there is to know of a connection when the next one may be dialled.
  private struct Outcome: Sendable {
    let ending: Ending
    let seen: LossEvidence?
  }

  /// One connection, from its dial to its end.
  private final class Life: Sendable {
    let registeredAt = NIOLockedValueBox<ContinuousClock.Instant?>(nil)
    let notes = NIOLockedValueBox(LossNotes())
  }

  let number: Int
  let connector: Connector

  private var logger: Logger {
    var logger = connector.logger
    logger[metadataKey: "slot"] = "\(number)"
    return logger
  }

  func keep() async {
    for _ in 0..<number { await pause(.seconds(Double.random(in: connector.configuration.spacing))) }
    await withDiscardingTaskGroup { group in
      var reconnect = Reconnect()
      var epochKnown: Int64?
      var moves = 0
      while !Task.isCancelled, !connector.isLeaving {
        let (outcomes, settle) = AsyncStream<Outcome>.makeStream(bufferingPolicy: .bufferingOldest(1))
        let (known, endpoint) = (epochKnown, connector.endpoint(of: number, moves: moves))
        group.addTask {
          await dialAndServe(endpoint, epochKnown: known) { settle.yield($0) }
          settle.finish()
        }
        // Nothing comes when the Connector was cancelled.
        guard let outcome = await outcomes.first(where: { _ in true }), !connector.isLeaving else { break }
        if let seen = outcome.seen { connector.remember(seen, of: number) }
        epochKnown = if case .refused(let refused) = outcome.ending { refused.epochKnown } else { nil }
        let reason = reason(after: outcome)
        if outcome.seen?.phase != .established || outcome.ending.isDeparture { moves += 1 }
        if outcome.seen.map({ $0.phase != .established }) ?? false { connector.failed(endpoint) }
        let lived = Duration.milliseconds(outcome.seen?.livedMilliseconds ?? 0)
        await pause(reconnect.delay(after: reason, lived: lived, random: Double.random(in: 0..<1)))
      }
    }
  }

  /// A shutdown or a cancellation cuts it short; the loop's condition sees either.
  private func pause(_ time: Duration) async {
    await cancelWhenGracefulShutdown { try? await Task.sleep(for: time) }
  }

  private func reason(after outcome: Outcome) -> Reconnect.Reason {
    switch outcome.ending {
    case .broken(let what):
      log(outcome.seen, what, .notice)
      if outcome.seen?.isUnreached == true { return .unreached }
      if outcome.seen?.proxy == .credentials { return .refused }
      return connector.isLinked(beside: number) ? .alone : .failure
    case .drained(.restart, let spread):
      log(outcome.seen, "the AW Gateway leaves", .info)
      return .drained(spread: spread)
    case .drained(.refresh, let spread):
      log(outcome.seen, "the AW Gateway asks for another connection", .debug)
      return .drained(spread: spread)
    case .drained(.superseded, _):
      // Dialling at once would supersede the other one in turn, for ever.
      log(outcome.seen, "another Connector with this Host's identity took over", .warning)
      return .refused
    case .moved:
      logger.info("a connection moves to another control plane")
      return .drained(spread: .zero)
    case .refused(let refused):
      log(outcome.seen, "\(refused.message) \(refused.next) [\(refused.code)]", .error)
      return refused.epochKnown != nil ? .corrected : (refused.retry ? .failure : .refused)
    }
  }

  private func log(_ seen: LossEvidence?, _ what: String, _ level: Logger.Level) {
    let lossClass = seen.map { LossClassifier.classify($0).lossClass } ?? .unknown
    logger.log(
      level: level, "the link ended", metadata: ["class": "\(lossClass.rawValue)", "reason": "\(what)"])
  }

  // MARK: - One connection

  /// One dial and, when it succeeds, one link to its end.
  ///
  /// - Parameter settle: told how it ended, or that it is about to; only the first call counts.
  private func dialAndServe(
    _ endpoint: GatewayEndpoint, epochKnown: Int64?, settle: @escaping @Sendable (Outcome) -> Void
  ) async {
    let life = Life()
    do {
      let (state, epoch) = try connector.state.withLockedValue { state in
        (state, try state.nextEpoch(after: epochKnown))
      }
      let authorities = try state.document.bundle.authorities.map { try Certificate(pemEncoded: $0) }
      let tls = try LinkTLS.connector(
        identity: try state.key.identity(state.document.bundle), trust: .authorities(authorities),
        now: { [clock = connector.clock] in clock.now })
      let dialer = Dialer(
        endpoint: endpoint, proxy: connector.configuration.proxies.proxy(to: endpoint.address),
        liveness: connector.configuration.liveness, budgets: [connector.budget], clock: connector.clock, logger: logger)
      let link = try await dialer.link(tls, notes: life.notes)
      let ending = await serve(link, endpoint, epoch: epoch, life, settle)
      link.channel.close(promise: nil)
      // What the socket tells comes on its event loop: it is complete once that is done.
      try? await link.channel.closeFuture.get()
      guard !Task.isCancelled else { return }
      settle(Outcome(ending: ending, seen: evidence(life, ending)))
    } catch {
      guard !Task.isCancelled else { return }
      let explained = AWError.wrapping(error, doing: "Dialling the AW Gateway")
      settle(Outcome(ending: .broken(explained.description), seen: (error as? DialFailure)?.seen))
    }
  }

  private func evidence(_ life: Life, _ ending: Ending) -> LossEvidence {
    var notes = life.notes.withLockedValue { $0 }
    switch ending {
    case .drained(.restart, _): notes.note(.drain, "the AW Gateway leaves")
    case .drained(.refresh, _): notes.note(.drain, "the AW Gateway asked for another connection")
    case .drained(.superseded, _): notes.note(.superseded, "another Connector took over")
    case .broken, .refused, .moved: break
    }
    let registered = life.registeredAt.withLockedValue { $0 }
    let lived = registered.map { ContinuousClock.now - $0 } ?? .zero
    var seen = notes.evidence(
      by: .connector, registered == nil ? .registration : .established, at: connector.clock.now, lived: lived)
    seen.slot = number
    if case .refused(let refused) = ending { seen.refusal = refused.code }
    return seen
  }

  private func serve(
    _ link: DialledLink, _ endpoint: GatewayEndpoint, epoch: Int64, _ life: Life,
    _ settle: @escaping @Sendable (Outcome) -> Void
  ) async -> Ending {
    let ending = NIOLockedValueBox<Ending>(.broken("the connection closed"))
    let server = TargetServer(runtimes: connector.runtimes, logger: logger)
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        for await stream in link.streams {
          group.addTask {
            await server.serve(stream) { control in
              defer { link.channel.close(promise: nil) }
              let outcome = try await converse(control, endpoint, epoch: epoch, life, settle)
              ending.withLockedValue { $0 = outcome }
            }
          }
        }
      }
    } onCancel: {
      link.channel.close(promise: nil)
    }
    return ending.withLockedValue { $0 }
  }

  /// The control stream from the Connector's side.
  private func converse(
    _ stream: TargetStream, _ endpoint: GatewayEndpoint, epoch: Int64, _ life: Life,
    _ settle: @escaping @Sendable (Outcome) -> Void
  ) async throws -> Ending {
    let channel = try await stream.messages()
    let hello = Hello(
      boot: connector.boot, hostBoot: HostFacts.kernelBoot, slot: number,
      connections: connector.configuration.connections, epoch: epoch, program: connector.configuration.program,
      clock: connector.clock.now, previousLoss: connector.previousLoss(of: number),
      runtimes: await connector.runtimes.availability(),
      trust: try connector.state.withLockedValue { try $0.trust })
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(try LinkCodec.encode(ControlMessage.hello(hello)))
      let renewal = Task { try await renewInTime(outbound) }
      let placement = Task { try await moveInTime(life, outbound, settle) }
      var pulse: Task<Void, any Error>?
      // An AW Gateway that gives no orders does not know the answer to one.
      var isOrdered = false
      defer {
        renewal.cancel()
        placement.cancel()
        pulse?.cancel()
        connector.forget(life)
        unregistered(life)
      }
      for try await bytes in inbound {
        switch try LinkCodec.decode(ControlMessage.self, from: bytes) {
        case .registered(let answer):
          life.registeredAt.withLockedValue { $0 = .now }
          logger.info("linked to the AW Gateway", metadata: ["connection": "\(answer.connection)"])
          let farewell: @Sendable () async -> Void = { await leave(outbound, .unregister(reason: "shutdown")) }
          let leaves = await connector.registered(
            life, in: number, at: endpoint, node: answer.node, farewell: farewell)
          if leaves { await farewell() }
          if answer.resolvesSecrets == true { await askFrom(life, outbound) }
          pulse?.cancel()
          pulse = answer.heartbeatMilliseconds.map { every in
            Task { try await tell(life, outbound, over: stream.channel.parent, every: .milliseconds(every)) }
          }
        case .refused(let refused): return .refused(refused)
        case .drain(let reason, let spread):
          // It serves on until the AW Gateway closes it, while the next one is dialled.
          if reason != .refresh { unregistered(life) }
          let ending = Ending.drained(reason, spread: .milliseconds(spread))
          settle(Outcome(ending: ending, seen: evidence(life, ending)))
        case .gateways(let gateways):
          try connector.learn(gateways)
          moveIfMisplaced(life, outbound, settle)
        case .certificate(let bundle):
          try connector.state.withLockedValue { try $0.adopt(bundle) }
          logger.info("the Host's certificate was renewed", metadata: ["notAfter": "\(bundle.notAfter)"])
          if isOrdered { try await reportTrust(outbound) }
        case .trust(let order):
          isOrdered = true
          let isSigned = try connector.state.withLockedValue { try $0.adopt(order) }
          logger.info("other authorities are trusted now", metadata: ["count": "\(order.authorities.count)"])
          // What comes of a renewal is told once it is here.
          if isSigned { try await reportTrust(outbound) } else { try await renew(outbound) }
        default: return .broken("the AW Gateway sent a message that only a Connector sends")
        }
      }
      return .broken("the AW Gateway closed the control stream")
    }
  }

  /// Lets the Instances' questions go over this link.
  private func askFrom(_ life: Life, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async {
    await connector.runtimes.secrets?.attach(ObjectIdentifier(life)) { question in
      try await outbound.write(try LinkCodec.encode(ControlMessage.resolve(question)))
    }
  }

  /// The link is not counted any more, tells no more, and nobody asks on it.
  private func unregistered(_ life: Life) {
    connector.unregistered(life)
    guard let secrets = connector.runtimes.secrets else { return }
    Task { await secrets.detach(ObjectIdentifier(life)) }
  }

  /// Has this link replaced by one to another control plane, if it should be. It serves until that one is up.
  private func moveIfMisplaced(
    _ life: Life, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ settle: @Sendable (Outcome) -> Void
  ) {
    guard connector.replaceIfMisplaced(life, in: number, leave: { await leave(outbound, .moved) }) else { return }
    settle(Outcome(ending: .moved, seen: nil))
  }

  /// Looks again and again whether this link should end elsewhere: an AW Gateway whose dial failed may be there again,
  /// and nobody tells of it.
  private func moveInTime(
    _ life: Life, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ settle: @Sendable (Outcome) -> Void
  ) async throws {
    while true {
      try await Task.sleep(for: connector.configuration.avoidFor / 3)
      moveIfMisplaced(life, outbound, settle)
    }
  }

  /// Tells the AW Gateway that this link is not used any more; it closes when the streams under way have ended.
  private func leave(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, _ goodbye: ControlMessage) async {
    do {
      try await outbound.write(try LinkCodec.encode(goodbye))
    } catch {
      // The link is gone: there is nobody to take leave of.
      logger.debug("left without a goodbye", metadata: ["reason": "\(error)"])
    }
  }

  /// Tells how the Instances are, for as long as the link is up and no lower slot does.
  private func tell(
    _ life: Life, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, over connection: (any Channel)?,
    every: Duration
  ) async throws {
    let pulse = Pulse(runtimes: connector.runtimes, every: every, probe: connector.configuration.probe)
    try await pulse.run(while: { connector.tells(life, in: number) }) {
      try await outbound.write(
        try LinkCodec.encode(ControlMessage.heartbeat($0), bytesMin: LinkLimits.heartbeatBytesMin))
      // Nobody answers a heartbeat.
      connection?.triggerUserOutboundEvent(LivenessProbe.Ask(), promise: nil)
    }
  }

  private func reportTrust(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
    let report = try connector.state.withLockedValue { try $0.trust }
    try await outbound.write(try LinkCodec.encode(ControlMessage.trusting(report)))
  }

  private func renew(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
    let request = try connector.state.withLockedValue { try $0.key.signingRequest }
    try await outbound.write(try LinkCodec.encode(ControlMessage.renew(signingRequest: request)))
  }

  /// Asks for the next certificate at half of the present one's life, again and again.
  private func renewInTime(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
    while !Task.isCancelled {
      let notAfter = connector.state.withLockedValue { $0.document.bundle.notAfter }
      let due = Renewal.delay(left: notAfter.since(connector.clock.now), random: Double.random(in: 0..<1))
      try await Task.sleep(for: due)
      // Another connection may have done it meanwhile.
      guard connector.state.withLockedValue({ $0.document.bundle.notAfter }) == notAfter else { continue }
      try await renew(outbound)
      try await Task.sleep(for: .seconds(30))
    }
  }
}
