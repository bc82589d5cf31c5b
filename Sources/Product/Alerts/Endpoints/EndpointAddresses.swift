import Addresses
import Basics

extension AddressResolver {
  /// The addresses of an endpoint that a delivery may go to, in the resolver's order.
  ///
  /// - Throws: `endpointAddressRefused` when there is none among those found, `endpointNameUnknown` when none is found.
  func addresses(of url: EndpointURL, allowing texts: [String]) async throws(AWError) -> [Checked] {
    let found: Found
    do {
      found = try await find(url.host, allowing: texts.compactMap { NetworkRange($0) })
    } catch {
      throw AWError(
        .endpointNameUnknown, "The name \(url.host.quoted) of the endpoint does not resolve: \(error).",
        next: "Check the name, and the resolver of the control plane's machine.", cause: error)
    }
    guard !found.checked.isEmpty || !found.refused.isEmpty else {
      throw AWError(
        .endpointNameUnknown, "The name \(url.host.quoted) of the endpoint has no address.", next: "Check the name.")
    }
    guard !found.checked.isEmpty else {
      let what = found.refused.prefix(3).joined(separator: ", ")
      throw AWError(
        .endpointAddressRefused, "The host \(url.host.quoted) is \(what). AW sends nothing there by itself.",
        next: "If this is meant, name the range among the endpoint's private ranges, as narrow as it can be.")
    }
    guard url.scheme == .http else { return found.checked }
    let inside = found.checked.filter(\.isPrivate)
    guard !inside.isEmpty else {
      throw AWError(
        .endpointAddressRefused, "The endpoint would be sent to over http://, which everybody on the way can read.",
        next: "Use https://. Only inside the endpoint's private ranges is http:// let through.")
    }
    return inside
  }
}
