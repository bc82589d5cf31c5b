import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP2

/// One link of one Host, from the AW Gateway's side.
public final class Session: Sendable {
  public let host: HostID
  public let connection: String
  let channel: any Channel
  private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
  private let openStreams = NIOLockedValueBox(0)
  private let notes = NIOLockedValueBox(LossNotes())
  private let registeredAt = NIOLockedValueBox<ContinuousClock.Instant?>(nil)
  let suspicion = NIOLockedValueBox<(@Sendable (Bool) -> Void)?>(nil)

  init(host: HostID, connection: String, channel: any Channel, multiplexer: NIOHTTP2Handler.StreamMultiplexer) {
    self.host = host
    self.connection = connection
    self.channel = channel
    self.multiplexer = multiplexer
  }

  /// Opens a stream to a target on the Host; `initialize` adds the handlers for its bytes.
  ///
  /// - Throws: `linkLost` when the link is gone; what the target refused arrives in the stream as `TargetRefused`.
  public func open<Value: Sendable>(
    _ target: LinkTarget, _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    let admitted = openStreams.withLockedValue { count in
      guard count < LinkLimits.streamsPerLinkMax else { return false }
      count += 1
      return true
    }
    guard admitted else { throw TargetRefused(.limit) }
    let value = channel.eventLoop.makePromise(of: Value.self)
    let stream = channel.eventLoop.makePromise(of: (any Channel).self)
    multiplexer.createStreamChannel(promise: stream) { stream in
      let prepared = stream.eventLoop.makeCompletedFuture {
        try stream.pipeline.syncOperations.addHandler(StreamOpener(target: target))
      }.flatMap { initialize(stream) }
      prepared.cascadeSuccess(to: value)
      return prepared.map { _ in }
    }
    do {
      let opened = try await stream.futureResult.get()
      opened.closeFuture.whenComplete { [openStreams] _ in openStreams.withLockedValue { $0 -= 1 } }
    } catch {
      openStreams.withLockedValue { $0 -= 1 }
      value.fail(error)
      throw Session.lost(error)
    }
    return try await value.futureResult.get()
  }

  /// Makes one runtime call and waits for its answer.
  ///
  /// - Throws: the Host's own `AWError`, `linkLost`, or `operationDeadline`.
  public func call(_ call: RuntimeCall, deadline: Duration) async throws -> RuntimeReply {
    let request = try LinkCodec.encode(call)
    let stream: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    stream = try await open(.runtime) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addMessageFraming()
        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
      }
    }
    let timer = stream.channel.eventLoop.scheduleTask(in: .nanoseconds(deadline.milliseconds * 1_000_000)) {
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

  /// Keeps what is seen of this link's end, for when it has ended.
  func note(_ change: (inout LossNotes) -> Void) { notes.withLockedValue(change) }
  func note(_ signal: LossEvidence.Signal, _ detail: String) { note { $0.note(signal, detail) } }

  func registered() { registeredAt.withLockedValue { $0 = .now } }

  func evidence(at now: Timestamp) -> LossEvidence {
    let lived = registeredAt.withLockedValue { $0.map { ContinuousClock.now - $0 } } ?? .zero
    return notes.withLockedValue { $0 }.evidence(by: .gateway, at: now, lived: lived)
  }

  /// Explains an error of the link; errors that already speak to people pass.
  static func lost(_ error: any Error) -> any Error {
    if error is AWError || error is any ExplainedError { return error }
    return AWError(
      .linkLost, "The link to the Host broke during the call.",
      next: "The Connector dials again by itself; try again when the Host is connected.", cause: error)
  }
}
