import Basics
import Testing
import Web

@testable import Runbooks

@Suite("Runbooks on the console")
struct RunbookTextTests {
  @Test("headings, paragraphs and what stands in a line")
  func plain() {
    let text = RunbookText(
      """
      # A title with `code`

      One line, **loud** and *soft*,
      and [another page](instance-unknown.md).

      ## Look first
      3 * 4 * 5 is [not a link](javascript:alert(1)) and [neither](http://example.com) but [this](https://example.com).
      """)
    #expect(text.title == "A title with code")
    #expect(
      text.blocks == [
        .title([.text("A title with "), .code("code")]),
        .paragraph([
          .text("One line, "), .bold("loud"), .text(" and "), .italic("soft"), .text(", and "),
          .link("another page", to: "/runbooks/instance-unknown"), .text("."),
        ]), .heading([.text("Look first")]),
        .paragraph([
          .text("3 * 4 * 5 is [not a link](javascript:alert(1)) and [neither](http://example.com) but "),
          .link("this", to: "https://example.com"), .text("."),
        ]),
      ])
  }

  @Test("lists hold code, tables and further lists")
  func lists() {
    let text = RunbookText(
      """
      1. First:

             aw status NAME
             aw doctor

      2. Second

         | a | b |
         | --- | --- |
         | `x` | y |

         And more.

      - Other
        line
      - Last:

            code

      After.
      """)
    #expect(
      text.blocks == [
        .list(
          isNumbered: true,
          items: [
            [.paragraph([.text("First:")]), .code("aw status NAME\naw doctor")],
            [
              .paragraph([.text("Second")]),
              .table(head: [[.text("a")], [.text("b")]], rows: [[[.code("x")], [.text("y")]]]),
              .paragraph([.text("And more.")]),
            ],
          ]),
        .list(
          isNumbered: false,
          items: [[.paragraph([.text("Other line")])], [.paragraph([.text("Last:")]), .code("code")]]),
        .paragraph([.text("After.")]),
      ])
  }

  @Test(
    "whatever is written, reading it ends",
    arguments: ["", "\n\n", "|", "| |\n|", "- ", "1. \n\n\n- \n", "    ", "#", "**a", "`", "[a](", "-\n1.\n"])
  func odd(_ text: String) { _ = RunbookText(text) }

  @Test("anything at all can be read")
  func random() {
    var state: UInt64 = 9
    let alphabet = Array("ab 1.-|#*`[]()\n\n    ")
    for _ in 0..<5_000 {
      var text = ""
      for _ in 0..<Int(state % 60) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text.append(alphabet[Int((state >> 33) % UInt64(alphabet.count))])
      }
      state = state &* 6_364_136_223_846_793_005 &+ 1
      _ = RunbookText(text)
    }
  }

  @Test("every page is shown, with nothing of its Markdown left over and nothing of others as markup")
  func pages() throws {
    let routes = try RunbookRoutes.load()
    let library = try PageLibrary(assets: try AssetFiles.load(), rooms: [try RunbookRoutes.pages()])
    let now = Timestamp(millisecondsSince1970: 0)
    #expect(routes.names.count >= 15)
    #expect(routes.names.contains("instance-unreachable") && !routes.names.contains("README"))
    let pages = try [routes.listPage] + routes.names.map { try routes.page($0) }
    for page in pages {
      let html = try library.render(page, for: nil, path: "/runbooks", at: now)
      let start = try #require(html.firstRange(of: "<article")).lowerBound
      let body = html[start..<(try #require(html.firstRange(of: "</article>")).upperBound)]
      for left in ["**", "](", "| ", "## ", "{{", ".md\""] { #expect(!body.contains(left), "\(page.title): \(left)") }
      for tag in ["ul", "ol", "li", "p", "table", "td", "pre", "code", "h2"] {
        #expect(
          body.ranges(of: "<\(tag)>").count == body.ranges(of: "</\(tag)>").count, "\(page.title): \(tag)")
      }
    }
    let one = try library.render(try routes.page("instance-unreachable"), for: nil, path: "/", at: now)
    #expect(one.contains("<pre>aw status NAME</pre>"))
    #expect(one.contains(#"<a href="/runbooks/host-connection-lost">host-connection-lost</a>"#))
    let evil = RunbookRoutes(["x": "# <b>T</b>\n\n<script>alert(1)</script> [a](https://x\"onclick=y)\n"])
    let shown = try library.render(try evil.page("x"), for: nil, path: "/", at: now)
    #expect(!shown.contains("<script>alert") && !shown.contains("<b>T") && !shown.contains("x\"onclick"))
  }

  @Test("a page that there is not is told as that")
  func missing() throws {
    let routes = try RunbookRoutes.load()
    #expect(throws: AWError(.notFound, "", next: "")) { try routes.page("../../etc/passwd") }
    #expect(throws: AWError(.notFound, "", next: "")) { try routes.page("README") }
  }
}
