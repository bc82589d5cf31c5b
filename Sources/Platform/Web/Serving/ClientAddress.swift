import Basics
import NIOCore

/// What counts as one client for rate limits.
enum ClientAddress {
  /// The address itself; for IPv6 its first 64 bits, because one customer of a provider has all that begin with them
  /// (RFC 6177). `unknown` for what is no address.
  static func key(_ text: String?) -> String {
    guard let text, let address = try? SocketAddress(ipAddress: text, port: 0) else { return "unknown" }
    guard case .v6(let v6) = address else { return text }
    // The address stands behind family, port and flow information: RFC 3493 section 3.3.
    let bytes = withUnsafeBytes(of: v6.address) { Array($0[8..<24]) }
    // An IPv4 client of a socket that serves both: ::ffff:a.b.c.d
    if bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] {
      return bytes.suffix(4).map { String($0) }.joined(separator: ".")
    }
    let groups = stride(from: 0, to: 8, by: 2).map { Hex.encode(bytes[$0..<($0 + 2)]) }
    return groups.joined(separator: ":") + "::/64"
  }
}
