import NIOCore
import NIOHTTP2

/// How many bytes of a stream may be on their way.
///
/// A window below what the path holds (rate × round trip) makes a far Host slow: 1 MiB is 25 MiB/s at 40 ms. One above
/// it makes a near Host's small requests late: the surplus waits in queues, in front of them. So each end takes it from
/// the round trip that the kernel saw while the connection was made.
public enum LinkWindow {
  /// - Parameter roundTripMicroseconds: the least round trip of the connection; zero when none was measured.
  public static func streamBytes(roundTripMicroseconds: Int) -> Int {
    let held = LinkLimits.streamBytesPerSecond * roundTripMicroseconds / 1_000_000
    return min(max(held, LinkLimits.streamWindowBytesMin), LinkLimits.streamWindowBytesMax)
  }

  /// For a path whose round trip nobody knows.
  public static var largest: NIOHTTP2Handler.Configuration {
    .link(streamWindowBytes: LinkLimits.streamWindowBytesMax)
  }

  /// The link's HTTP/2 settings for a connection that has been made.
  public static func settings(for channel: any Channel) -> EventLoopFuture<NIOHTTP2Handler.Configuration> {
    guard let socket = channel as? any SocketOptionProvider else {
      return channel.eventLoop.makeSucceededFuture(.link(streamWindowBytes: LinkLimits.streamWindowBytesMin))
    }
    return KernelTCP.of(socket).map { kernel in
      .link(streamWindowBytes: streamBytes(roundTripMicroseconds: kernel.leastRoundTripMicroseconds))
    }.hop(to: channel.eventLoop)
  }
}
