import Basics
import Foundation
import Subprocess
import SystemPackage
import Testing

/// A real program that a test talks to. It is gone when the test ends.
enum Helper {
  /// The lines that it prints, one after the other.
  final class Lines {
    private var iterator: SubprocessOutputSequence.StringSequence<UTF8>.AsyncIterator
    private(set) var seen: [String] = []

    init(_ sequence: SubprocessOutputSequence) {
      iterator = sequence.strings().makeAsyncIterator()
    }

    func next(with text: String) async throws -> String {
      while let line = try await iterator.next() {
        seen.append(line)
        if line.contains(text) { return line }
      }
      throw Ended(printed: seen.suffix(30).joined())
    }

    /// The next line that is JSON.
    func document(with text: String = "{") async throws -> JSONValue {
      try JSONValue(parsing: try await next(with: text))
    }
  }

  struct Ended: Error, CustomStringConvertible {
    let printed: String
    var description: String { "the program ended; it had printed: \(printed)" }
  }

  static func with<Value: Sendable>(
    _ program: String, _ arguments: [String], _ body: (Lines) async throws -> Value
  ) async throws -> Value {
    try #require(access(program, X_OK) == 0, "\(program) is missing: script/bootstrap --tests installs it")
    var options = PlatformOptions()
    options.createSession = true
    let result = try await Subprocess.run(
      .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options, input: .none,
      output: .sequence,
      error: .combinedWithOutput
    ) { execution in
      defer { try? execution.send(signal: .kill, toProcessGroup: true) }
      return try await body(Lines(execution.standardOutput))
    }
    return result.closureResult
  }

  static func script(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/\(name)").path(percentEncoded: false)
  }

  /// Debian's own Python: that is where its packages are.
  static let python = "/usr/bin/python3"
}
