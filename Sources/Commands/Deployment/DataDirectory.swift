import Basics
import Crypto
import Fleet
import Foundation
import Vault

/// The directory that one control plane, or one Connector, keeps its data in. Held by one process at a time.
///
/// - `aw.sqlite`: the database (unless PostgreSQL has it). `vault`, `vault.key`: the secrets and the key to them.
/// - `node`: what this control plane is called among those that share a database.
/// - `evidence/`: the published log. `context.json`: how the other verbs find the control plane.
/// - `paths/`: sockets and keys of ssh forwards, while they are in use.
/// - `host/`: of `aw up`: what the Connector of this machine keeps.
/// - `lock`: held while a process uses the directory.
public final class DataDirectory: Sendable {
  public let path: String
  /// The folder of `vault` and `vault.key`: this directory, or one that several control planes share.
  private let vaultFolder: String
  private let descriptor: Int32

  /// Makes the directory (0700) when it is missing, and takes it.
  ///
  /// - Parameter vault: the folder of the vault, which must be there; nil keeps it in this directory.
  /// - Throws: `dataInUse` when another process has it, `dataUnwritable` when it cannot be used, `storeFull`.
  public init(_ given: String, vault: String? = nil) throws {
    path = Self.standard(given)
    vaultFolder = vault.map(Self.standard) ?? path
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw DataDirectory.unwritable(path, error)
    }
    let lock = path + "/lock"
    descriptor = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw DataDirectory.unwritable(path, POSIXFailure(errno)) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      guard code == EWOULDBLOCK else { throw DataDirectory.unwritable(path, POSIXFailure(code)) }
      throw AWError(
        .dataInUse, "Another aw process uses \(path).",
        next: "Stop it, or give this one a directory of its own with --data.")
    }
  }

  deinit { close(descriptor) }

  private static func standard(_ path: String) -> String {
    URL(filePath: path).standardizedFileURL.path(percentEncoded: false).trimmingSlash
  }

  public var vault: String { vaultFolder + "/vault" }
  public var vaultKey: String { vaultFolder + "/vault.key" }

  /// This control plane's own id, made on first use. It belongs to the directory, not to the vault that several share.
  ///
  /// - Throws: `dataUnwritable` when the file cannot be read or made.
  func nodeID(at now: Timestamp) throws -> NodeID {
    let file = path + "/node"
    if let data = FileManager.default.contents(atPath: file) {
      let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
      guard let id = NodeID(text) else { throw DataDirectory.unwritable(path, CocoaError(.fileReadCorruptFile)) }
      return id
    }
    let made = NodeID.make(at: now)
    do {
      try DurableFile.replace(file, with: Array((made.text + "\n").utf8), mode: 0o600)
    } catch {
      throw DataDirectory.unwritable(path, error)
    }
    return made
  }

  public var database: String { path + "/aw.sqlite" }
  public var evidence: String { path + "/evidence" }
  public var context: String { path + "/context.json" }
  public var host: String { path + "/host" }

  /// The vault, made on first use.
  ///
  /// - Throws: `vaultUnreadable`. A vault without its key gets no new one: that would only hide what is missing.
  public func openVault(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> Vault {
    let files = FileManager.default
    if environment["CREDENTIALS_DIRECTORY"] == nil { try VaultRotation.settle(file: vault, keyFile: vaultKey) }
    if files.fileExists(atPath: vault), !files.fileExists(atPath: vaultKey), environment["CREDENTIALS_DIRECTORY"] == nil
    {
      throw AWError(
        .vaultUnreadable, "The vault \(vault) is there, but its key \(vaultKey) is not.",
        next: "Restore the key file from your backup of it, or pass it as a systemd credential.")
    }
    return try Vault.open(file: vault, key: .load(file: vaultKey, environment: environment))
  }

  /// Gives the vault another key. Whoever has the directory is the only one who uses it; a vault that several control
  /// planes share is theirs too, so all of them have to stand still.
  ///
  /// - Throws: `vaultUnreadable`; `conflict` when the key comes from systemd, where AW cannot put another one.
  public func rotateVaultKey(
    environment: [String: String] = ProcessInfo.processInfo.environment, dryRun: Bool = false
  ) throws -> VaultRotation.Report {
    guard environment["CREDENTIALS_DIRECTORY"] == nil else {
      throw AWError(
        .conflict, "The vault's key comes from systemd, so AW cannot put another one in its place.",
        next: "Put the key into \(vaultKey), rotate it there outside the unit, and give systemd the new one.")
    }
    try VaultRotation.settle(file: vault, keyFile: vaultKey)
    return try VaultRotation.rotate(file: vault, keyFile: vaultKey, dryRun: dryRun)
  }

  /// The longest path of a unix socket on Linux, its final zero not counted.
  static let socketBytesMax = 107

  /// Where the control plane's socket is: in this directory, or, when that path is too long for a socket, in one of
  /// its own under the temporary directory.
  public func socket() throws -> String {
    let usual = path + "/aw.sock"
    if usual.utf8.count <= DataDirectory.socketBytesMax { return usual }
    return try shortFolder() + "/aw.sock"
  }

  /// Where ssh forwards have their sockets and keys: in this directory, or, when that path is too long, beside the
  /// socket above.
  func socketFolder() throws -> String {
    // Each has a folder and a name of its own in it.
    let usual = path + "/paths"
    return usual.utf8.count + 16 <= DataDirectory.socketBytesMax ? usual : try shortFolder() + "/paths"
  }

  private func shortFolder() throws -> String {
    let folder = "/tmp/aw-\(geteuid())-\(SHA256.hex(Array(path.utf8)).prefix(16))"
    // Somebody else could have made it first; then it is not ours to use.
    var status = stat()
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST, lstat(folder, &status) == 0, status.st_uid == geteuid(),
      status.st_mode & 0o7777 == 0o700
    else { throw DataDirectory.unwritable(folder, POSIXFailure(errno)) }
    return folder
  }

  struct POSIXFailure: Error, CustomStringConvertible {
    let code: Int32
    init(_ code: Int32) { self.code = code }
    var description: String { String(cString: strerror(code)) }
  }

  static func unwritable(_ path: String, _ cause: any Error) -> AWError {
    let full = (cause as? POSIXFailure)?.code == ENOSPC || (cause as? CocoaError)?.code == .fileWriteOutOfSpace
    if full {
      return AWError(
        .storeFull, "The disk of \(path) is full.", next: "Free space on it, then start AW again.", cause: cause)
    }
    return AWError(
      .dataUnwritable, "The data directory \(path) cannot be used.",
      next: "Check that it can be made and belongs to the user that runs AW, or name another with --data.",
      cause: cause)
  }
}

extension String {
  fileprivate var trimmingSlash: String { count > 1 && hasSuffix("/") ? String(dropLast()) : self }
}
