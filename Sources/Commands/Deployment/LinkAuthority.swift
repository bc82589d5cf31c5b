import Basics
import Foundation
import Link
import Vault

/// The deployment's own certificate authority, kept whole in the vault: certificate and key are one secret, so that
/// a crash cannot part them.
enum LinkAuthority {
  private static let separator = "-----AW-----\n"

  /// The authority, made on first use.
  static func take(from vault: Vault, at now: Timestamp) async throws -> Authority {
    let reference = try SecretReference("link/authority")
    let kept = try await vault.putIfAbsent(reference) {
      let (authority, key) = try Authority.make(at: now)
      let certificate = try authority.certificatePEM
      return key.withText { Secret(certificate + separator + $0) }
    }
    return try kept.withText { text in
      let parts = text.components(separatedBy: separator)
      guard parts.count == 2 else {
        throw AWError(
          .vaultUnreadable, "The vault's entry of the link authority is damaged.",
          next: "Restore the vault from a backup. A new authority would need every Host to enrol again.")
      }
      return try Authority(certificatePEM: parts[0], privateKey: Secret(parts[1]))
    }
  }
}
