import Basics
import NIOCore
import NIOHTTP2
import Synchronization

/// Sees in the bytes of a connection how much data came for which stream: HTTP/2's frames (RFC 9113, section 4.1),
/// without what is in them.
struct FrameMeter: Sendable {
  static let headerBytes = 9
  /// What an HTTP/2 client sends first.
  static let prefaceBytes = 24

  private var header: [UInt8] = []
  /// What is left of the present frame, or of the preface.
  private var left: Int
  /// The stream of the present frame; nil when it holds no data.
  private var stream: Int?

  init(skipping prefaceBytes: Int = 0) {
    left = prefaceBytes
    header.reserveCapacity(Self.headerBytes)
  }

  /// The length of a frame's payload, from the first three bytes of its header.
  static func length(_ header: [UInt8]) -> Int { header.prefix(3).reduce(0) { $0 << 8 | Int($1) } }

  mutating func read(_ bytes: ByteBuffer, data: (_ bytes: Int, _ stream: Int) -> Void) {
    var rest = bytes
    while rest.readableBytes > 0 {
      if left > 0 {
        let part = min(left, rest.readableBytes)
        rest.moveReaderIndex(forwardBy: part)
        left -= part
        if let stream { data(part, stream) }
        continue
      }
      header += rest.readBytes(length: min(Self.headerBytes - header.count, rest.readableBytes)) ?? []
      guard header.count == Self.headerBytes else { return }
      left = Self.length(header)
      let id = header[5...].reduce(0) { $0 << 8 | Int($1) } & 0x7fff_ffff
      stream = header[3] == 0 ? id : nil
      header.removeAll(keepingCapacity: true)
    }
  }
}

/// How many bytes each stream of a connection holds that arrived and were not taken: a value.
struct BufferLedger: Sendable {
  private var held: [Int: Int] = [:]
  private(set) var total = 0

  mutating func open(_ stream: Int) { held[stream] = held[stream] ?? 0 }

  mutating func arrived(_ bytes: Int, on stream: Int) {
    guard let before = held[stream] else { return }
    held[stream] = before + bytes
    total += bytes
  }

  mutating func taken(_ bytes: Int, from stream: Int) {
    guard let before = held[stream] else { return }
    // The first bytes of a stream may have come before it was opened here.
    let counted = min(bytes, before)
    held[stream] = before - counted
    total -= counted
  }

  mutating func close(_ stream: Int) { total -= held.removeValue(forKey: stream) ?? 0 }

  /// The stream to give up when there is too much: the newest one of those that hold a fair share or more. Whoever came
  /// first keeps what it has.
  var dispensable: Int? {
    guard total > 0 else { return nil }
    let share = total / held.count
    return held.filter { $0.value >= max(share, 1) }.keys.max()
  }
}

/// What all connections of one AW Gateway hold together.
public final class BufferBudget: Sendable {
  public let bytesMax: Int
  private let bytes = Atomic<Int>(0)

  public init(bytesMax: Int = LinkLimits.bufferedBytesMax) { self.bytesMax = bytesMax }

  public var held: Int { bytes.load(ordering: .relaxed) }
  var isExceeded: Bool { held > bytesMax }
  func change(by difference: Int) { bytes.add(difference, ordering: .relaxed) }
}

/// A stream that was given up because too much waited on its connection.
public struct StreamShed: ExplainedError, Sendable {
  public var explained: AWError {
    AWError(
      .linkShed, "The stream was given up: more waited to be read than the link may hold.",
      next: "Read what is asked for, or ask for less at once.")
  }
}

/// Keeps what a connection holds below its cap, by giving up streams whose readers are too slow. Confined to the
/// connection's event loop.
public final class ReceiveBuffers {
  private var meter: FrameMeter
  private var ledger = BufferLedger()
  private var streams: [Int: () -> Void] = [:]
  private let bytesMax: Int
  private let budget: BufferBudget
  private let shed: () -> Void

  /// - Parameters:
  ///   - isServer: of HTTP/2: the far end begins with the preface.
  ///   - shed: told of every stream that is given up.
  public init(
    isServer: Bool, bytesMax: Int = LinkLimits.bufferedBytesPerConnectionMax, budget: BufferBudget = BufferBudget(),
    shed: @escaping () -> Void
  ) {
    meter = FrameMeter(skipping: isServer ? FrameMeter.prefaceBytes : 0)
    self.bytesMax = bytesMax
    self.budget = budget
    self.shed = shed
  }

  deinit { budget.change(by: -ledger.total) }

  private func change(_ body: (inout BufferLedger) -> Void) {
    let before = ledger.total
    body(&ledger)
    budget.change(by: ledger.total - before)
  }

  /// - Parameter giveUp: ends the stream.
  func open(_ stream: Int, giveUp: @escaping () -> Void) {
    streams[stream] = giveUp
    change { $0.open(stream) }
  }

  func taken(_ bytes: Int, from stream: Int) { change { $0.taken(bytes, from: stream) } }

  func close(_ stream: Int) {
    streams[stream] = nil
    change { $0.close(stream) }
  }

  func arrived(_ bytes: ByteBuffer) {
    change { ledger in meter.read(bytes) { ledger.arrived($0, on: $1) } }
  }

  /// Call it when the streams have had the chance to take what arrived.
  func enforce() {
    while ledger.total > bytesMax || (budget.isExceeded && ledger.total > 0), let stream = ledger.dispensable {
      let giveUp = streams[stream]
      close(stream)
      shed()
      giveUp?()
    }
  }
}

/// One stream's part in the accounts of its connection. Confined to the event loop.
final class StreamAccount {
  private let buffers: ReceiveBuffers?
  private var stream: Int?

  init(_ buffers: ReceiveBuffers?) { self.buffers = buffers }

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
    if let stream { buffers?.taken(frame.data.readableBytes, from: stream) }
  }

  func close() {
    if let stream { buffers?.close(stream) }
    stream = nil
  }
}
