import Basics
import Foundation
import Link
import NIOCore
import NIOPosix
import Testing

@testable import Connector
@testable import Gateway

@Suite("Streams that are cut off")
struct CutStreamsTests {
  @Test(
    "the link carries as much after streams were cut off in the middle of their data as before",
    .timeLimit(.minutes(1)))
  func data() async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    _ = await scene.delegate.nextHello()
    // What is on its way when they are cut is more than the connection's window, and none of it is of a stream that lives.
    let payload = ByteBuffer(repeating: 7, count: 1 << 20)
    for _ in 0..<10 {
      var streams: [any Channel] = []
      for _ in 0..<20 {
        let (first, arrived) = AsyncStream<Void>.makeStream()
        let channel = try await scene.gateway.open(.openClaw(instance), on: state.host) { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(FirstBytes(arrived))
            return channel
          }
        }
        channel.writeAndFlush(payload, promise: nil)
        for await _ in first { break }
        streams.append(channel)
      }
      for channel in streams { channel.close(promise: nil) }
    }
    #expect(try await exchange(scene.gateway, state.host, instance, payload) == payload)
    await connector.cancel()
    try await echo.close()
    await scene.close()
  }

  private final class FirstBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let arrived: AsyncStream<Void>.Continuation

    init(_ arrived: AsyncStream<Void>.Continuation) { self.arrived = arrived }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { arrived.yield() }
    func channelInactive(context: ChannelHandlerContext) { arrived.finish() }
  }
}
