import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// What stands before a public hostname: TLS, and nothing goes through without the two headers of a Cloudflare Access
/// service token. Behind it is one origin on the loopback; a WebSocket goes through as any other stream of bytes.
public final class AccessEdge: Sendable {
  public let port: Int
  /// How many requests were refused, and let through.
  public var refused: Int { counts.withLock { $0.refused } }
  public var passed: Int { counts.withLock { $0.passed } }

  private let counts: SharedCounts
  private let channel: any Channel

  final class SharedCounts: Sendable {
    private let state = Mutex((refused: 0, passed: 0))
    func withLock<Value>(_ body: (inout (refused: Int, passed: Int)) -> Value) -> Value {
      state.withLock { body(&$0) }
    }
  }

  /// Runs `body` beside an edge that asks for this token.
  public static func with<Value>(
    origin: Int, clientID: String, clientSecret: String, certificate: TestAuthority,
    _ body: (AccessEdge) async throws -> Value
  ) async throws -> Value {
    let token = ["cf-access-client-id": clientID, "cf-access-client-secret": clientSecret]
    let edge = try await AccessEdge(origin, token, certificate)
    do {
      let value = try await body(edge)
      try await edge.channel.close()
      return value
    } catch {
      try? await edge.channel.close()
      throw error
    }
  }

  private init(_ origin: Int, _ wanted: [String: String], _ certificate: TestAuthority) async throws {
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.certificatePEM.utf8))
    let key = try NIOSSLPrivateKey(bytes: Array(certificate.keyPEM.utf8), format: .pem)
    let tls = try NIOSSLContext(
      configuration: .makeServerConfiguration(
        certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
    let counts = SharedCounts()
    self.counts = counts
    channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers([
            NIOSSLServerHandler(context: tls), Gate(origin: origin, wanted: wanted, counts: counts),
          ])
        }
      }.bind(host: "127.0.0.1", port: 0).get()
    port = channel.localAddress?.port ?? 0
  }

  /// Reads the head of the first request of a connection, and joins the connection with the origin if it has the token.
  private final class Gate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let origin: Int
    private let wanted: [String: String]
    private let counts: SharedCounts
    private var held = ByteBuffer()
    private var isDecided = false
    private var peer: (any Channel)?

    init(origin: Int, wanted: [String: String], counts: SharedCounts) {
      self.origin = origin
      self.wanted = wanted
      self.counts = counts
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var bytes = unwrapInboundIn(data)
      if let peer { return peer.writeAndFlush(bytes, promise: nil) }
      held.writeBuffer(&bytes)
      guard !isDecided, String(buffer: held).contains("\r\n\r\n") else { return }
      isDecided = true
      guard hasToken(String(buffer: held)) else { return refuse(context) }
      counts.withLock { $0.passed += 1 }
      let front = context.channel
      ClientBootstrap(group: context.eventLoop)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Back(front)) }
        }
        .connect(host: "127.0.0.1", port: origin).assumeIsolated().whenComplete { result in
          guard case .success(let peer) = result else { return front.close(promise: nil) }
          self.peer = peer
          peer.writeAndFlush(self.held, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
      peer?.close(promise: nil)
      context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func hasToken(_ head: String) -> Bool {
      var fields: [String: String] = [:]
      for line in head.split(separator: "\r\n").dropFirst() {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2 { fields[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
      }
      return wanted.allSatisfy { fields[$0.key] == $0.value }
    }

    private func refuse(_ context: ChannelHandlerContext) {
      counts.withLock { $0.refused += 1 }
      let page = "<!DOCTYPE html><title>Forbidden</title>"
      let text =
        "HTTP/1.1 403 Forbidden\r\nServer: cloudflare\r\nContent-Type: text/html\r\nConnection: close\r\n"
        + "Content-Length: \(page.utf8.count)\r\n\r\n\(page)"
      let channel = context.channel
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text))).whenComplete { _ in
        channel.close(promise: nil)
      }
    }
  }

  /// From the origin back to whoever asked.
  private final class Back: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let front: any Channel

    init(_ front: any Channel) { self.front = front }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      front.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
      front.close(promise: nil)
      context.fireChannelInactive()
    }
  }
}
