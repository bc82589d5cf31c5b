import Foundation

/// A typed identifier: `ID<Host>` cannot be passed where `ID<Org>` is wanted.
///
/// The value is a UUID version 7 (RFC 9562): its first 48 bits are milliseconds since 1970, so identifiers sort by
/// the time they were made.
public struct ID<Kind>: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The canonical lower-case text form, 36 characters.
  public let text: String

  public var description: String { text }

  /// Reads the text form of a UUID of any version; nil when it is not one.
  public init?(_ text: String) {
    guard let uuid = UUID(uuidString: text) else { return nil }
    self.text = uuid.uuidString.lowercased()
  }

  /// Builds a version 7 identifier from its parts.
  ///
  /// - Parameters:
  ///   - at: the time that becomes the first 48 bits, millisecond precision.
  ///   - random: the source of the other 74 bits.
  public init(at: Timestamp, random: inout some RandomNumberGenerator) {
    let milliseconds = UInt64(max(0, at.millisecondsSince1970))
    let high: UInt64 = (milliseconds << 16) | 0x7000 | (random.next() & 0x0FFF)
    let low: UInt64 = (0b10 << 62) | (random.next() & 0x3FFF_FFFF_FFFF_FFFF)
    let hex = Hex.encode(high.bigEndianBytes + low.bigEndianBytes)
    let characters = Array(hex)
    let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(characters[$0]) }
    self.text = groups.joined(separator: "-")
  }

  /// When it was made, of a version 7 identifier; nil for another version.
  public var madeAt: Timestamp? {
    let digits = text.filter { $0 != "-" }
    guard digits.dropFirst(12).first == "7" else { return nil }
    return Int64(digits.prefix(12), radix: 16).map { Timestamp(millisecondsSince1970: $0) }
  }

  /// A fresh identifier from the system's random numbers.
  public static func make(at: Timestamp) -> ID {
    var random = SystemRandomNumberGenerator()
    return ID(at: at, random: &random)
  }

  public static func < (left: ID, right: ID) -> Bool { left.text < right.text }
}

extension ID: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = ID(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not an identifier: \(text)"))
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }
}

extension UInt64 {
  var bigEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * $0)) } }
}
