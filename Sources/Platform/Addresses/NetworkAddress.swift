import Foundation

/// An address of IPv4 (4 bytes) or IPv6 (16 bytes).
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// - Parameter bytes: 4 or 16 of them; nil otherwise.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// Reads the text form, and only that: no octal, no hexadecimal, no missing parts, no zone, no brackets.
  public init?(_ text: String) {
    if let four = NetworkAddress.parse(text, family: AF_INET, count: 4) {
      bytes = four
    } else if let sixteen = NetworkAddress.parse(text, family: AF_INET6, count: 16) {
      bytes = sixteen
    } else {
      return nil
    }
  }

  private static func parse(_ text: String, family: Int32, count: Int) -> [UInt8]? {
    guard !text.utf8.contains(0) else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    return inet_pton(family, text, &bytes) == 1 ? bytes : nil
  }

  public var isIPv6: Bool { bytes.count == 16 }

  public var description: String {
    var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let family = isIPv6 ? AF_INET6 : AF_INET
    guard inet_ntop(family, bytes, &buffer, socklen_t(buffer.count)) != nil else { return "?" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The address that is really reached: IPv4 where an IPv6 address only wraps it (`::ffff:10.0.0.1`).
  public var unwrapped: NetworkAddress {
    guard isIPv6, bytes[0..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff else { return self }
    return NetworkAddress(bytes: Array(bytes[12...])) ?? self
  }
}

/// A range of addresses in CIDR notation: `10.0.0.0/8`, `fd00::/8`; without a slash, one address.
public struct NetworkRange: Hashable, Sendable, CustomStringConvertible {
  public let base: NetworkAddress
  public let prefix: Int

  public var description: String { "\(base)/\(prefix)" }

  /// Whether it is one address.
  public var isSingle: Bool { prefix == base.bytes.count * 8 }

  /// Nil when the text is no range, or when its base has bits behind the prefix: `10.1.2.3/8` was meant otherwise.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = NetworkAddress(String(parts[0])) else { return nil }
    let bits = base.bytes.count * 8
    var prefix = bits
    if parts.count == 2 {
      guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let number = Int(parts[1]), number <= bits
      else { return nil }
      prefix = number
    }
    self.base = base
    self.prefix = prefix
    guard (prefix..<bits).allSatisfy({ !NetworkRange.bit($0, of: base.bytes) }) else { return nil }
  }

  public func contains(_ address: NetworkAddress) -> Bool {
    guard address.bytes.count == base.bytes.count else { return false }
    return (0..<prefix).allSatisfy { NetworkRange.bit($0, of: address.bytes) == NetworkRange.bit($0, of: base.bytes) }
  }

  private static func bit(_ index: Int, of bytes: [UInt8]) -> Bool { bytes[index / 8] >> (7 - index % 8) & 1 == 1 }
}
