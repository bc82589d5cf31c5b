import Basics
import NIOCore
import NIOHTTP2

#if canImport(Glibc)
  import Glibc
#endif

/// Runs a `Liveness` on a link: sees every byte before HTTP/2 does, sends pings behind it, closes a dead link.
///
/// Two handlers share one object because bytes are seen in front of the HTTP/2 handler and frames behind it; both run
/// on the channel's event loop.
public final class LivenessProbe {
  public enum Event: Sendable {
    case suspected(LossEvidence.TCP?)
    case recovered
    /// A ping came back after so long.
    case answered(Duration)
    case died(silence: Duration, tcp: LossEvidence.TCP?)
    /// This end stood still for so long: its alarm came late.
    case stalled(Duration)
    case failed(any Error)
    /// The socket is closed.
    case ended
  }

  /// Triggered on the connection's channel: sends a ping behind what was written, see `Liveness.ask`.
  public struct Ask: Sendable {
    public init() {}
  }

  /// An alarm that is late by more than this is worth telling.
  private static let stallMin = Duration.milliseconds(250)
  /// What a sign says: pings count from 1.
  private static let sign: UInt64 = 0

  private var machine: Liveness
  private let started: NIODeadline
  fileprivate let report: (Event) -> Void
  private var context: ChannelHandlerContext?
  private var timer: Scheduled<Void>?
  /// When the timer is to fire.
  private var alarm: Duration
  /// What had arrived when the newest ping was sent; nil while the kernel has not said.
  private var heardAtPing: UInt32?
  private var progress = SendProgress(patience: LinkLimits.unacknowledgedMax)

  public init(policy: Liveness.Policy = .init(), report: @escaping (Event) -> Void) {
    started = .now()
    machine = Liveness(policy: policy, now: .zero)
    alarm = policy.pingAfter
    self.report = report
  }

  public var roundTrip: Duration? { machine.roundTrip }

  private var elapsed: Duration { .nanoseconds((NIODeadline.now() - started).nanoseconds) }

  fileprivate func attach(_ context: ChannelHandlerContext) {
    self.context = context
    schedule()
  }

  fileprivate func detach() {
    timer?.cancel()
    timer = nil
    context = nil
  }

  /// One timer at a time, for when the machine has something to decide next.
  private func schedule() {
    guard let context, let due = machine.due else { return }
    alarm = due
    // The handler lives on this event loop, so the task may touch it.
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(
      deadline: started + .nanoseconds(Int64(due.milliseconds) * 1_000_000)
    ) { bound.value.tick() }
  }

  private func tick() {
    checkStall()
    perform(machine.tick(now: elapsed))
    checkProgress()
    schedule()
  }

  /// Pings may be answered while what is larger than they is swallowed.
  private func checkProgress() {
    guard machine.due != nil, let context, let socket = context.channel as? any SocketOptionProvider else { return }
    let channel = context.channel
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    KernelTCP.of(socket).hop(to: context.eventLoop).whenSuccess { kernel in
      let probe = bound.value
      let isStuck = probe.progress.saw(
        unacknowledged: kernel.unacknowledged, acknowledged: kernel.bytesAcknowledged, now: probe.elapsed)
      guard isStuck, probe.context != nil else { return }
      probe.report(.failed(IOError(errnoCode: ETIMEDOUT, reason: "nothing that was sent is acknowledged any more")))
      probe.reset(channel)
    }
  }

  /// An alarm that is overdue tells that this end stood still.
  private func checkStall() {
    let late = elapsed - alarm
    if late > Self.stallMin { report(.stalled(late)) }
  }

  /// After a standstill the end of the socket may be seen before the overdue alarm is.
  fileprivate func ended() {
    // Once it is dead there is no alarm that could be overdue.
    if machine.due != nil { checkStall() }
    report(.ended)
  }

  fileprivate func bytesRead(_ count: Int) { perform(machine.bytesRead(count, now: elapsed)) }

  fileprivate func answered(_ ping: HTTP2PingData) {
    guard ping.integer != Self.sign else { return }
    perform(machine.pingAnswered(ping.integer, now: elapsed))
    if let roundTrip = machine.roundTrip { report(.answered(roundTrip)) }
  }

  fileprivate func ask() {
    perform(machine.ask(now: elapsed))
    timer?.cancel()
    schedule()
  }

  private func perform(_ action: Liveness.Action) {
    switch action {
    case .none: break
    case .sendPing(let id):
      // First, because on a short path the answer of the far kernel is there before the write returns.
      noteWhatWasHeard()
      send(id)
    case .sendSign: send(Self.sign)
    case .suspected: askKernel { [report] in report(.suspected($0)) }
    case .recovered: report(.recovered)
    case .died:
      let silence = elapsed - machine.lastRead
      let channel = context?.channel
      askKernel { [self] tcp in
        report(.died(silence: silence, tcp: tcp))
        if let channel { reset(channel) }
      }
    }
  }

  /// What the kernel says of the connection. Once the socket is closed nobody can tell any more what was on its way.
  private func askKernel(_ then: @escaping (LossEvidence.TCP?) -> Void) {
    guard let context, let socket = context.channel as? any SocketOptionProvider else { return then(nil) }
    let bound = NIOLoopBound((probe: self, then: then), eventLoop: context.eventLoop)
    KernelTCP.of(socket).hop(to: context.eventLoop).whenComplete { answer in
      let (probe, then) = bound.value
      then((try? answer.get()).map { $0.evidence(heardSincePing: probe.heardAtPing) })
    }
  }

  /// Closes with a reset. An ordinary end queues up behind bytes that are not acknowledged, so a far end that still
  /// hears would not learn of it; a reset does not, and the kernel forgets the connection at once.
  private func reset(_ channel: any Channel) {
    guard let socket = channel as? any SocketOptionProvider else { return channel.close(promise: nil) }
    socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
  }

  private func send(_ ping: UInt64) {
    let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: ping), ack: false))
    context?.writeAndFlush(NIOAny(frame), promise: nil)
  }

  /// A wire that swallows one way only still brings segments from the far end: they are counted from here.
  private func noteWhatWasHeard() {
    heardAtPing = nil
    guard let context, let socket = context.channel as? any SocketOptionProvider else { return }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    KernelTCP.of(socket).hop(to: context.eventLoop).whenSuccess { bound.value.heardAtPing = $0.segmentsHeard }
  }

  /// Put it between TLS and HTTP/2.
  public final class ByteWitness: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    private let probe: LivenessProbe
    private let buffers: LinkBuffers?
    private var aligner: FrameAligner
    private var passing = CircularBuffer<ByteBuffer>(initialCapacity: 2)
    private var isPassing = false

    /// - Parameter isServer: of HTTP/2: the far end begins with the preface.
    public init(_ probe: LivenessProbe, _ buffers: LinkBuffers? = nil, isServer: Bool) {
      self.probe = probe
      self.buffers = buffers
      aligner = FrameAligner(isServer: isServer)
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = unwrapInboundIn(data)
      let cut = aligner.take(bytes, data: { buffers?.held($0, by: $1) })
      passing.append(contentsOf: [cut.whole, cut.begun].compactMap { $0 })
      pass(context)
      probe.bytesRead(bytes.readableBytes)
    }

    /// Whoever takes bytes may write, and a write may read: what is read then must not overtake what waits here.
    private func pass(_ context: ChannelHandlerContext) {
      guard !isPassing else { return }
      isPassing = true
      while let bytes = passing.popFirst() { context.fireChannelRead(wrapInboundOut(bytes)) }
      isPassing = false
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
      context.fireChannelReadComplete()
      buffers?.enforce()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
      probe.report(.failed(error))
      context.fireErrorCaught(error)
    }

    public func channelInactive(context: ChannelHandlerContext) {
      probe.ended()
      context.fireChannelInactive()
    }
  }

  /// Put it behind HTTP/2: frames of the connection itself pass here.
  public final class Pinger: ChannelInboundHandler, ChannelOutboundHandler {
    public typealias InboundIn = HTTP2Frame
    public typealias OutboundIn = HTTP2Frame
    public typealias OutboundOut = HTTP2Frame
    private let probe: LivenessProbe
    public init(_ probe: LivenessProbe) { self.probe = probe }

    public func handlerAdded(context: ChannelHandlerContext) { probe.attach(context) }
    public func handlerRemoved(context: ChannelHandlerContext) { probe.detach() }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data).payload {
      case .ping(let ping, ack: true): probe.answered(ping)
      case .goAway(_, let code, _) where code != .noError: probe.report(.failed(GoneAway(code: code)))
      default: break
      }
      context.fireChannelRead(data)
    }

    public func triggerUserOutboundEvent(
      context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
      guard event is Ask else { return context.triggerUserOutboundEvent(event, promise: promise) }
      probe.ask()
      promise?.succeed()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
      // The witness in front of HTTP/2 has told what came from below.
      if error is any NIOHTTP2Error { probe.report(.failed(error)) }
      context.fireErrorCaught(error)
    }
  }
}
