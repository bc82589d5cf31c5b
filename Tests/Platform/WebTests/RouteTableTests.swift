import Access
import Basics
import Evidence
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import Web

@Suite("The table of routes", .timeLimit(.minutes(1)))
struct RouteTableTests {
  static let plain: Route.Handler = { _ in .noContent }
  static let schema = RouteSchema(response: JSONSchema.any)

  @Test("every route of the server is complete")
  func complete() async throws {
    try await WebScene.with { scene in
      #expect(RouteTable.problems(in: scene.server.table.routes) == [])
      for route in scene.server.table.routes where route.effect.isWriter {
        guard case .writes = route.effect else {
          Issue.record("\(route.path) changes something and leaves no evidence")
          continue
        }
      }
    }
  }

  @Test(
    "what is wrong with a route is found",
    arguments: [
      (
        Route(
          .get, "/api/v1/x", "X.", allowed: .permission(.read), effect: .writes(NotesRoom.made),
          audience: .api(schema), handler: plain), "method that does not fit"
      ),
      (
        Route(
          .post, "/api/v1/x", "X.", allowed: .anyone(because: "Fun."), effect: .writes(NotesRoom.made),
          audience: .api(schema), handler: plain), "without a permission"
      ),
      (
        Route(
          .post, "/api/v1/x", "X.", allowed: .permission(.orgCreate), effect: .writesUnrecorded(because: ""),
          audience: .api(schema), handler: plain), "leaves no evidence"
      ),
      (
        Route(
          .get, "/api/v1/x", "X.", allowed: .permission(.read), effect: .reads,
          audience: .api(RouteSchema(response: nil)), handler: plain), "does not describe its answer"
      ),
      (
        Route(.get, "/x", "X.", allowed: .anyone(because: ""), effect: .reads, audience: .plain, handler: plain),
        "does not say why"
      ),
      (
        Route(
          .get, "/x", "X.", allowed: .permission(.read), effect: .reads, audience: .api(schema), handler: plain),
        "not where its audience looks"
      ),
      (
        Route(.get, "/x//y", "X.", allowed: .permission(.read), effect: .reads, audience: .page, handler: plain),
        "path that is not one"
      ),
      (
        Route(.get, "/x", "", allowed: .permission(.read), effect: .reads, audience: .page, handler: plain),
        "has no summary"
      ),
    ])
  func problems(route: Route, problem: String) {
    let problems = RouteTable.problems(in: [route])
    #expect(problems.count == 1)
    #expect(problems.first?.contains(problem) == true, "\(problems)")
  }

  @Test("two routes for one address are found, whatever their parameters are called")
  func twice() {
    let routes = ["/a/{x}", "/a/{y}"].map { Route.page($0, "A.", handler: Self.plain) }
    #expect(RouteTable.problems(in: routes) == ["GET /a/{y} is there twice"])
  }

  @Test("the OpenAPI document lists every route of the API, and is structurally valid")
  func openAPI() async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        let response = try await browser.send(.get, "/api/v1/openapi.json")
        let document = try #require(response.json)
        #expect(document["openapi"] == "3.1.0")
        var listed: Set<String> = []
        var ids: Set<String> = []
        for (path, item) in document["paths"]?.objectValue ?? [:] {
          for (method, operation) in item.objectValue ?? [:] {
            listed.insert("\(method.uppercased()) \(path)")
            let isNew = ids.insert(operation["operationId"]?.stringValue ?? "").inserted
            #expect(isNew)
            Self.check(operation, path)
          }
        }
        #expect(listed == Set(scene.server.table.api.map { "\($0.method.rawValue) \($0.path)" }))
        #expect(document["components"]?["schemas"]?["Problem"] != nil)
        let make = document["paths"]?["/api/v1/notes"]?["post"]
        #expect(make?["x-aw-evidence"] == "note.made")
        #expect(make?["x-aw-permission"] == "org.create")
      }
    }
  }

  private static func check(_ operation: JSONValue, _ path: String) {
    #expect(operation["summary"]?.stringValue?.isEmpty == false)
    #expect(operation["responses"]?["default"]?["content"]?["application/problem+json"] != nil)
    let successes = operation["responses"]?.objectValue?.keys.filter { $0.hasPrefix("2") } ?? []
    // What can be rehearsed has the answer to a rehearsal beside its own.
    let canRehearse = operation["parameters"]?.arrayValue?.contains { $0["name"] == "dryRun" } == true
    #expect(successes.count == (canRehearse ? 2 : 1))
    #expect(operation["security"]?.arrayValue != nil)
    let parameters = operation["parameters"]?.arrayValue ?? []
    let inPath = parameters.filter { $0["in"] == "path" }.compactMap { $0["name"]?.stringValue }
    #expect(inPath == path.matches(of: /\{([^}]+)\}/).map { String($0.output.1) })
    for parameter in parameters { #expect(parameter["schema"]?.objectValue != nil) }
  }
}

@Suite("Cursors, forms and paths")
struct SmallPartsTests {
  @Test("a cursor comes back as it was given out", arguments: [["a"], ["x", "2026-11-24"], ["ü\"\\"]])
  func cursor(keys: [String]) {
    #expect(Cursor(Cursor(keys: keys).text)?.keys == keys)
  }

  @Test("what is no cursor is none", arguments: ["", "!", "e30", "W10", "WzFd", String(repeating: "a", count: 2_000)])
  func noCursor(text: String) { #expect(Cursor(text) == nil) }

  @Test("a listing knows whether there is more", arguments: [(0, false), (2, false), (3, true)])
  func listing(count: Int, hasMore: Bool) {
    let read = (0..<count).map(String.init)
    let listing = Listing(read, for: ListingRequest(limit: 2, after: nil)) { [$0] }
    #expect(listing.items.count == min(count, 2))
    #expect((listing.next != nil) == hasMore)
    if hasMore { #expect(listing.next?.keys == ["1"]) }
  }

  @Test(
    "the fields of a form are read as browsers write them",
    arguments: [
      ("a=1&b=2", "a", "1"), ("a=x+y%20z", "a", "x y z"), ("a=%C3%BC", "a", "ü"), ("a=1&a=2", "a", "1"),
      ("a=b=c", "a", "b=c"), ("a=%zz", "a", "%zz"), ("a", "a", ""),
    ])
  func form(text: String, name: String, value: String) {
    #expect(FormFields(parsing: Array(text.utf8)).optional(name) == value)
  }

  @Test(
    "what is destroyed has to be named exactly",
    arguments: [("confirm=acme", true), ("confirm=acm", false), ("", false)])
  func confirmed(text: String, isRight: Bool) {
    let form = FormFields(parsing: Array(text.utf8))
    if isRight {
      #expect(throws: Never.self) { try form.confirmed("acme") }
    } else {
      #expect(throws: AWError(.confirmationMissing, "", next: "")) { try form.confirmed("acme") }
    }
  }
}
