import Basics
import Foundation

/// Where the vendors themselves are asked: the only place that values of the gated classes are sent to.
public struct VendorEndpoints: Sendable, Equatable {
  /// The vendor's name to what stands before the path, without a slash at the end.
  private let bases: [String: String]

  /// The vendors' own addresses.
  public static let published = VendorEndpoints(
    bases: Dictionary(
      uniqueKeysWithValues: CredentialVendor.allCases.compactMap { vendor in
        vendor.published.map { (vendor.rawValue, $0) }
      }))

  private init(bases: [String: String]) { self.bases = bases }

  /// Reads `{"openai": "https://eu.api.openai.com", …}`: what is not named stays the vendor's own address. One for
  /// `matrix` stands in the place of every customer's own server.
  ///
  /// - Throws: `usage` for another form, a vendor that there is not, and an address without TLS that is not on the
  ///   machine's own loopback.
  public init(parsing bytes: [UInt8]) throws(AWError) {
    guard let members = (try? JSONValue(parsing: bytes))?.objectValue else {
      throw Self.malformed("The file of vendors' addresses is no JSON object.")
    }
    var bases = Self.published.bases
    for (vendor, value) in members {
      guard CredentialVendor(rawValue: vendor) != nil else {
        throw Self.malformed("There is no vendor \(vendor.quoted).")
      }
      guard let text = value.stringValue, let url = URL(string: text), let host = url.host(), url.query() == nil,
        url.scheme == "https" || (url.scheme == "http" && ["127.0.0.1", "localhost", "::1"].contains(host))
      else { throw Self.malformed("The address of \(vendor) is no https URL.") }
      bases[vendor] = text.hasSuffix("/") ? String(text.dropLast()) : text
    }
    self.bases = bases
  }

  /// Nil when there is no address but the one that a credential's own settings name.
  func base(of vendor: CredentialVendor) -> String? { bases[vendor.rawValue] }

  /// A simulated vendor may not stand in a vendor's place: a real value would be sent there.
  ///
  /// - Throws: `usage` with the vendor.
  public func check(apartFrom fixtures: FixtureVendors) throws(AWError) {
    for (vendor, base) in bases where base.hasPrefix(fixtures.url) {
      throw Self.malformed("The address of \(vendor) is that of the simulated vendors.")
    }
  }

  private static func malformed(_ what: String) -> AWError {
    let names = CredentialVendor.allCases.map(\.rawValue).sorted().joined(separator: ", ")
    return AWError(
      .usage, what, next: "Write it like {\"openai\": \"https://eu.api.openai.com\"}, with the names \(names).")
  }
}
