import Basics
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

/// An HTTP server on the loopback that answers as it is told and shows what it got.
final class Receiver: Sendable {
  struct Request: Sendable {
    let head: HTTPRequestHead
    let body: String
  }

  enum Answer: Sendable {
    case status(Int, headers: [(String, String)] = [], body: String = "")
    /// Answers with what it was sent: URL, headers and body.
    case echo(Int)
    /// Closes without an answer.
    case close
    /// Never answers.
    case silence
  }

  let port: Int
  let requests: AsyncStream<Request>
  /// How many connections are open, each time that this changes.
  let connections: AsyncStream<Int>
  private let answers: Mutex<[Answer]>
  private let channel: any Channel
  private let sink: AsyncStream<Request>.Continuation
  private let connectionSink: AsyncStream<Int>.Continuation
  private let open = Mutex(0)

  /// - Parameter answers: one after the other; the last one for all that follow.
  static func with<Value>(
    _ answers: [Answer], tls: TestAuthority? = nil, _ body: (Receiver) async throws -> Value
  ) async throws -> Value {
    let receiver = try await Receiver(answers, tls)
    do {
      let value = try await body(receiver)
      try await receiver.channel.close()
      return value
    } catch {
      try? await receiver.channel.close()
      throw error
    }
  }

  private init(_ answers: [Answer], _ tls: TestAuthority?) async throws {
    self.answers = Mutex(answers)
    (requests, sink) = AsyncStream<Request>.makeStream()
    (connections, connectionSink) = AsyncStream<Int>.makeStream()
    let context = try tls.map { authority in
      let chain = try NIOSSLCertificate.fromPEMBytes(Array(authority.certificatePEM.utf8))
      let key = try NIOSSLPrivateKey(bytes: Array(authority.keyPEM.utf8), format: .pem)
      return try NIOSSLContext(
        configuration: .makeServerConfiguration(
          certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
    }
    let handler = Late<Receiver>()
    channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let context { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(handler))
        }
      }.bind(host: "127.0.0.1", port: 0).get()
    port = channel.localAddress?.port ?? 0
    handler.set(self)
  }

  private func changed(by difference: Int) {
    open.withLock {
      $0 += difference
      connectionSink.yield($0)
    }
  }

  private func take(_ request: Request) -> Answer {
    sink.yield(request)
    return answers.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? .close }
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let receiver: Late<Receiver>
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ receiver: Late<Receiver>) { self.receiver = receiver }

    func channelActive(context: ChannelHandlerContext) {
      receiver.value?.changed(by: 1)
      context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
      receiver.value?.changed(by: -1)
      context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        self.head = head
        body.clear()
      case .body(var bytes): body.writeBuffer(&bytes)
      case .end:
        guard let head, let receiver = receiver.value else { return }
        let request = Request(head: head, body: String(buffer: body))
        switch receiver.take(request) {
        case .status(let code, let headers, let text): answer(code, headers, text, context)
        case .echo(let code): answer(code, [], "\(head.uri) \(head.headers) \(request.body)", context)
        case .close: context.close(promise: nil)
        case .silence: break
        }
      }
    }

    private func answer(_ code: Int, _ headers: [(String, String)], _ text: String, _ context: ChannelHandlerContext) {
      var fields = HTTPHeaders(headers)
      fields.add(name: "content-length", value: String(text.utf8.count))
      let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: code), headers: fields)
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
  }

  /// The next request.
  func next() async -> Request? {
    for await request in requests { return request }
    return nil
  }
}
