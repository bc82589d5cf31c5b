import Basics
import Foundation

/// A folder that is removed when the test is done with it.
public enum TestFolder {
  @discardableResult
  public static func with<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let path = NSTemporaryDirectory() + "aw-test-" + Hex.encode([UInt8].random(count: 8))
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    do {
      let value = try await body(path)
      try FileManager.default.removeItem(atPath: path)
      return value
    } catch {
      // The test has failed already; its error is the one to show.
      try? FileManager.default.removeItem(atPath: path)
      throw error
    }
  }
}
