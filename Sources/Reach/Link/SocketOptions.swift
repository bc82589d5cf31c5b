import NIOCore
import NIOPosix

#if canImport(Glibc)
  import Glibc
#endif

extension Channel {
  /// The TCP settings of both ends: no Nagle, and keepalive as a backstop.
  public func setLinkSocketOptions() -> EventLoopFuture<Void> {
    let tcp = { (name: CInt) in ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: name)) }
    let settings: [(ChannelOptions.Types.SocketOption, Int)] = [
      (tcp(TCP_NODELAY), 1),
      (ChannelOptions.Types.SocketOption(level: .socket, name: .so_keepalive), 1),
      (tcp(TCP_KEEPIDLE), LinkLimits.keepaliveIdleSeconds),
      (tcp(TCP_KEEPINTVL), LinkLimits.keepaliveIntervalSeconds),
      (tcp(TCP_KEEPCNT), LinkLimits.keepaliveProbes),
      (tcp(CInt(TCP_NOTSENT_LOWAT)), LinkLimits.unsentBytesMax),
    ]
    return EventLoopFuture.andAllSucceed(
      settings.map { setOption($0.0, value: $0.1) } + [setReads()], on: eventLoop)
  }

  /// How a link and what it is joined to are read: in large pieces, and one piece a turn, so that a bulk transfer does
  /// not hold up what else the event loop carries. The buffer of the last read is kept, so it begins small.
  public func setReads() -> EventLoopFuture<Void> {
    let sizes = AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 2_048, maximum: LinkLimits.readBytesMax)
    return setOption(.recvAllocator, value: sizes).flatMap { self.setOption(.maxMessagesPerRead, value: 1) }
  }
}
