import Basics
import Fleet
import Store
import Vault

/// Looks for what is left of a surface's fixtures, wherever AW keeps anything.
struct FixtureScan {
  let credentials: CredentialsService

  init(_ credentials: CredentialsService) { self.credentials = credentials }

  /// Looks through every column of the database, and the values of this Org and surface.
  ///
  /// - Parameter old: the fixture that is about to go; its own value is let pass.
  /// - Returns: 0.
  /// - Throws: `credentialMarksLeft` with where they are.
  func scan(besides old: Credential, _ counts: Credential) async throws -> Int {
    let mark = old.surface.fixturePrefix + FixtureValue.mark
    var found = try await credentials.store.occurrences(of: mark).map { "\($0.key) (\($0.value))" }
    let value = try await credentials.vaults.source(counts.place.vault).read(counts.place.key)
    if value.withText({ $0.contains(mark) }) { found.append("the new value itself") }
    guard let org = try await credentials.store.read({ try FleetRecords.org(old.org, in: $0)?.slug }) else { return 0 }
    let folder = "\(SealedVault.prefix)\(org)/\(old.surface.rawValue.lowercased())/"
    for reference in try await credentials.sealed.references() where reference.text.hasPrefix(folder) {
      if reference.text == old.place.key { continue }
      let kept = try await credentials.sealed.find(reference)
      if kept?.withText({ $0.contains(mark) }) == true { found.append("the vault, at \(reference.text)") }
    }
    guard found.isEmpty else {
      throw AWError(
        .credentialMarksLeft, "Marks of fixtures are left: \(found.sorted().joined(separator: ", ")).",
        next: "Remove them, then rotate again; the fixture counts meanwhile.")
    }
    return 0
  }
}
