import Crypto
import Foundation

/// A secret value that cannot be encoded, printed or compared by accident.
///
/// It is not `Codable`, describes itself as a placeholder, and gives its bytes only inside `withText`/`withBytes`.
public struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let bytes: [UInt8]

  public init(_ text: String) { bytes = Array(text.utf8) }
  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// A random secret of `byteCount` bytes, as lower-case hexadecimal text.
  public static func randomHex(byteCount: Int) -> Secret { Secret(Hex.encode([UInt8].random(count: byteCount))) }

  public var isEmpty: Bool { bytes.isEmpty }

  /// The one place where the value leaves its wrapper. Keep the closure short and let nothing in it log.
  public func withText<Result>(_ body: (String) throws -> Result) rethrows -> Result {
    try body(String(decoding: bytes, as: UTF8.self))
  }

  public func withBytes<Result>(_ body: ([UInt8]) throws -> Result) rethrows -> Result { try body(bytes) }

  /// Compares in time that depends on the lengths only.
  public func equals(_ other: Secret) -> Bool {
    // Hashing first makes the lengths equal, so nothing of the value shows in the timing.
    let left = Array(SHA256.hash(data: bytes))
    let right = Array(SHA256.hash(data: other.bytes))
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  public var description: String { "<secret>" }
  public var debugDescription: String { "<secret>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
