import Basics
import Crypto
import CryptoExtras
import Foundation

/// A service account's key file, as far as a token is asked for with it (RFC 7523; Google's page "Using OAuth 2.0 for
/// server to server applications").
///
/// The file names an address of its own to ask at. AW does not follow it: a value does not say where it is sent.
struct GoogleServiceAccount: Sendable {
  let email: String
  private let key: _RSA.Signing.PrivateKey

  /// Nil when the text is no key file, or holds no RSA key of 2,048 bits or more.
  init?(parsing text: String) {
    guard text.hasPrefix("{"), let file = try? JSONValue(parsing: text), file["type"] == "service_account",
      let email = file["client_email"]?.stringValue,
      email.wholeMatch(of: /[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com/) != nil,
      let pem = file["private_key"]?.stringValue, let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem)
    else { return nil }
    (self.email, self.key) = (email, key)
  }

  /// Whom the assertion is for, wherever it is sent: Google compares it.
  static let audience = "https://oauth2.googleapis.com/token"
  /// What a bot of Google Chat has, and no more.
  static let scope = "https://www.googleapis.com/auth/chat.bot"
  /// An hour is the most that Google takes. The token is not used, so a minute is enough.
  static let assertionSeconds: Int64 = 60

  /// What is shown instead of the key: signed with it, and good for a minute. Nil when the key cannot sign.
  func assertion(at now: Timestamp) -> Secret? {
    let seconds = now.millisecondsSince1970 / 1_000
    let claims: JSONValue = [
      "iss": .string(email), "scope": .string(Self.scope), "aud": .string(Self.audience), "iat": .integer(seconds),
      "exp": .integer(seconds + Self.assertionSeconds),
    ]
    let header: JSONValue = ["alg": "RS256", "typ": "JWT"]
    let signed = [header, claims].map { Base64URL.encode(Array($0.canonical.utf8)) }.joined(separator: ".")
    guard let signature = try? key.signature(for: Data(signed.utf8), padding: .insecurePKCS1v1_5) else { return nil }
    return Secret(signed + "." + Base64URL.encode(signature.rawRepresentation))
  }

  /// The key of every fixture, as it stands in JSON. It is no secret: whoever reads this has it, and Google has no
  /// account for it. With it the signature is made and checked as with a real one.
  static let fixtureKey: String = {
    let letters = Array(fixtureDER.utf8)
    let lines = stride(from: 0, to: letters.count, by: 64).map {
      String(decoding: letters[$0..<min($0 + 64, letters.count)], as: UTF8.self)
    }
    return (["-----BEGIN PRIVATE KEY-----"] + lines + ["-----END PRIVATE KEY-----", ""]).joined(separator: #"\n"#)
  }()

  private static let fixtureDER = """
    MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCvAY6toGcS15Lx/k8iY7zoD5jeXBsWgZ/q/dwHmzMXwm7ERMQ+I5ZU\
    WTzK7gHzdmJzmGxQrw2lvhshhrg1XDSWSgP3dcLFZFjPa/JUok4IDjc3UxlsUpQwntheMRn+1tI4HmnExr8+0C7GsTORW/mLh+uzz5Lp\
    KtBVr70XoSpCAjT/0/YfkD0EqHYotPYKaDbfrdYKdd+REDeToda4xrr7kap4gJ17TLSES8wBwF/ug2geTH5Eab7lx8Ko/QhPPUH2mV/J\
    P9gMuzLHQKe2lZkk2i6qz5Gi2Eny/9/+JqaNseKACAAjZJSpI32KSW+C4mW5WXnpfcfdBxL1TncqOWMdAgMBAAECggEAEGR+M5vGg+CO\
    +l1mlrNOdtM9L7jjbaqDKv0P7uN19/gFrZs+YY6uTmTUebKtGpvAcZD5tl4LUnbZ7jxDBXaHU3uH3xZYAeraGcXD+3L/iaghOmytgTTD\
    /kDmxf3l8DW5l7mbkSvHrq/L7d8b1DYQDCaVaLCdE3un65rMRMobHfcUa+hF38Ez5nyt7ZRbHAxEvhYfuzgX1kVR2taweZBurPBCdcFD\
    ljaCd9Jnb2IHb8U2y46NcTstwKU3uC/eJSddvz4KbIUPF1WykmjwvRlPCml0KnKf1Bg0AV9/zV7GtuxHE/6H7sCFCE+zEZnbbVom0Nga\
    htXP/xIMYUEFuzk1QQKBgQDzOqJmfXCbtxIlZ5LUsEK+YUjOpK6BDVOpiqIYcJcm8dnTuZh2gY5KfcXjHKI/mDh+by05Y0oU02vplstU\
    c6KfKt5rUfxV1+Bj94oMq4pPOadvZwM/t69Ut8GoESyB1z5O5zRK26iT05wdT3lpu6RS8d30KvuK4X4EPQTilAfeQQKBgQC4MedEYV36\
    nxn2dUktNcQlcHC75vApgZe/T2wCnxjp2zOwQP+NyHqb7ec4xjJpXb2aEtFeg7Sa05EY09Mg9ehE1gTNg25aZUennf5DzN/ZmEX/+wFN\
    OndNTbI0wwLLCLWnX5YF5lngVY49rWHgDMHFzAVf8Y8e7jWqVxqyfMdF3QKBgHgbGhqWEscxzYoe7QiNyUeNbpBsDae4Vvm/dW+wGVOn\
    1bKRUVIjg4oRNWiCuTPCDROR/rj56JkEFaORTPJ073a9intgTsRtB2cV01uSUYfxplaCfb43DCM/YieF435yNVhtHwtgEIx+z/ZBSmkF\
    uY0j1kA+AVyBIOMi5oikJIaBAoGBAKQvx4hKim0GOSxZa7si/A6rZbH4rwcwf0WG1C6aBqkePbrUlXeaxsALllojQXhumL2oHHz1RZ3l\
    DKdm2gG9cSc65tkSWOG2+eJNkQJ6subRN0RwR77BaOq9YSZq1iiJQPNK3v2vUVoIqVwNGvuOI4Pe0sOtHPhjOe726dNEKpT5AoGBAOpr\
    3uOixPiNWHG+Of/zK8KJWoEnYPqS8xRSBZ714ORfxcvoEmNsopzdAUvVT53C7DcwaQtb9PZGCLrhPMLclSjrD8DbHXx+AiZByvlCPUlJ\
    bNCIku7kaqAH+Web+/Yyc9COX3a8eT53PhY0YI7xl9Xq0ifklKEHTPleYeuD6P8w
    """
}
