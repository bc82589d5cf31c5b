import NIOCore
import NIOPosix

#if canImport(Glibc)
  import Glibc
#endif

extension Channel {
  /// The TCP settings of both ends: no Nagle, keepalive as a backstop, and an end to connections whose bytes are not
  /// acknowledged.
  public func setLinkSocketOptions() -> EventLoopFuture<Void> {
    let tcp = { (name: CInt) in ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: name)) }
    let settings: [(ChannelOptions.Types.SocketOption, Int)] = [
      (tcp(TCP_NODELAY), 1),
      (ChannelOptions.Types.SocketOption(level: .socket, name: .so_keepalive), 1),
      (tcp(TCP_KEEPIDLE), LinkLimits.keepaliveIdleSeconds),
      (tcp(TCP_KEEPINTVL), LinkLimits.keepaliveIntervalSeconds),
      (tcp(TCP_KEEPCNT), LinkLimits.keepaliveProbes),
      (tcp(CInt(TCP_USER_TIMEOUT)), LinkLimits.tcpUserTimeoutMilliseconds),
    ]
    return EventLoopFuture.andAllSucceed(settings.map { setOption($0.0, value: $0.1) }, on: eventLoop)
  }
}
