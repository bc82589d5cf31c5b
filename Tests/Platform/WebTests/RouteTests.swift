import Access
import Basics
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Store
import Testing
import Web

@Suite("Requests", .timeLimit(.minutes(1)))
struct RouteTests {
  @Test("a token acts, and the act leaves evidence")
  func bearer() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let made = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: #"{"text":"one"}"#)
        #expect(made.status == .created)
        #expect(made.headers[.location] == "/api/v1/notes/1")
        #expect(try await scene.kinds().last == "note.made")
        let who = try await browser.send(.get, "/api/v1/session", headers: .json(token))
        #expect(who.json?["name"] == "robot")
        #expect(who.json?["role"] == "owner")
        #expect(who.json?["csrf"] == nil)
      }
    }
  }

  @Test("a viewer reads, but may not write, and the refusal is recorded")
  func viewer() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.viewer)
      try await scene.browse { browser in
        #expect(try await browser.send(.get, "/api/v1/notes", headers: .json(token)).status == .ok)
        let refused = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: #"{"text":"one"}"#)
        #expect(refused.status == .forbidden)
        #expect(refused.code == "access.forbidden")
        #expect(try await scene.kinds().last == "act.refused")
        #expect(try await scene.notes() == 0)
      }
    }
  }

  @Test("nobody gets in without or with a wrong credential", arguments: [nil, "Bearer aw_nonsense", "Basic YTpi"])
  func unauthenticated(header: String?) async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        var headers: HTTPFields = [:]
        headers[.authorization] = header
        for path in ["/api/v1/notes", "/metrics", "/live", "/api/v1/session"] {
          let response = try await browser.send(.get, path, headers: headers)
          #expect(response.status == .unauthorized)
          #expect(response.headers[.wwwAuthenticate] == "Bearer")
          #expect(response.code == "access.unauthenticated")
        }
      }
    }
  }

  @Test("a browser that writes must prove that it means it")
  func csrf() async throws {
    try await WebScene.with { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        _ = try await browser.form("/sign-in/link", ["code": code])
        #expect(try await browser.form("/notes", ["text": "one"]).status == .forbidden)
        #expect(try await browser.form("/notes", ["text": "one", "csrf": "wrong"]).status == .forbidden)
        #expect(try await scene.notes() == 0)
        let page = try await browser.get("/notes")
        let csrf = try #require(browser.hidden("csrf", on: page))
        #expect(try await browser.form("/notes", ["text": "one", "csrf": csrf]).status == .seeOther)
        var headers: HTTPFields = [.contentType: "application/json"]
        headers[try #require(HTTPField.Name("x-aw-csrf"))] = csrf
        let made = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"two"}"#)
        #expect(made.status == .created)
        #expect(try await scene.notes() == 2)
      }
    }
  }

  @Test("an error is a problem document, without its cause")
  func problem() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let broken = try await browser.send(.get, "/api/v1/broken", headers: .json(token))
        #expect(broken.status == .internalServerError)
        #expect(broken.headers[.contentType] == "application/problem+json")
        let problem = try #require(broken.json)
        #expect(problem["type"] == "urn:aw:error:internal.failure")
        #expect(problem["status"] == 500)
        #expect(
          Set(problem.objectValue?.keys.map { $0 } ?? []) == ["type", "title", "detail", "status", "code", "next"])
        #expect(!broken.text.contains("Broken"))
        let missing = try await browser.send(.get, "/api/v1/nothing", headers: .json(token))
        #expect(missing.status == .notFound)
        #expect(missing.code == "request.not-found")
      }
    }
  }

  @Test(
    "a body that is wrong is refused with what is wrong",
    arguments: [
      (#"{"text":"#, "not a JSON document"), (#"{}"#, #"\"text\" is missing"#), (#"{"text":1}"#, #"\"text\""#),
      ("", "no body"),
    ])
  func wrongBody(body: String, message: String) async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let response = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: body)
        #expect(response.status == .badRequest)
        #expect(response.text.contains(message), "\(response.text)")
      }
    }
  }

  @Test("a body that is too large is refused")
  func tooLarge() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let body = "{\"text\":\"\(String(repeating: "x", count: 1_000))\"}"
        let response = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: body)
        #expect(response.status == .contentTooLarge)
        #expect(response.code == "request.too-large")
        #expect(try await scene.notes() == 0)
      }
    }
  }

  @Test("a listing is given out in parts that fit together")
  func listing() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        for text in ["a", "b", "c"] {
          _ = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: "{\"text\":\"\(text)\"}")
        }
        let first = try await browser.send(.get, "/api/v1/notes?limit=2", headers: .json(token))
        #expect(first.json?["items"]?.arrayValue?.count == 2)
        let next = try #require(first.json?["next"]?.stringValue)
        let second = try await browser.send(.get, "/api/v1/notes?limit=2&cursor=\(next)", headers: .json(token))
        #expect(second.json?["items"]?[0]?["text"] == "c")
        #expect(second.json?["next"] == .null)
        for bad in ["limit=0", "limit=201", "limit=x", "cursor=%21"] {
          #expect(try await browser.send(.get, "/api/v1/notes?\(bad)", headers: .json(token)).status == .badRequest)
        }
      }
    }
  }

  @Test(
    "every answer carries the security headers and its request id", arguments: ["/sign-in", "/healthz", "/nothing"])
  func headers(path: String) async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        let headers = try await browser.get(path).headers
        let policy = headers[.contentSecurityPolicy] ?? ""
        #expect(policy.contains("default-src 'self'"))
        #expect(policy.contains("frame-ancestors 'none'"))
        #expect(!policy.contains("unsafe"))
        #expect(headers[text: "x-content-type-options"] == "nosniff")
        #expect(headers[text: "referrer-policy"] == "same-origin")
        #expect(headers[text: "x-request-id"]?.count == 16)
        #expect(headers[.cacheControl] == "no-store")
      }
    }
  }

  @Test("probes tell whether the process lives and whether it is ready")
  func probes() async throws {
    let parts = [
      ReadinessPart("store") {},
      ReadinessPart("evidence") { throw AWError(.evidenceBroken, "The secret detail.", next: "Mend it.") },
    ]
    try await WebScene.with(readiness: parts) { scene in
      try await scene.browse { browser in
        #expect(try await browser.send(.get, "/healthz").text == "ok\n")
        let ready = try await browser.send(.get, "/readyz")
        #expect(ready.status == .serviceUnavailable)
        #expect(ready.json?["ready"] == false)
        #expect(ready.json?["parts"]?[1]?["code"] == "evidence.broken")
        #expect(!ready.text.contains("secret detail"))
      }
    }
  }

  @Test("metrics count requests by the pattern of their route")
  func metrics() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.viewer)
      try await scene.browse { browser in
        _ = try await browser.send(.get, "/assets/1234/aw.css")
        let metrics = try await browser.send(.get, "/metrics", headers: .json(token))
        #expect(metrics.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
        let line = #"aw_http_requests_total{method="GET",route="/assets/{hash}/{name}",status="404"} 1"#
        #expect(metrics.text.contains(line), "\(metrics.text)")
      }
    }
  }
}

@Suite("Repeating requests", .timeLimit(.minutes(1)))
struct IdempotencyTests {
  @Test("the same key is carried out once and gets the same answer")
  func replay() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let headers = HTTPFields.json(token, key: "k1")
        let first = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"one"}"#)
        let second = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"one"}"#)
        #expect(first.status == .created)
        #expect(second.status == .created)
        #expect(first.text == second.text)
        #expect(second.headers[.location] == first.headers[.location])
        #expect(first.headers[text: "idempotency-replayed"] == nil)
        #expect(second.headers[text: "idempotency-replayed"] == "true")
        #expect(try await scene.notes() == 1)
      }
    }
  }

  @Test("the same key for another request is refused")
  func mismatch() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let headers = HTTPFields.json(token, key: "k1")
        _ = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"one"}"#)
        let other = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"two"}"#)
        #expect(other.code == "request.idempotency-mismatch")
        let elsewhere = try await browser.send(.post, "/api/v1/keys", headers: headers, body: #"{"text":"one"}"#)
        #expect(elsewhere.code == "request.idempotency-mismatch")
        #expect(try await scene.notes() == 1)
      }
    }
  }

  @Test("of many requests at once with one key, one is carried out")
  func concurrent() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
          for _ in 0..<8 {
            group.addTask {
              try await browser.send(
                .post, "/api/v1/notes", headers: .json(token, key: "k1"), body: #"{"text":"one"}"#
              ).status.code
            }
          }
          var statuses: [Int] = []
          for try await status in group { statuses.append(status) }
          return statuses
        }
        #expect(statuses.allSatisfy { $0 == 201 || $0 == 409 })
        #expect(statuses.contains(201))
        #expect(try await scene.notes() == 1)
      }
    }
  }

  @Test("a request that failed may be repeated with its key")
  func failed() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let headers = HTTPFields.json(token, key: "k1")
        for _ in 0..<2 {
          let response = try await browser.send(.post, "/api/v1/notes", headers: headers, body: "{}")
          #expect(response.status == .badRequest)
        }
      }
    }
  }

  @Test("an answer with a secret is neither kept nor shown again")
  func secret() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let headers = HTTPFields.json(token, key: "k1")
        #expect(try await browser.send(.post, "/api/v1/keys", headers: headers).text.contains("shown once"))
        let again = try await browser.send(.post, "/api/v1/keys", headers: headers)
        #expect(again.status == .conflict)
        #expect(!again.text.contains("shown once"))
        let kept = try await scene.store.read { tx in
          try tx.run("SELECT body FROM web_idempotency").map { try $0.blob("body") }
        }
        #expect(kept == [[]])
        #expect(try await scene.notes() == 1)
      }
    }
  }

  @Test("a key is forgotten after a day")
  func forgotten() async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      let owner = try await scene.access.operators(as: .system("test")).first
      let lasting = try await scene.access.makeToken(
        Slug("lasting"), role: .owner, lifetime: .seconds(864_000), as: .operator(try #require(owner).id))
      try await scene.browse { browser in
        #expect(!token.isEmpty)
        let headers = HTTPFields.json(lasting.secret.withText { $0 }, key: "k1")
        _ = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"one"}"#)
        scene.clock.advance(WebLimits.idempotencyKept + .seconds(1))
        _ = try await browser.send(.post, "/api/v1/notes", headers: headers, body: #"{"text":"one"}"#)
        #expect(try await scene.notes() == 2)
      }
    }
  }

  @Test("a key that cannot be one is refused", arguments: ["a b", String(repeating: "k", count: 256)])
  func malformed(key: String) async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let response = try await browser.send(
          .post, "/api/v1/notes", headers: .json(token, key: key), body: #"{"text":"one"}"#)
        #expect(response.code == "request.invalid")
      }
    }
  }
}
