import Basics

/// What the `health` call really says. Its own `ok` only means that a report was made.
public struct HealthReport: Sendable, Equatable {
  public enum Severity: String, Sendable, Codable {
    /// The Instance works, but not as it should.
    case degraded
    /// Worth showing, no reason to act.
    case note
  }

  public struct Finding: Sendable, Equatable {
    public let severity: Severity
    public let what: String

    public init(_ severity: Severity, _ what: String) {
      self.severity = severity
      self.what = what
    }
  }

  /// A report may come from a cache of up to a minute; older than twice that, it is no evidence.
  public static let ageMax = Duration.seconds(120)

  /// What one report may bring into the evidence, whatever an Instance sends.
  public static let findingsMax = 32

  public let findings: [Finding]
  public let at: Timestamp?

  public var degradations: [String] { findings.filter { $0.severity == .degraded }.map(\.what) }

  /// - Parameter gatewayNow: the Gateway's own clock, so that two clocks are not compared; nil skips the age.
  public init(_ payload: JSONValue, gatewayNow: Timestamp? = nil) {
    let reading = HealthReading(payload)
    var findings: [Finding] = []
    let at = payload["ts"]?.intValue.map { Timestamp(millisecondsSince1970: $0) }
    if let at, let age = gatewayNow.map({ Self.age(at, $0) }), age.magnitude > Self.ageMax {
      let what = age < .zero ? "the report comes from a time that is to come" : "the report is \(age.inSeconds) old"
      findings.append(.init(.degraded, what))
    }
    if payload["ok"]?.boolValue != true { findings.append(.init(.degraded, "the report does not say ok")) }
    if at == nil { findings.append(.init(.degraded, "the report carries no time")) }
    findings += reading.findings
    if payload["modelPricing"]?["state"]?.stringValue == "degraded" {
      findings.append(.init(.note, "model prices are out of date"))
    }
    let more = findings.count - Self.findingsMax
    if more > 0 {
      // The worst come first, so that what is left out is no worse than what is told.
      let worstFirst = findings.filter { $0.severity == .degraded } + findings.filter { $0.severity == .note }
      findings = Array(worstFirst.prefix(Self.findingsMax))
      findings.append(.init(.note, "and \(more) more"))
    }
    self.findings = findings
    self.at = at
  }

  /// As durations, which are wider than the numbers: both are an Instance's word.
  private static func age(_ at: Timestamp, _ now: Timestamp) -> Duration {
    .milliseconds(now.millisecondsSince1970) - .milliseconds(at.millisecondsSince1970)
  }
}
