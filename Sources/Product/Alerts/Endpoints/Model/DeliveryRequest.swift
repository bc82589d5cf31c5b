import Basics

/// One HTTP request of a delivery, complete. Its parts may be secret (Slack's URL, PagerDuty's key in the body), so it
/// shows only where it goes.
struct DeliveryRequest: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  let url: EndpointURL
  let headers: [(name: String, value: String)]
  let body: String

  var description: String { "POST to \(url.host)" }
  var debugDescription: String { description }
  var customMirror: Mirror { Mirror(self, children: []) }

  static func json(to url: EndpointURL, _ body: String, type: String = "application/json") -> DeliveryRequest {
    DeliveryRequest(url: url, headers: [("content-type", type)], body: body)
  }

  func adding(_ more: [(name: String, value: String)]) -> DeliveryRequest {
    DeliveryRequest(url: url, headers: headers + more, body: body)
  }
}

/// What an endpoint answered, as far as it may be kept.
enum Excerpt {
  /// The first characters in one line; nil when there are none, or when a piece of a secret is among them. Somebody who
  /// is sent a secret may answer with it.
  static func of(_ text: String, without secrets: [Secret]) -> String? {
    let line = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : String($0) }.joined()
    let cut = String(line.split(separator: " ").joined(separator: " ").prefix(EndpointLimits.excerptCharactersMax))
    guard !cut.isEmpty else { return nil }
    let folded = Array(cut.lowercased().utf8)
    for secret in secrets where secret.withText({ holdsPiece(of: Array($0.lowercased().utf8), folded) }) { return nil }
    return cut
  }

  /// Whether 6 bytes in a row of the secret, or all of a shorter one, stand in the text.
  private static func holdsPiece(of secret: [UInt8], _ text: [UInt8]) -> Bool {
    let length = min(6, secret.count)
    guard length > 0, text.count >= length else { return false }
    let pieces = Set((0...secret.count - length).map { Array(secret[$0..<$0 + length]) })
    return (0...text.count - length).contains { pieces.contains(Array(text[$0..<$0 + length])) }
  }
}
