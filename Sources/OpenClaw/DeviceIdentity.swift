import Basics
import Crypto
import Foundation

/// AW's own device at one Instance: an Ed25519 key, known to the Gateway by the hash of its public half.
public struct DeviceIdentity: Sendable {
  /// Pinned by the Gateway when the device is paired, so it never changes.
  public static let platform = "linux"
  public static let deviceFamily = "server"
  public static let seedByteCount = 32

  private let key: Curve25519.Signing.PrivateKey

  /// - Parameter seed: 32 random bytes.
  /// - Throws: when the seed has another length.
  public init(seed: Secret) throws {
    key = try seed.withBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: $0) }
  }

  public static func makeSeed() -> Secret { Secret(bytes: [UInt8].random(count: seedByteCount)) }

  /// The raw public key, base64url without padding.
  public var publicKey: String { Base64URL.encode(key.publicKey.rawRepresentation) }

  /// The lower-case hexadecimal SHA-256 of the raw public key.
  public var id: String { SHA256.hex(key.publicKey.rawRepresentation) }

  /// What a device signs: exactly the values of the same `connect`, joined by `|`.
  struct Statement: Sendable, Equatable {
    var deviceID: String
    var clientID: String
    var clientMode: String
    var role: String
    var scopes: [String]
    var signedAt: Int64
    var token: String
    var nonce: String

    /// Version 3, which binds the metadata too.
    var text: String {
      [
        "v3", deviceID, clientID, clientMode, role, scopes.joined(separator: ","), String(signedAt), token, nonce,
        DeviceIdentity.platform, DeviceIdentity.deviceFamily,
      ].joined(separator: "|")
    }
  }

  func sign(_ statement: Statement) throws -> String {
    Base64URL.encode(try key.signature(for: Data(statement.text.utf8)))
  }
}
