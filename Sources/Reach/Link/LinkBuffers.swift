import Basics
import NIOCore
import NIOHTTP2
import Synchronization

/// How many bytes each stream of a connection holds: those that arrived and were not taken, and those that were given
/// to be sent and are not on their way. A value.
struct BufferLedger: Sendable {
  private var held: [Int: Int] = [:]
  private(set) var total = 0

  mutating func open(_ stream: Int) { held[stream] = held[stream] ?? 0 }

  mutating func held(_ bytes: Int, by stream: Int) {
    guard let before = held[stream] else { return }
    held[stream] = before + bytes
    total += bytes
  }

  mutating func released(_ bytes: Int, by stream: Int) {
    guard let before = held[stream] else { return }
    // The first bytes of a stream may have come before it was opened here.
    let counted = min(bytes, before)
    held[stream] = before - counted
    total -= counted
  }

  mutating func close(_ stream: Int) { total -= held.removeValue(forKey: stream) ?? 0 }

  /// The stream to give up under pressure: the newest one of those that hold a fair share or more. Whoever came first
  /// keeps what it has, and a small stream is given up only where nothing else helps.
  func dispensable(under pressure: BufferPressure) -> Int? {
    let least =
      switch pressure {
      case .none: Int.max
      case .high: LinkLimits.bulkBytesMin
      case .extreme: 1
      }
    guard total > 0, pressure != .none else { return nil }
    let share = total / held.count
    return held.filter { $0.value >= max(share, least) }.keys.max()
  }
}

/// How much more is held than may be.
enum BufferPressure: Int, Sendable, Comparable {
  case none
  /// Bulk has to go.
  case high
  /// So much that anything has to.
  case extreme

  /// Small streams alone do not lift what is held far above a limit: a quarter more is too much in any case.
  static func of(_ held: Int, max limit: Int) -> BufferPressure {
    held <= limit ? .none : held <= limit + limit / 4 ? .high : .extreme
  }

  static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What several connections hold together: those of one Connector, or all of an AW Gateway.
public final class BufferBudget: Sendable {
  public let bytesMax: Int
  private let bytes = Atomic<Int>(0)
  private let stalledNanoseconds = Atomic<Int64>(0)

  public init(bytesMax: Int) { self.bytesMax = bytesMax }

  public var held: Int { bytes.load(ordering: .relaxed) }
  var pressure: BufferPressure { .of(held, max: bytesMax) }
  /// How long streams could not send because the far end had not read what was sent before: all of them together, since
  /// the start. One that still cannot is counted when it can.
  public var stalled: Duration { .nanoseconds(stalledNanoseconds.load(ordering: .relaxed)) }
  func stalled(for nanoseconds: Int64) { stalledNanoseconds.add(nanoseconds, ordering: .relaxed) }
  func change(by difference: Int) { bytes.add(difference, ordering: .relaxed) }
}

/// A stream that was given up because too much waited on its connection.
public struct StreamShed: ExplainedError, Sendable {
  public var explained: AWError {
    AWError(
      .linkShed, "The stream was given up: more waited to be read or sent than the link may hold.",
      next: "Read what is asked for, or ask for less at once.")
  }
}

/// Keeps what a connection holds within the budgets that it shares, by giving up streams whose far ends are too slow.
/// Confined to the connection's event loop.
public final class LinkBuffers {
  private var ledger = BufferLedger()
  private var streams: [Int: () -> Void] = [:]
  private let budgets: [BufferBudget]
  private let shed: () -> Void
  private var isEnforcing = false

  /// - Parameter shed: told of every stream that is given up.
  public init(budgets: [BufferBudget], shed: @escaping () -> Void) {
    self.budgets = budgets
    self.shed = shed
  }

  deinit { for budget in budgets { budget.change(by: -ledger.total) } }

  private func change(_ body: (inout BufferLedger) -> Void) {
    let before = ledger.total
    body(&ledger)
    for budget in budgets { budget.change(by: ledger.total - before) }
  }

  private var pressure: BufferPressure { budgets.map(\.pressure).max() ?? .none }

  /// - Parameter giveUp: ends the stream.
  func open(_ stream: Int, giveUp: @escaping () -> Void) {
    streams[stream] = giveUp
    change { $0.open(stream) }
  }

  func released(_ bytes: Int, by stream: Int) { change { $0.released(bytes, by: stream) } }

  func close(_ stream: Int) {
    streams[stream] = nil
    change { $0.close(stream) }
  }

  func held(_ bytes: Int, by stream: Int) { change { $0.held(bytes, by: stream) } }

  func stalled(for nanoseconds: Int64) { for budget in budgets { budget.stalled(for: nanoseconds) } }

  /// Looks once the event loop has done what it is at: what was given to be sent may be on its way then, and a stream
  /// is not ended in the middle of a write of its own.
  func enforceSoon(on eventLoop: any EventLoop) {
    guard !isEnforcing, pressure != .none else { return }
    isEnforcing = true
    eventLoop.assumeIsolated().execute {
      self.isEnforcing = false
      self.enforce()
    }
  }

  /// Call it when the streams have had the chance to take what arrived.
  func enforce() {
    while let stream = ledger.dispensable(under: pressure) {
      let giveUp = streams[stream]
      close(stream)
      shed()
      giveUp?()
    }
  }
}

/// One stream's part in the accounts of its connection. Confined to the event loop.
final class StreamAccount {
  private let buffers: LinkBuffers?
  private var stream: Int?
  private var stalledSince: NIODeadline?

  init(_ buffers: LinkBuffers?) { self.buffers = buffers }

  func open(_ context: ChannelHandlerContext) {
    guard let buffers, stream == nil,
      let id = try? context.channel.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID)
    else { return }
    stream = Int(id)
    buffers.open(Int(id)) {
      context.fireErrorCaught(StreamShed())
      context.close(promise: nil)
    }
  }

  func taken(_ frame: HTTP2Frame.FramePayload.Data) {
    if let stream { buffers?.released(frame.data.readableBytes, by: stream) }
  }

  /// Counts bytes that are given to be sent, until they are on their way or the stream has ended.
  ///
  /// - Returns: the promise to send them with.
  func sending(
    _ bytes: Int, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
  ) -> EventLoopPromise<Void>? {
    open(context)
    guard let buffers, let stream else { return promise }
    buffers.held(bytes, by: stream)
    let sent = promise ?? context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { _ in buffers.released(bytes, by: stream) }
    buffers.enforceSoon(on: context.eventLoop)
    return sent
  }

  func writabilityChanged(_ isWritable: Bool) {
    if !isWritable {
      stalledSince = stalledSince ?? .now()
    } else if let since = stalledSince {
      buffers?.stalled(for: (NIODeadline.now() - since).nanoseconds)
      stalledSince = nil
    }
  }

  func close() {
    writabilityChanged(true)
    if let stream { buffers?.close(stream) }
    stream = nil
  }
}
