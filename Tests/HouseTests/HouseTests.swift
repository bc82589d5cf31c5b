import Basics
import Foundation
import Testing

/// The rules of the house that the compiler does not keep.
@Suite("The house")
struct HouseTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct SourceFile: Sendable, CustomTestStringConvertible {
    let path: String
    let lines: [String]
    var testDescription: String { path }
  }

  static let sources: [SourceFile] = files(under: "Sources")
  static let tests: [SourceFile] = files(under: "Tests")

  static func files(under folder: String) -> [SourceFile] {
    let base = root.appending(path: folder)
    let paths = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
    return paths.filter { $0.hasSuffix(".swift") }.sorted().compactMap { path in
      guard let text = try? String(contentsOf: base.appending(path: path), encoding: .utf8) else { return nil }
      return SourceFile(path: folder + "/" + path, lines: text.components(separatedBy: "\n"))
    }
  }

  @Test("the test sees the sources")
  func seen() {
    #expect(Self.sources.count > 20)
    #expect(Self.tests.count > 5)
  }

  /// Words that must not stand in a source file, each with the reason.
  static let forbidden: [(word: String, reason: String)] = [
    ("try!", "a crash is no error message"),
    ("fatalError(", "a crash is no error message"),
    ("as! ", "a crash is no error message"),
    ("TODO", "what is not built is not there"),
    ("FIXME", "what is not built is not there"),
    (" print(", "output goes through the console of the command, logs through the logger"),
    ("nonisolated(unsafe)", "the compiler must be able to check it"),
  ]

  @Test("no source file holds a forbidden word")
  func words() {
    for file in Self.sources {
      for (number, line) in file.lines.enumerated() {
        for (word, reason) in Self.forbidden where line.contains(word) {
          Issue.record("\(file.path):\(number + 1) has '\(word)': \(reason)")
        }
      }
    }
  }

  @Test("an unchecked Sendable is proven in a comment above it")
  func unchecked() {
    for file in Self.sources {
      for (number, line) in file.lines.enumerated() where line.contains("@unchecked Sendable") {
        let before = file.lines[max(0, number - 6)..<number].joined()
        let after = file.lines[number..<min(file.lines.count, number + 3)].joined()
        #expect(before.contains("//") || after.contains("//"), "\(file.path):\(number + 1)")
      }
    }
  }

  @Test("files stay under 450 lines and lines under 121 characters")
  func size() {
    for file in Self.sources {
      #expect(file.lines.count <= 450, "\(file.path) has \(file.lines.count) lines")
      for (number, line) in file.lines.enumerated() where line.count > 120 {
        #expect(line.count <= 120, "\(file.path):\(number + 1)")
      }
    }
  }

  @Test("functions stay under 70 lines")
  func functions() {
    for file in Self.sources {
      var opened: (name: String, line: Int, indent: Int)?
      for (number, line) in file.lines.enumerated() {
        let indent = line.prefix { $0 == " " }.count
        let text = line.drop { $0 == " " }
        if let function = opened, text.hasPrefix("}"), indent == function.indent {
          let length = number - function.line + 1
          #expect(length <= 70, "\(file.path):\(function.line + 1) has \(length) lines")
          opened = nil
        }
        if opened == nil, text.contains("func "), !text.hasPrefix("//"), !text.contains("}") {
          opened = (String(text), number, indent)
        }
      }
    }
  }

  /// Who may not import whom, beyond what the package's targets say already.
  static let walls: [(folder: String, module: String, reason: String)] = [
    ("Sources/Product", "NIOHTTP2", "product rooms speak to Hosts through Gateway, not over the wire"),
    ("Sources/Product", "GRDB", "SQL goes through Store"),
    ("Sources/Product", "CPostgres", "SQL goes through Store"),
    ("Sources/Platform", "OpenClaw", "the platform knows nothing of OpenClaw"),
    ("Sources/Reach/Link", "Hummingbird", "the link is not HTTP/1"),
    ("Sources/Synthetic", "OpenClaw", "the stand-in must not share a bug with what it stands in for"),
    ("Sources/OpenClaw", "Synthetic", "AW never knows that it talks to the stand-in"),
  ]

  @Test("walls between rooms hold", arguments: walls.indices)
  func imports(index: Int) {
    let wall = Self.walls[index]
    for file in Self.sources where file.path.hasPrefix(wall.folder + "/") {
      let hit = file.lines.contains { $0.hasSuffix("import \(wall.module)") }
      #expect(!hit, "\(file.path) imports \(wall.module): \(wall.reason)")
    }
  }

  @Test("decisions in Model folders use no clock, no I/O and no database")
  func models() {
    let banned = [
      "import NIO", "import Store", "import Hummingbird", "import GRDB", "Date()", "ContinuousClock", ".random(",
    ]
    for file in Self.sources where file.path.contains("/Model/") && file.path.hasPrefix("Sources/Product") {
      for line in file.lines {
        for word in banned { #expect(!line.contains(word), "\(file.path): \(line)") }
      }
    }
  }

  @Test("tests wait for what they wait for, never for the clock")
  func sleeping() {
    // A fault lasts for as long as it is told to: its tests have one place that waits.
    let exempt = ["Tests/HouseTests/HouseTests.swift", "Tests/Faults/Shell.swift"]
    for file in Self.tests where !exempt.contains(file.path) {
      for (number, line) in file.lines.enumerated() {
        #expect(!line.contains("Task.sleep") && !line.contains("usleep("), "\(file.path):\(number + 1)")
      }
    }
  }

  @Test("every room is described in ARCHITECTURE.md")
  func described() throws {
    let text = try String(contentsOf: Self.root.appending(path: "ARCHITECTURE.md"), encoding: .utf8)
    let package = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
    let rooms = package.matches(of: /room\(\s*"([A-Za-z]+)"/).map { String($0.output.1) }
    #expect(rooms.count > 8)
    for room in rooms { #expect(text.contains("**\(room)**"), "ARCHITECTURE.md does not describe \(room)") }
  }

  @Test("every error code is explained in docs/errors.md, and nothing else is")
  func errors() throws {
    let text = try String(contentsOf: Self.root.appending(path: "docs/errors.md"), encoding: .utf8)
    let explained = text.matches(of: /(?m)^\| `([a-z0-9.-]+)` \|/).map { String($0.output.1) }
    #expect(Set(explained) == Set(ErrorCode.all.map(\.id)))
    #expect(explained.count == Set(explained).count)
  }
}
