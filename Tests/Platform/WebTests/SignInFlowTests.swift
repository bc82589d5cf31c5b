import Access
import Basics
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing
import Web

@Suite("Signing in over HTTP", .timeLimit(.minutes(1)))
struct SignInFlowTests {
  @Test("the first owner comes in by a link, sets a password, signs out, and signs in with it")
  func wholeFlow() async throws {
    try await WebScene.with { scene in
      let link = try await scene.access.signInLink(for: Slug("anna"), reason: "setup")
      let code = link.secret.withText { $0 }
      try await scene.browse { browser in
        let opened = try await browser.form("/sign-in/link", ["code": code])
        #expect(opened.status == .seeOther)
        #expect(opened.headers[.location] == "/account/password")

        let page = try await browser.get("/account/password")
        let csrf = try #require(browser.hidden("csrf", on: page))
        let password = WebScene.password.withText { $0 }
        let set = try await browser.form(
          "/account/password", ["csrf": csrf, "password": password, "repeat": password])
        #expect(set.status == .seeOther)

        let out = try await browser.form("/sign-out", ["csrf": csrf])
        #expect(out.headers[.location] == "/sign-in")
        #expect(browser.cookie == nil)
        #expect(try await browser.get("/notes").headers[.location] == "/sign-in?next=/notes")

        let wrong = try await browser.form("/sign-in", ["name": "anna", "password": "not the password"])
        #expect(wrong.status == .unauthorized)
        #expect(wrong.text.contains("The name or the password is wrong."))
        #expect(browser.cookie == nil)

        let back = try await browser.form("/sign-in", ["name": "anna", "password": password, "next": "/notes"])
        #expect(back.status == .seeOther)
        #expect(back.headers[.location] == "/notes")
        #expect(try await browser.get("/notes").text.contains("anna"))
      }
    }
  }

  @Test("looking at the page of a link does not use it up, and a link works once")
  func linkOnce() async throws {
    try await WebScene.with { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        #expect(try await browser.get("/sign-in/link").status == .ok)
        #expect(try await browser.send(.head, "/sign-in/link").status == .ok)
        #expect(try await browser.form("/sign-in/link", ["code": code]).status == .seeOther)
        let again = try await Browser(client: browser.client).form("/sign-in/link", ["code": code])
        #expect(again.status == .gone)
        #expect(again.text.contains("used already"))
      }
    }
  }

  @Test("an invited operator sets a password with the link, and is signed in")
  func invitation() async throws {
    try await WebScene.with { scene in
      let owner = try await scene.owner()
      let link = try await scene.access.invite(Slug("bert"), role: .viewer, as: .operator(owner.operator.id))
      let code = link.secret.withText { $0 }
      try await scene.browse { browser in
        let page = try await browser.form("/sign-in/link", ["code": code])
        #expect(page.status == .ok)
        #expect(browser.hidden("code", on: page) == code)
        let weak = try await browser.form("/sign-in/password", ["code": code, "password": "short", "repeat": "short"])
        #expect(weak.status == .badRequest)
        let twice = try await browser.form(
          "/sign-in/password", ["code": code, "password": "long enough for it", "repeat": "another one here"])
        #expect(twice.text.contains("not the same"))
        let password = WebScene.password.withText { $0 }
        let set = try await browser.form(
          "/sign-in/password", ["code": code, "password": password, "repeat": password])
        #expect(set.status == .seeOther)
        #expect(try await browser.get("/notes").text.contains("viewer"))
      }
    }
  }

  @Test("the cookie is locked down", arguments: [true, false])
  func cookie(usesHTTPS: Bool) async throws {
    try await WebScene.with(usesHTTPS: usesHTTPS) { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        let cookie = try #require(try await browser.form("/sign-in/link", ["code": code]).headers[.setCookie])
        #expect(cookie.hasPrefix(usesHTTPS ? "__Host-aw=" : "aw="))
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] { #expect(cookie.contains(part)) }
        #expect(cookie.contains("Secure") == usesHTTPS)
        #expect(!cookie.contains("Domain"))
      }
    }
  }

  @Test(
    "nobody is sent to another site after signing in", arguments: ["//evil.example", "https://evil.example", "/\\x"])
  func openRedirect(next: String) async throws {
    try await WebScene.with { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        let page = try await browser.get("/sign-in?next=\(next)")
        #expect(browser.hidden("next", on: page) == "/notes")
        _ = try await browser.form("/sign-in/link", ["code": code])
        let signedIn = try await browser.get("/sign-in?next=\(next)")
        #expect(signedIn.headers[.location] == "/notes")
      }
    }
  }

  @Test("too many attempts are sent away with the time to wait")
  func tooMany() async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        var last: TestResponse?
        for _ in 0...AccessLimits.standard.attemptsByName.burst {
          last = try await browser.form("/sign-in", ["name": "anna", "password": "guess"])
        }
        #expect(last?.status == .tooManyRequests)
        #expect(last?.text.contains("seconds") == true)
      }
    }
  }

  @Test("a form that another site sends off is refused, even where nobody is signed in")
  func crossSite() async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        for headers: HTTPFields in [[.origin: "https://evil.example"], [.secFetchSite: "cross-site"]] {
          var headers = headers
          headers[.contentType] = "application/x-www-form-urlencoded"
          let response = try await browser.send(.post, "/sign-in", headers: headers, body: "name=a&password=b")
          #expect(response.status == .forbidden)
          #expect(response.code == "access.csrf")
        }
        let own = try await browser.send(
          .post, "/sign-in",
          headers: [.origin: "http://localhost", .contentType: "application/x-www-form-urlencoded"],
          body: "name=a&password=b")
        #expect(own.status == .unauthorized)
      }
    }
  }

  @Test("a session that was idle for too long leads back to the sign-in page")
  func idle() async throws {
    try await WebScene.with { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        _ = try await browser.form("/sign-in/link", ["code": code])
        #expect(try await browser.get("/notes").status == .ok)
        scene.clock.advance(AccessLimits.standard.sessionIdle)
        #expect(try await browser.get("/notes").status == .seeOther)
        #expect(try await browser.send(.get, "/api/v1/session").status == .unauthorized)
        #expect(try await browser.get("/sign-in").status == .ok)
      }
    }
  }
}

extension HTTPField.Name {
  fileprivate static var secFetchSite: HTTPField.Name { HTTPField.Name("sec-fetch-site") ?? .via }
}
