import Basics
import Hummingbird
import Logging
import NIOCore

/// What goes along with one request.
public struct WebContext: RequestContext {
  public var coreContext: CoreRequestContextStorage
  let requestID: String
  /// The address of the other end of the connection; nil for what is no IP connection.
  let peer: String?
  /// True for a connection over the control plane's own unix socket. Its folder and mode let nobody in but the user
  /// that runs AW (and root), so whoever connects has the machine.
  let isLocal: Bool

  public init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    requestID = Hex.encode([UInt8].random(count: 8))
    peer = source.channel.remoteAddress?.ipAddress
    isLocal = if case .unixDomainSocket = source.channel.localAddress { true } else { false }
    logger[metadataKey: "request"] = "\(requestID)"
  }
}
