import Basics
import NIOCore
import NIOHTTP1
import NIOPosix

/// Opens a stream of bytes to an Instance's port, however it is reached.
public protocol ByteDialer: Sendable {
  /// Opens a channel of `ByteBuffer`s and runs `initialize` on its event loop, before any byte is read. The channel may
  /// be active already when `initialize` runs, or become so later.
  ///
  /// - Throws: an `AWError` that says why nothing could be reached.
  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value

  /// How requests through it are addressed.
  var heading: RequestHeading { get }
}

extension ByteDialer {
  public var heading: RequestHeading { .loopback }
}

/// The part of a request's head that depends on the way to the Gateway.
public struct RequestHeading: Sendable {
  let host: String
  let fields: [(name: String, value: Secret)]

  /// - Parameters:
  ///   - host: for the `Host` field.
  ///   - fields: what the way itself asks for before it lets a request through.
  public init(host: String, fields: [(name: String, value: Secret)] = []) {
    self.host = host
    self.fields = fields
  }

  /// As a client on the Gateway's own machine writes it.
  public static let loopback = RequestHeading(host: "127.0.0.1:18789")

  func headers(_ more: HTTPHeaders) -> HTTPHeaders {
    var headers: HTTPHeaders = ["Host": host]
    for field in fields { field.value.withText { headers.add(name: field.name, value: $0) } }
    headers.add(contentsOf: more)
    return headers
  }
}

/// Reaches a port directly.
public struct TCPDialer: ByteDialer {
  let host: String
  let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  public func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    do {
      return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .connectTimeout(.seconds(2))
        .channelOption(.socketOption(.tcp_nodelay), value: 1)
        .connect(host: host, port: port) { channel in initialize(channel) }
    } catch let error as AWError {
      throw error
    } catch {
      throw AWError(
        .gatewayUnreachable, "Nothing answers at \(host):\(port).", next: "Check that the Instance runs.", cause: error)
    }
  }
}
