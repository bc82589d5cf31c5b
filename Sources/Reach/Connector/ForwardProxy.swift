import Basics
import Foundation
import Link

/// An HTTP proxy that a Host's way out leads through.
public struct ForwardProxy: Sendable {
  public let address: String
  public let port: Int
  let user: String?
  let password: Secret?

  /// Reads `http://[user[:password]@]host[:port]`.
  ///
  /// - Parameter password: instead of one in the URL.
  /// - Throws: `usage`.
  public init(url: String, password: Secret? = nil) throws(AWError) {
    guard let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host, !host.isEmpty,
      ["", "/"].contains(parts.path)
    else {
      // The text may hold a password, so it is not repeated.
      throw AWError(
        .usage, "The proxy is not given as an http URL.",
        next: "Write it like http://proxy.example.com:3128 or http://user@proxy.example.com:3128.")
    }
    address = host.trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    port = parts.port ?? 80
    user = parts.user
    self.password = password ?? parts.password.map { Secret($0) }
  }

  /// What is sent to the proxy: a CONNECT request (RFC 9110, section 9.3.6).
  func request(to endpoint: GatewayEndpoint) -> Secret {
    let address = endpoint.address.contains(":") ? "[\(endpoint.address)]" : endpoint.address
    let authority = "\(address):\(endpoint.port)"
    let head = "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n"
    guard let user else { return Secret(head + "\r\n") }
    return (password ?? Secret("")).withText { password in
      let credentials = Data("\(user):\(password)".utf8).base64EncodedString()
      return Secret(head + "Proxy-Authorization: Basic \(credentials)\r\n\r\n")
    }
  }
}

/// Which proxy leads to which AW Gateway.
public struct ProxyChoice: Sendable {
  private let always: ForwardProxy?
  private let fromEnvironment: ForwardProxy?
  private let exceptions: [String]

  /// No proxy.
  public static let none = ProxyChoice()

  private init() { (always, fromEnvironment, exceptions) = (nil, nil, []) }

  /// - Parameters:
  ///   - always: for every dial, whatever the environment says.
  ///   - environment: its `https_proxy` and `no_proxy` are used, in small letters or large.
  /// - Throws: `usage` when `https_proxy` is no URL of a proxy.
  public init(always: ForwardProxy?, environment: [String: String]) throws(AWError) {
    func value(_ name: String) -> String? {
      (environment[name] ?? environment[name.uppercased()]).flatMap { $0.isEmpty ? nil : $0 }
    }
    self.always = always
    if always == nil, let url = value("https_proxy") {
      fromEnvironment = try ForwardProxy(url: url)
    } else {
      fromEnvironment = nil
    }
    exceptions = (value("no_proxy") ?? "").split(separator: ",").map {
      $0.trimmingCharacters(in: .whitespaces).lowercased()
    }
  }

  /// The proxy to an address; nil dials it directly. The environment's proxy never leads to this machine itself.
  func proxy(to address: String) -> ForwardProxy? {
    if let always { return always }
    let name = address.lowercased()
    guard name != "localhost", name != "::1", !name.hasPrefix("127."), !exceptions.contains(where: { $0 == "*" }) else {
      return nil
    }
    let isException = exceptions.contains { exception in
      let domain = exception.hasPrefix(".") ? String(exception.dropFirst()) : exception
      return !domain.isEmpty && (name == domain || name.hasSuffix("." + domain))
    }
    return isException ? nil : fromEnvironment
  }
}
