import Basics
import Foundation

/// A look at the processes of this machine.
enum ProcessLook {
  struct Found: Sendable, Equatable {
    let id: Int32
    let arguments: String
    let environment: String
  }

  static func all() -> [Found] {
    let ids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
    return ids.compactMap { id in
      guard let arguments = read("/proc/\(id)/cmdline"), !arguments.isEmpty else { return nil }
      return Found(id: id, arguments: arguments, environment: read("/proc/\(id)/environ") ?? "")
    }
  }

  /// The Instances that a Connector with its data below `directory` runs.
  static func instances(below directory: String) -> [Found] {
    all().filter { $0.environment.contains("AW_INSTANCE_DIRECTORY=\(directory)/") }
  }

  /// Every process that names the directory in its arguments or environment.
  static func naming(_ directory: String) -> [Found] {
    all().filter { $0.id != getpid() && ($0.arguments.contains(directory) || $0.environment.contains(directory)) }
  }

  /// Waits until no process names the directory, by looking again and again.
  static func gone(_ directory: String) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
      if naming(directory).isEmpty { return true }
      await Task.yield()
    }
    return false
  }

  /// The children of a process, their children, and so on.
  static func descendants(of id: Int32) -> [Int32] {
    let parents = all().map { found in (found.id, parent(of: found.id)) }
    var (found, next): ([Int32], [Int32]) = ([], [id])
    while !next.isEmpty {
      next = parents.filter { next.contains($0.1 ?? 0) }.map(\.0)
      found += next
    }
    return found
  }

  private static func parent(of id: Int32) -> Int32? {
    // The name, in parentheses, may hold anything.
    read("/proc/\(id)/stat").flatMap { $0.split(separator: ")").last?.split(separator: " ").dropFirst().first }
      .flatMap { Int32($0) }
  }

  private static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self).replacing("\0", with: " ") }
  }
}
