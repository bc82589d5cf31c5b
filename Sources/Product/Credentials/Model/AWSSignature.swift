import Basics
import Crypto
import Foundation

/// What AWS knows a caller by.
struct AWSCredentials: Sendable {
  let accessKeyID: String
  let secretAccessKey: Secret
  let sessionToken: Secret?
}

/// AWS Signature Version 4, for requests that have a path without anything to escape, and no query: a pure function.
enum AWSSignature {
  /// The headers of a request, and the `authorization` that signs them.
  ///
  /// - Parameters:
  ///   - headers: every header that is signed, by its lower-case name; `host` has to be among them.
  ///   - body: whole, because its hash is signed.
  static func headers(
    _ method: String, path: String, headers: [String: String], body: [UInt8], region: String, service: String,
    credentials: AWSCredentials, at time: Timestamp
  ) -> [String: String] {
    let stamp = stamp(time)
    let day = String(stamp.prefix(8))
    var signed = headers
    signed["x-amz-date"] = stamp
    if let token = credentials.sessionToken { token.withText { signed["x-amz-security-token"] = $0 } }
    let names = signed.keys.sorted()
    let canonical = [
      method, path, "", names.map { "\($0):\((signed[$0] ?? "").trimmingCharacters(in: .whitespaces))\n" }.joined(),
      names.joined(separator: ";"), SHA256.hex(body),
    ].joined(separator: "\n")
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let text = ["AWS4-HMAC-SHA256", stamp, scope, SHA256.hex(Array(canonical.utf8))].joined(separator: "\n")
    let seed = credentials.secretAccessKey.withBytes { SymmetricKey(data: Array("AWS4".utf8) + $0) }
    let key = [day, region, service, "aws4_request"].reduce(seed) { key, part in
      SymmetricKey(data: Array(HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key)))
    }
    let signature = Hex.encode(Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)))
    signed["authorization"] =
      "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
      + "SignedHeaders=\(names.joined(separator: ";")), Signature=\(signature)"
    return signed
  }

  /// `20150830T123600Z`.
  static func stamp(_ time: Timestamp) -> String {
    // RFC 3339 without its separators and fractions.
    let text = "\(time)"
    let digits = text.filter(\.isNumber)
    return "\(digits.prefix(8))T\(digits.dropFirst(8).prefix(6))Z"
  }
}
