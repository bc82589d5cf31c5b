import Access
import Basics
import Evidence
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import Store
import Synchronization
import TestSupport
import Web

/// A clock that tests move.
final class TestClock: Sendable {
  private let time = Mutex(Timestamp(millisecondsSince1970: 1_795_000_000_000))

  var wall: WallClock { WallClock { self.time.withLock { $0 } } }
  func advance(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }
}

/// The server over a real database, with a small room of its own: notes.
struct WebScene: Sendable {
  static let password = Secret("four words that differ")

  let store: Store
  let clock: TestClock
  let evidence: EvidenceLog
  let acts: Acts
  let access: AccessService
  let feed: LiveFeed
  let server: WebServer

  static let migrations =
    EvidenceLog.migrations + AccessRecords.migrations + WebRecords.migrations
    + [Migration("notes", ["CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)"])]

  static func with(
    usesHTTPS: Bool = false, readiness: [ReadinessPart] = [],
    _ body: @escaping @Sendable (WebScene) async throws -> Void
  ) async throws {
    try await TestStores.with(.sqlite, migrations: migrations) { store in
      let (clock, evidence, feed) = (TestClock(), EvidenceLog(), LiveFeed())
      let acts = Acts(
        store: store, evidence: evidence, guardrails: [], clock: clock.wall, logger: TestStores.logger)
      let access = AccessService(
        store: store, acts: acts, csrfKey: Secret("csrf key of the tests, 32 bytes."), clock: clock.wall,
        logger: TestStores.logger, hasher: PasswordHasher(cost: ScryptCost(ln: 10)))
      let notes = NotesRoom(store: store, acts: acts)
      let server = try WebServer(
        configuration: WebConfiguration(usesHTTPS: usesHTTPS, homePath: "/notes"), store: store, access: access,
        acts: acts, feed: feed, metrics: PrometheusRegistry(), readiness: readiness, routes: notes.routes,
        rooms: [notes.pages], assets: try AssetFiles.load(), clock: clock.wall, logger: TestStores.logger)
      try await body(
        WebScene(
          store: store, clock: clock, evidence: evidence, acts: acts, access: access, feed: feed, server: server))
    }
  }

  /// Runs `body` with a browser that talks to the router.
  func browse(_ body: @escaping @Sendable (Browser) async throws -> Void) async throws {
    try await server.application(address: .hostname("127.0.0.1", port: 0)).test(.router) { client in
      try await body(Browser(client: client))
    }
  }

  func owner() async throws -> NewSession {
    let link = try await access.signInLink(for: Slug("anna"), reason: "setup")
    return try await access.signIn(link: link.secret, client: "test")
  }

  /// A token of a fresh operator with this role.
  func token(_ role: OperatorRole) async throws -> String {
    let owner = try await owner()
    let token = try await access.makeToken(
      Slug("robot"), role: role, lifetime: .seconds(3_600), as: .operator(owner.operator.id))
    return token.secret.withText { $0 }
  }

  func kinds() async throws -> [String] {
    let evidence = evidence
    return try await store.read { tx in
      let size = try evidence.head(in: tx).size
      return try (0..<size).compactMap { try evidence.record(at: $0, in: tx)?.entry.kind.id }
    }
  }

  func notes() async throws -> Int64 {
    try await store.read { tx in try tx.run("SELECT COUNT(*) AS n FROM note").first?.integer("n") ?? 0 }
  }
}

/// What a browser keeps between requests.
struct Browser: Sendable {
  private struct Jar {
    var cookie: String?
  }

  let client: any TestClientProtocol
  private let jar = SharedJar()

  private final class SharedJar: Sendable {
    let value = Mutex(Jar())
  }

  init(client: any TestClientProtocol) { self.client = client }

  var cookie: String? { jar.value.withLock { $0.cookie } }

  func send(
    _ method: HTTPRequest.Method, _ uri: String, headers: HTTPFields = [:], body: String? = nil
  ) async throws -> TestResponse {
    var headers = headers
    if let cookie { headers[.cookie] = cookie }
    let response = try await client.execute(
      uri: uri, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) })
    if let set = response.headers[.setCookie], let pair = set.split(separator: ";").first {
      jar.value.withLock { $0.cookie = pair.hasSuffix("=") ? nil : String(pair) }
    }
    return response
  }

  func get(_ uri: String) async throws -> TestResponse { try await send(.get, uri, headers: [.accept: "text/html"]) }

  func form(_ uri: String, _ fields: [String: String]) async throws -> TestResponse {
    let body = fields.map { "\($0)=\(Browser.encode($1))" }.joined(separator: "&")
    return try await send(
      .post, uri, headers: [.contentType: "application/x-www-form-urlencoded", .accept: "text/html"], body: body)
  }

  /// The text of the first hidden field with this name on a page.
  func hidden(_ name: String, on response: TestResponse) -> String? {
    response.text.firstMatch(of: try? Regex("name=\"\(name)\" value=\"([^\"]+)\"", as: (Substring, Substring).self))
  }

  private static func encode(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
  }
}

extension String {
  fileprivate func firstMatch(of regex: Regex<(Substring, Substring)>?) -> String? {
    guard let regex, let match = try? regex.firstMatch(in: self) else { return nil }
    return String(match.output.1)
  }
}

extension TestResponse {
  var text: String { String(buffer: body) }
  var json: JSONValue? { try? JSONValue(parsing: text) }
  var code: String? { json?["code"]?.stringValue }
}

extension HTTPFields {
  static func json(_ token: String, key: String? = nil) -> HTTPFields {
    var fields: HTTPFields = [.authorization: "Bearer \(token)", .contentType: "application/json"]
    if let key, let name = HTTPField.Name("idempotency-key") { fields[name] = key }
    return fields
  }

  subscript(text name: String) -> String? { HTTPField.Name(name).flatMap { self[$0] } }
}

/// A room of the tests.
struct NotesRoom: Sendable {
  struct Note: Codable, Sendable {
    let text: String
  }

  struct Broken: Error {}

  static let made = EvidenceKind("note.made")

  let store: Store
  let acts: Acts

  static let schema = JSONSchema.object(["text": JSONSchema.text])

  var routes: [Route] {
    [
      .read("/api/v1/notes", "Notes.", schema: .listing(of: NotesRoom.schema)) { try await list($0) },
      .act(
        .post, "/api/v1/notes", "Makes a note.", .orgCreate, NotesRoom.made,
        schema: RouteSchema(request: NotesRoom.schema, response: NotesRoom.schema, status: 201), bodyBytesMax: 1_000
      ) { request in
        let note = try request.decode(Note.self)
        try await make(note, as: try request.actor)
        return try .created(note, at: "/api/v1/notes/1")
      },
      .act(
        .post, "/api/v1/keys", "Makes a key that is shown once.", .orgCreate, NotesRoom.made,
        schema: RouteSchema(response: JSONSchema.any)
      ) { request in
        try await make(Note(text: "key"), as: try request.actor)
        var response = WebResponse.json(["secret": "shown once"])
        response.holdsSecret = true
        return response
      },
      .read("/api/v1/broken", "Fails.", schema: RouteSchema(response: JSONSchema.any)) { _ in throw Broken() },
      .page("/notes", "The notes.") { _ in
        .page(Page("Notes", template: "notes/list", values: try await values(), live: "notes"))
      },
      .form("/notes", "Makes a note.", .orgCreate, NotesRoom.made) { request in
        try await make(Note(text: try request.form().text("text")), as: try request.actor)
        return .redirect(to: "/notes")
      },
    ]
  }

  var pages: RoomPages {
    RoomPages(
      navigation: [.init("Notes", path: "/notes", key: "n")],
      templates: [
        "notes/list": """
        <form method="post" action="/notes">{{> csrf}}<input name="text"></form>
        {{#notes}}<p data-text="{{text}}">{{text}} {{> status}} {{> age}}</p>{{/notes}}{{^notes}}none{{/notes}}
        """
      ])
  }

  private func make(_ note: Note, as actor: Actor) async throws {
    try await acts.perform(Act(.orgCreate, kind: NotesRoom.made), as: actor) { tx, context in
      try tx.run("INSERT INTO note (id, text) VALUES (?, ?)", [.text(context.id.text), .text(note.text)])
    }
  }

  private func list(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let rows = try await store.read { tx in
      try tx.run(
        "SELECT text FROM note WHERE text > ? ORDER BY text LIMIT ?",
        [.text(wanted.after?.keys.first ?? ""), .integer(wanted.readLimit)]
      ).map { Note(text: try $0.text("text")) }
    }
    return try .listing(Listing(rows, for: wanted) { [$0.text] })
  }

  private func values() async throws -> JSONValue {
    let texts = try await store.read { tx in
      try tx.run("SELECT text FROM note ORDER BY id").map { try $0.text("text") }
    }
    return [
      "notes": .array(texts.map { ["text": .string($0), "status": "current", "at": "2026-11-24T05:14:33.120Z"] })
    ]
  }
}
