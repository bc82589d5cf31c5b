import Glibc
import SystemPackage

/// A pipe that holds all that a program is to read, and ends behind it.
///
/// Who starts the program need not write while it runs: one that ends without reading, or is ended, breaks nobody's
/// writing off. swift-subprocess 1.0 ends the whole process where its own input is broken off.
public enum FilledPipe {
  /// What the kernel gives a process without privileges (`/proc/sys/fs/pipe-max-size`).
  public static let bytesMax = 1 << 20

  /// - Parameter bytes: at most `bytesMax`.
  /// - Returns: the end to read from. It is not passed on to other programs, and belongs to the caller.
  public static func reading(_ bytes: [UInt8]) throws -> FileDescriptor {
    let (reading, writing) = try FileDescriptor.pipe()
    defer { try? writing.close() }
    do {
      for end in [reading, writing] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
      // Linux's F_SETPIPE_SZ, which the C library names for GNU programs only.
      guard bytes.count <= bytesMax, fcntl(writing.rawValue, 1031, Int32(max(bytes.count, 65_536))) >= 0 else {
        throw Errno.fileTooLarge
      }
      // Nobody reads yet, so what does not fit would be waited for in vain.
      _ = fcntl(writing.rawValue, F_SETFL, O_NONBLOCK)
      guard try writing.writeAll(bytes) == bytes.count else { throw Errno.fileTooLarge }
    } catch {
      try? reading.close()
      throw error
    }
    return reading
  }
}
