import Basics
import Foundation

/// Rewrites AW's portable SQL for PostgreSQL: pure functions.
enum PostgresSQL {
  /// `?` → `$1`, `$2`, … outside quoted text, quoted names and comments.
  static func numberPlaceholders(_ sql: String) -> String {
    rewrite(sql) { code, count in
      var text: [UInt8] = []
      for byte in code {
        guard byte == UInt8(ascii: "?") else {
          text.append(byte)
          continue
        }
        count += 1
        text += Array("$\(count)".utf8)
      }
      return text
    }
  }

  /// The column type `BLOB` → `BYTEA`, outside quoted text, quoted names and comments.
  static func translate(migration sql: String) -> String {
    rewrite(sql) { code, _ in
      Array(String(decoding: code, as: UTF8.self).replacing(/(?i)\bBLOB\b/, with: "BYTEA").utf8)
    }
  }

  /// Hands the parts of `sql` that are code to `body`, and copies the rest. The second argument of `body` lives
  /// from one part to the next.
  private static func rewrite(_ sql: String, _ body: ([UInt8], inout Int) -> [UInt8]) -> String {
    let bytes = Array(sql.utf8)
    var result: [UInt8] = []
    var count = 0
    var codeStart = 0
    var position = 0
    while position < bytes.count {
      guard let end = endOfQuoted(bytes, from: position) else {
        position += 1
        continue
      }
      result += body(Array(bytes[codeStart..<position]), &count)
      result += bytes[position..<end]
      position = end
      codeStart = end
    }
    result += body(Array(bytes[codeStart...]), &count)
    return String(decoding: result, as: UTF8.self)
  }

  /// When quoted text, a quoted name or a comment starts at `start`: the index after its end.
  private static func endOfQuoted(_ bytes: [UInt8], from start: Int) -> Int? {
    let next = start + 1 < bytes.count ? bytes[start + 1] : 0
    switch bytes[start] {
    case UInt8(ascii: "'"), UInt8(ascii: "\""):
      // A doubled quote ends one text and starts the next: copying both gives the same bytes.
      let end = bytes[(start + 1)...].firstIndex(of: bytes[start])
      return end.map { $0 + 1 } ?? bytes.count
    case UInt8(ascii: "-") where next == UInt8(ascii: "-"):
      return bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
      var index = start + 2
      while index + 1 < bytes.count {
        if bytes[index] == UInt8(ascii: "*"), bytes[index + 1] == UInt8(ascii: "/") { return index + 2 }
        index += 1
      }
      return bytes.count
    default: return nil
    }
  }
}

/// The object ids of the types AW sends and reads (`pg_type.dat` of PostgreSQL; they never change).
enum PostgresType {
  static let unspecified: UInt32 = 0
  static let bytea: UInt32 = 17
  static let int8: UInt32 = 20
  static let text: UInt32 = 25

  /// Reads a field in PostgreSQL's text format. Nil when AW has no use for the type or the number does not fit.
  static func value(_ text: String, type: UInt32) -> SQLValue? {
    switch type {
    case 20, 21, 23, 26: Int64(text).map { .integer($0) }
    // SUM over BIGINT is NUMERIC.
    case 1700: Int64(text).map { .integer($0) }
    case 16: .bool(text == "t")
    case 18, 19, 25, 1042, 1043, 2950, 2205: .text(text)
    // What a function without a result gives.
    case 2278: .null
    default: nil
    }
  }
}

/// When to try a lost connection again: a pure value.
///
/// The wait doubles from 100 ms to 5 s. Calls that come before its end fail at once, so that a server that is down is
/// not flooded and callers do not hang.
struct ReconnectBackoff {
  static let first = Duration.milliseconds(100)
  static let most = Duration.seconds(5)

  private var wait = ReconnectBackoff.first
  private var notBefore: ContinuousClock.Instant?

  func mayConnect(at now: ContinuousClock.Instant) -> Bool { notBefore.map { now >= $0 } ?? true }

  mutating func failed(at now: ContinuousClock.Instant) {
    notBefore = now.advanced(by: wait)
    wait = min(wait * 2, ReconnectBackoff.most)
  }

  mutating func connected() { self = ReconnectBackoff() }
}
