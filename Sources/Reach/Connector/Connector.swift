import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle
import SwiftASN1
import X509

/// The AW process on a Host: keeps a link to the AW Gateway for as long as it runs. It never gives up and never exits
/// because of the network.
public final class Connector: Service {
  public struct Configuration: Sendable {
    /// Where the Host's identity and its Instances are kept.
    public var directory: String
    public var program: String
    public var liveness: Liveness.Policy
    /// Ends the Instances when the Connector is asked to end. What each is asked to be stays: the next Connector
    /// starts those that should run. Off, they run on without it.
    public var haltsInstances: Bool
    /// Asks a port of this machine for `/healthz`.
    public var probe: @Sendable (_ port: Int) async -> InstanceFacts.Answer

    public init(
      directory: String, program: String, liveness: Liveness.Policy = .init(), haltsInstances: Bool = false,
      probe: @escaping @Sendable (_ port: Int) async -> InstanceFacts.Answer = Connector.answer
    ) {
      self.directory = directory
      self.program = program
      self.liveness = liveness
      self.haltsInstances = haltsInstances
      self.probe = probe
    }
  }

  /// How the conversation on a link ended, as far as words were exchanged. What was seen is in `LossNotes`.
  private enum Ending: Sendable {
    case broken(String)
    case drained(spread: Duration)
    case refused(Refused)
    case stopped
  }

  private let configuration: Configuration
  private let runtimes: Runtimes
  private let clock: WallClock
  private let logger: Logger
  private let boot = Base64URL.encode([UInt8].random(count: 12))
  private let state: NIOLockedValueBox<HostState>
  /// What was seen of the end of the last link that was registered; told with the next one.
  private let previousLoss = NIOLockedValueBox<LossEvidence?>(nil)
  private let leaving = NIOLockedValueBox(false)
  /// Tells the AW Gateway that this Connector leaves; nil while there is no link.
  private let farewell = NIOLockedValueBox<(@Sendable () async throws -> Void)?>(nil)

  /// - Throws: `enrolmentInvalid` when the directory holds no readable identity.
  public init(
    configuration: Configuration, runtimes: Runtimes, clock: WallClock = .system, logger: Logger
  ) throws {
    self.configuration = configuration
    self.runtimes = runtimes
    self.clock = clock
    self.logger = logger
    state = NIOLockedValueBox(try HostState.load(from: configuration.directory))
  }

  public func run() async throws {
    await runtimes.resume()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.keepLinked() }
      group.addTask { await self.leaveInTime() }
      // The link ends by itself once the goodbye was read; else the wait for that does.
      await group.next()
      group.cancelAll()
    }
    if configuration.haltsInstances { await runtimes.halt() }
  }

  /// Waits for the shutdown, says goodbye, and gives the AW Gateway time to read it.
  private func leaveInTime() async {
    do {
      try await gracefulShutdown()
      leaving.withLockedValue { $0 = true }
      guard let farewell = farewell.withLockedValue({ $0 }) else { return }
      try await farewell()
      try await Task.sleep(for: LinkLimits.farewellMax)
    } catch {
      // Cancelled, or the link is gone: then there is nobody to take leave of.
      logger.debug("left without a goodbye", metadata: ["reason": "\(error)"])
    }
  }

  private func keepLinked() async {
    var reconnect = Reconnect()
    var epochKnown: Int64?
    while !Task.isCancelled, !leaving.withLockedValue({ $0 }) {
      let (ending, seen) = await dialAndServe(epochKnown: epochKnown)
      epochKnown = nil
      if let seen { remember(seen) }
      let lived = Duration.milliseconds(seen?.livedMilliseconds ?? 0)
      var reason = Reconnect.Reason.failure
      switch ending {
      case .stopped: return
      case _ where leaving.withLockedValue({ $0 }): return
      case .broken(let what):
        log(seen, what, .notice)
        if seen?.isUnreached == true { reason = .unreached }
      case .drained(let spread):
        log(seen, "the AW Gateway leaves", .info)
        reason = .drained(spread: spread)
      case .refused(let refused):
        log(seen, "\(refused.message) \(refused.next) [\(refused.code)]", .error)
        epochKnown = refused.epochKnown
        reason = refused.epochKnown != nil ? .corrected : (refused.retry ? .failure : .refused)
      }
      let delay = reconnect.delay(after: reason, lived: lived, random: Double.random(in: 0..<1))
      // Cancellation is how a shutdown interrupts the wait; the loop's condition sees it.
      try? await Task.sleep(for: delay)
    }
  }

  /// A dial that failed is no link: what is told next time is the end of the last one that was up. But a dial that
  /// finds no way tells why that one fell silent.
  private func remember(_ seen: LossEvidence) {
    previousLoss.withLockedValue { previous in
      if seen.phase == .established {
        previous = seen
      } else if seen.socket == .unreachable, previous?.silentMilliseconds != nil {
        previous?.socket = .unreachable
      }
    }
  }

  private func log(_ seen: LossEvidence?, _ what: String, _ level: Logger.Level) {
    let lossClass = seen.map { LossClassifier.classify($0).lossClass } ?? .unknown
    logger.log(
      level: level, "the link ended", metadata: ["class": "\(lossClass.rawValue)", "reason": "\(what)"])
  }

  /// One dial and, when it succeeds, one link to its end.
  private func dialAndServe(epochKnown: Int64?) async -> (Ending, seen: LossEvidence?) {
    let registered = NIOLockedValueBox<ContinuousClock.Instant?>(nil)
    let notes = NIOLockedValueBox(LossNotes())
    do {
      let (state, epoch) = try self.state.withLockedValue { state in
        (state, try state.nextEpoch(after: epochKnown))
      }
      let authorities = try state.document.bundle.authorities.map { try Certificate(pemEncoded: $0) }
      let tls = try LinkTLS.connector(
        identity: try state.key.identity(state.document.bundle), trust: .authorities(authorities),
        now: { [clock] in clock.now })
      let dialer = Dialer(
        address: state.document.gatewayAddress, port: state.document.gatewayPort, liveness: configuration.liveness,
        clock: clock, logger: logger)
      let link = try await dialer.link(tls, notes: notes)
      let ending = await serve(link, epoch: epoch, registered: registered)
      link.channel.close(promise: nil)
      // What the socket tells comes on its event loop: it is complete once that is done.
      try? await link.channel.closeFuture.get()
      if Task.isCancelled { return (.stopped, nil) }
      return (ending, evidence(notes.withLockedValue { $0 }, ending, since: registered.withLockedValue { $0 }))
    } catch {
      if Task.isCancelled { return (.stopped, nil) }
      let explained = AWError.wrapping(error, doing: "Dialling the AW Gateway")
      return (.broken(explained.description), (error as? DialFailure)?.seen)
    }
  }

  private func evidence(
    _ notes: LossNotes, _ ending: Ending, since registered: ContinuousClock.Instant?
  ) -> LossEvidence {
    var notes = notes
    if case .drained = ending { notes.note(.drain, "the AW Gateway leaves") }
    let lived = registered.map { ContinuousClock.now - $0 } ?? .zero
    var seen = notes.evidence(
      by: .connector, registered == nil ? .registration : .established, at: clock.now, lived: lived)
    if case .refused(let refused) = ending { seen.refusal = refused.code }
    return seen
  }

  private func serve(_ link: DialledLink, epoch: Int64, registered: NIOLockedValueBox<ContinuousClock.Instant?>) async
    -> Ending
  {
    let ending = NIOLockedValueBox<Ending>(.broken("the connection closed"))
    let server = TargetServer(runtimes: runtimes, logger: logger)
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        for await stream in link.streams {
          group.addTask {
            await server.serve(stream) { control in
              let outcome = try await self.converse(control, epoch: epoch, registered: registered)
              ending.withLockedValue { $0 = outcome }
              link.channel.close(promise: nil)
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
    _ stream: TargetStream, epoch: Int64, registered: NIOLockedValueBox<ContinuousClock.Instant?>
  ) async throws -> Ending {
    let acceptor = stream.acceptor
    let channel = try await stream.channel.eventLoop.submit {
      var wrapped: NIOAsyncChannel<ByteBuffer, ByteBuffer>?
      try acceptor.value.accept { pipeline in
        try pipeline.addMessageFraming()
        wrapped = try NIOAsyncChannel(wrappingChannelSynchronously: stream.channel)
      }
      guard let wrapped else { throw ChannelError.ioOnClosedChannel }
      return wrapped
    }.get()
    let hello = Hello(
      boot: boot, hostBoot: HostFacts.kernelBoot, slot: 0, epoch: epoch, program: configuration.program,
      clock: clock.now, previousLoss: previousLoss.withLockedValue { $0 }, runtimes: await runtimes.availability())
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(try LinkCodec.encode(ControlMessage.hello(hello)))
      let renewal = Task { try await self.renewInTime(outbound) }
      var pulse: Task<Void, any Error>?
      farewell.withLockedValue { farewell in
        farewell = { try await outbound.write(try LinkCodec.encode(ControlMessage.unregister(reason: "shutdown"))) }
      }
      defer {
        renewal.cancel()
        pulse?.cancel()
        farewell.withLockedValue { $0 = nil }
      }
      for try await bytes in inbound {
        switch try LinkCodec.decode(ControlMessage.self, from: bytes) {
        case .registered(let answer):
          registered.withLockedValue { $0 = .now }
          logger.info("linked to the AW Gateway", metadata: ["connection": "\(answer.connection)"])
          pulse?.cancel()
          pulse = answer.heartbeatMilliseconds.map { every in
            Task { try await self.tell(outbound, every: .milliseconds(every)) }
          }
        case .refused(let refused): return .refused(refused)
        case .drain(_, let spread): return .drained(spread: .milliseconds(spread))
        case .certificate(let bundle):
          try state.withLockedValue { try $0.adopt(bundle) }
          logger.info("the Host's certificate was renewed", metadata: ["notAfter": "\(bundle.notAfter)"])
        default: return .broken("the AW Gateway sent a message that only a Connector sends")
        }
      }
      return .broken("the AW Gateway closed the control stream")
    }
  }

  /// Tells how the Instances are, for as long as the link is up.
  private func tell(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, every: Duration) async throws {
    try await Pulse(runtimes: runtimes, every: every, probe: configuration.probe).run { heartbeat in
      try await outbound.write(try LinkCodec.encode(ControlMessage.heartbeat(heartbeat)))
    }
  }

  /// Asks for the next certificate at half of the present one's life, again and again.
  private func renewInTime(_ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) async throws {
    while !Task.isCancelled {
      let notAfter = state.withLockedValue { $0.document.bundle.notAfter }
      let left = notAfter.since(clock.now)
      let due = Renewal.delay(left: left, random: Double.random(in: 0..<1))
      try await Task.sleep(for: due)
      let request = try state.withLockedValue { try $0.key.signingRequest }
      try await outbound.write(try LinkCodec.encode(ControlMessage.renew(signingRequest: request)))
      try await Task.sleep(for: .seconds(30))
    }
  }
}

/// When to renew a certificate: at half of its life, give or take a tenth.
enum Renewal {
  static func delay(left: Duration, random: Double) -> Duration {
    let half = Authority.hostLifetime / 2
    let jitter = Authority.hostLifetime * (0.2 * random - 0.1)
    return max(.zero, left - half + jitter)
  }
}

/// Facts of the machine that tell one loss from another.
enum HostFacts {
  /// Names this run of the kernel; empty where the kernel does not say.
  static let kernelBoot: String =
    (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8))?
    .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
}
