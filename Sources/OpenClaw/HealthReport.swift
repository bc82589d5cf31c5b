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

  public let findings: [Finding]
  public let at: Timestamp?

  public var degradations: [String] { findings.filter { $0.severity == .degraded }.map(\.what) }

  /// - Parameter gatewayNow: the Gateway's own clock, so that two clocks are not compared; nil skips the age.
  public init(_ payload: JSONValue, gatewayNow: Timestamp? = nil) {
    var findings: [Finding] = []
    let at = payload["ts"]?.intValue.map { Timestamp(millisecondsSince1970: $0) }
    if let at, let gatewayNow, gatewayNow.since(at) > Self.ageMax {
      findings.append(.init(.degraded, "the report is \(Int(gatewayNow.since(at).seconds)) s old"))
    }
    if payload["ok"]?.boolValue != true { findings.append(.init(.degraded, "the report does not say ok")) }
    if at == nil { findings.append(.init(.degraded, "the report carries no time")) }
    findings += Self.eventLoop(payload["eventLoop"])
    findings += Self.plugins(payload["plugins"], payload["contextEngines"])
    findings += Self.queues(payload["deliveryQueues"])
    findings += Self.channels(payload["channels"])
    if payload["modelPricing"]?["state"]?.stringValue == "degraded" {
      findings.append(.init(.note, "model prices are out of date"))
    }
    self.findings = findings
    self.at = at
  }

  private static func eventLoop(_ value: JSONValue?) -> [Finding] {
    guard value?["degraded"]?.boolValue == true else { return [] }
    let reasons = value?["reasons"]?.arrayValue?.compactMap(\.stringValue).joined(separator: ", ") ?? ""
    return [.init(.degraded, "the event loop is degraded (\(reasons.isEmpty ? "no reason given" : reasons))")]
  }

  private static func plugins(_ value: JSONValue?, _ engines: JSONValue?) -> [Finding] {
    let broken = value?["errors"]?.arrayValue ?? []
    let quarantined = engines?["quarantined"]?.arrayValue ?? []
    return broken.map { Finding(.degraded, "the plugin '\($0["id"]?.stringValue ?? "?")' failed to load") }
      + quarantined.map {
        Finding(.degraded, "the context engine '\($0["engineId"]?.stringValue ?? "?")' is quarantined")
      }
  }

  private static func queues(_ value: JSONValue?) -> [Finding] {
    let failed = value?["failed"]?.arrayValue?.count ?? 0
    let ingress = value?["ingressFailed"]?.arrayValue ?? []
    let pressure = value?["ingressPressure"]?.arrayValue ?? []
    var findings: [Finding] = []
    if failed > 0 { findings.append(.init(.degraded, "\(failed) deliveries are dead letters")) }
    for lane in ingress + pressure {
      findings.append(.init(.degraded, "messages in '\(lane["channelId"]?.stringValue ?? "?")' are not taken in"))
    }
    return findings
  }

  /// Accounts that are meant to run and do not. The summary of a channel is that of one account: all are looked at.
  private static func channels(_ value: JSONValue?) -> [Finding] {
    guard let channels = value?.objectValue else { return [] }
    return channels.sorted { $0.key < $1.key }.flatMap { channel, summary -> [Finding] in
      let accounts = summary["accounts"]?.objectValue ?? ["default": summary]
      return accounts.sorted { $0.key < $1.key }.compactMap { account, state in
        guard state["enabled"]?.boolValue != false, state["configured"]?.boolValue == true else { return nil }
        let down = state["running"]?.boolValue == false || state["connected"]?.boolValue == false
        let unhealthy = state["healthState"]?.stringValue
        guard down || unhealthy != nil else { return nil }
        // The Gateway restarts a stale socket by itself and stays ready meanwhile.
        let severity = !down && unhealthy == "stale-socket" ? Severity.note : .degraded
        return Finding(severity, "the channel '\(channel)' account '\(account)' is \(unhealthy ?? "not running")")
      }
    }
  }
}
