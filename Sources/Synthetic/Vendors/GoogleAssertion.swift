import Basics
import Crypto
import CryptoExtras
import Foundation

/// What a service account signs to be given a token (RFC 7523), as Google looks at it: whose it is, for whom, how long
/// it is good, and whether the signature is that account's.
struct GoogleAssertion {
  private let request: Vendors.Request

  init(_ request: Vendors.Request) { self.request = request }

  /// What is said of an assertion beside whose it is: the end of what was shown.
  static let (badSignature, badTime) = ("!", "?")

  /// The fixture, as far as its account says which, or a key file that was given out. What is wrong stands behind it.
  func shown(_ prefix: String, _ known: [String]) -> String {
    let form = request.form
    guard form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer",
      let parts = form["assertion"]?.split(separator: ".").map(String.init), parts.count == 3,
      let claims = Base64URL.decode(parts[1]).flatMap({ try? JSONValue(parsing: $0) }),
      let account = claims["iss"]?.stringValue, claims["aud"] == "https://oauth2.googleapis.com/token",
      claims["scope"]?.stringValue?.isEmpty == false,
      let signature = Base64URL.decode(parts[2])
    else { return "" }
    let file = known.first { Self.member("client_email", of: $0) == account }
    let key = file.flatMap { Self.member("private_key", of: $0) }.flatMap {
      try? _RSA.Signing.PrivateKey(pemRepresentation: $0).publicKey
    }
    let shown = file ?? prefix + (account.split(separator: "@").first.map(String.init) ?? "")
    guard isTimely(claims) else { return shown + Self.badTime }
    let isSigned = (key ?? Self.fixtureKey)?.isValidSignature(
      .init(rawRepresentation: Data(signature)), for: Data("\(parts[0]).\(parts[1])".utf8),
      padding: .insecurePKCS1v1_5)
    return isSigned == true ? shown : shown + Self.badSignature
  }

  /// Good for an hour at most, and made in the last minutes.
  private func isTimely(_ claims: JSONValue) -> Bool {
    guard let made = claims["iat"]?.intValue, let ends = claims["exp"]?.intValue else { return false }
    return ends > made && ends - made <= 3_600 && abs(request.seconds - made) <= 300 && ends > request.seconds - 300
  }

  private static func member(_ name: String, of file: String) -> String? {
    guard file.hasPrefix("{") else { return nil }
    return (try? JSONValue(parsing: file))?[name]?.stringValue
  }

  /// The public half of the key that every fixture has.
  private static let fixtureKey = Data(
    base64Encoded: """
      MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArwGOraBnEteS8f5PImO86A+Y3lwbFoGf6v3cB5szF8JuxETEPiOWVFk8\
      yu4B83Zic5hsUK8Npb4bIYa4NVw0lkoD93XCxWRYz2vyVKJOCA43N1MZbFKUMJ7YXjEZ/tbSOB5pxMa/PtAuxrEzkVv5i4frs8+S\
      6SrQVa+9F6EqQgI0/9P2H5A9BKh2KLT2Cmg2363WCnXfkRA3k6HWuMa6+5GqeICde0y0hEvMAcBf7oNoHkx+RGm+5cfCqP0ITz1B\
      9plfyT/YDLsyx0CntpWZJNouqs+RothJ8v/f/iamjbHigAgAI2SUqSN9iklvguJluVl56X3H3QcS9U53KjljHQIDAQAB
      """
  ).flatMap { try? _RSA.Signing.PublicKey(derRepresentation: $0) }
}
