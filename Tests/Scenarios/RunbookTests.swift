import ArgumentParser
import Foundation
import Testing

@testable import aw

/// The files that operators get: runbooks that exist, and name what exists.
enum DeliveredFiles {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  static func path(_ path: String) -> String { root.appending(path: path).path(percentEncoded: false) }

  /// The names of the pages, without the list of them.
  static func runbooks() throws -> Set<String> {
    let files = try FileManager.default.contentsOfDirectory(atPath: path("docs/runbooks"))
    return Set(files.filter { $0.hasSuffix(".md") && $0 != "README.md" }.map { String($0.dropLast(3)) })
  }
}

@Suite("Runbooks")
struct RunbookTests {
  static let pages = (try? DeliveredFiles.runbooks().sorted()) ?? []

  @Test("every runbook that code, an alert or the dashboard names exists")
  func exist() throws {
    let pages = try DeliveredFiles.runbooks()
    #expect(pages.count >= 15)
    var named: [(name: String, place: String)] = []
    let sources = FileManager.default.enumerator(atPath: DeliveredFiles.path("Sources"))
    for case let path as String in sources ?? .init() where path.hasSuffix(".swift") {
      let text = try DeliveredFiles.text("Sources/" + path)
      // `"runbook": "instance-drifted"` and `EventData.runbook: "instance-drifted"`, as far as the name is in the text.
      for match in text.matches(
        of: /(?:"runbook"|EventData\.runbook|\.runbook)\]?\s*[:=]\s*(?:\.string\()?"([a-z0-9-]+)"/)
      {
        named.append((String(match.output.1), path))
      }
    }
    for path in ["deploy/prometheus/aw-alerts.yml", "deploy/prometheus/aw-alerts.test.yml", "docs/losses.md"] {
      for match in try DeliveredFiles.text(path).matches(of: /runbooks\/([a-z0-9-]+)\.md/) {
        named.append((String(match.output.1), path))
      }
    }
    let dashboard = "deploy/grafana/aw-fleet.json"
    for match in try DeliveredFiles.text(dashboard).matches(of: /[Rr]unbook:? ([a-z]+(?:-[a-z]+)+)/) {
      named.append((String(match.output.1), dashboard))
    }
    #expect(named.count > 20)
    for (name, place) in named { #expect(pages.contains(name), "\(place) names the runbook '\(name)'") }
  }

  @Test("the list has every page, and links lead somewhere")
  func links() throws {
    let pages = try DeliveredFiles.runbooks()
    let list = try DeliveredFiles.text("docs/runbooks/README.md")
    for page in pages { #expect(list.contains("(\(page).md)"), "README.md does not list \(page)") }
    for page in pages.union(["README"]) {
      for match in try DeliveredFiles.text("docs/runbooks/\(page).md").matches(of: /\]\(([a-z0-9-]+)\.md\)/) {
        #expect(pages.contains(String(match.output.1)), "\(page) links to \(match.output.1)")
      }
    }
  }

  @Test("every page says the same five things, in the same order", arguments: pages)
  func sections(_ page: String) throws {
    let headings = try DeliveredFiles.text("docs/runbooks/\(page).md").matches(of: /(?m)^##? (.+)$/).map {
      String($0.output.1)
    }
    #expect(
      headings.dropFirst() == [
        "What it means", "What AW knows, and what it does not", "Look first", "How to end it", "When to wake somebody",
      ])
  }

  /// The commands of a page: lines of code that begin with `aw`, and code in a sentence that does.
  static func commands(_ text: String) -> [String] {
    let blocks = text.matches(of: /(?m)^ {4,}(aw [^\n]+)$/).map { String($0.output.1) }
    let inline = text.matches(of: /`(aw [^`\n]+)`/).map { String($0.output.1) }
    return blocks + inline
  }

  @Test("every command of a page is one", arguments: pages + ["README"])
  func commands(_ page: String) throws {
    for command in Self.commands(try DeliveredFiles.text("docs/runbooks/\(page).md")) {
      // `aw serve` alone stands for the program, not for a line to type.
      // NAME is no name, but name is one.
      let words = command.split(separator: " ").dropFirst().map {
        $0.allSatisfy(\.isUppercase) ? $0.lowercased() : String($0)
      }
      #expect(throws: Never.self, "\(page): \(command)") { try AW.parseAsRoot(words) }
    }
  }

  @Test("the test of commands can fail, and finds them")
  func honest() throws {
    let text = "x\n\n    aw status NAME\n\nand `aw nonsense --at all`, `aw-connect`.\n"
    #expect(Self.commands(text) == ["aw status NAME", "aw nonsense --at all"])
    #expect(throws: (any Error).self) { try AW.parseAsRoot(["nonsense", "--at", "all"]) }
    #expect(throws: (any Error).self) { try AW.parseAsRoot(["loss", "list", "--since", "yesterday"]) }
  }

  @Test("error codes and kinds of evidence on a page exist", arguments: pages)
  func names(_ page: String) throws {
    let text = try DeliveredFiles.text("docs/runbooks/\(page).md")
    let errors = try DeliveredFiles.text("docs/errors.md")
    for match in text.matches(of: /`((?:data|store|vault|evidence|listen|internal)\.[a-z-]+)`/) {
      #expect(errors.contains("| `\(match.output.1)` |"), "\(page): \(match.output.1)")
    }
    let evidence = try DeliveredFiles.text("docs/evidence.md")
    for match in text.matches(of: /--kind ([a-z.-]+)/) {
      #expect(evidence.contains("`\(match.output.1)`"), "\(page): \(match.output.1)")
    }
    let losses = try DeliveredFiles.text("docs/losses.md")
    for match in text.matches(of: /(?:--class |^\s+\| `)([a-z]+_[a-z_]+)/) {
      #expect(losses.contains("`\(match.output.1)`"), "\(page): \(match.output.1)")
    }
  }
}
