import Basics
import Foundation
import Synchronization

/// Finds the addresses of a name. AW resolves names itself and connects to the address that it checked: a name that is
/// asked twice may answer twice (DNS rebinding).
struct AddressResolver: Sendable {
  let resolve: @Sendable (String) async throws -> [NetworkAddress]

  /// The machine's own resolver.
  static let system = AddressResolver { try await SystemLookup.run($0) }

  /// An address that may be connected to.
  struct Checked: Hashable, Sendable {
    let address: NetworkAddress
    /// Whether only a range of the endpoint lets it through.
    let isPrivate: Bool
  }

  /// The addresses of an endpoint that a delivery may go to, in the resolver's order.
  ///
  /// - Throws: `endpointAddressRefused` when there is none among those found, `endpointNameUnknown` when none is found.
  func addresses(of url: EndpointURL, allowing texts: [String]) async throws(AWError) -> [Checked] {
    let ranges = texts.compactMap { NetworkRange($0) }
    let found = try await found(url)
    var (checked, refused): ([Checked], [String]) = ([], [])
    for address in found {
      switch AddressGuard.verdict(on: address, allowing: ranges) {
      case .open: checked.append(Checked(address: address.unwrapped, isPrivate: false))
      case .allowed: checked.append(Checked(address: address.unwrapped, isPrivate: true))
      case .refused(let kind): refused.append("\(address) (\(kind))")
      }
    }
    guard !checked.isEmpty else {
      let what = refused.prefix(3).joined(separator: ", ")
      throw AWError(
        .endpointAddressRefused, "The host \(url.host.quoted) is \(what). AW sends nothing there by itself.",
        next: "If this is meant, name the range among the endpoint's private ranges, as narrow as it can be.")
    }
    guard url.scheme == .http else { return checked }
    let inside = checked.filter(\.isPrivate)
    guard !inside.isEmpty else {
      throw AWError(
        .endpointAddressRefused, "The endpoint would be sent to over http://, which everybody on the way can read.",
        next: "Use https://. Only inside the endpoint's private ranges is http:// let through.")
    }
    return inside
  }

  private func found(_ url: EndpointURL) async throws(AWError) -> [NetworkAddress] {
    if let literal = url.literal { return [literal] }
    let found: [NetworkAddress]
    do {
      found = try await resolve(url.host)
    } catch {
      throw AWError(
        .endpointNameUnknown, "The name \(url.host.quoted) of the endpoint does not resolve: \(error).",
        next: "Check the name, and the resolver of the control plane's machine.", cause: error)
    }
    guard !found.isEmpty else {
      throw AWError(
        .endpointNameUnknown, "The name \(url.host.quoted) of the endpoint has no address.", next: "Check the name.")
    }
    return found
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
        try? await Task.sleep(for: EndpointLimits.resolveWithin)
        answer.give(.failure(Failed(description: "no answer within \(EndpointLimits.resolveWithin.words)")))
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
