import Basics
import NIOCore
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
