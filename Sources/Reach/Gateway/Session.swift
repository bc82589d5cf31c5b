import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP2

/// One connection of one Host, from the AW Gateway's side.
public final class Session: Sendable {
  /// The connection takes no streams any more: nothing was sent, so another one may be tried.
  struct Closed: Error {}

  /// What the AW Gateway is told while the connection lasts.
  enum Event: Sendable {
    case suspect(Bool)
    /// The Host did not connect a stream.
    case refused(TargetFailure)
    /// A stream was given up because its reader is too slow.
    case shed
  }

  private struct Streams {
    var open = 0
    /// Of these, those to an Instance's port.
    var toInstances = 0
    /// Ends with its last stream.
    var retiring = false
  }

  private struct PathState {
    var meter = PathMeter()
    /// A ping that was answered since the last look.
    var ping: Duration?
  }

  /// What is known of the Connector's end of it.
  private struct Standing {
    /// Since when it is let go.
    var drainingSince: ContinuousClock.Instant?
    var trust: TrustReport?
    /// Another connection was asked for in its place.
    var isRefreshing = false
  }

  /// Of the certificate that the connection was made with.
  struct Shown: Sendable {
    /// The authority that signed it, by fingerprint.
    let issuer: String
    let notAfter: Timestamp
  }

  public let host: HostID
  public let connection: String
  let shown: Shown
  /// At which age it is made anew.
  private let ageMax =
    LinkLimits.connectionAgeMax
    * Double.random(in: 1 - LinkLimits.connectionAgeShare...1 + LinkLimits.connectionAgeShare)
  let channel: any Channel
  private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
  private let buffers: NIOLoopBound<LinkBuffers>
  private let streams = NIOLockedValueBox(Streams())
  private let notes = NIOLockedValueBox(LossNotes())
  private let registration = NIOLockedValueBox<(at: ContinuousClock.Instant, hello: Hello)?>(nil)
  private let watcher = NIOLockedValueBox<(@Sendable (Event) -> Void)?>(nil)
  private let path = NIOLockedValueBox(PathState())
  private let hasMoved = NIOLockedValueBox(false)
  private let newestRoundTrip = NIOLockedValueBox<Duration?>(nil)
  private let standing = NIOLockedValueBox(Standing())
  /// Questions of the Connector that are being answered.
  private let answers = NIOLockedValueBox(0)
  /// The control stream, once the connection is registered.
  private let control = NIOLockedValueBox<NIOAsyncChannelOutboundWriter<ByteBuffer>?>(nil)

  init(
    host: HostID, connection: String, shown: Shown, channel: any Channel,
    multiplexer: NIOHTTP2Handler.StreamMultiplexer, buffers: NIOLoopBound<LinkBuffers>
  ) {
    self.host = host
    self.connection = connection
    self.shown = shown
    self.channel = channel
    self.multiplexer = multiplexer
    self.buffers = buffers
  }

  /// - Returns: whether one more question of the Connector is answered now.
  func beginAnswer() -> Bool {
    answers.withLockedValue { count in
      guard count < SecretLimits.questionsPerLinkMax else { return false }
      count += 1
      return true
    }
  }

  func endAnswer() { answers.withLockedValue { $0 -= 1 } }

  // MARK: - Streams

  /// How many streams it carries; nil when it takes no more.
  var load: Int? {
    guard channel.isActive else { return nil }
    return streams.withLockedValue { $0.retiring ? nil : $0.open }
  }

  /// How many streams it carries, by what they go to.
  var carried: [LinkFigures.StreamKind: Int] {
    streams.withLockedValue { [.openclaw: $0.toInstances, .runtime: $0.open - $0.toInstances] }
  }

  private func admit(_ kind: LinkFigures.StreamKind) throws {
    let isFull = try streams.withLockedValue { streams in
      guard !streams.retiring else { throw Closed() }
      guard streams.open < LinkLimits.streamsPerLinkMax else { return true }
      streams.open += 1
      if kind == .openclaw { streams.toInstances += 1 }
      return false
    }
    guard isFull else { return }
    tell(.refused(.limit))
    throw TargetRefused(.limit)
  }

  private func release(_ kind: LinkFigures.StreamKind) {
    let isLast = streams.withLockedValue { streams in
      streams.open -= 1
      if kind == .openclaw { streams.toInstances -= 1 }
      return streams.retiring && streams.open == 0
    }
    if isLast { end() }
  }

  /// Ends a connection without streams. The control stream's end makes the Connector close, once it has read what was
  /// said before; a close of the connection itself could overtake that.
  private func end() {
    guard let control = control.withLockedValue({ $0 }) else { return channel.close(promise: nil) }
    control.finish()
    close(within: LinkLimits.farewellMax)
  }

  /// Lets what is under way end, then closes; after `grace` it closes all the same.
  func retire(within grace: Duration) {
    let isIdle = streams.withLockedValue { streams in
      streams.retiring = true
      return streams.open == 0
    }
    if isIdle { end() } else { close(within: grace) }
  }

  /// Asks the Connector for another connection, lets what is under way here end, then closes. One whose Connector
  /// cannot be told any more ends by its silence, or after the grace.
  func drain(_ reason: DrainReason, spread: Duration, logger: Logger) {
    close(within: LinkLimits.drainGrace + LinkLimits.farewellMax)
    standing.withLockedValue { $0.drainingSince = $0.drainingSince ?? .now }
    guard let control = control.withLockedValue({ $0 }) else { return }
    Task {
      do {
        try await control.write(
          try LinkCodec.encode(ControlMessage.drain(reason: reason, spreadMilliseconds: spread.milliseconds)))
      } catch {
        logger.debug("a Connector was gone before the goodbye", metadata: ["error": "\(error)"])
      }
      retire(within: LinkLimits.drainGrace)
    }
  }

  // MARK: - What its Connector is told

  /// For how long it has been let go; nil when it was not.
  var drainedFor: Duration? { standing.withLockedValue { $0.drainingSince.map { .now - $0 } } }

  /// What the Connector told last of whom it trusts.
  var trust: TrustReport? { standing.withLockedValue { $0.trust } }
  func note(trust: TrustReport?) { standing.withLockedValue { $0.trust = trust } }

  /// Tells the Connector something that has no answer. One that is gone is told again by its next connection.
  func tell(_ message: ControlMessage, logger: Logger) {
    guard let control = control.withLockedValue({ $0 }) else { return }
    Task {
      do {
        try await control.write(try LinkCodec.encode(message))
      } catch {
        logger.debug("a Connector could not be told", metadata: ["reason": "\(error)"])
      }
    }
  }

  /// Whether it is to be made anew. A Connector that would not understand keeps what it has.
  func isAged(at now: ContinuousClock.Instant) -> Bool {
    guard let registration = registration.withLockedValue({ $0 }), registration.hello.trust != nil else { return false }
    return now - registration.at >= ageMax
  }

  /// Asks, once, for another connection in the place of this one. It serves until that one supersedes it.
  func refresh(spread: Duration, logger: Logger) {
    let isFirst = standing.withLockedValue { standing in
      defer { standing.isRefreshing = true }
      return !standing.isRefreshing
    }
    guard isFirst else { return }
    tell(.drain(reason: .refresh, spreadMilliseconds: spread.milliseconds), logger: logger)
  }

  /// The Connector has another connection in the place of this one: its end is no loss.
  func move() { hasMoved.withLockedValue { $0 = true } }
  var isMoved: Bool { hasMoved.withLockedValue { $0 } }

  /// Closes after a time at the latest.
  func close(within grace: Duration) {
    let timer = channel.eventLoop.scheduleTask(in: .milliseconds(grace.milliseconds)) { [channel] in
      channel.close(promise: nil)
    }
    channel.closeFuture.whenComplete { _ in timer.cancel() }
  }

  /// Opens a stream to a target on the Host; `initialize` adds the handlers for its bytes.
  ///
  /// - Throws: `Closed`, `linkLost`; what the target refused arrives in the stream as `TargetRefused`.
  func open<Value: Sendable>(
    _ target: LinkTarget, _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    let kind = LinkFigures.StreamKind(target)
    try admit(kind)
    let value = channel.eventLoop.makePromise(of: Value.self)
    let stream = channel.eventLoop.makePromise(of: (any Channel).self)
    let hasBegun = NIOLockedValueBox(false)
    multiplexer.createStreamChannel(promise: stream) { stream in
      hasBegun.withLockedValue { $0 = true }
      let prepared = stream.eventLoop.makeCompletedFuture {
        try stream.pipeline.syncOperations.addHandler(
          StreamOpener(target: target, buffers: self.buffers.value) { self.tell(.refused($0)) })
      }.flatMap { initialize(stream) }
      prepared.cascadeSuccess(to: value)
      return prepared.map { _ in }
    }
    do {
      let opened = try await stream.futureResult.get()
      opened.closeFuture.whenComplete { _ in self.release(kind) }
    } catch {
      release(kind)
      value.fail(error)
      throw hasBegun.withLockedValue { $0 } ? Session.lost(error) : Closed()
    }
    return try await value.futureResult.get()
  }

  /// Makes one runtime call and waits for its answer.
  ///
  /// - Throws: the Host's own `AWError`, `linkLost`, `operationDeadline`, or `Closed`.
  func call(_ call: RuntimeCall, deadline: Duration) async throws -> RuntimeReply {
    let request = try LinkCodec.encode(call)
    let stream: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    stream = try await open(.runtime) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addMessageFraming()
        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
      }
    }
    let timer = stream.channel.eventLoop.scheduleTask(in: .milliseconds(deadline.milliseconds)) {
      stream.channel.pipeline.fireErrorCaught(
        AWError(
          .operationDeadline, "The Host did not answer within \(Int(deadline.seconds)) s.",
          next: "Look at the Host's log; the operation goes on by itself when the Host answers again."))
      stream.channel.close(promise: nil)
    }
    defer { timer.cancel() }
    do {
      let answer: ByteBuffer? = try await stream.executeThenClose { inbound, outbound in
        var messages = inbound.makeAsyncIterator()
        do {
          try await outbound.write(request)
        } catch {
          // A stream refused before the call was out says why in what it let be read.
          if let answer = try await messages.next() { return answer }
          throw error
        }
        return try await messages.next()
      }
      guard let answer else { throw ChannelError.eof }
      let reply = try LinkCodec.decode(RuntimeReply.self, from: answer)
      if case .failed(let refused) = reply {
        throw AWError(ErrorCode.named(refused.code), refused.message, next: refused.next)
      }
      return reply
    } catch {
      throw Session.lost(error)
    }
  }

  /// Explains an error of the link; errors that already speak to people pass.
  static func lost(_ error: any Error) -> any Error {
    if error is AWError || error is any ExplainedError { return error }
    return AWError(
      .linkLost, "The link to the Host broke during the call.",
      next: "The Connector dials again by itself; try again when the Host is connected.", cause: error)
  }

  // MARK: - What is seen of its end

  /// Keeps what is seen of this link's end, for when it has ended.
  func note(_ change: (inout LossNotes) -> Void) { notes.withLockedValue(change) }
  func note(_ signal: LossEvidence.Signal, _ detail: String) { note { $0.note(signal, detail) } }

  func registered(_ hello: Hello, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) {
    registration.withLockedValue { $0 = (.now, hello) }
    control.withLockedValue { $0 = outbound }
    note(trust: hello.trust)
  }

  func evidence(at now: Timestamp) -> LossEvidence {
    let registration = registration.withLockedValue { $0 }
    let lived = registration.map { ContinuousClock.now - $0.at } ?? .zero
    var seen = notes.withLockedValue { $0 }.evidence(by: .gateway, at: now, lived: lived)
    seen.slot = registration?.hello.slot
    seen.run = (registration?.hello).map { .init(connector: $0.boot, kernel: $0.hostBoot) }
    return seen
  }

  /// Lets what happens on the connection reach the AW Gateway, once it is routed.
  func attach(_ watcher: @escaping @Sendable (Event) -> Void) { self.watcher.withLockedValue { $0 = watcher } }

  func tell(_ event: Event) { watcher.withLockedValue { $0 }?(event) }

  /// The newest one that was measured.
  public var roundTrip: Duration? { newestRoundTrip.withLockedValue { $0 } }

  func note(roundTrip: Duration) {
    newestRoundTrip.withLockedValue { $0 = roundTrip }
    path.withLockedValue { $0.ping = roundTrip }
  }

  // MARK: - Its path

  /// Which of the Host's connections it is, once it is registered.
  var slot: Int? { registration.withLockedValue { $0?.hello.slot } }

  /// Bytes both ways between the two newest looks.
  var bytesOfPath: Int { path.withLockedValue { $0.meter.bytes } }

  /// Measures its path, and pings for the next time.
  func lookAtPath(bytesBeside: Int, _ take: @escaping @Sendable (PathSample, LossEvidence.TCP) -> Void) {
    guard let socket = channel as? any SocketOptionProvider else { return }
    KernelTCP.of(socket).whenSuccess { [path, channel] kernel in
      let sample = path.withLockedValue { path in
        defer { path.ping = nil }
        return path.meter.look(kernel, ping: path.ping, bytesBeside: bytesBeside)
      }
      guard let sample else { return }
      take(sample, kernel.evidence)
      // Behind bulk a ping would wait, and look like a far end that is silent.
      if sample != .loaded { channel.triggerUserOutboundEvent(LivenessProbe.Ask(), promise: nil) }
    }
  }
}
