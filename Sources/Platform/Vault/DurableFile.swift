import Foundation

/// A system call that failed on a file.
package struct FileFailure: Error, CustomStringConvertible {
  package let path: String
  /// The `errno` of the call.
  package let code: Int32
  package var description: String { "\(path): \(String(cString: strerror(code)))" }
  package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// Files that are whole or absent, whatever happens to the process or the power.
package enum DurableFile {
  /// What a file that is being written is called, until it gets its name. A crash can leave some.
  package static let temporaryPrefix = ".tmp-"

  /// Replaces the file at `path` in one step: temporary file, fsync, rename, and (if `durable`) fsync of the folder.
  ///
  /// - Parameter durable: false when the caller syncs the folder itself, once for many files.
  /// - Throws: `FileFailure`. The old file is then untouched.
  package static func replace(_ path: String, with bytes: [UInt8], mode: mode_t, durable: Bool = true) throws {
    let temporary = try writeTemporary(beside: path, bytes, mode: mode)
    guard rename(temporary, path) == 0 else {
      let code = errno
      unlink(temporary)
      throw FileFailure(path: path, code: code)
    }
    if durable { try syncFolder(folder(of: path)) }
  }

  /// Makes the file at `path`, or leaves the one that is there. True when it was made.
  package static func createIfAbsent(_ path: String, with bytes: [UInt8], mode: mode_t) throws -> Bool {
    let temporary = try writeTemporary(beside: path, bytes, mode: mode)
    defer { unlink(temporary) }
    if link(temporary, path) != 0 {
      let code = errno
      if code == EEXIST { return false }
      throw FileFailure(path: path, code: code)
    }
    try syncFolder(folder(of: path))
    return true
  }

  /// The bytes of the file and what `fstat` says of it; nil when there is none.
  package static func read(_ path: String) throws -> (bytes: [UInt8], status: stat)? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let code = errno
      if code == ENOENT { return nil }
      throw FileFailure(path: path, code: code)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileFailure(path: path, code: errno) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Foundation.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count < 0 { throw FileFailure(path: path, code: errno) }
      if count == 0 { return (bytes, status) }
      bytes += buffer[..<count]
    }
  }

  /// Makes a folder, and the ones it is in, for the owner only. Nothing happens to those that exist.
  package static func makeFolder(_ path: String) throws {
    if mkdir(path, 0o700) == 0 { return }
    let code = errno
    if code == EEXIST { return }
    let parent = folder(of: path)
    guard code == ENOENT, parent != path else { throw FileFailure(path: path, code: code) }
    try makeFolder(parent)
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw FileFailure(path: path, code: errno) }
  }

  /// Makes the names in a folder durable.
  package static func syncFolder(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileFailure(path: path, code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileFailure(path: path, code: errno) }
  }

  private static func writeTemporary(beside path: String, _ bytes: [UInt8], mode: mode_t) throws -> String {
    let temporary = folder(of: path) + "/" + temporaryPrefix + UUID().uuidString.lowercased()
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw FileFailure(path: temporary, code: errno) }
    do {
      try writeAll(bytes, to: descriptor, path: temporary)
      guard fsync(descriptor) == 0 else { throw FileFailure(path: temporary, code: errno) }
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    close(descriptor)
    return temporary
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        Foundation.write(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileFailure(path: path, code: count < 0 ? errno : ENOSPC) }
      offset += count
    }
  }

  private static func folder(of path: String) -> String {
    let folder = (path as NSString).deletingLastPathComponent
    return folder.isEmpty ? "." : folder
  }
}

/// An exclusive `flock` on a file (made if missing) or a folder, held until the value goes away.
package final class FileLock {
  private let descriptor: Int32

  /// - Parameter wait: how long to try, since another process may be stopped while it holds the lock.
  /// - Throws: `FileFailure`, with `EWOULDBLOCK` when the lock could not be had in time.
  package init(_ path: String, wait: Duration) throws {
    var opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if opened < 0 { opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    guard opened >= 0 else { throw FileFailure(path: path, code: errno) }
    descriptor = opened
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: wait)
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      guard code == EWOULDBLOCK, clock.now < deadline else { throw FileFailure(path: path, code: code) }
      usleep(5_000)
    }
  }

  // Closing the only descriptor lets go of the lock.
  deinit { close(descriptor) }
}
