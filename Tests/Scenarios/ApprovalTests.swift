import Access
import Basics
import Client
import Deployment
import Evidence
import Foundation
import Programme
import Store
import Testing

@Suite("Approvals, by the command line", .serialized, .timeLimit(.minutes(5)))
struct ApprovalScenarioTests {
  private static func aw(_ arguments: [String], as person: Gating, code: Int32 = 0) async throws -> Programs.Answer {
    let answer = try await Programs.run(arguments + ["--json", "--context", person.context])
    #expect(answer.code == code, "\(arguments): \(answer)")
    return answer
  }

  @Test("a Host is forgotten by two people, or by one in an emergency that another reviews")
  func story() async throws {
    try await Scene.with { scene in
      let ada = try await Gating(in: scene)
      let (eve, bot) = (try await Gating(in: scene, inviting: "eve"), try await Gating(in: scene, inviting: "ada-bot"))
      for host in ["old", "older"] { _ = try await scene.client.send(.post, "/hosts", body: ["slug": host]) }
      func aw(_ line: String, as person: Gating, code: Int32 = 0) async throws -> Programs.Answer {
        try await Self.aw(line.split(separator: " ").map(String.init), as: person, code: code)
      }
      _ = try await aw("approval rule set host.removed --dry-run", as: ada)
      #expect(try await aw("approval rule list", as: ada).json == [])
      #expect(try await aw("approval rule set org.created", as: ada, code: 2).json?["error"] != nil)
      _ = try await aw("approval rule set host.removed --minutes 30", as: ada)

      let asked = try await aw("host rm old", as: ada, code: 4)
      #expect(asked.json?["error"]?["code"] == "approval.required")
      let listed = try await ada.client.send(.get, "/approvals")
      let id = try #require(listed["items"]?.arrayValue?.first?["approval"]?["id"]?.stringValue)
      #expect(asked.json?["error"]?["next"]?.stringValue?.contains("--approval \(id)") == true)
      #expect(try await aw("approval approve \(id)", as: ada, code: 4).json?["error"]?["code"] == "approval.self-given")
      #expect(try await aw("approval approve \(id)", as: bot, code: 4).json?["error"]?["code"] == "approval.self-given")
      _ = try await aw("approval approve \(id) --dry-run", as: eve)
      #expect(try await aw("approval show \(id)", as: eve).json?["state"] == "pending")
      _ = try await aw("approval approve \(id) --note seen", as: eve)
      _ = try await aw("host rm old --approval \(id) --dry-run", as: ada)
      #expect(
        try await aw("host rm older --approval \(id)", as: ada, code: 4).json?["error"]?["code"] == "approval.stale")
      _ = try await aw("host rm old --approval \(id)", as: ada)
      #expect(try await aw("approval show \(id)", as: eve).json?["state"] == "used")
      #expect(try await aw("approval rule rm host.removed", as: ada, code: 4).json?["error"] != nil)

      _ = try await aw("emergency open --reason fire --minutes 10 --dry-run", as: eve)
      let opened = try await aw("emergency open --reason fire --minutes 10", as: eve)
      let emergency = try #require(opened.json?["id"]?.stringValue)
      let board = try await ada.client.send(.get, "/programme", as: ProgrammeBoard.self)
      #expect(board.tasks.map(\.id) == [emergency])
      _ = try await aw("host rm older", as: ada, code: 4)
      _ = try await aw("host rm older", as: eve)
      _ = try await aw("emergency review \(emergency) --note own", as: eve, code: 4)
      _ = try await aw("emergency review \(emergency) --note seen", as: ada)
      #expect(try await ada.client.send(.get, "/programme", as: ProgrammeBoard.self).tasks.isEmpty)
      let told = try await scene.control.store.read { tx in
        try tx.run("SELECT event FROM event WHERE type = ?", [.text("aw.emergency")]).count
      }
      #expect(told == 2)
      let kinds = try await ada.client.send(.get, "/evidence", query: [("limit", "200")])["items"]?.arrayValue ?? []
      let names = kinds.compactMap { $0["kind"]?.stringValue }
      for kind in ["approval.used", "approval.given", "emergency.opened", "emergency.used", "emergency.reviewed"] {
        #expect(names.contains(kind), "\(kind)")
      }
    }
  }

  @Test("in the browser: asked, approved by somebody else, asked again without an id; an emergency, and its review")
  func pages() async throws {
    try await Scene.with { scene in
      let ada = try await Gating(in: scene)
      let eve = try await Gating(in: scene, inviting: "eve")
      for host in ["old", "older"] { _ = try await scene.client.send(.post, "/hosts", body: ["slug": host]) }
      _ = try await Self.aw(["approval", "rule", "set", "host.removed"], as: ada)
      let url = scene.running.url
      try await Browser.with { browser in
        func remove(_ host: String) async throws {
          try await browser.open(url + "/hosts/\(host)")
          try await browser.run("document.querySelector('#remove').open = true")
          try await browser.type(host, into: "#remove input[name=confirm]")
          try await browser.click("#remove button[type=submit]")
        }
        try await OnboardingPagesTests.signIn(browser, scene, "ada")
        try await remove("old")
        try await browser.until("This needs the approval of second")
        try await browser.open(url + "/approvals")
        #expect(try await browser.text().contains("You asked for it, so somebody else has to approve it."))
        #expect(try await browser.run("return document.querySelector('[action$=\"/approve\"]')") == .null)
        try await browser.looks("approvals-asked")

        let listed = try await eve.client.send(.get, "/approvals")
        let id = try #require(listed["items"]?.arrayValue?.first?["approval"]?["id"]?.stringValue)
        try await OnboardingPagesTests.signIn(browser, scene, "eve")
        try await browser.open(url + "/approvals")
        let text = try await browser.text("#approval-\(id)")
        #expect(text.contains("host.removed") && text.contains("sha256:") && text.contains("waits for: second"))
        try await browser.looks("approvals-to-answer")
        try await browser.type("seen", into: "#approval-\(id) input[name=note]")
        try await browser.click("#approval-\(id) button[type=submit]")
        try await browser.until("whoever asked asks again")
        #expect(try await browser.text("#approval-\(id)").contains("approved it"))
        // What Eve asks for herself is another request: nobody uses what was approved for somebody else by chance.
        try await remove("old")
        try await browser.until("This needs the approval of second")
        try await browser.open(url + "/approvals")
        try await browser.run("document.querySelector('#emergency').open = true")
        try await browser.type("fire", into: "#emergency input[name=reason]")
        try await browser.click("#emergency button[type=submit]")
        try await browser.until("Emergency of eve: 0 acts done alone")
        _ = try await eve.client.send(.delete, "/hosts/older")
        try await browser.open(url + "/approvals")
        try await browser.until("Emergency of eve: 1 act done alone")
        #expect(try await browser.text().contains("Another owner reviews it."))
        try await browser.looks("approvals-emergency")

        try await OnboardingPagesTests.signIn(browser, scene, "ada")
        _ = try await ada.client.send(.delete, "/hosts/old")
        try await browser.open(url + "/approvals")
        try await browser.type("it was right", into: ".loud input[name=note]")
        try await browser.click(".loud button[type=submit]")
        try await browser.until("Emergencies that were reviewed")
        #expect(try await browser.text().contains("it was right"))
        #expect(try await browser.run("return document.querySelectorAll('s').length").intValue ?? 0 >= 1)
        try await browser.looks("approvals-over")
        // The browser tells of each refused act.
        #expect(try await browser.complaints().allSatisfy { $0.contains("/hosts/old/remove") })
      }
      let hosts = try await ada.client.send(.get, "/hosts")["items"]?.arrayValue ?? []
      let names = hosts.compactMap { $0["slug"]?.stringValue }
      #expect(!names.contains("old") && !names.contains("older"))
    }
  }
}
