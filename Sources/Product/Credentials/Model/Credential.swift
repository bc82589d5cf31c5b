import Basics
import Crypto
import Fleet
import OpenClaw

/// What AW knows of an Org's credential. The value is in a vault, and no part of it is here.
public struct Credential: Sendable, Equatable {
  public let org: OrgID
  public let surface: CredentialSurface
  /// What OpenClaw is given: it names AW as the provider, and the version, so that going back is a matter of
  /// configuration.
  public let reference: CredentialRef
  /// Counts the values that this surface of this Org has had, from 1. It goes on after a removal.
  public let version: Int
  public let place: Place
  /// What belongs to the value and is no secret, by its key in OpenClaw's configuration.
  public var settings: [String: String] = [:]
  public let fingerprint: String
  /// As evidence names whoever set it.
  public let setBy: String
  public let setAt: Timestamp
  public var lastResolved: Resolution?
  /// Of this version or of an earlier one: it says which.
  public var lastValidated: Validation?

  /// Whom it belongs to at the vendor, as far as this version was found valid.
  var identity: String? { lastValidated.flatMap { $0.version == version ? $0.identity : nil } }

  /// Where the value lies.
  public struct Place: Codable, Sendable, Equatable {
    /// The name of a vault of this control plane.
    public let vault: String
    /// The name of the value in it.
    public let key: String
    /// Whether AW put it there. What somebody else keeps is never removed.
    public let isOwn: Bool
  }

  /// When the value was last read from its vault, and what for.
  public struct Resolution: Codable, Sendable, Equatable {
    public let at: Timestamp
    /// `intake`, `validation`, `instance/acme-main`.
    public let by: String
  }

  /// The alias of AW's own provider under `secrets.providers`.
  static let provider = InstanceConfiguration.secretProvider

  /// `orgs/acme/models.providers.openai.apiKey#v3`.
  static func ref(org: Slug, _ surface: CredentialSurface, version: Int) throws(AWError) -> SecretRef {
    try SecretRef(source: .exec, provider: provider, id: "orgs/\(org)/\(surface.rawValue)#v\(version)")
  }
}

/// A keyed hash of a value: two values with one fingerprint are the same, and without the key nobody can find the value
/// by trying. The form is that of OpenClaw's pseudonyms, so that scanners know it is no secret.
public struct Fingerprinter: Sendable {
  private let key: SymmetricKey
  private let name: String

  /// - Parameter key: of this deployment, from its vault.
  public init(key: Secret) {
    self.key = key.withBytes { SymmetricKey(data: $0) }
    name = key.withBytes { Hex.encode(Array(SHA256.hash(data: Array("aw-fingerprint".utf8) + $0)).prefix(4)) }
  }

  /// `hmac-sha256:v1:<name of the key>:<32 hexadecimal digits>`.
  public func fingerprint(of value: Secret) -> String {
    let code = value.withBytes { Array(HMAC<SHA256>.authenticationCode(for: $0, using: key)) }
    return "hmac-sha256:v1:\(name):\(Hex.encode(code.prefix(16)))"
  }
}
