import Basics
import Foundation
import Testing

/// Looks for planted values wherever they could come out, and says where each was found.
struct SentinelLook: Sendable {
  let forms: [SentinelTests.Forms]

  init(_ values: [String]) { forms = values.map { SentinelTests.Forms($0) } }

  func isIn(_ data: Data) -> Bool { forms.contains { $0.isIn(data) } }

  /// The files below a folder that hold one, by their paths in it.
  func files(below folder: String) throws -> [String] {
    try Self.paths(below: folder).filter { path in
      // One that went meanwhile, such as a lock, holds nothing any more.
      FileManager.default.contents(atPath: folder + "/" + path).map { isIn($0) } ?? false
    }
  }

  static func paths(below folder: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
  }

  /// The processes of this machine whose arguments or environment hold one.
  func processes() -> [Int32] {
    ProcessLook.all().filter { isIn(Data($0.arguments.utf8)) || isIn(Data($0.environment.utf8)) }.map(\.id)
  }

  /// The texts that hold one; of each its beginning.
  func texts(_ texts: [String]) -> [String] {
    texts.filter { isIn(Data($0.utf8)) }.map { String($0.prefix(300)) }
  }

  /// Looks at the processes again and again while something is done, so that those are seen that live for a moment.
  ///
  /// - Returns: what came of it, and the processes that held a value.
  func processes<Value: Sendable>(
    while body: @Sendable () async throws -> Value
  ) async throws -> (Value, [Int32]) {
    try await withThrowingTaskGroup(of: [Int32].self) { group in
      group.addTask {
        var found: Set<Int32> = []
        repeat {
          found.formUnion(processes())
          await Task.yield()
        } while !Task.isCancelled
        return found.sorted()
      }
      let value = try await body()
      group.cancelAll()
      return (value, try await group.next() ?? [])
    }
  }
}
