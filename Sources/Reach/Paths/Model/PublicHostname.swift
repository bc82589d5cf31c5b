import Addresses
import Basics
import Link

/// The public hostname of an Instance, as cloudflared serves it.
public struct PublicHostname: Codable, Sendable, Equatable {
  public static let authorityBytesMax = 64 * 1_024

  public let name: String
  public let port: Int
  /// The authority that signed its certificate, in PEM; nil trusts the roots of the control plane's machine.
  public let authority: String?
  /// The private ranges that it may be in: none, for a hostname of the internet.
  public let allowsPrivate: [String]

  /// - Throws: `pathInvalid`.
  public init(
    name: String, port: Int = 443, authority: String? = nil, allowsPrivate: [String] = []
  ) throws(AWError) {
    let name = name.lowercased()
    let isName = name.utf8.allSatisfy {
      (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || "-.".utf8.contains($0)
    }
    guard isName, !name.isEmpty, name.utf8.count <= 253, !name.hasPrefix("."), !name.hasSuffix("."),
      !name.contains(".."), NetworkAddress(name) == nil
    else { throw PathErrors.invalid("The hostname \(name.quoted) is none.") }
    guard (1...65_535).contains(port) else { throw PathErrors.invalid("The port \(port) of the hostname is none.") }
    guard authority.map({ $0.utf8.count <= PublicHostname.authorityBytesMax }) ?? true else {
      throw PathErrors.invalid("The authority's certificates are longer than 64 KiB.")
    }
    guard allowsPrivate.count <= PathLimits.privateRangesMax else {
      throw PathErrors.invalid("There are more than \(PathLimits.privateRangesMax) private ranges.")
    }
    for range in allowsPrivate where NetworkRange(range) == nil {
      throw PathErrors.invalid("The private range \(range.quoted) is none.")
    }
    self.name = name
    self.port = port
    self.authority = authority
    self.allowsPrivate = allowsPrivate
  }

  /// `acme.example.com:443`, for people.
  public var text: String { "\(name):\(port)" }

  /// What requests call it.
  var host: String { port == 443 ? name : text }
}

/// What the head of an answer says of the path, before anybody reads what the Gateway says: a pure function.
enum AccessAnswer {
  /// - Returns: why the path did not let the request through; nil when it did.
  static func failure(_ head: String, hostname: PublicHostname) -> PathFailure? {
    let lines = head.split(separator: "\r\n", omittingEmptySubsequences: true)
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else { return nil }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      fields[line[..<colon].lowercased()] = value.lowercased()
    }
    switch status {
    case 401, 403: return refused("answers \(status) to the service token", hostname)
    case 300..<400:
      guard isLogin(fields["location"] ?? "") else { return nil }
      return refused("asks for a sign-in instead of taking the service token", hostname)
    // 520 to 530 are Cloudflare's own. A Gateway's 503 has JSON, and says itself what is not ready.
    case 502, 504, 520...530:
      return PathFailure(
        AWError(
          .pathUnreachable, "The edge of \(hostname.text) answers \(status): nothing serves it behind the edge.",
          next: "Check that cloudflared runs on the Host and that its ingress names the Instance's port."),
        .localTargetDown)
    default: return nil
    }
  }

  private static func isLogin(_ location: String) -> Bool {
    location.contains("/cdn-cgi/access/") || location.contains(".cloudflareaccess.com")
  }

  private static func refused(_ what: String, _ hostname: PublicHostname) -> PathFailure {
    PathFailure(
      AWError(
        .pathCredentialRefused, "Cloudflare Access before \(hostname.text) \(what).",
        next: "Check the service token and that a policy with the action Service Auth names it, then "
          + "'aw path switch' with the token."),
      .authRejected, isRefusal: true)
  }
}
