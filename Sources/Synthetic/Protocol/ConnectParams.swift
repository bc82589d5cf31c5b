import Basics
import Crypto
import Foundation

/// `connect.params` after validation.
struct ConnectParams: Sendable, Equatable {
  struct Client: Sendable, Equatable {
    var id: String
    var displayName: String?
    var version: String
    var platform: String
    var deviceFamily: String?
    var modelIdentifier: String?
    var mode: String
    var instanceId: String?
  }

  struct Device: Sendable, Equatable {
    var id: String
    var publicKey: String
    var signature: String
    var signedAt: Int64
    var nonce: String
  }

  struct Auth: Sendable, Equatable {
    var token: String?
    var password: String?
    var deviceToken: String?
    var bootstrapToken: String?
  }

  var minProtocol: Int64
  var maxProtocol: Int64
  var client: Client
  var role: String
  var scopes: [String]
  var device: Device?
  var auth: Auth

  /// - Throws: the failure that the Gateway answers with, `invalid connect params: …`.
  init(_ params: JSONValue) throws(RPCFailure) {
    if let problem = Schema.connect.problem(in: params) { throw .invalid("invalid connect params: \(problem)") }
    func text(_ object: JSONValue?, _ key: String) -> String? { object?[key]?.stringValue }
    let sent = params["client"]
    minProtocol = params["minProtocol"]?.intValue ?? 0
    maxProtocol = params["maxProtocol"]?.intValue ?? 0
    client = Client(
      id: text(sent, "id") ?? "", displayName: text(sent, "displayName"), version: text(sent, "version") ?? "",
      platform: text(sent, "platform") ?? "", deviceFamily: text(sent, "deviceFamily"),
      modelIdentifier: text(sent, "modelIdentifier"), mode: text(sent, "mode") ?? "",
      instanceId: text(sent, "instanceId"))
    role = text(params, "role") ?? "operator"
    scopes = params["scopes"]?.strings ?? []
    device = params["device"].map { device in
      Device(
        id: text(device, "id") ?? "", publicKey: text(device, "publicKey") ?? "",
        signature: text(device, "signature") ?? "", signedAt: device["signedAt"]?.intValue ?? 0,
        nonce: text(device, "nonce") ?? "")
    }
    let secrets = params["auth"]
    auth = Auth(
      token: text(secrets, "token"), password: text(secrets, "password"),
      deviceToken: text(secrets, "deviceToken"), bootstrapToken: text(secrets, "bootstrapToken"))
  }
}

/// Checks that a device holds the key it names.
enum DeviceProof {
  /// What is wrong with the proof, in the Gateway's order: id, time, nonce, signature.
  static func failure(
    of device: ConnectParams.Device, in params: ConnectParams, nonce: String, nowMilliseconds: Int64
  ) -> RPCFailure? {
    guard let key = Base64URL.decode(device.publicKey), key.count == 32, SHA256.hex(key) == device.id else {
      return refusal("device identity mismatch", "DEVICE_ID_MISMATCH", "device-id-mismatch")
    }
    guard abs(nowMilliseconds - device.signedAt) <= Limits.signatureSkewMilliseconds else {
      return refusal("device signature expired", "SIGNATURE_EXPIRED", "device-signature-stale")
    }
    guard device.nonce == nonce else {
      return refusal("device nonce mismatch", "NONCE_MISMATCH", "device-nonce-mismatch")
    }
    guard isSigned(device, key: key, params) else {
      return refusal("device signature invalid", "SIGNATURE_INVALID", "device-signature")
    }
    return nil
  }

  private static func refusal(_ message: String, _ code: String, _ reason: String) -> RPCFailure {
    .invalid(message, details: ["code": .string("DEVICE_AUTH_" + code), "reason": .string(reason)])
  }

  private static func isSigned(_ device: ConnectParams.Device, key: [UInt8], _ params: ConnectParams) -> Bool {
    guard let signature = Base64URL.decode(device.signature),
      let publicKey = try? Curve25519.Signing.PublicKey(rawRepresentation: key)
    else { return false }
    // Version 3 first, then version 2: both are accepted.
    return [payload(version: 3, device, params), payload(version: 2, device, params)].contains { text in
      publicKey.isValidSignature(Data(signature), for: Data(text.utf8))
    }
  }

  private static func payload(version: Int, _ device: ConnectParams.Device, _ params: ConnectParams) -> String {
    let token = params.auth.token ?? params.auth.deviceToken ?? params.auth.bootstrapToken ?? ""
    var fields = [
      "v\(version)", device.id, params.client.id, params.client.mode, params.role,
      params.scopes.joined(separator: ","), String(device.signedAt), token, device.nonce,
    ]
    if version == 3 { fields += [folded(params.client.platform), folded(params.client.deviceFamily ?? "")] }
    return fields.joined(separator: "|")
  }

  /// Trimmed, and only ASCII capitals made small.
  private static func folded(_ text: String) -> String {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
    return String(
      String.UnicodeScalarView(
        trimmed.unicodeScalars.map { scalar in
          ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar
        }))
  }
}
