import Access
import Basics
import Testing

@testable import Fleet

@Suite("Paths that were checked on a page")
struct RehearsedPathsTests {
  static let operators = [Actor.operator(.make(at: StatusTests.at(0))), .operator(.make(at: StatusTests.at(1)))]
  static let forgotten = AWError(.pathCheckForgotten, "", next: "")

  private static func isGateway(_ request: FleetService.PathRequest) -> Bool {
    if case .gateway = request { true } else { false }
  }

  @Test("one is for its actor and its Instance, once, and for ten minutes")
  func taken() throws {
    let (paths, main, other) = (RehearsedPaths(), try Slug("acme-main"), try Slug("acme-two"))
    let mark = paths.hold(.gateway, of: main, by: Self.operators[0], at: StatusTests.at(0))
    #expect(throws: Self.forgotten) {
      try paths.take(mark, of: main, by: Self.operators[1], at: StatusTests.at(1))
    }
    #expect(throws: Self.forgotten) {
      try paths.take(mark, of: other, by: Self.operators[0], at: StatusTests.at(1))
    }
    #expect(throws: Self.forgotten) {
      try paths.take("0123", of: main, by: Self.operators[0], at: StatusTests.at(1))
    }
    // Who may not have it does not spoil it for who may.
    #expect(Self.isGateway(try paths.take(mark, of: main, by: Self.operators[0], at: StatusTests.at(599))))
    #expect(throws: Self.forgotten) {
      try paths.take(mark, of: main, by: Self.operators[0], at: StatusTests.at(599))
    }
    let late = paths.hold(.gateway, of: main, by: Self.operators[0], at: StatusTests.at(0))
    #expect(throws: Self.forgotten) {
      try paths.take(late, of: main, by: Self.operators[0], at: StatusTests.at(600))
    }
  }

  @Test("of more than are held the oldest is forgotten")
  func full() throws {
    let (paths, main) = (RehearsedPaths(), try Slug("acme-main"))
    let marks = (0...RehearsedPaths.heldMax).map { second in
      paths.hold(.gateway, of: main, by: Self.operators[0], at: StatusTests.at(second))
    }
    let now = StatusTests.at(RehearsedPaths.heldMax)
    #expect(throws: Self.forgotten) { try paths.take(marks[0], of: main, by: Self.operators[0], at: now) }
    for mark in marks.dropFirst() {
      #expect(Self.isGateway(try paths.take(mark, of: main, by: Self.operators[0], at: now)))
    }
  }
}
