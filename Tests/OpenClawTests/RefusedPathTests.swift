import Basics
import NIOCore
import NIOPosix
import Testing

@testable import OpenClaw

@Suite("A path that refuses")
struct RefusedPathTests {
  @Test("the reason of a path that ended before the probe was written is told", arguments: Probe.allCases)
  func reason(_ probe: Probe) async throws {
    let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .bind(host: "127.0.0.1", port: 0).get()
    let dialer = EndedDialer(port: try #require(listener.localAddress?.port))
    await #expect(throws: Refusal()) { _ = try await probe.ask(through: dialer) }
    try await listener.close()
  }

  private struct Refusal: ExplainedError, Equatable {
    var explained: AWError { AWError(.targetRefused, "Nothing listens there.", next: "Start it.") }
  }

  /// A path whose refusal has arrived, and closed it, before its user could write a byte.
  private struct EndedDialer: ByteDialer {
    let port: Int

    func dial<Value: Sendable>(
      _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
    ) async throws -> Value {
      let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connect(host: "127.0.0.1", port: port).get()
      let value = try await channel.eventLoop.flatSubmit { initialize(channel) }.get()
      channel.eventLoop.execute {
        channel.pipeline.fireErrorCaught(Refusal())
        channel.close(promise: nil)
      }
      try await channel.closeFuture.get()
      return value
    }
  }
}
