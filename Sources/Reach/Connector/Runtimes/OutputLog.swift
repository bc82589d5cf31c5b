import Basics
import Foundation

/// An Instance's `output.log`: bounded, and readable from its end.
enum OutputLog {
  /// Moves a log past the limit to `.1`.
  ///
  /// The process holds the file open and goes on appending to it, so it is copied and then emptied. What is printed
  /// between the two is lost; nobody else can take a file away from a running process.
  static func rotate(_ path: String, bytesMax: Int = RuntimeLimits.outputBytesMax) throws {
    var status = stat()
    guard stat(path, &status) == 0, status.st_size > bytesMax else { return }
    let previous = path + ".1"
    try DurableFile.remove(previous)
    do {
      try FileManager.default.copyItem(atPath: path, toPath: previous)
    } catch {
      // Without room for the copy the old output goes: a full disk is worse for the Instance than a lost log.
      unlink(previous)
    }
    guard truncate(path, 0) == 0 else { throw AWError.file(path, errno, doing: "emptied") }
  }

  /// The last `lines` lines, oldest first, from the log and the one before it.
  static func tail(_ path: String, lines: Int, bytesMax: Int = RuntimeLimits.outputTailBytesMax) throws -> [String] {
    let current = try lastBytes(path, bytesMax)
    let found = split(current.bytes, whole: current.whole)
    if found.count >= lines || !current.whole { return Array(found.suffix(lines)) }
    let previous = try lastBytes(path + ".1", bytesMax)
    return (split(previous.bytes, whole: previous.whole) + found).suffix(lines)
  }

  private static func lastBytes(_ path: String, _ bytesMax: Int) throws -> (bytes: Data, whole: Bool) {
    guard FileManager.default.fileExists(atPath: path) else { return (Data(), true) }
    do {
      let handle = try FileHandle(forReadingFrom: URL(filePath: path))
      defer { try? handle.close() }
      let size = try handle.seekToEnd()
      let start = size > UInt64(bytesMax) ? size - UInt64(bytesMax) : 0
      try handle.seek(toOffset: start)
      return (try handle.read(upToCount: bytesMax) ?? Data(), start == 0)
    } catch {
      throw AWError.file(path, error, doing: "read")
    }
  }

  /// Lines of text; the first of a part is cut and left out.
  static func split(_ bytes: Data, whole: Bool) -> [String] {
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    if !whole, !lines.isEmpty { lines.removeFirst() }
    return lines.map { line in
      let text = String(decoding: line, as: UTF8.self)
      return text.hasSuffix("\r") ? String(text.dropLast()) : text
    }
  }
}
