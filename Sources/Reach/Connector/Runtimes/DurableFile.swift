import Basics
import Foundation

/// A user and group of the Host that files are given to.
struct FileOwner: Codable, Sendable, Equatable {
  var user: UInt32
  var group: UInt32
}

/// Files and directories that are there after a power cut, or not at all.
enum DurableFile {
  /// Replaces the file whole: writes beside it, syncs, renames, syncs the directory.
  ///
  /// - Throws: `runtimeDiskFull`, `runtimeFailed`. The old content is kept then.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600, owner: FileOwner? = nil) throws {
    let temporary = path + ".new"
    do {
      try writeNew(bytes, to: temporary, mode: mode, owner: owner)
      guard rename(temporary, path) == 0 else { throw AWError.file(path, errno) }
      try sync(directory: (path as NSString).deletingLastPathComponent)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private static func writeNew(_ bytes: [UInt8], to path: String, mode: mode_t, owner: FileOwner?) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw AWError.file(path, errno) }
    defer { close(descriptor) }
    guard fchmod(descriptor, mode) == 0 else { throw AWError.file(path, errno) }
    if let owner, fchown(descriptor, owner.user, owner.group) != 0 { throw AWError.file(path, errno) }
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw AWError.file(path, errno)
      }
      written += count
    }
    guard fsync(descriptor) == 0 else { throw AWError.file(path, errno) }
  }

  /// Makes the directory with this mode; one that is there gets the mode.
  static func makeDirectory(_ path: String, mode: mode_t, owner: FileOwner? = nil) throws {
    if mkdir(path, mode) == 0 {
      try sync(directory: (path as NSString).deletingLastPathComponent)
    } else if errno != EEXIST {
      throw AWError.file(path, errno, doing: "made")
    }
    var status = stat()
    guard lstat(path, &status) == 0 else { throw AWError.file(path, errno, doing: "read") }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw AWError.file(path, ENOTDIR, doing: "used as a directory") }
    if status.st_mode & 0o7777 != mode, chmod(path, mode) != 0 { throw AWError.file(path, errno, doing: "changed") }
    if let owner, status.st_uid != owner.user || status.st_gid != owner.group {
      try give(path, to: owner)
    }
  }

  /// Gives a whole tree to `owner`; symbolic links are changed themselves, never followed.
  static func give(_ path: String, to owner: FileOwner) throws {
    guard lchown(path, owner.user, owner.group) == 0 else { throw AWError.file(path, errno, doing: "given away") }
    guard let entries = FileManager.default.enumerator(atPath: path) else { return }
    for case let entry as String in entries {
      let inside = path + "/" + entry
      if lchown(inside, owner.user, owner.group) != 0, errno != ENOENT {
        throw AWError.file(inside, errno, doing: "given away")
      }
    }
  }

  static func owner(of path: String) -> FileOwner? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    return FileOwner(user: status.st_uid, group: status.st_gid)
  }

  /// The content, or nil when there is no such file.
  static func read(_ path: String) throws -> [UInt8]? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do {
      return Array(try Data(contentsOf: URL(filePath: path)))
    } catch {
      throw AWError.file(path, error, doing: "read")
    }
  }

  /// Removes a file or a whole tree; what is not there is removed already.
  static func remove(_ path: String) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      guard lstat(path, &status) == 0 else { return }
      throw AWError.file(path, error, doing: "removed")
    }
  }

  static func sync(directory: String) throws {
    let descriptor = open(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw AWError.file(directory, errno, doing: "opened") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw AWError.file(directory, errno) }
  }
}
