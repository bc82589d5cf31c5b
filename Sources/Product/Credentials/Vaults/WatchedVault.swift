import Basics
import Fleet
import Vault

/// A vault that is not the sealed file. Its values are unknown until one is read; from then on it is looked for in what
/// AW writes.
struct WatchedSource: SecretSource {
  let source: any SecretSource
  let name: String
  let watch: SecretWatch

  func read(_ key: String) async throws -> Secret {
    let secret = try await source.read(key)
    watch.learn(secret, as: "\(name):\(key)")
    return secret
  }
}

/// The same for one that AW writes to.
struct WatchedKeeper: SecretKeeper {
  let keeper: any SecretKeeper
  let name: String
  let watch: SecretWatch

  func read(_ key: String) async throws -> Secret {
    try await WatchedSource(source: keeper, name: name, watch: watch).read(key)
  }

  func create(_ secret: Secret, at key: String) async throws {
    // Before it is there: what fails to be written may be told of, too.
    watch.learn(secret, as: "\(name):\(key)")
    try await keeper.create(secret, at: key)
  }

  func destroy(_ key: String) async throws { try await keeper.destroy(key) }
  func keys() async throws -> [String] { try await keeper.keys() }

  func key(org: Slug, surface: CredentialSurface, version: Int, mark: String) -> String {
    keeper.key(org: org, surface: surface, version: version, mark: mark)
  }
}
