import Evidence
import Foundation
import Hygiene
import Testing

@testable import Deployment

@Suite("Profiles of evidence")
struct EvidenceProfileTests {
  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Every kind that the code can write.
  private static func kinds() throws -> Set<String> {
    let sources = root.appending(path: "Sources")
    let files = FileManager.default.enumerator(atPath: sources.path)?.compactMap { $0 as? String } ?? []
    return try files.filter { $0.hasSuffix(".swift") }.reduce(into: []) { kinds, file in
      let text = try String(contentsOf: sources.appending(path: file), encoding: .utf8)
      kinds.formUnion(text.matches(of: /EvidenceKind\("([a-z.-]+)"\)/).map { String($0.output.1) })
    }
  }

  @Test("every kind of the code has a line that says what it may hold, and no line is of a kind that there is not")
  func whole() throws {
    let (kinds, profiles) = (try Self.kinds(), Set(EvidenceProfiles.fields.kinds.keys))
    #expect(kinds.count > 60)
    #expect(kinds.subtracting(profiles).sorted() == [], "add a line to EvidenceProfiles")
    #expect(profiles.subtracting(kinds).sorted() == [])
  }

  @Test("every word of the table is understood")
  func understood() {
    for line in EvidenceProfiles.fields.text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let fields = parts[1].split(separator: ",").map { $0.split(separator: " ").map(String.init) }
      for field in fields {
        #expect(field.count == 2 && FieldProfiles.FieldType(rawValue: field.last ?? "") != nil, "\(line)")
      }
    }
  }

  @Test("every kind of evidence is told of in the documentation")
  func documented() throws {
    let page = try String(contentsOf: Self.root.appending(path: "docs/evidence.md"), encoding: .utf8)
    for kind in try Self.kinds() { #expect(page.contains("`\(kind)`"), "\(kind)") }
  }
}
