import Basics
import Foundation

/// AW's own secrets, sealed in one file: gateway tokens, signing keys, certificate keys.
///
/// Only a `SecretReference` leaves this room for the database; the value stays here. Several processes may use the same
/// file: each change is made under an exclusive lock on `<file>.lock`, on what the file holds at that moment.
public actor Vault {
  struct Stamp: Equatable, Sendable {
    let device: UInt, inode: UInt, size: Int, seconds: Int, nanoseconds: Int
  }

  /// How long a change waits for another process.
  public static let lockWait = Duration.seconds(5)

  private let path: String
  private let key: VaultKey
  private let clock: WallClock
  /// Finds the values of this vault in what is about to be written.
  public nonisolated let watch: SecretWatch
  private var cached: (stamp: Stamp, file: VaultFile)?

  /// Opens the vault in `file`, which is made by the first `put`.
  ///
  /// - Throws: `vaultUnreadable` when the file was damaged or changed, or was sealed with another key.
  public static func open(file: String, key: VaultKey, clock: WallClock = .system) throws -> Vault {
    _ = try Vault.read(file, key: key)
    return Vault(path: file, key: key, clock: clock)
  }

  private init(path: String, key: VaultKey, clock: WallClock) {
    self.path = path
    self.key = key
    self.clock = clock
    watch = SecretWatch(path: path, key: key)
  }

  /// Stores a secret, in the place of the one that is there.
  ///
  /// - Throws: `vaultUnreadable` when the file cannot be read or written.
  public func put(_ secret: Secret, at reference: SecretReference) throws {
    try change { try $0.put(secret, at: reference) }
  }

  /// Stores many secrets in one step: all or none.
  ///
  /// - Throws: `vaultUnreadable` when the file cannot be read or written.
  public func put(_ secrets: [SecretReference: Secret]) throws {
    try change { file in for (reference, secret) in secrets { try file.put(secret, at: reference) } }
  }

  /// Stores what `make` gives if there is nothing yet, and returns what is stored. Safe to repeat, and safe when two
  /// processes do it at once: both get the same secret.
  public func putIfAbsent(_ reference: SecretReference, make: @Sendable () throws -> Secret) throws -> Secret {
    if let present = try find(reference) { return present }
    return try change { file in
      if let present = try Vault.open(reference, in: file, path: path) { return present }
      let fresh = try make()
      try file.put(fresh, at: reference)
      return fresh
    }
  }

  /// The secret at `reference`.
  ///
  /// - Throws: `vaultMissing` when there is none; `vaultUnreadable` when the file is unusable.
  public func get(_ reference: SecretReference) throws -> Secret {
    if let secret = try find(reference) { return secret }
    throw AWError(
      .vaultMissing, "The vault holds no secret for \(reference.text.quoted).",
      next: "If the data directory was restored from a backup, restore the vault of the same time. "
        + "Otherwise create the secret again.")
  }

  /// The secret at `reference`, or nil.
  public func find(_ reference: SecretReference) throws -> Secret? {
    try Vault.open(reference, in: try current(), path: path)
  }

  /// Removes a secret; nothing happens when there is none.
  public func delete(_ reference: SecretReference) throws {
    try change { $0.delete(reference) }
  }

  /// Every reference that has a secret, sorted.
  public func references() throws -> [SecretReference] {
    try current().entries.keys.filter { $0 != RetiredForms.reference }.sorted()
  }

  // MARK: - The file

  private func change<Value>(_ body: (inout VaultFile) throws -> Value) throws -> Value {
    do {
      let lock = try FileLock(path + ".lock", wait: Vault.lockWait)
      return try withExtendedLifetime(lock) {
        var (file, _) = try Vault.read(path, key: key)
        let (before, old) = (file.bytes, file)
        let value = try body(&file)
        try RetiredForms.note(old, to: &file, key: key, at: clock.now)
        let after = file.bytes
        guard after != before else { return value }
        try DurableFile.replace(path, with: after, mode: 0o600)
        // Nobody else replaces it before the lock is let go, so it need not be read again.
        if let stamp = Vault.stamp(of: path) {
          cached = (stamp, file)
          watch.take(file, stamp)
        }
        return value
      }
    } catch let failure as FileFailure {
      throw Vault.unwritable(failure, path: path)
    }
  }

  /// The file as it is now; parsed again only when another process, or this one, has replaced it.
  private func current() throws -> VaultFile {
    if let cached, cached.stamp == Vault.stamp(of: path) { return cached.file }
    let (file, stamp) = try Vault.read(path, key: key)
    cached = stamp.map { ($0, file) }
    return file
  }

  /// Changes with the file; nil when there is none.
  static func stamp(of path: String) -> Stamp? {
    var status = stat()
    return stat(path, &status) == 0 ? stamp(status) : nil
  }

  private static func stamp(_ status: stat) -> Stamp {
    Stamp(
      device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
      seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
  }

  static func read(_ path: String, key: VaultKey) throws -> (file: VaultFile, stamp: Stamp?) {
    do {
      guard let (bytes, status) = try DurableFile.read(path) else { return (VaultFile(key: key), nil) }
      return (try VaultFile(parsing: bytes, key: key), stamp(status))
    } catch let damage as VaultFile.Damage {
      throw unreadable(damage, path: path)
    } catch {
      throw AWError(
        .vaultUnreadable, "The vault \(path.quoted) cannot be read.",
        next: "Check that it belongs to the user that runs AW.", cause: error)
    }
  }

  /// - Throws: `vaultUnreadable`.
  static func content(of path: String, key: VaultKey) throws -> VaultFile { try read(path, key: key).file }

  private static func open(_ reference: SecretReference, in file: VaultFile, path: String) throws -> Secret? {
    do {
      return try file.open(reference)
    } catch {
      throw AWError(
        .vaultUnreadable, "The entry \(reference.text.quoted) of the vault \(path.quoted) was damaged or changed.",
        next: "Restore the vault from a backup, or store this secret again.", cause: error)
    }
  }

  private static func unreadable(_ damage: VaultFile.Damage, path: String) -> AWError {
    switch damage {
    case .otherKey:
      AWError(
        .vaultUnreadable, "The vault \(path.quoted) was sealed with a different key than the one AW has now.",
        next: "Restore the key file that belongs to this vault. If it is lost, so are the secrets: move the vault "
          + "away and create them again.")
    case .version(let header):
      AWError(
        .vaultUnreadable, "The vault \(path.quoted) has the format \(header.quoted), which this AW does not know.",
        next: "Start the newer AW that wrote it.")
    case .changed(let line):
      AWError(
        .vaultUnreadable, "The vault \(path.quoted) was damaged or changed (found at line \(line)).",
        next: "Find out who changed it, then restore it from a backup.")
    }
  }

  static func unwritable(_ failure: FileFailure, path: String) -> AWError {
    if failure.isDiskFull {
      return AWError(
        .storeFull, "The disk of the vault \(path.quoted) is full, so the secret was not saved.",
        next: "Free space on that disk, then try again.", cause: failure)
    }
    if failure.code == EWOULDBLOCK {
      return AWError(
        .storeLocked, "Another process holds the vault \(path.quoted) and did not let go in time.",
        next: "Look for another AW process that hangs, then try again.", cause: failure)
    }
    return AWError(
      .vaultUnreadable, "The vault \(path.quoted) cannot be written.",
      next: "Check that its folder exists and belongs to the user that runs AW.", cause: failure)
  }
}
