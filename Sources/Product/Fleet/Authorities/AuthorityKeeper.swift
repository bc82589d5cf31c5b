import Basics
import Foundation
import Link
import Store
import Vault

/// Keeps the authorities of the links: which there are stands in the database, each one's certificate and key in the
/// vault as one secret, so that a crash cannot part them.
public struct AuthorityKeeper: Sendable {
  private static let separator = "-----AW-----\n"
  /// The first authority of a deployment; the next ones have a part more.
  private static let first = "link/authority"

  let store: Store
  let vault: Vault

  public init(store: Store, vault: Vault) {
    self.store = store
    self.vault = vault
  }

  /// The authorities that are to be in use, made on first use. Keys that a crash left over are deleted, so it is called
  /// before anybody can ask for a rotation.
  public func take(at now: Timestamp) async throws -> Authorities {
    let rotation = try await rotation(at: now)
    let kept = Set(rotation.kept.map(\.reference))
    for reference in try await vault.references() where Self.isAuthority(reference) && !kept.contains(reference) {
      try await vault.delete(reference)
    }
    return try await authorities(of: rotation)
  }

  /// - Throws: `vaultMissing`, `vaultUnreadable`.
  func authorities(of rotation: AuthorityRotation) async throws -> Authorities {
    var loaded: [Authority] = []
    for kept in rotation.inUse { loaded.append(try Self.read(try await vault.get(kept.reference))) }
    return try Authorities(signer: loaded[0], trustingAlso: Array(loaded.dropFirst()))
  }

  private func rotation(at now: Timestamp) async throws -> AuthorityRotation {
    if let known = try await store.read({ try AuthorityRecords.rotation(in: $0) }) { return known }
    let reference = try SecretReference(Self.first)
    let secret = try await vault.putIfAbsent(reference) { try Self.make(at: now).secret }
    let authority = try Self.read(secret)
    let rotation = AuthorityRotation(
      present: KeptAuthority(
        fingerprint: try authority.fingerprint, reference: reference, notAfter: authority.notAfter), since: now)
    return try await store.write { tx in
      if let known = try AuthorityRecords.rotation(in: tx) { return known }
      try AuthorityRecords.save(rotation, in: tx)
      return rotation
    }
  }

  /// A new authority that nobody knows of yet, and what the vault is to hold of it.
  static func fresh(at now: Timestamp) throws -> (kept: KeptAuthority, secret: Secret) {
    let (authority, secret) = try make(at: now)
    let fingerprint = try authority.fingerprint
    let kept = KeptAuthority(
      fingerprint: fingerprint, reference: try SecretReference(first + "/" + fingerprint),
      notAfter: authority.notAfter)
    return (kept, secret)
  }

  private static func make(at now: Timestamp) throws -> (authority: Authority, secret: Secret) {
    let (authority, key) = try Authority.make(at: now)
    let certificate = try authority.certificatePEM
    return (authority, key.withText { Secret(certificate + separator + $0) })
  }

  private static func read(_ secret: Secret) throws -> Authority {
    try secret.withText { text in
      let parts = text.components(separatedBy: separator)
      guard parts.count == 2 else {
        throw AWError(
          .vaultUnreadable, "The vault's entry of a link authority is damaged.",
          next: "Restore the vault from a backup. A new authority would need every Host to enrol again.")
      }
      return try Authority(certificatePEM: parts[0], privateKey: Secret(parts[1]))
    }
  }

  private static func isAuthority(_ reference: SecretReference) -> Bool {
    reference.text == first || reference.text.hasPrefix(first + "/")
  }
}
