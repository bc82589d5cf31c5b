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

  public init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    requestID = Hex.encode([UInt8].random(count: 8))
    peer = source.channel.remoteAddress?.ipAddress
    logger[metadataKey: "request"] = "\(requestID)"
  }
}
