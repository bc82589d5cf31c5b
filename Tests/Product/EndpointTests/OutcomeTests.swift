import Basics
import Testing

@testable import Alerts

@Suite("How a delivery ended")
struct OutcomeTests {
  enum Kind: Sendable { case delivered, retry, rejected, gone }

  static func kind(_ outcome: DeliveryOutcome) -> Kind {
    switch outcome {
    case .delivered: .delivered
    case .retry: .retry
    case .rejected: .rejected
    case .gone: .gone
    }
  }

  @Test(
    "every status has its meaning",
    arguments: [
      (200, Kind.delivered), (202, .delivered), (204, .delivered), (299, .delivered), (301, .rejected),
      (302, .rejected),
      (307, .rejected), (308, .rejected), (304, .rejected), (400, .rejected), (401, .rejected), (403, .rejected),
      (404, .rejected), (405, .rejected), (408, .retry), (409, .rejected), (410, .gone), (413, .rejected),
      (425, .retry),
      (422, .rejected), (429, .retry), (500, .retry), (501, .rejected), (502, .retry), (503, .retry), (504, .retry),
      (505, .rejected), (599, .retry), (100, .rejected), (600, .rejected),
    ])
  func statuses(_ status: Int, _ kind: Kind) {
    let outcome = DeliveryOutcome.of(status: status, retryAfter: nil, excerpt: nil, at: Samples.now)
    #expect(Self.kind(outcome) == kind)
    #expect(outcome.detail.contains("\(status)"))
  }

  @Test(
    "Retry-After is honoured in both forms, and cut at a day",
    arguments: [
      ("120", Duration.seconds(120)), ("0", .zero), (" 7 ", .seconds(7)), ("99999999999999999999", .seconds(86_400)),
      ("604800", .seconds(86_400)), ("Thu, 26 Nov 2026 03:02:00 GMT", .seconds(120)),
      ("Thu, 26 Nov 2026 02:00:00 GMT", .zero), ("soon", nil), ("-1", nil), ("", nil), ("1.5", nil),
      ("Thu, 99 Nov 2026 03:02:00 GMT", nil), ("Thu, 26 Foo 2026 03:02:00 GMT", nil),
    ] as [(String, Duration?)])
  func retryAfter(_ text: String, _ expected: Duration?) {
    #expect(DeliveryOutcome.wait(text, at: Samples.now) == expected)
    let outcome = DeliveryOutcome.of(status: 503, retryAfter: text, excerpt: nil, at: Samples.now)
    #expect(outcome == .retry(after: expected, detail: "HTTP 503"))
  }

  @Test("of several requests the one that asks for most decides")
  func joined() {
    let delivered = DeliveryOutcome.delivered(detail: "a")
    let (rejected, retry) = (
      DeliveryOutcome.rejected(detail: "b"), DeliveryOutcome.retry(after: .seconds(3), detail: "c")
    )
    #expect(Self.kind(.joined([delivered, delivered], of: 2)) == .delivered)
    #expect(Self.kind(.joined([delivered, rejected, delivered], of: 3)) == .rejected)
    #expect(Self.kind(.joined([rejected, retry], of: 5)) == .retry)
    #expect(DeliveryOutcome.joined([delivered, retry], of: 5).detail == "1 of 5 requests delivered; c")
    #expect(DeliveryOutcome.joined([rejected], of: 1) == rejected)
  }

  @Test("what an endpoint answered is kept in one line, and not at all when it holds a piece of a secret")
  func excerpts() {
    let secret = Secret("R0UTING-KEY-sentinel")
    #expect(Excerpt.of("  bad\r\n\u{1b}[31m thing ", without: [secret]) == "bad [31m thing")
    #expect(Excerpt.of("", without: []) == nil)
    #expect(Excerpt.of("\r\n", without: []) == nil)
    #expect(Excerpt.of(String(repeating: "a", count: 500), without: [])?.count == 200)
    #expect(Excerpt.of("unknown key R0UTING-KEY-sentinel", without: [secret]) == nil)
    #expect(Excerpt.of("unknown key r0uting", without: [secret]) == nil)
    #expect(Excerpt.of("…sentinel", without: [secret]) == nil)
    #expect(Excerpt.of("the pin abc is wrong", without: [Secret("abc")]) == nil)
    #expect(Excerpt.of("fine", without: [Secret("")]) == "fine")
  }

  @Test(
    "a command's exit code decides",
    arguments: [
      (0, Kind.delivered), (75, .retry), (1, .rejected), (64, .rejected), (126, .rejected), (137, .rejected),
    ] as [(Int32, Kind)])
  func exits(_ code: Int32, _ kind: Kind) { #expect(Self.kind(CommandInput.outcome(code: code)) == kind) }
}
