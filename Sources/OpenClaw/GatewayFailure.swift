import Basics

/// An error as the Gateway reports it, in the old forms and the new.
public struct GatewayFailure: ExplainedError, Sendable, Equatable {
  public let code: String
  public let message: String
  /// `details.code`: the precise reason at connect time.
  public let detailCode: String?
  public let reason: String?
  /// Taken from the error, because the close reason is cut at 120 bytes.
  public let requestID: String?
  public let retryable: Bool
  public let retryAfter: Duration?
  /// The Gateway's own advice, such as `update_auth_credentials`.
  public let recommendedNextStep: String?

  init(error: JSONValue) {
    let details = error["details"]
    code = error["code"]?.stringValue ?? "UNKNOWN"
    message = (error["message"]?.stringValue).map { $0.asLine(Self.messageMax) } ?? "the Gateway gave no reason"
    detailCode = details?["code"]?.stringValue
    reason = details?["reason"]?.stringValue ?? details?["authReason"]?.stringValue
    requestID = details?["requestId"]?.stringValue
    retryable = error["retryable"]?.boolValue ?? details?["retryable"]?.boolValue ?? false
    retryAfter = Self.wait(error["retryAfterMs"]) ?? Self.wait(details?["retryAfterMs"])
    recommendedNextStep = details?["recommendedNextStep"]?.stringValue
  }

  /// Milliseconds, whole or not. Less than none is none, and nobody is told to wait longer than a day.
  private static func wait(_ value: JSONValue?) -> Duration? {
    guard let milliseconds = value?.doubleValue else { return nil }
    return .milliseconds(Int64(min(max(milliseconds.rounded(.up), 0), 86_400_000)))
  }

  static let messageMax = 500

  /// What to do about it.
  public enum Kind: Sendable, Equatable {
    case credential
    case pairingRequired(requestID: String?, reason: String?)
    case starting(retryAfter: Duration)
    case rateLimited(retryAfter: Duration?)
    case protocolMismatch
    case clockSkew
    case deviceProof
    case missingScope
    case other
  }

  public var kind: Kind {
    switch detailCode {
    case "PAIRING_REJECTED": return .pairingRequired(requestID: nil, reason: "rejected")
    case "PAIRING_EXPIRED": return .pairingRequired(requestID: nil, reason: "expired")
    case "PAIRING_REQUIRED": return .pairingRequired(requestID: requestID, reason: reason)
    case "PROTOCOL_MISMATCH", "CLIENT_VERSION_MISMATCH": return .protocolMismatch
    case "AUTH_RATE_LIMITED": return .rateLimited(retryAfter: retryAfter)
    case "DEVICE_AUTH_SIGNATURE_EXPIRED": return .clockSkew
    case "MISSING_SCOPE": return .missingScope
    case let detail? where detail.hasPrefix("AUTH_"): return .credential
    case let detail? where detail.hasPrefix("DEVICE_"): return .deviceProof
    default: break
    }
    if code == "FORBIDDEN" || message.hasPrefix("missing scope") { return .missingScope }
    if code == "NOT_PAIRED" { return .pairingRequired(requestID: requestID, reason: reason) }
    // UNAVAILABLE says many things: a start that is not over, too many calls, a run that failed, a node that is away.
    if message.contains("rate limit exceeded") || message.contains("too many failed authentication") {
      return .rateLimited(retryAfter: retryAfter)
    }
    if code == "UNAVAILABLE", reason == "startup-sidecars" || retryAfter != nil {
      return .starting(retryAfter: retryAfter ?? .milliseconds(500))
    }
    return .other
  }

  /// The Gateway answers and knows AW, and lets its device do less than AW asks for, in each form that there is. A
  /// pairing that was narrowed is asked to be widened (`scope-upgrade`), or the token's scopes do not do.
  var isLackOfScope: Bool {
    if kind == .missingScope || detailCode == "AUTH_SCOPE_MISMATCH" { return true }
    if case .pairingRequired(_, "scope-upgrade") = kind { return true }
    return false
  }

  /// A Gateway that refuses so is there, and says itself what it waits for or what AW lacks: that is not one that
  /// cannot be reached.
  public var isOfOneThatIsReached: Bool {
    if case .starting = kind { return true }
    return isLackOfScope
  }

  /// The failure as a person reads it.
  public var explained: AWError {
    switch kind {
    case .credential:
      AWError(
        .gatewayRefused, "The Gateway WebSocket refused AW's credential: \(message).",
        next: "The token or device was changed on the Instance; provision it again, or restore what AW stored.")
    case .pairingRequired(_, let reason):
      AWError(
        .gatewayPairingRequired, "AW's device is not approved on the Instance (\(reason ?? "not-paired")).",
        next: "Approve it on the Host with 'openclaw devices approve', or provision the Instance again.")
    case .starting:
      AWError(.gatewayNotReady, "The Gateway is still starting: \(message).", next: "Wait; AW tries again by itself.")
    case .rateLimited(let after):
      AWError(
        .gatewayRefused, "The Gateway refuses AW for now, after too many calls or failed attempts.",
        next: "Wait \(after?.inSeconds ?? "a few minutes"), then find who calls too often or with a wrong token.")
    case .protocolMismatch:
      AWError(
        .gatewayProtocol, "The Gateway speaks another protocol than AW: \(message).",
        next: "Use a version of OpenClaw that this AW supports.")
    case .clockSkew:
      AWError(
        .gatewayRefused,
        "The Gateway says that AW's signature is too old: the Host's clock differs from the control plane's.",
        next: "Set both clocks (NTP).")
    case .deviceProof:
      AWError(
        .gatewayRefused, "The Gateway refused the proof of AW's device: \(message).",
        next: "The vault may belong to another database; restore both from the same backup.")
    case .missingScope:
      AWError(
        .gatewayRefused, "AW's device may not do this on the Instance: \(message).",
        next: "Its pairing was narrowed on the Instance; provision it again.")
    case .other:
      AWError(.gatewayRefused, "The Gateway answered: \(message).", next: "Look at the Instance's log.")
    }
  }
}
