import Addresses
import Basics

/// Where an endpoint is, in parts. Read by one strict reader, and written again from the parts for whoever connects, so
/// that no two readers can see two hosts in one text.
struct EndpointURL: Hashable, Sendable {
  enum Scheme: String, Sendable {
    case http, https, smtp, smtps

    var defaultPort: Int {
      switch self {
      case .http: 80
      case .https: 443
      // RFC 6409: submission.
      case .smtp: 587
      case .smtps: 465
      }
    }
  }

  let scheme: Scheme
  /// A name in lower case, or the text of an address without brackets.
  let host: String
  let port: Int
  /// Path and query as sent, starting with `/`.
  let path: String

  /// Set when `host` is an address.
  var literal: NetworkAddress? { NetworkAddress(host) }

  /// `[::1]` for IPv6, the host itself otherwise.
  var bracketed: String { literal?.isIPv6 == true ? "[\(host)]" : host }

  var text: String { "\(scheme.rawValue)://\(bracketed):\(port)\(path)" }

  /// The same place with `suffix` behind the path, which loses its own last `/`.
  func appending(_ suffix: String) -> EndpointURL {
    EndpointURL(
      scheme: scheme, host: host, port: port, path: (path.hasSuffix("/") ? String(path.dropLast()) : path) + suffix)
  }

  private init(scheme: Scheme, host: String, port: Int, path: String) {
    self.scheme = scheme
    self.host = host
    self.port = port
    self.path = path
  }

  /// Reads a URL.
  ///
  /// - Throws: `endpointInvalid`. The message never holds the text, which may be a secret.
  init(_ text: String, schemes: [Scheme]) throws(AWError) {
    let names = schemes.map(\.rawValue).joined(separator: " or ")
    guard let colon = text.firstRange(of: "://"), let scheme = Scheme(rawValue: text[..<colon.lowerBound].lowercased()),
      schemes.contains(scheme)
    else { throw EndpointURL.invalid("does not start with \(names)://") }
    guard text.utf8.count <= EndpointLimits.urlBytesMax else { throw EndpointURL.invalid("is too long") }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !EndpointURL.unsafe.contains($0) }) else {
      throw EndpointURL.invalid("has a character that does not belong in a URL")
    }
    let rest = text[colon.upperBound...]
    let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
    let tail = String(rest[end...])
    guard !tail.contains("#") else { throw EndpointURL.invalid("has a part behind '#', which is never sent") }
    guard !rest[..<end].contains("@") else {
      throw EndpointURL.invalid("holds a name or password before '@', which belong in the vault")
    }
    (host, port) = try EndpointURL.authority(String(rest[..<end]), default: scheme.defaultPort)
    self.scheme = scheme
    path = tail.hasPrefix("/") ? tail : "/" + tail
    if scheme == .smtp || scheme == .smtps, path != "/" {
      throw EndpointURL.invalid("has a path, which a mail server has not")
    }
  }

  /// Reads the URL of an API, behind which its own paths come.
  init(base text: String) throws(AWError) {
    try self.init(text, schemes: [.https, .http])
    guard !path.contains("?") else { throw EndpointURL.invalid("has a query, which an API's base has not") }
  }

  /// Characters that readers of URLs disagree about.
  private static let unsafe = Set("\"<>\\^`{|}".utf8)

  private static func authority(_ text: String, default standard: Int) throws(AWError) -> (String, Int) {
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { throw invalid("has a '[' without ']'") }
      let host = String(text[text.index(after: text.startIndex)..<close])
      guard let address = NetworkAddress(host), address.isIPv6 else {
        throw invalid("has something else than an IPv6 address between '[' and ']'")
      }
      return (address.description, try port(text[text.index(after: close)...], default: standard))
    }
    let end = text.firstIndex(of: ":") ?? text.endIndex
    var host = text[..<end].lowercased()
    if host.hasSuffix(".") { host.removeLast() }
    let isName = host.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
    }
    guard isName, !host.isEmpty, host.utf8.count <= 253, !host.hasPrefix("."), !host.contains("..") else {
      throw invalid("has no host, or one with other characters than a-z, 0-9, '-', '_' and '.'")
    }
    return (host, try port(text[end...], default: standard))
  }

  private static func port(_ text: Substring, default standard: Int) throws(AWError) -> Int {
    if text.isEmpty { return standard }
    guard text.first == ":", text.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = Int(text.dropFirst()), (1...65_535).contains(port)
    else { throw invalid("has a port that is none") }
    return port
  }

  private static func invalid(_ what: String) -> AWError {
    AWError(.endpointInvalid, "The endpoint's address \(what).", next: "Correct it, then save the endpoint again.")
  }
}
