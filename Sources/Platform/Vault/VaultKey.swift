import Basics
import Crypto
import Foundation

/// The 256-bit key that seals a vault. It never prints and is never stored beside what it seals.
public struct VaultKey: Sendable, CustomStringConvertible, CustomReflectable {
  public static let byteCount = 32
  /// The name of the systemd credential that holds the key (`LoadCredential=` or `LoadCredentialEncrypted=`).
  public static let credentialName = "aw-vault-key"

  private let key: SymmetricKey

  /// The key at `$CREDENTIALS_DIRECTORY/aw-vault-key` when systemd passes one, else in `file` (made on first use).
  ///
  /// - Throws: `vaultUnreadable` when the key cannot be read, is not one, or can be read by others.
  public static func load(file: String, environment: [String: String]) throws -> VaultKey {
    if let folder = environment["CREDENTIALS_DIRECTORY"] {
      let path = folder + "/" + credentialName
      if let content = try readFile(path)?.bytes { return try VaultKey(content: content, path: path) }
    }
    return try fromFile(file)
  }

  /// The key in a file of mode 0600 (or less); 32 random bytes are put there when there is no file.
  ///
  /// - Throws: `vaultUnreadable`, as `load`.
  public static func fromFile(_ path: String) throws -> VaultKey {
    if try readFile(path) == nil {
      do {
        // When two processes start at once, the second one reads what the first one made.
        _ = try DurableFile.createIfAbsent(path, with: [UInt8].random(count: byteCount), mode: 0o600)
      } catch {
        throw AWError(
          .vaultUnreadable, "The vault's key file \(path.quoted) cannot be made.",
          next: "Check that its folder exists, is not full, and belongs to the user that runs AW.", cause: error)
      }
    }
    guard let (bytes, status) = try readFile(path) else {
      throw AWError(
        .vaultUnreadable, "The vault's key file \(path.quoted) went away while it was read.", next: "Start AW again.")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw AWError(
        .vaultUnreadable,
        "The vault's key file \(path.quoted) can be read or changed by other users of this machine "
          + "(mode \(String(status.st_mode & 0o777, radix: 8))).",
        next: "Run: chmod 600 '\(path)'. If others may have read it, replace the secrets in the vault.")
    }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw AWError(
        .vaultUnreadable, "The vault's key file \(path.quoted) belongs to another user.",
        next: "Give it to the user that runs AW: chown it, then chmod 600.")
    }
    return try VaultKey(content: bytes, path: path)
  }

  /// A key from bytes that the caller has: for tests and for a key held elsewhere.
  ///
  /// - Throws: `vaultUnreadable` unless there are 32 bytes.
  public init(_ secret: Secret) throws {
    self = try secret.withBytes { try VaultKey(content: $0, path: "that was given") }
  }

  /// 32 bytes as they are, or 64 hexadecimal digits (what `openssl rand -hex 32` writes).
  private init(content: [UInt8], path: String) throws {
    let text = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    if content.count == VaultKey.byteCount {
      key = SymmetricKey(data: content)
    } else if let bytes = Hex.decode(text), bytes.count == VaultKey.byteCount {
      key = SymmetricKey(data: bytes)
    } else {
      throw AWError(
        .vaultUnreadable, "The vault's key \(path.quoted) is not a key: it must be 32 bytes or 64 hexadecimal digits.",
        next: "Restore the key file from your backup of it. A new key cannot open the present vault.")
    }
  }

  private static func readFile(_ path: String) throws -> (bytes: [UInt8], status: stat)? {
    do {
      return try DurableFile.read(path)
    } catch {
      throw AWError(
        .vaultUnreadable, "The vault's key file \(path.quoted) cannot be read.",
        next: "Check that it belongs to the user that runs AW.", cause: error)
    }
  }

  /// A key for one purpose, so that the same key never serves two algorithms.
  func derived(for purpose: String) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(
      inputKeyMaterial: key, salt: Data(), info: Data("aw-vault/1 \(purpose)".utf8), outputByteCount: 32)
  }

  public var description: String { "<vault key>" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
