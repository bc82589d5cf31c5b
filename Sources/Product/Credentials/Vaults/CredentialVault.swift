import Basics
import Foundation
import Vault

/// Where values of credentials can be read. Keys have a form of each vault's own.
protocol SecretSource: Sendable {
  /// - Throws: `credentialKey` for a key that the vault cannot have, `vaultMissing`, `vaultUnreachable`,
  ///   `vaultRefused`.
  func read(_ key: String) async throws -> Secret
}

/// A vault that AW may also write to. A key is written once: another value gets another key.
protocol SecretKeeper: SecretSource {
  /// - Throws: `conflict` when the key holds something.
  func create(_ secret: Secret, at key: String) async throws
  /// Nothing happens when there is none.
  func destroy(_ key: String) async throws
  /// The keys of everything that lies where AW puts values, without one of the values.
  func keys() async throws -> [String]
  /// The key for a value of AW's own, unlike any before.
  func key(org: Slug, surface: CredentialSurface, version: Int, mark: String) -> String
}

/// The vaults of this control plane, by name.
public struct CredentialVaults: Sendable {
  private let sources: [String: any SecretSource]
  private let keepers: [String: any SecretKeeper]
  /// The name of the vault that values are put into.
  let writes: String

  /// - Throws: `vaultSettings` for a file that a vault needs and that cannot be used.
  public init(
    sealed: Vault, settings: VaultSettings, environment: [String: String], clock: WallClock = .system
  ) throws {
    var sources: [String: any SecretSource] = [:]
    var keepers: [String: any SecretKeeper] = [VaultSettings.sealed: SealedVault(vault: sealed)]
    for (name, kind) in settings.vaults {
      switch kind {
      case .env(let allowlist):
        sources[name] = EnvVault(name: name, allowlist: Set(allowlist), environment: environment)
      case .file(let path, let isJSON): sources[name] = FileVault(name: name, path: path, isJSON: isJSON)
      case .exec(let command, let arguments, let given, let passes):
        let passed = environment.filter { passes.contains($0.key) }
        sources[name] = ExecVault(
          name: name, command: command, arguments: arguments, environment: passed.merging(given) { $1 })
      case .kv(let settings): keepers[name] = try KVVault(settings)
      case .aws(let settings): keepers[name] = try AWSVault(settings, clock: clock)
      }
    }
    // What is in the sealed file is known already.
    self.sources = sources.reduce(into: [:]) {
      $0[$1.key] = WatchedSource(source: $1.value, name: $1.key, watch: sealed.watch)
    }
    self.keepers = keepers.reduce(into: [:]) {
      $0[$1.key] =
        $1.key == VaultSettings.sealed
        ? $1.value : WatchedKeeper(keeper: $1.value, name: $1.key, watch: sealed.watch)
    }
    writes = settings.writes ?? VaultSettings.sealed
  }

  /// Those that AW may write to, by name.
  var written: [(name: String, keeper: any SecretKeeper)] {
    keepers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  func source(_ name: String) throws(AWError) -> any SecretSource {
    if let keeper = keepers[name] { return keeper }
    if let source = sources[name] { return source }
    let names = (Array(keepers.keys) + Array(sources.keys)).sorted().joined(separator: ", ")
    throw AWError(
      .vaultUnknown, "This control plane has no vault \(name.quoted).",
      next: "Use one of: \(names). Others are named in the file of 'aw serve --vaults'.")
  }

  /// The vault that AW put a value into.
  func keeper(_ name: String) throws(AWError) -> any SecretKeeper {
    guard let keeper = keepers[name] else {
      if sources[name] != nil {
        throw AWError(
          .vaultUnknown, "AW only reads from the vault \(name.quoted): no value can be put there.",
          next: "Put the value there yourself and name its key, or name a vault that AW writes to.")
      }
      throw AWError(
        .vaultUnknown, "The vault \(name.quoted), which AW put a value into, is not among its vaults any more.",
        next: "Name it again in the file of 'aw serve --vaults'.")
    }
    return keeper
  }
}

/// What vaults say when something is not as it should be. None of it holds a value.
enum VaultFailure {
  static func missing(_ key: String, in vault: String) -> AWError {
    AWError(
      .vaultMissing, "The vault \(vault.quoted) holds nothing at \(key.quoted).",
      next: "Put the value there, or set the credential again.")
  }

  static func taken(_ key: String, in vault: String) -> AWError {
    AWError(
      .conflict, "The vault \(vault.quoted) holds something at \(key.quoted) already.",
      next: "Set the credential again.")
  }

  static func unreachable(_ vault: String, _ why: String, cause: (any Error)? = nil) -> AWError {
    AWError(
      .vaultUnreachable, "The vault \(vault.quoted) does not answer: \(why).",
      next: "Check that it runs and is reached from the control plane's machine, then try again.", cause: cause)
  }

  static func refused(_ vault: String, _ why: String) -> AWError {
    AWError(
      .vaultRefused, "The vault \(vault.quoted) refuses: \(why).",
      next: "Check what AW signs in with there, and the policy that belongs to it.")
  }

  static func tooMany(_ vault: String) -> AWError {
    refused(vault, "more than \(CredentialLimits.keysMax) keys lie where AW puts values")
  }

  static func key(_ key: String, _ vault: String, _ rule: String) -> AWError {
    AWError(
      .credentialKey, "The vault \(vault.quoted) cannot hold anything at \(key.quoted).",
      next: "A key there is \(rule).")
  }
}

/// The sealed file of the data directory.
struct SealedVault: SecretKeeper {
  let vault: Vault

  /// What the names of credentials begin with, so that they are told from AW's own secrets.
  static let prefix = "credential/"

  func read(_ key: String) async throws -> Secret {
    guard let secret = try await vault.find(try reference(key)) else {
      throw VaultFailure.missing(key, in: VaultSettings.sealed)
    }
    return secret
  }

  func create(_ secret: Secret, at key: String) async throws {
    let kept = try await vault.putIfAbsent(try reference(key)) { secret }
    guard kept.equals(secret) else {
      throw VaultFailure.taken(key, in: VaultSettings.sealed)
    }
  }

  func destroy(_ key: String) async throws { try await vault.delete(try reference(key)) }

  func keys() async throws -> [String] {
    try await vault.references().map(\.text).filter { $0.hasPrefix(Self.prefix) }
  }

  func key(org: Slug, surface: CredentialSurface, version: Int, mark: String) -> String {
    "\(Self.prefix)\(org)/\(surface.rawValue.lowercased())/v\(version)-\(mark)"
  }

  /// A credential's name never leads to another secret of AW.
  private func reference(_ key: String) throws -> SecretReference {
    guard key.hasPrefix(Self.prefix) else {
      throw VaultFailure.key(key, VaultSettings.sealed, "one that AW gave out")
    }
    return try SecretReference(key)
  }
}

/// Variables of the control plane's own environment.
struct EnvVault: SecretSource {
  let name: String
  let allowlist: Set<String>
  let environment: [String: String]

  func read(_ key: String) async throws -> Secret {
    guard allowlist.contains(key) else {
      throw VaultFailure.key(key, name, "one of its 'allowlist': \(allowlist.sorted().joined(separator: ", "))")
    }
    guard let value = environment[key], !value.isEmpty else { throw VaultFailure.missing(key, in: name) }
    return Secret(value)
  }
}

/// A file with one value, or with a JSON document of values.
struct FileVault: SecretSource {
  let name: String
  let path: String
  let isJSON: Bool

  func read(_ key: String) async throws -> Secret {
    let bytes = try content()
    guard isJSON else {
      guard key == "value" else { throw VaultFailure.key(key, name, "'value': the file holds one value alone") }
      return Secret(bytes: bytes.last == UInt8(ascii: "\n") ? Array(bytes.dropLast()) : bytes)
    }
    guard let document = try? JSONValue(parsing: bytes) else {
      throw VaultFailure.refused(name, "the file \(path.quoted) is no JSON document")
    }
    guard let value = try Self.look(key, in: document, name)?.stringValue else {
      throw VaultFailure.missing(key, in: name)
    }
    return Secret(value)
  }

  private func content() throws -> [UInt8] {
    let read: (bytes: [UInt8], status: stat)?
    do {
      read = try DurableFile.read(path)
    } catch {
      throw VaultFailure.unreachable(name, "the file \(path.quoted) cannot be read", cause: error)
    }
    guard let (bytes, status) = read else {
      throw VaultFailure.unreachable(name, "the file \(path.quoted) is not there")
    }
    guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
      throw VaultFailure.refused(name, "the file \(path.quoted) belongs to others or can be read by them (chmod 600)")
    }
    guard bytes.count <= CredentialLimits.answerBytesMax else {
      let most = CredentialLimits.answerBytesMax
      throw VaultFailure.refused(name, "the file \(path.quoted) is larger than \(most) bytes")
    }
    return bytes
  }

  /// The member that a JSON pointer (RFC 6901) names.
  static func look(_ pointer: String, in document: JSONValue, _ name: String) throws(AWError) -> JSONValue? {
    guard pointer.hasPrefix("/") else {
      throw VaultFailure.key(pointer, name, "a JSON pointer such as /acme/openai")
    }
    var value: JSONValue? = document
    for escaped in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      let part = String(escaped.replacing("~1", with: "/").replacing("~0", with: "~"))
      if value?.arrayValue != nil { value = Int(part).flatMap { value?[$0] } } else { value = value?[part] }
    }
    return value
  }
}
