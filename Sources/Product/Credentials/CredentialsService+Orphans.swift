import Basics
import Store
import Web

/// A value that lies where AW puts values, and that no record names.
public struct OrphanView: Codable, Sendable, Equatable {
  public let vault: String
  public let key: String

  static let schema = JSONSchema.object(["vault": JSONSchema.text, "key": JSONSchema.text])
}

extension CredentialsService {
  /// What a crash between a vault and the database leaves behind, and what somebody else put there. Only names are
  /// asked for. One that is being set at this moment can be among them: look twice before you remove anything.
  ///
  /// - Throws: `vaultUnreachable`, `vaultRefused`: what one vault does not tell is not passed over.
  public func orphans() async throws -> [OrphanView] {
    var found: [OrphanView] = []
    for (name, keeper) in vaults.written {
      found += try await keeper.keys().map { OrphanView(vault: name, key: $0) }
    }
    // Read after the vaults, so that what was recorded meanwhile counts as known.
    let places = try await store.read { try CredentialsRecords.places(in: $0) }
    let known = Set(places.map { "\($0.vault) \($0.key)" })
    return found.filter { !known.contains("\($0.vault) \($0.key)") }
  }
}
