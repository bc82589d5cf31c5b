import Basics
import Crypto
import Foundation

/// The Gateway's own Ed25519 identity, kept in `identity/device.json`.
struct GatewayIdentity: Sendable {
  let deviceID: String
  let publicKey: String

  /// Reads the identity, making one at the first start.
  static func load(from path: String) throws -> GatewayIdentity {
    if let stored = try StateFile.read(path), let seed = stored["privateKey"]?.stringValue.flatMap(Base64URL.decode) {
      return GatewayIdentity(try Curve25519.Signing.PrivateKey(rawRepresentation: seed))
    }
    let key = Curve25519.Signing.PrivateKey()
    let identity = GatewayIdentity(key)
    try StateFile.write(
      [
        "version": 1, "deviceId": .string(identity.deviceID), "publicKey": .string(identity.publicKey),
        "privateKey": .string(Base64URL.encode(key.rawRepresentation)),
      ], to: path)
    return identity
  }

  private init(_ key: Curve25519.Signing.PrivateKey) {
    publicKey = Base64URL.encode(key.publicKey.rawRepresentation)
    deviceID = SHA256.hex(key.publicKey.rawRepresentation)
  }
}
