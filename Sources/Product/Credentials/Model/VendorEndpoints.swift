import Basics
import Foundation

/// Where the vendors themselves are asked: the only place that values of the gated classes are sent to.
public struct VendorEndpoints: Sendable, Equatable {
  /// The vendor's name to what stands before the path, without a slash at the end.
  private let bases: [String: String]

  /// The vendors' own addresses.
  public static let published = VendorEndpoints(bases: [
    "openrouter": "https://openrouter.ai", "openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com", "telegram": "https://api.telegram.org",
    "slack": "https://slack.com", "discord": "https://discord.com",
  ])

  private init(bases: [String: String]) { self.bases = bases }

  /// Reads `{"openai": "https://eu.api.openai.com", …}`: what is not named stays the vendor's own address.
  ///
  /// - Throws: `usage` for another form, a vendor that there is not, and an address without TLS that is not on the
  ///   machine's own loopback.
  public init(parsing bytes: [UInt8]) throws(AWError) {
    guard let members = (try? JSONValue(parsing: bytes))?.objectValue else {
      throw Self.malformed("The file of vendors' addresses is no JSON object.")
    }
    var bases = Self.published.bases
    for (vendor, value) in members {
      guard bases[vendor] != nil else { throw Self.malformed("There is no vendor \(vendor.quoted).") }
      guard let text = value.stringValue, let url = URL(string: text), let host = url.host(), url.query() == nil,
        url.scheme == "https" || (url.scheme == "http" && ["127.0.0.1", "localhost", "::1"].contains(host))
      else { throw Self.malformed("The address of \(vendor) is no https URL.") }
      bases[vendor] = text.hasSuffix("/") ? String(text.dropLast()) : text
    }
    self.bases = bases
  }

  func base(of vendor: String) -> String? { bases[vendor] }

  /// A simulated vendor may not stand in a vendor's place: a real value would be sent there.
  ///
  /// - Throws: `usage` with the vendor.
  public func check(apartFrom fixtures: FixtureVendors) throws(AWError) {
    for (vendor, base) in bases where base.hasPrefix(fixtures.url) {
      throw Self.malformed("The address of \(vendor) is that of the simulated vendors.")
    }
  }

  private static func malformed(_ what: String) -> AWError {
    let names = published.bases.keys.sorted().joined(separator: ", ")
    return AWError(
      .usage, what, next: "Write it like {\"openai\": \"https://eu.api.openai.com\"}, with the names \(names).")
  }
}
