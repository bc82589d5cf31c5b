import Basics
import NIOCore
import NIOHTTP2

/// Runs a `Liveness` on a link: sees every byte before HTTP/2 does, sends pings behind it, closes a dead link.
///
/// Two handlers share one object because bytes are seen in front of the HTTP/2 handler and frames behind it; both run
/// on the channel's event loop.
public final class LivenessProbe {
  public enum Event: Sendable, Equatable {
    case suspected
    case recovered
    case died(silence: Duration)
  }

  private static let tickInterval = TimeAmount.milliseconds(500)

  private var machine: Liveness
  private let started: NIODeadline
  private let report: (Event) -> Void
  private var context: ChannelHandlerContext?
  private var timer: RepeatedTask?

  public init(policy: Liveness.Policy = .init(), report: @escaping (Event) -> Void) {
    started = .now()
    machine = Liveness(policy: policy, now: .zero)
    self.report = report
  }

  public var roundTrip: Duration? { machine.roundTrip }

  private var elapsed: Duration { .nanoseconds((NIODeadline.now() - started).nanoseconds) }

  fileprivate func attach(_ context: ChannelHandlerContext) {
    self.context = context
    // The handler lives on this event loop, so the task may touch it.
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleRepeatedTask(
      initialDelay: Self.tickInterval, delay: Self.tickInterval
    ) { _ in bound.value.tick() }
  }

  fileprivate func detach() {
    timer?.cancel()
    timer = nil
    context = nil
  }

  private func tick() { perform(machine.tick(now: elapsed)) }
  fileprivate func bytesRead() { perform(machine.bytesRead(now: elapsed)) }
  fileprivate func answered(_ ping: HTTP2PingData) { perform(machine.pingAnswered(ping.integer, now: elapsed)) }

  private func perform(_ action: Liveness.Action) {
    switch action {
    case .none: break
    case .sendPing(let id): sendPing(id)
    case .suspected: report(.suspected)
    case .recovered: report(.recovered)
    case .died:
      report(.died(silence: elapsed - machine.lastRead))
      context?.close(promise: nil)
    }
  }

  private func sendPing(_ id: UInt64) {
    guard let context else { return }
    let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: id), ack: false))
    context.writeAndFlush(NIOAny(frame), promise: nil)
  }

  /// Put it between TLS and HTTP/2.
  public final class ByteWitness: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    private let probe: LivenessProbe
    public init(_ probe: LivenessProbe) { self.probe = probe }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      probe.bytesRead()
      context.fireChannelRead(data)
    }
  }

  /// Put it behind HTTP/2: frames of the connection itself pass here.
  public final class Pinger: ChannelInboundHandler {
    public typealias InboundIn = HTTP2Frame
    public typealias OutboundOut = HTTP2Frame
    private let probe: LivenessProbe
    public init(_ probe: LivenessProbe) { self.probe = probe }

    public func handlerAdded(context: ChannelHandlerContext) { probe.attach(context) }
    public func handlerRemoved(context: ChannelHandlerContext) { probe.detach() }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if case .ping(let ping, ack: true) = unwrapInboundIn(data).payload { probe.answered(ping) }
      context.fireChannelRead(data)
    }
  }
}
