import Basics
import Crypto
import Foundation

/// What is kept of a value that itself is forgotten, to find it in what is written later: of each of its forms the
/// length, a keyed digest, and 40 bits that depend on eight of its bytes.
public struct CompiledForms: Sendable, Codable, Equatable {
  private static let bytesPerPattern = 33
  /// The patterns, one behind the other.
  private let bytes: Data

  /// Nil for a value that is too short, too plain or too long to be looked for.
  public init?(_ value: Secret, key: SymmetricKey) {
    var scanner = ExactScanner(key: key)
    guard scanner.insert(value, as: "") else { return nil }
    var bytes = Data()
    for pattern in scanner.patterns {
      for number in [pattern.anchor, pattern.digest.0, pattern.digest.1] {
        bytes.append(contentsOf: (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) })
      }
      for number in [pattern.length, pattern.offset] {
        bytes.append(contentsOf: (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) })
      }
      bytes.append(pattern.form.rawValue)
    }
    self.bytes = bytes
  }

  var patterns: [ExactScanner.Pattern] {
    let bytes = Array(bytes)
    return stride(from: 0, to: bytes.count - bytes.count % Self.bytesPerPattern, by: Self.bytesPerPattern)
      .compactMap { start in
        func number(_ offset: Int, _ count: Int) -> UInt64 {
          (0..<count).reduce(0) { $0 | UInt64(bytes[start + offset + $1]) << ($1 * 8) }
        }
        guard let form = SecretForm(rawValue: bytes[start + 32]) else { return nil }
        return ExactScanner.Pattern(
          anchor: number(0, 8), digest: (number(8, 8), number(16, 8)), length: UInt32(number(24, 4)),
          offset: UInt32(number(28, 4)), form: form)
      }
  }
}
