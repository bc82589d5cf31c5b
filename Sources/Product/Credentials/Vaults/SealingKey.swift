import Basics
import Crypto
import Vault

/// The key that browsers seal values to. Its private half is in the sealed file of the data directory and nowhere else;
/// whoever serves pages passes sealed values here, and never holds one in clear.
struct SealingKey: Sendable {
  let vault: Vault

  static let place = "deployment/sealing-key"

  /// What a page needs to seal a value.
  struct Public: Sendable, Equatable {
    /// base64url of 32 bytes.
    let key: String
    let name: String
  }

  func open(_ sealed: SealedValue, for binding: SealedValue.Binding) async throws -> Secret {
    try sealed.open(with: try await key(), for: binding)
  }

  var publicKey: Public {
    get async throws {
      let key = try await key().publicKey
      return Public(key: Base64URL.encode(key.rawRepresentation), name: SealedValue.name(of: key))
    }
  }

  /// Made at its first use.
  private func key() async throws -> Curve25519.KeyAgreement.PrivateKey {
    let kept = try await vault.putIfAbsent(try SecretReference(Self.place)) {
      Secret(bytes: Array(Curve25519.KeyAgreement.PrivateKey().rawRepresentation))
    }
    return try kept.withBytes { try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: $0) }
  }
}
