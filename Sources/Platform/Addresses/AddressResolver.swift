import Basics
import Foundation
import Synchronization

/// Finds the addresses of a name. AW resolves names itself and connects to the address that it checked: a name that is
/// asked twice may answer twice (DNS rebinding).
public struct AddressResolver: Sendable {
  /// How long the machine's resolver may take.
  public static let resolveWithin = Duration.seconds(3)

  public let resolve: @Sendable (String) async throws -> [NetworkAddress]

  public init(_ resolve: @escaping @Sendable (String) async throws -> [NetworkAddress]) { self.resolve = resolve }

  /// The machine's own resolver.
  public static let system = AddressResolver { try await SystemLookup.run($0) }

  /// An address that may be connected to.
  public struct Checked: Hashable, Sendable {
    public let address: NetworkAddress
    /// Whether only a named range lets it through.
    public let isPrivate: Bool
  }

  /// The addresses of a host, each with what the guard says of it, in the resolver's order.
  public struct Found: Sendable {
    public let checked: [Checked]
    /// What was refused, for people: the address and what kind it is.
    public let refused: [String]
  }

  /// - Parameter host: a name, or the text of an address, which is not looked up.
  /// - Throws: what the look-up throws. A name without an address gives nothing.
  public func find(_ host: String, allowing ranges: [NetworkRange]) async throws -> Found {
    let addresses = if let literal = NetworkAddress(host) { [literal] } else { try await resolve(host) }
    var (checked, refused): ([Checked], [String]) = ([], [])
    for address in addresses {
      switch AddressGuard.verdict(on: address, allowing: ranges) {
      case .open: checked.append(Checked(address: address.unwrapped, isPrivate: false))
      case .allowed: checked.append(Checked(address: address.unwrapped, isPrivate: true))
      case .refused(let kind): refused.append("\(address) (\(kind))")
      }
    }
    return Found(checked: checked, refused: refused)
  }
}

/// `getaddrinfo`, on a thread of its own and with a limit: it cannot be cancelled and may take half a minute.
private enum SystemLookup {
  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  static func run(_ name: String) async throws -> [NetworkAddress] {
    let answer = Answer()
    return try await withCheckedThrowingContinuation { continuation in
      answer.wait(continuation)
      Thread.detachNewThread { answer.give(Result { try lookUp(name) }) }
      Task {
        try? await Task.sleep(for: AddressResolver.resolveWithin)
        answer.give(.failure(Failed(description: "no answer within \(Int(AddressResolver.resolveWithin.seconds)) s")))
      }
    }
  }

  /// Whoever comes first gives the answer.
  private final class Answer: Sendable {
    private let continuation = Mutex<CheckedContinuation<[NetworkAddress], any Error>?>(nil)

    func wait(_ waiting: CheckedContinuation<[NetworkAddress], any Error>) {
      continuation.withLock { $0 = waiting }
    }

    func give(_ result: Result<[NetworkAddress], any Error>) {
      let waiting = continuation.withLock { waiting in
        defer { waiting = nil }
        return waiting
      }
      waiting?.resume(with: result)
    }
  }

  private static func lookUp(_ name: String) throws -> [NetworkAddress] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(name, nil, &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard status == 0 else { throw Failed(description: String(cString: gai_strerror(status))) }
    var (addresses, next): ([NetworkAddress], UnsafeMutablePointer<addrinfo>?) = ([], list)
    while let entry = next {
      if let address = address(of: entry.pointee), !addresses.contains(address) { addresses.append(address) }
      next = entry.pointee.ai_next
    }
    return addresses
  }

  private static func address(of entry: addrinfo) -> NetworkAddress? {
    guard let socketAddress = entry.ai_addr else { return nil }
    switch entry.ai_family {
    case AF_INET:
      return socketAddress.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
        withUnsafeBytes(of: pointer.pointee.sin_addr) { NetworkAddress(bytes: Array($0)) }
      }
    case AF_INET6:
      return socketAddress.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
        withUnsafeBytes(of: pointer.pointee.sin6_addr) { NetworkAddress(bytes: Array($0)) }
      }
    default: return nil
    }
  }
}
