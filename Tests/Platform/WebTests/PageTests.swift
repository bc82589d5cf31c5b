import Access
import Basics
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Synchronization
import Testing
import TestSupport
import Web

@Suite("Pages", .timeLimit(.minutes(1)))
struct PageTests {
  static let at = Timestamp(millisecondsSince1970: 1_795_000_000_000)

  static func library(_ templates: [String: String]) throws -> PageLibrary {
    try PageLibrary(assets: try AssetFiles.load(), rooms: [RoomPages(templates: templates)])
  }

  @Test("every template of this room compiles and renders inside the layout")
  func compiles() throws {
    let library = try Self.library([:])
    #expect(
      library.names == [
        "access", "account-password", "approvals", "error", "evidence", "evidence-entry", "evidence-org",
        "first-password", "link", "sign-in",
      ])
    for name in library.names {
      let html = try library.render(Page("Title of it", template: name), for: nil, path: "/", at: Self.at)
      #expect(html.contains("<title>Title of it · AW</title>"))
      #expect(html.contains("</main>"))
      #expect(!html.contains("{{"))
    }
  }

  @Test(
    "text is escaped wherever it stands", arguments: ["<script>alert(1)</script>", "\" onclick=\"x", "{{aw.csrf}}"])
  func escaped(text: String) async throws {
    try await WebScene.with { scene in
      let token = try await scene.token(.owner)
      try await scene.browse { browser in
        let body = JSONValue.object(["text": .string(text)]).canonical
        _ = try await browser.send(.post, "/api/v1/notes", headers: .json(token), body: body)
        let page = try await browser.send(.get, "/notes", headers: .json(token))
        #expect(page.status == .ok)
        #expect(!page.text.contains("<script>alert"))
        #expect(!page.text.contains("\" onclick=\""))
        if text.hasPrefix("{{") { #expect(page.text.contains("{{aw.csrf}}")) }
      }
    }
  }

  @Test(
    "a template that could do harm is refused at start",
    arguments: [
      ("{{{x}}}", "without escaping"), ("{{& x}}", "without escaping"), ("<script>x()</script>", "script or style"),
      ("<p style=\"x\">", "script or style"), ("<p onclick=\"x()\">", "script or style"),
      ("{{> nothing}}", "which is not there"), ("{{#a}}", "does not compile"),
    ])
  func refused(template: String, reason: String) {
    do {
      _ = try Self.library(["room/page": template])
      Issue.record("\(template) was taken")
    } catch {
      #expect("\(error)".contains(reason), "\(error)")
    }
  }

  @Test("a drawing stands as it is, escapes what it shows, and no value of a page can pass for one")
  func drawing() throws {
    let library = try Self.library(["p": "{{{drawing.plot}}}"])
    var drawing = Drawing(try Slug("plot"), width: 10, height: 5, title: "<b>\"&", description: "d")
    drawing.text("<script>x()</script>", x: 1.25, y: -2, class: "plot-soft")
    let html = try library.render(
      Page("P", template: "p", drawings: ["plot": drawing]), for: nil, path: "/", at: Self.at)
    #expect(html.contains("<title id=\"plot-title\">&lt;b&gt;&quot;&amp;</title>"))
    #expect(html.contains("x=\"1.3\" y=\"-2\"") && html.contains("&lt;script&gt;x()"))
    let forged = try library.render(
      Page("P", template: "p", values: ["drawing": ["plot": "<b>forged</b>"]]), for: nil, path: "/", at: Self.at)
    #expect(!forged.contains("forged"))
  }

  @Test("two rooms cannot have a template of one name")
  func names() {
    #expect(throws: AWError.self) { try Self.library(["layout": "x"]) }
  }

  @Test("the partials of the chrome show a status by word, an age, a button to copy and a name to type")
  func partials() throws {
    let library = try Self.library(["p": "{{> status}}{{> age}}{{> copy}}{{> confirm}}{{> csrf}}"])
    let page = Page(
      "P", template: "p",
      values: ["status": "stale", "at": "2026-11-24T05:14:33.120Z", "text": "abc", "confirm": "acme"])
    let caller = Caller(
      actor: .system("test"), name: "anna", role: .owner,
      credential: .session(SessionID.make(at: Self.at), csrf: "token-of-the-form"))
    let html = try library.render(page, for: caller, path: "/", at: Self.at)
    #expect(html.contains(#"<span class="status status-stale">stale</span>"#))
    #expect(html.contains(#"<time datetime="2026-11-24T05:14:33.120Z" data-age>"#))
    #expect(html.contains(#"data-copy="abc""#))
    #expect(html.contains(#"data-confirm="acme""#))
    #expect(html.contains(#"name="csrf" value="token-of-the-form""#))
  }

  @Test("the page says who is signed in, where one is, and what it listens to")
  func chrome() async throws {
    try await WebScene.with { scene in
      let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
      try await scene.browse { browser in
        #expect(!(try await browser.get("/sign-in").text.contains("data-live")))
        _ = try await browser.form("/sign-in/link", ["code": code])
        let html = try await browser.get("/notes").text
        #expect(html.contains("anna <small>owner</small>"))
        #expect(html.contains(#"<a href="/notes" aria-current="page" data-key="n" title="g n">Notes</a>"#))
        #expect(html.contains(#"<div id="page" data-live="notes">"#))
        #expect(html.contains("<a class=\"skip\" href=\"#content\">"))
      }
    }
  }

  @Test("assets have their hash in the address and may be kept for ever; others are not there")
  func assets() async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        let html = try await browser.get("/sign-in").text
        for match in html.matches(of: /"(\/assets\/[0-9a-f]{16}\/[a-z.]+)"/) {
          let response = try await browser.send(.get, String(match.output.1))
          #expect(response.status == .ok)
          #expect(response.headers[.cacheControl]?.contains("immutable") == true)
        }
        #expect(html.matches(of: /\/assets\//).count >= 3)
        #expect(try await browser.send(.get, "/assets/0000000000000000/aw.css").status == .notFound)
        #expect(try await browser.send(.get, "/assets/x/..%2Ftemplates%2Flayout.mustache").status == .notFound)
      }
    }
  }

  @Test("people get an error as a page with the same words, programs as a problem document")
  func errors() async throws {
    try await WebScene.with { scene in
      try await scene.browse { browser in
        let page = try await browser.get("/nothing")
        #expect(page.status == .notFound)
        #expect(page.headers[.contentType] == "text/html; charset=utf-8")
        #expect(page.text.contains("There is nothing at this address."))
        #expect(page.text.contains("request.not-found"))
        #expect(!page.text.contains("Sign out"))
        let code = try await scene.access.signInLink(for: Slug("anna"), reason: "setup").secret.withText { $0 }
        _ = try await browser.form("/sign-in/link", ["code": code])
        let refused = try await browser.form("/notes", ["text": "x"])
        #expect(refused.status == .forbidden)
        #expect(refused.text.contains("Sign out"))
        let document = try await browser.send(.get, "/nothing")
        #expect(document.headers[.contentType] == "application/problem+json")
        let api = try await browser.get("/api/v1/nothing")
        #expect(api.headers[.contentType] == "application/problem+json")
      }
    }
  }

  @Test("the program says what is missing when its files are not there")
  func missing() async throws {
    try await TestFolder.with { folder in
      #expect(throws: AWError(.internalFailure, "", next: "")) { try AssetFiles.load(from: folder) }
    }
  }
}

/// WCAG 2.2, success criterion 1.4.3: text has a contrast of 4.5 or more against what it stands on.
@Suite("Colours")
struct ColourTests {
  static let foregrounds = [
    "text", "soft", "accent", "danger", "current", "stale", "unreachable", "degraded", "unknown",
  ]

  @Test("every colour of text can be read on every ground, light and dark", arguments: [0, 1])
  func contrast(scheme: Int) async throws {
    let css = try await Self.css()
    let blocks = css.matches(of: /:root \{([^}]*)\}/).map { String($0.output.1) }
    try #require(blocks.count == 2)
    let colours = Self.colours(blocks[scheme])
    for ground in ["ground", "surface"] {
      for text in Self.foregrounds {
        let ratio = Self.ratio(try #require(colours[text]), try #require(colours[ground]))
        #expect(ratio >= 4.5, "--\(text) on --\(ground) has \(ratio)")
      }
    }
    #expect(Self.ratio(try #require(colours["on-accent"]), try #require(colours["accent"])) >= 4.5)
  }

  @Test("a status is a shape as well as a colour")
  func shapes() async throws {
    let css = try await Self.css()
    let shapes = ["current", "stale", "unreachable", "degraded", "unknown"].compactMap { status in
      css.split(separator: "\n").first { $0.hasPrefix(".status-\(status)::before") }?.split(separator: "\"").dropFirst()
        .first
    }
    #expect(Set(shapes).count == 5)
  }

  private static func css() async throws -> String {
    let text = Mutex("")
    try await WebScene.with { scene in
      try await scene.browse { browser in
        let html = try await browser.get("/sign-in").text
        let path = try #require(html.firstMatch(of: /\/assets\/[0-9a-f]{16}\/aw\.css/)).output
        let css = try await browser.send(.get, String(path)).text
        text.withLock { $0 = css }
      }
    }
    return text.withLock { $0 }
  }

  private static func colours(_ block: String) -> [String: [Double]] {
    var colours: [String: [Double]] = [:]
    for match in block.matches(of: /--([a-z-]+): #([0-9a-f]{3,6});/) {
      var digits = String(match.output.2)
      if digits.count == 3 { digits = digits.map { "\($0)\($0)" }.joined() }
      colours[String(match.output.1)] = (Hex.decode(digits) ?? []).map { Double($0) / 255 }
    }
    return colours
  }

  private static func luminance(_ colour: [Double]) -> Double {
    let linear = colour.map { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
    return zip(linear, [0.2126, 0.7152, 0.0722]).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private static func ratio(_ left: [Double], _ right: [Double]) -> Double {
    let (a, b) = (luminance(left), luminance(right))
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
  }
}
