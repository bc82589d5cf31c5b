import Basics
import Foundation

/// How a delivery ended. `detail` is one line for the delivery log: it never holds a secret.
public enum DeliveryOutcome: Sendable, Equatable {
  case delivered(detail: String)
  /// Worth another try, not before `after` when the endpoint asked for that.
  case retry(after: Duration?, detail: String)
  /// The endpoint will not take this one.
  case rejected(detail: String)
  /// The endpoint will never take anything again.
  case gone(detail: String)

  public var detail: String {
    switch self {
    case .delivered(let detail), .retry(_, let detail), .rejected(let detail), .gone(let detail): detail
    }
  }

  /// What an HTTP status means.
  ///
  /// | status | outcome |
  /// | --- | --- |
  /// | 2xx | delivered |
  /// | 3xx | rejected: a redirect is not followed, because what it names was not checked |
  /// | 408, 425, 429, 5xx but 501 and 505 | retry, after `Retry-After` when there is one |
  /// | 410 | gone |
  /// | everything else | rejected |
  static func of(status: Int, retryAfter: String?, excerpt: String?, at now: Timestamp) -> DeliveryOutcome {
    let detail = "HTTP \(status)" + (excerpt.map { ": " + $0 } ?? "")
    switch status {
    case 200..<300: return .delivered(detail: detail)
    case 300..<400: return .rejected(detail: "HTTP \(status): a redirect, which is not followed")
    case 410: return .gone(detail: detail)
    case 501, 505: return .rejected(detail: detail)
    case 408, 425, 429, 500..<600: return .retry(after: retryAfter.flatMap { wait($0, at: now) }, detail: detail)
    default: return .rejected(detail: detail)
    }
  }

  /// `Retry-After` in either form (RFC 9110 section 10.2.3): seconds, or a date. Nil for anything else.
  static func wait(_ text: String, at now: Timestamp) -> Duration? {
    let text = text.trimmingCharacters(in: .whitespaces)
    if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
      // So long a number that it overflows is as good as the most that is waited.
      return min(Int64(text).map { .seconds($0) } ?? EndpointLimits.retryAfterMax, EndpointLimits.retryAfterMax)
    }
    guard let date = HTTPDate.parse(text) else { return nil }
    return max(.zero, min(date.since(now), EndpointLimits.retryAfterMax))
  }

  /// One outcome for a notification that took several requests: the one that asks for most.
  static func joined(_ outcomes: [DeliveryOutcome], of count: Int) -> DeliveryOutcome {
    guard let worst = outcomes.max(by: { $0.weight < $1.weight }) else { return .delivered(detail: "nothing to send") }
    guard count > 1 else { return worst }
    let delivered = outcomes.count { $0.weight == 0 }
    let detail = "\(delivered) of \(count) requests delivered; \(worst.detail)"
    return switch worst {
    case .delivered: .delivered(detail: detail)
    case .retry(let after, _): .retry(after: after, detail: detail)
    case .rejected: .rejected(detail: detail)
    case .gone: .gone(detail: detail)
    }
  }

  /// A retry comes before a refusal, because what was delivered may be sent again safely and what was not must be.
  private var weight: Int {
    switch self {
    case .delivered: 0
    case .rejected: 1
    case .gone: 2
    case .retry: 3
    }
  }
}

/// Dates as HTTP and mail write them, always in UTC.
enum HTTPDate {
  /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7); nil for anything else.
  static func parse(_ text: String) -> Timestamp? {
    let parts = text.split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]), let year = Int(parts[3]),
      let month = months.firstIndex(of: String(parts[2])), (1970...9_999).contains(year), (1...31).contains(day)
    else { return nil }
    return Timestamp("\(year)-\(two(month + 1))-\(two(day))T\(parts[4])Z")
  }

  /// `Thu, 26 Nov 2026 06:54:58 +0000` (RFC 5322 section 3.3).
  static func mail(_ at: Timestamp) -> String {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    let parts = calendar.dateComponents([.weekday, .day, .month, .year, .hour, .minute, .second], from: at.date)
    let (weekday, month) = (days[((parts.weekday ?? 1) - 1) % 7], months[((parts.month ?? 1) - 1) % 12])
    let time = [parts.hour, parts.minute, parts.second].map { two($0 ?? 0) }.joined(separator: ":")
    return "\(weekday), \(two(parts.day ?? 1)) \(month) \(parts.year ?? 1970) \(time) +0000"
  }

  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
}
