/// Which addresses AW may be told to connect to (against server-side request forgery).
///
/// Whoever names a receiver or a public hostname must not make the control plane talk to its own neighbours: its
/// loopback, its private networks, the metadata service of its cloud. Such addresses are refused unless their range is
/// named beside it.
public enum AddressGuard {
  public enum Verdict: Hashable, Sendable {
    /// In the open internet.
    case open
    /// Refused in general, and let through by a range that is named.
    case allowed
    /// Refused: what kind of address it is, for people.
    case refused(kind: String)
  }

  public static func verdict(on address: NetworkAddress, allowing ranges: [NetworkRange]) -> Verdict {
    let address = address.unwrapped
    guard let kind = kind(of: address) else { return .open }
    let covering = ranges.filter { $0.contains(address) }
    // A wide range was not meant to open the door to a machine's credentials: they need their own.
    let isCovered = metadata.contains(address) ? covering.contains { $0.isSingle } : !covering.isEmpty
    return isCovered ? .allowed : .refused(kind: kind)
  }

  /// What kind of special address it is; nil for an ordinary one of the internet.
  public static func kind(of address: NetworkAddress) -> String? {
    let address = address.unwrapped
    if metadata.contains(address) { return "the metadata service of a cloud" }
    if let special = special.first(where: { $0.range.contains(address) }) { return special.kind }
    // Of IPv6 only 2000::/3 is handed out as global unicast (RFC 4291 section 2.4, IANA).
    if address.isIPv6, address.bytes[0] & 0xe0 != 0x20 { return "not an address of the internet" }
    return nil
  }

  /// Answers with credentials of the machine. The last one is an ordinary address elsewhere (Azure's wire server).
  private static let metadata = Set(
    ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"]
      .compactMap { NetworkAddress($0) })

  /// IANA's registries of special-purpose addresses (RFC 6890 and what followed).
  private static let special: [(range: NetworkRange, kind: String)] = [
    ("0.0.0.0/8", "this machine itself"), ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a carrier's shared network"), ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"), ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "reserved for protocols"), ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay of 6to4"), ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "for benchmarks"), ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"), ("224.0.0.0/4", "multicast"), ("240.0.0.0/4", "reserved"),
    ("::1/128", "loopback"), ("::/128", "this machine itself"), ("::/96", "IPv4 wrapped in IPv6"),
    ("64:ff9b::/96", "IPv4 wrapped in IPv6"), ("64:ff9b:1::/48", "IPv4 wrapped in IPv6"),
    ("2001::/23", "reserved for protocols"), ("2001:db8::/32", "for documentation"),
    ("2002::/16", "IPv4 wrapped in IPv6"), ("3fff::/20", "for documentation"), ("5f00::/16", "for routers"),
    ("fc00::/7", "a private network"), ("fe80::/10", "link-local"), ("fec0::/10", "a private network"),
    ("ff00::/8", "multicast"),
  ].compactMap { text, kind in NetworkRange(text).map { ($0, kind) } }
}
