import Foundation
import Testing

/// Ports of the loopback.
public enum FreePort {
  /// One that nobody has at the moment.
  public static func take() throws -> Int {
    let (descriptor, port) = try bound()
    close(descriptor)
    return port
  }

  /// One that this process keeps for as long as it runs.
  public static func hold() throws -> Int {
    let (descriptor, port) = try bound()
    try #require(listen(descriptor, 1) == 0)
    return port
  }

  private static func bound() throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
      }
    }
    try #require(isBound, "no port is free")
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }
}
