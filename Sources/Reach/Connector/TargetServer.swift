import Basics
import Link
import Logging
import NIOCore
import NIOPosix

/// Serves the streams of a link: enforces the closed list of targets, and joins each stream to what it asked for.
struct TargetServer: Sendable {
  let runtimes: Runtimes
  let logger: Logger

  /// Serves one stream to its end. The control stream is handed back to the caller's conversation instead.
  func serve(_ stream: TargetStream, control: (TargetStream) async throws -> Void) async {
    do {
      switch stream.target {
      case nil: try await refuse(stream, .permission)
      case .control: try await control(stream)
      case .runtime: try await serveRuntime(stream)
      case .openClaw(let instance): try await serveOpenClaw(stream, instance)
      }
    } catch {
      logger.debug("a stream ended", metadata: ["error": "\(error)"])
      stream.channel.close(promise: nil)
    }
  }

  private func refuse(_ stream: TargetStream, _ failure: TargetFailure) async throws {
    let acceptor = stream.acceptor
    try await stream.channel.eventLoop.submit { acceptor.value.refuse(failure) }.get()
  }

  private func serveRuntime(_ stream: TargetStream) async throws {
    let channel = try await stream.messages()
    try await channel.executeThenClose { inbound, outbound in
      var messages = inbound.makeAsyncIterator()
      guard let bytes = try await messages.next() else { return }
      let reply = await runtimes.answer(try LinkCodec.decode(RuntimeCall.self, from: bytes))
      try await outbound.write(try LinkCodec.encode(reply))
      outbound.finish()
      // The caller ends the stream once it has the answer; leaving first could cut it off.
      _ = try await messages.next()
    }
  }

  private func serveOpenClaw(_ stream: TargetStream, _ instance: InstanceID) async throws {
    let port: Int
    do {
      guard let known = try await runtimes.port(of: instance) else { return try await refuse(stream, .notFound) }
      port = known
    } catch {
      logger.info("a target could not be looked up", metadata: ["instance": "\(instance)", "error": "\(error)"])
      return try await refuse(stream, .notFound)
    }
    let (toOrigin, toStream) = (stream.channel, stream.acceptor)
    let origin: any Channel
    do {
      origin = try await ClientBootstrap(group: toOrigin.eventLoop)
        .connectTimeout(.nanoseconds(LinkLimits.targetDialTimeout.milliseconds * 1_000_000))
        .channelOption(.allowRemoteHalfClosure, value: true)
        .channelOption(.autoRead, value: false)
        .channelOption(.socketOption(.tcp_nodelay), value: 1)
        .channelInitializer { $0.setReads() }
        .connect(host: "127.0.0.1", port: port).get()
    } catch {
      let timedOut = if case .connectTimeout = error as? ChannelError { true } else { false }
      return try await refuse(stream, timedOut ? .timeout : .refused)
    }
    try await toOrigin.eventLoop.submit {
      let (streamSide, originSide) = Splice.pair()
      try origin.pipeline.syncOperations.addHandler(originSide)
      do {
        try toStream.value.accept { try $0.addHandler(streamSide) }
      } catch {
        origin.close(promise: nil)
        throw error
      }
    }.get()
    try await origin.setOption(.autoRead, value: true).get()
    try await toOrigin.closeFuture.get()
    try? await origin.close().get()
  }
}
