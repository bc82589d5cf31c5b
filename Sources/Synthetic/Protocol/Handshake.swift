import Basics

/// Decides about one `connect`: pure, in the order of checks of the real Gateway.
struct Handshake {
  var params: ConnectParams
  var nonce: String
  var isLoopback: Bool
  var auth: GatewayAuth
  var book: DeviceBook
  var autoApproveLocal: Bool
  var wrongToken: Bool
  var nowMilliseconds: Int64

  struct Admission: Equatable {
    /// What this socket may do.
    var scopes: [String]
    /// A device whose record must be made first.
    var pairsSilently = false
    /// Whether the device's own token let it in.
    var byDeviceToken = false
    /// Whether the shared token or password let it in.
    var bySharedSecret = false
    /// Whether hello-ok carries the device's token.
    var hasToken = false
  }

  enum Verdict: Equatable {
    case admit(Admission)
    case refuse(RPCFailure, closeCode: UInt16)
    /// A pairing request must be queued; the answer names it.
    case pair(reason: String)
  }

  func decide() -> Verdict {
    if let mismatch = protocolMismatch { return .refuse(mismatch, closeCode: 1002) }
    guard params.role == "operator" || params.role == "node" else { return refuse(.invalid("invalid role")) }
    let shared = sharedSecretMatches
    let isOpen = auth.mode == .none
    guard let device = params.device else { return decideWithoutDevice(admitted: shared || isOpen) }
    if let failure = DeviceProof.failure(of: device, in: params, nonce: nonce, nowMilliseconds: nowMilliseconds) {
      return refuse(failure)
    }
    let byToken = !shared && deviceTokenMatches(device)
    guard shared || isOpen || byToken else { return refuse(authFailure) }
    var admission = Admission(scopes: params.scopes, byDeviceToken: byToken, bySharedSecret: shared)
    switch book.upgradeReason(params, device) {
    case nil: admission.hasToken = book.token(device: device.id, role: params.role) != nil
    case "not-paired"? where isSelfPairingBackend: break
    case let reason? where isLoopback && autoApproveLocal && ["not-paired", "role-upgrade"].contains(reason):
      admission.pairsSilently = true
      admission.hasToken = true
    case let reason?: return .pair(reason: reason)
    }
    return .admit(admission)
  }

  /// The one client that keeps its scopes on loopback without a pairing.
  private var isSelfPairingBackend: Bool {
    isLoopback && params.client.id == "gateway-client" && params.client.mode == "backend"
  }

  private func decideWithoutDevice(admitted: Bool) -> Verdict {
    if !admitted && !hasCredential || params.role == "node" {
      return refuse(
        RPCFailure("NOT_PAIRED", "device identity required", details: ["code": "DEVICE_IDENTITY_REQUIRED"]))
    }
    guard admitted else { return refuse(authFailure) }
    return .admit(
      Admission(scopes: isSelfPairingBackend ? params.scopes : [], bySharedSecret: auth.mode != .none))
  }

  private var hasCredential: Bool {
    let auth = params.auth
    return [auth.token, auth.password, auth.deviceToken, auth.bootstrapToken].contains { $0?.isEmpty == false }
  }

  private var protocolMismatch: RPCFailure? {
    let version = Synthetic.protocolVersion
    if params.minProtocol <= version && version <= params.maxProtocol { return nil }
    return .invalid(
      "protocol mismatch",
      details: [
        "code": "PROTOCOL_MISMATCH", "clientMinProtocol": .integer(params.minProtocol),
        "clientMaxProtocol": .integer(params.maxProtocol), "expectedProtocol": .integer(version),
        "minimumProbeProtocol": .integer(version),
      ])
  }

  private var sharedSecretMatches: Bool {
    guard let secret = auth.secret, !wrongToken else { return false }
    let sent = auth.mode == .password ? params.auth.password : params.auth.token
    return sent.map { secret.equals(Secret($0)) } ?? false
  }

  private func deviceTokenMatches(_ device: ConnectParams.Device) -> Bool {
    guard !wrongToken, let record = book.token(device: device.id, role: params.role), record["revokedAtMs"] == nil,
      let token = record["token"]?.stringValue, let sent = params.auth.deviceToken ?? params.auth.token
    else { return false }
    return Secret(token).equals(Secret(sent))
  }

  private var authFailure: RPCFailure {
    if params.auth.deviceToken != nil && params.auth.token == nil {
      return unauthorized(
        "device token mismatch (rotate/reissue device token)", "AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch",
        canRetry: false, next: "update_auth_credentials")
    }
    let kind = auth.mode == .password ? "password" : "token"
    let sent = auth.mode == .password ? params.auth.password : params.auth.token
    let hint = "(set gateway.remote.\(kind) to match gateway.auth.\(kind))"
    guard sent?.isEmpty == false else {
      return unauthorized(
        "gateway \(kind) missing \(hint)", "AUTH_\(kind.uppercased())_MISSING", "\(kind)_missing", canRetry: false,
        next: "update_auth_configuration")
    }
    let canRetry = params.device != nil && auth.mode == .token
    return unauthorized(
      "gateway \(kind) mismatch \(hint)", "AUTH_\(kind.uppercased())_MISMATCH", "\(kind)_mismatch",
      canRetry: canRetry, next: canRetry ? "retry_with_device_token" : "update_auth_credentials")
  }

  private func unauthorized(
    _ message: String, _ code: String, _ reason: String, canRetry: Bool, next: String
  ) -> RPCFailure {
    .invalid(
      "unauthorized: " + message,
      details: [
        "code": .string(code), "authReason": .string(reason), "canRetryWithDeviceToken": .bool(canRetry),
        "recommendedNextStep": .string(next),
      ])
  }

  private func refuse(_ failure: RPCFailure) -> Verdict { .refuse(failure, closeCode: 1008) }
}

/// The words for each reason a pairing is asked for.
enum PairingText {
  static func failure(reason: String, request: JSONValue, record: JSONValue?) -> RPCFailure {
    let (message, hint) = words[reason] ?? ("device is not approved yet", "Approve this device.")
    return RPCFailure(
      "NOT_PAIRED", "pairing required: " + message,
      details: .members([
        "code": "PAIRING_REQUIRED", "reason": .string(reason), "requestId": request["requestId"],
        "remediationHint": .string(hint), "deviceId": request["deviceId"], "requestedRole": request["role"],
        "requestedScopes": request["scopes"], "approvedRoles": record?["roles"], "approvedScopes": record?["scopes"],
      ]))
  }

  private static let words = [
    "not-paired": ("device is not approved yet", "Approve this device from the pending pairing requests."),
    "scope-upgrade": (
      "device is asking for more scopes than currently approved",
      "Review the requested scopes, then approve the pending upgrade."
    ),
    "role-upgrade": (
      "device is asking for a higher role than currently approved",
      "Review the requested role upgrade, then approve the pending request."
    ),
    "metadata-upgrade": (
      "device identity changed and must be re-approved",
      "Review the refreshed device details, then approve the pending request."
    ),
  ]
}
