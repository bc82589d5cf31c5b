import Basics
import Foundation

/// Gives a vault another key: a new one is made, what the old one sealed is sealed with it, and it takes the old one's
/// place. The values themselves are not opened: each has a data key of its own, and only those are sealed anew.
///
/// Two files cannot change at once, so there is an order, and `settle` ends whatever was begun:
///
///     1. the new key is in `<key file>.next`    the vault opens with the old key
///     2. the vault is replaced                  the vault opens with the new key
///     3. `<key file>.next` becomes the key file
public enum VaultRotation {
  /// What has been done, for tests that stop after each.
  enum Step: CaseIterable { case keyMade, vaultReplaced, keyMoved }

  public struct Report: Sendable, Equatable {
    public let secrets: Int
    /// 16 hexadecimal digits that depend on the key, as in the vault's second line.
    public let oldKey: String
    public let newKey: String
  }

  static func next(_ keyFile: String) -> String { keyFile + ".next" }

  /// - Parameters:
  ///   - file: the vault; nobody may have it open, because they would go on with the old key.
  ///   - dryRun: checks that it can be done, and changes nothing.
  /// - Throws: `vaultUnreadable` when the vault or its key is not what it should be; then nothing was changed.
  public static func rotate(file: String, keyFile: String, dryRun: Bool = false) throws -> Report {
    try rotate(file: file, keyFile: keyFile, dryRun: dryRun) { _ in }
  }

  static func rotate(
    file: String, keyFile: String, dryRun: Bool = false, after: (Step) throws -> Void
  ) throws -> Report {
    guard FileManager.default.fileExists(atPath: file), FileManager.default.fileExists(atPath: keyFile) else {
      throw AWError(
        .vaultUnreadable, "There is no vault \(file.quoted) with a key \(keyFile.quoted).",
        next: "Name the data directory of a control plane that has run, with --data.")
    }
    return try locked(file) {
      let old = try opened(file, keyFile)
      if dryRun { return Report(secrets: old.entries.count, oldKey: old.keyName, newKey: "") }
      let next = next(keyFile)
      // The vault opens with the present key, so one that was left there seals nothing.
      unlink(next)
      let key = try VaultKey.fromFile(next)
      try after(.keyMade)
      let new = try rewrapped(old, with: key, file)
      let bytes = new.bytes
      // What would not be read again is not written.
      _ = try VaultFile(parsing: bytes, key: key)
      try DurableFile.replace(file, with: bytes, mode: 0o600)
      try after(.vaultReplaced)
      try move(next, to: keyFile)
      try after(.keyMoved)
      return Report(secrets: new.entries.count, oldKey: old.keyName, newKey: new.keyName)
    }
  }

  /// Ends a rotation that was interrupted: whichever key opens the vault is the key. Nothing happens when there was
  /// none, or when neither opens it.
  public static func settle(file: String, keyFile: String) throws {
    let next = next(keyFile)
    guard FileManager.default.fileExists(atPath: next), FileManager.default.fileExists(atPath: file) else { return }
    try locked(file) {
      if FileManager.default.fileExists(atPath: keyFile), (try? opened(file, keyFile)) != nil {
        unlink(next)
      } else if (try? opened(file, next)) != nil {
        try move(next, to: keyFile)
      }
    }
  }

  private static func opened(_ file: String, _ keyFile: String) throws -> VaultFile {
    try Vault.content(of: file, key: try VaultKey.fromFile(keyFile))
  }

  private static func rewrapped(_ old: VaultFile, with key: VaultKey, _ file: String) throws -> VaultFile {
    do {
      return try old.rewrapped(with: key)
    } catch {
      throw AWError(
        .vaultUnreadable, "An entry of the vault \(file.quoted) was damaged or changed, so its key stays.",
        next: "Restore the vault from a backup, then rotate its key.", cause: error)
    }
  }

  private static func move(_ next: String, to keyFile: String) throws {
    guard rename(next, keyFile) == 0 else { throw FileFailure(path: keyFile, code: errno) }
    try DurableFile.syncFolder((keyFile as NSString).deletingLastPathComponent)
  }

  private static func locked<Value>(_ file: String, _ body: () throws -> Value) throws -> Value {
    do {
      let lock = try FileLock(file + ".lock", wait: Vault.lockWait)
      return try withExtendedLifetime(lock) { try body() }
    } catch let failure as FileFailure {
      throw Vault.unwritable(failure, path: file)
    }
  }
}
