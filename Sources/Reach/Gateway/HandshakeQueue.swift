import Basics
import Link
import NIOConcurrencyHelpers
import NIOCore

/// The handshakes of one listener: gives them their turns, and closes the door while too many wait.
final class HandshakeQueue: Sendable {
  private struct State {
    var turns: HandshakeTurns
    var starts: [HandshakeTurns.Number: @Sendable () -> Void] = [:]
    var isShut = false
    /// Opens the door again; the listener gives it.
    var open: (@Sendable () -> Void)?
  }

  private let state: NIOLockedValueBox<State>

  init(_ turns: HandshakeTurns = HandshakeTurns()) { state = NIOLockedValueBox(State(turns: turns)) }

  /// Asks for a turn; `start` is called once it has come, now or later and on any thread.
  func ask(_ start: @escaping @Sendable () -> Void) -> HandshakeTurns.Number {
    let (number, hasCome) = state.withLockedValue { state in
      let asked = state.turns.ask()
      if !asked.hasCome { state.starts[asked.number] = start }
      return asked
    }
    if hasCome { start() }
    return number
  }

  /// Ends a turn, or the wait for it.
  func end(_ number: HandshakeTurns.Number) {
    let (start, open) = state.withLockedValue { state in
      state.starts[number] = nil
      let start = state.turns.end(number).flatMap { state.starts.removeValue(forKey: $0) }
      guard state.isShut, !state.turns.isFull else { return (start, nil as (@Sendable () -> Void)?) }
      state.isShut = false
      return (start, state.open)
    }
    start?()
    open?()
  }

  /// Whether another connection may be let in. When not, `opened` is called once it may.
  fileprivate func mayEnter(_ opened: @escaping @Sendable () -> Void) -> Bool {
    state.withLockedValue { state in
      state.open = opened
      state.isShut = state.turns.isFull
      return !state.isShut
    }
  }

  /// Stands in the listener's pipeline.
  final class Door: ChannelOutboundHandler {
    typealias OutboundIn = Never

    private let queue: HandshakeQueue

    init(_ queue: HandshakeQueue) { self.queue = queue }

    func read(context: ChannelHandlerContext) {
      let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
      let loop = context.eventLoop
      if queue.mayEnter({ loop.execute { bound.value.read() } }) { context.read() }
    }
  }

  /// Stands first in a connection's pipeline: keeps what arrives until the handshake's turn, then steps aside.
  ///
  /// A connection asks with its first bytes, so that one that says nothing takes nobody's place. One that goes on too
  /// slowly gives its place up and goes on all the same.
  final class Turn: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let queue: HandshakeQueue
    private var held: [ByteBuffer] = []
    private var number: HandshakeTurns.Number?
    private var hasCome = false
    private var lapse: Scheduled<Void>?

    init(_ queue: HandshakeQueue) { self.queue = queue }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard !hasCome else { return context.fireChannelRead(data) }
      held.append(unwrapInboundIn(data))
      guard held.reduce(0, { $0 + $1.readableBytes }) <= LinkLimits.handshakeHeldBytesMax else {
        return context.close(promise: nil)
      }
      guard number == nil else { return }
      let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
      let loop = context.eventLoop
      number = queue.ask { loop.execute { bound.value.0.start(bound.value.1) } }
    }

    private func start(_ context: ChannelHandlerContext) {
      guard !hasCome, let number else { return }
      hasCome = true
      lapse = context.eventLoop.scheduleTask(in: .milliseconds(LinkLimits.handshakeTurnMax.milliseconds)) { [queue] in
        queue.end(number)
      }
      for bytes in held { context.fireChannelRead(wrapInboundOut(bytes)) }
      held = []
      context.fireChannelReadComplete()
    }

    /// The handshake is over, well or not.
    func finish(_ channel: any Channel) {
      leave()
      channel.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
      leave()
      context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { leave() }

    private func leave() {
      lapse?.cancel()
      guard let number else { return }
      self.number = nil
      queue.end(number)
    }
  }
}
