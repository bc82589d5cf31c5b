import Basics
import NIOCore
import NIOWebSocket
import Synchronization

/// The WebSocket below the protocol: text frames in and out, pings answered, the close remembered.
final class GatewaySocket: Sendable {
  private let channel: any Channel
  private let inbound: AsyncThrowingStream<WebSocketFrame, any Error>
  private let iterator: FrameIterator
  private let closing = Mutex<(code: Int, reason: String)?>(nil)

  /// One reader at a time walks the frames.
  private actor FrameIterator {
    private var iterator: AsyncThrowingStream<WebSocketFrame, any Error>.Iterator?
    init(_ stream: AsyncThrowingStream<WebSocketFrame, any Error>) { iterator = stream.makeAsyncIterator() }

    func next() async throws -> WebSocketFrame? {
      guard var taken = iterator else { return nil }
      iterator = nil
      defer { iterator = taken }
      return try await taken.next(isolation: #isolation)
    }
  }

  init(_ socket: WebSocketChannel) {
    channel = socket.channel
    let (inbound, sink) = AsyncThrowingStream<WebSocketFrame, any Error>.makeStream()
    self.inbound = inbound
    iterator = FrameIterator(inbound)
    let reader = Task {
      do {
        try await socket.executeThenClose { frames, _ in
          for try await frame in frames { sink.yield(frame) }
        }
        sink.finish()
      } catch {
        sink.finish(throwing: error)
      }
    }
    sink.onTermination = { reason in if case .cancelled = reason { reader.cancel() } }
  }

  /// The next frame of the protocol; nil when the socket has closed. What is no JSON is skipped, as the Gateway does.
  ///
  /// - Throws: `gatewayUnreachable` when it broke, `CancellationError`.
  func next() async throws -> GatewayFrame? {
    while let frame = try await explaining({ try await iterator.next() }) {
      switch frame.opcode {
      case .text:
        if let parsed = try? GatewayFrame(parsing: frame.unmaskedData.readableBytesView) { return parsed }
      case .ping:
        write(WebSocketFrame(fin: true, opcode: .pong, maskKey: .random(), data: frame.unmaskedData))
      case .connectionClose:
        var data = frame.unmaskedData
        let code = data.readInteger(as: UInt16.self).map(Int.init) ?? 1_005
        closing.withLock { $0 = (code, String(buffer: data)) }
        channel.close(promise: nil)
        return nil
      default:
        continue
      }
    }
    return nil
  }

  /// - Throws: `gatewayUnreachable` when it broke.
  func send(_ text: String) async throws {
    try await explaining { try await channel.writeAndFlush(frame(text)).get() }
  }

  /// A socket that breaks does so with an error of whatever is below; what a person needs is that it broke.
  private func explaining<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error where error is AWError || error is any ExplainedError || error is CancellationError {
      throw error
    } catch {
      note(error)
      throw closeError
    }
  }

  /// A write that fails closes the channel, and the reader then tells everybody.
  func sendWithoutWaiting(_ text: String) { write(frame(text)) }

  func note(_ error: any Error) {
    closing.withLock { if $0 == nil { $0 = (1_006, "\(type(of: error))") } }
  }

  /// Says goodbye first, so that the Gateway does not take it for a lost connection.
  func close() {
    var data = ByteBuffer()
    data.write(webSocketErrorCode: .normalClosure)
    let goodbye = WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: data)
    let channel = channel
    channel.writeAndFlush(goodbye).whenComplete { _ in channel.close(promise: nil) }
  }

  /// How the socket ended, for a person.
  var closeError: AWError {
    let (code, reason) = closing.withLock { $0 } ?? (1_006, "")
    let said = reason.isEmpty ? "without a reason" : "saying \(reason.quoted)"
    return AWError(
      .gatewayUnreachable, "The Gateway closed the connection with code \(code), \(said).",
      next: code == 1_012 || code == 1_013
        ? "It is restarting or starting; AW tries again by itself." : "Look at the Instance's log.")
  }

  private func frame(_ text: String) -> WebSocketFrame {
    WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(string: text))
  }

  private func write(_ frame: WebSocketFrame) { channel.writeAndFlush(frame, promise: nil) }
}
