import Foundation
import Link
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A small real HTTP proxy that knows CONNECT only, as stands between a company and the Internet.
public final class ConnectProxy: Sendable {
  public enum Manner: Sendable {
    case connects
    /// Wants `user:password`.
    case wants(String)
    /// Answers this status to everything.
    case answers(Int)
    case isSilent
  }

  private let server: any Channel
  private let asked: NIOLockedValueBox<[String]>

  public static func start(_ manner: Manner) async throws -> ConnectProxy {
    let asked = NIOLockedValueBox<[String]>([])
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Head(manner, asked))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return ConnectProxy(server, asked)
  }

  private init(_ server: any Channel, _ asked: NIOLockedValueBox<[String]>) {
    self.server = server
    self.asked = asked
  }

  public var port: Int { server.localAddress?.port ?? 0 }
  /// What it was asked to connect to, in order.
  public var targets: [String] { asked.withLockedValue { $0 } }

  public func close() async throws { try await server.close().get() }

  /// Reads the head of a request, and joins the connection to its target.
  private final class Head: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let manner: Manner
    private let asked: NIOLockedValueBox<[String]>
    private var text = ""

    init(_ manner: Manner, _ asked: NIOLockedValueBox<[String]>) {
      self.manner = manner
      self.asked = asked
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      text += String(buffer: unwrapInboundIn(data))
      guard text.hasSuffix("\r\n\r\n") else { return }
      let lines = text.split(separator: "\r\n").map(String.init)
      let target = lines[0].split(separator: " ").dropFirst().first.map(String.init) ?? ""
      asked.withLockedValue { $0.append(target) }
      switch manner {
      case .isSilent: break
      case .answers(let status): refuse(status, context)
      case .wants(let credentials):
        let basic = "Proxy-Authorization: Basic " + Data(credentials.utf8).base64EncodedString()
        if lines.contains(basic) { join(target, context) } else { refuse(407, context) }
      case .connects: join(target, context)
      }
    }

    private func refuse(_ status: Int, _ context: ChannelHandlerContext) {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 \(status) No\r\n\r\n")), promise: nil)
      context.close(promise: nil)
    }

    private func join(_ target: String, _ context: ChannelHandlerContext) {
      let parts = target.split(separator: ":")
      guard parts.count == 2, let port = Int(parts[1]) else { return refuse(400, context) }
      let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
      ClientBootstrap(group: context.eventLoop)
        .channelOption(.allowRemoteHalfClosure, value: true)
        .channelOption(.autoRead, value: false)
        .connect(host: String(parts[0]), port: port)
        .hop(to: context.eventLoop).assumeIsolated()
        .whenComplete { result in
          let (head, context) = bound.value
          guard case .success(let far) = result else { return head.refuse(502, context) }
          do {
            let (nearSide, farSide) = Splice.pair()
            try far.pipeline.syncOperations.addHandler(farSide)
            context.writeAndFlush(
              head.wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 200 Connected\r\n\r\n")), promise: nil)
            try context.pipeline.syncOperations.addHandler(nearSide)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            far.setOption(.autoRead, value: true).whenFailure { _ in far.close(promise: nil) }
          } catch {
            far.close(promise: nil)
            context.close(promise: nil)
          }
        }
    }
  }
}
