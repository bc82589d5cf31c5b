import Foundation
import Synchronization

/// A point in UTC, millisecond precision, written as RFC 3339 (`2026-11-24T05:14:33.120Z`).
public struct Timestamp: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let millisecondsSince1970: Int64

  public init(millisecondsSince1970: Int64) { self.millisecondsSince1970 = millisecondsSince1970 }

  public init(_ date: Date) {
    self.init(millisecondsSince1970: Int64((date.timeIntervalSince1970 * 1_000).rounded()))
  }

  /// Reads RFC 3339 with or without a fraction; nil for anything else.
  public init?(_ text: String) {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
    guard let date = try? style.parse(text) else { return nil }
    self.init(date)
  }

  public var date: Date { Date(timeIntervalSince1970: Double(millisecondsSince1970) / 1_000) }

  public var description: String {
    // The fraction is written from the integer, because a Date's floating seconds lose the last millisecond.
    let (seconds, milliseconds) = millisecondsSince1970.flooredDivision(by: 1_000)
    let whole = Date(timeIntervalSince1970: Double(seconds)).formatted(Date.ISO8601FormatStyle())
    let fraction = String(milliseconds + 1_000).dropFirst()
    return "\(whole.dropLast()).\(fraction)Z"
  }

  /// For people, whatever zone they are in: `2026-11-27 22:23 UTC`.
  public var toTheMinute: String { description.prefix(16).replacing("T", with: " ") + " UTC" }

  /// The beginning of its second.
  public var wholeSecond: Timestamp {
    Timestamp(millisecondsSince1970: millisecondsSince1970.flooredDivision(by: 1_000).quotient * 1_000)
  }

  public func advanced(by duration: Duration) -> Timestamp {
    Timestamp(millisecondsSince1970: millisecondsSince1970 + duration.milliseconds)
  }

  /// The time from `earlier` to this point; negative when `earlier` is later.
  public func since(_ earlier: Timestamp) -> Duration {
    .milliseconds(millisecondsSince1970 - earlier.millisecondsSince1970)
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.millisecondsSince1970 < right.millisecondsSince1970
  }
}

extension Timestamp: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let timestamp = Timestamp(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not an RFC 3339 timestamp: \(text)"))
    }
    self = timestamp
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension Int64 {
  /// Quotient and remainder with the remainder never negative.
  fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}

extension Duration {
  /// Twice this for each time, and no more than `most`: how long to wait after so many failures.
  public func doubled(_ times: Int, most: Duration) -> Duration {
    // 2^16 times anything that is waited for is past its maximum, and keeps the power from overflowing.
    min(most, self * (1 << min(times, 16)))
  }

  /// Whole milliseconds, rounded towards zero.
  public var milliseconds: Int64 {
    components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }

  public var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }

  /// Without its sign.
  public var magnitude: Duration { self < .zero ? .zero - self : self }

  /// `45 s`, `3 min`, `2 h`, `4 d`: as a person says it.
  public var words: String {
    switch seconds {
    case ..<120: "\(Int(seconds)) s"
    case ..<7_200: "\(Int(seconds / 60)) min"
    case ..<172_800: "\(Int(seconds / 3_600)) h"
    default: "\(Int(seconds / 86_400)) d"
    }
  }
}

/// Tells the time of day. Injected, so that decisions and tests can choose it.
public struct WallClock: Sendable {
  private let read: @Sendable () -> Timestamp

  public init(_ read: @escaping @Sendable () -> Timestamp) { self.read = read }

  public var now: Timestamp { read() }

  public static let system = WallClock { Timestamp(Date()) }
}
