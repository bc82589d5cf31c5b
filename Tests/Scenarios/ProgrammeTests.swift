import Basics
import Client
import Evidence
import Fleet
import Foundation
import Programme
import Testing

@Suite("The programme, by the command line", .serialized, .timeLimit(.minutes(5)))
struct ProgrammeScenarioTests {
  @Test("the story of the page that contradicted itself is played, and the board says one thing")
  func story() async throws {
    try await Scene.with { scene in
      let programme = try await Programming(in: scene)
      let (zero, one) = ("build-sequence-0", "build-sequence-1")
      let fresh = try await programme.board()
      #expect(fresh.sequences.map(\.state) == Array(repeating: .draft, count: 6))
      #expect(fresh.next?.kind == .propose && fresh.contradictions.isEmpty)

      // Fresh Provisioning is approved.
      try await programme.decide(.independentReview, zero, by: "eve")
      try await programme.decide(.commit, zero, by: "ada")
      try await programme.decide(.userApproval, zero, by: "una")
      // Stable Control Path And Fleet Watchdog is worked on, and then amended.
      try await programme.aw(["programme", "propose", one, "--dry-run"] + programme.socket)
      #expect(try await programme.board().sequences[1].state == .draft)
      try await programme.aw(["programme", "propose", one] + programme.socket)
      #expect(try await programme.board().sequences[1].state == .inReview)
      // Nobody approves what was not reviewed, and nobody reviews in another's role.
      try await programme.decide(.userApproval, one, by: "una", code: 4)
      try await programme.decide(.independentReview, one, by: "una", code: 4)
      try await programme.decide(.independentReview, one, by: "eve")
      try await programme.decide(.commit, one, by: "ada")
      let former = try await programme.decide(.userApproval, one, by: "una")
      let unknown = try await programme.aw(["programme", "begin", one, "--json"] + programme.socket, code: 4)
      #expect(unknown.json?["error"]?["code"] == "programme.author-unknown")
      try await programme.aw(["programme", "begin", one] + programme.ada)
      let again = try await programme.aw(["programme", "begin", one, "--json"] + programme.ada, code: 4)
      #expect(again.json?["error"]?["code"] == "programme.decision-used")
      for number in 0..<9 {
        try await programme.aw(
          ["programme", "checkpoint", one, "--title", "step \(number)", "--claim", "step \(number) is done"]
            + programme.ada)
      }
      try await amend(one, programme)
      try await programme.decide(.independentReview, one, by: "eve")
      try await programme.decide(.commit, one, by: "ada")
      try await programme.aw(
        [
          "programme", "checkpoint", one, "--title", "Docker engine install", "--milestone",
          "docker-engine=Docker engine 29 answers on its socket", "--evidence", former,
        ] + programme.ada)

      let board = try await programme.board()
      #expect(
        board.header
          == "Independent review passed; waiting for renewed user approval; Docker engine installed; "
          + "container runtime not started")
      #expect(board.sequences.map(\.state) == [.approved, .active, .draft, .draft, .draft, .draft])
      #expect(board.next?.people.map(\.text) == ["una"] && board.runtimeWork?.isAllowed == false)
      #expect(board.sequences[1].checkpoints.map(\.number) == Array(0...9) && board.sequences[1].gaps.isEmpty)
      #expect(board.contradictions.isEmpty, "\(board.contradictions)")
      // The approval of the former packet is void, handed in again or not.
      let stale = try await programme.aw(
        ["programme", "decide", "submit", former, "--json"] + programme.socket, code: 1)
      #expect(["programme.packet-stale", "request.conflict"].contains(stale.json?["error"]?["code"]?.stringValue))
      let shown = try await programme.aw(["programme", "show", one] + programme.socket)
      #expect(shown.output.contains("~~user-approval PASSED by una") && shown.output.contains("checkpoint-009"))
      #expect(shown.output.contains("the packet was amended"))
      try await guarded(scene, programme)
    }
  }

  /// Amends by the file, as a person does.
  private func amend(_ sequence: String, _ programme: Programming) async throws {
    let file = programme.file("packet.json")
    try await programme.aw(["programme", "packet", "show", sequence, "--out", file] + programme.socket)
    let text = try String(contentsOfFile: file, encoding: .utf8)
    let packet = try JSONValue.decode(Packet.self, from: text)
    let amended = text.replacing("\"Hosts of one region\"", with: "\"Hosts of one region, with a Docker engine\"")
    #expect(amended != text)
    try amended.write(toFile: file, atomically: true, encoding: .utf8)
    let reason = ["--reason", "the review asked for a container runtime"]
    let plan = try await programme.aw(
      ["programme", "amend", sequence, file, "--dry-run"] + reason + programme.ada)
    #expect(plan.output.contains("with a Docker engine") && plan.output.contains("Nothing was changed"))
    try await programme.aw(["programme", "amend", sequence, file] + reason + programme.ada)
    let answer = try await programme.aw(["programme", "packet", "show", sequence, "--json"] + programme.socket)
    let view = try JSONValue.decode(PacketsView.self, from: answer.output)
    #expect(view.former.map(\.digest) == [packet.digest] && view.packet.authors.map(\.account) == ["ada", "aw"])
  }

  /// What the packets close is refused with the packet, the line and the gates.
  private func guarded(_ scene: Scene, _ programme: Programming) async throws {
    let digest = try await programme.board().sequences[1].packet.digest
    do {
      _ = try await scene.client.send(.post, "/orgs", body: ["slug": "real-one", "sort": "real"])
      Issue.record("a real Org was made")
    } catch let error as AWError {
      #expect(error.code == .orgNotSynthetic)
      #expect(error.message.contains("No real customer systems") && error.message.contains("sha256:"))
      #expect(error.next.contains("independent-review, then commit, then user-approval"))
      #expect(error.message.contains(digest.short) || error.message.contains("build-sequence-1"))
    }
    _ = try await scene.client.send(.post, "/orgs", body: ["slug": "made-up"])
  }

  @Test("proofs look at the live system, and what is not built says so")
  func proofs() async throws {
    try await Scene.with { scene in
      let programme = try await Programming(in: scene)
      try await scene.createOrg()
      try await scene.provision()
      try await scene.until { $0.status.status == .current }
      let plan = try await programme.aw(["prove", "build-sequence-0", "--dry-run"] + programme.socket)
      #expect(plan.output.contains("instance-provisioned"))
      let none = try await programme.aw(["prove", "build-sequence-3", "--json"] + programme.socket, code: 1)
      #expect(none.json?["error"]?["code"] == "programme.not-built")
      // As a process it is no proof of a container, and that is what is recorded.
      let subject = ["--org", "acme", "--instance", "acme-main", "--json"] + programme.socket
      let answer = try await programme.aw(["prove", "build-sequence-0"] + subject, code: 1)
      let report = try JSONValue.decode(ProofReport.self, from: answer.output)
      #expect(report.claims.map(\.holds) == [true, false] && report.checkpoint == 0)
      let one = try JSONValue.decode(
        ProofReport.self, from: try await programme.aw(["prove", "build-sequence-1"] + subject, code: 1).output)
      let held = one.claims.filter(\.holds).compactMap(\.proof)
      #expect(["reverse-connector", "gateway-websocket", "status-current", "status-events"].allSatisfy(held.contains))
      #expect(!held.contains("loss-classified"))
      let onboarding: JSONValue = [
        "contact": ["name": "Ada", "email": "ada@example.com"], "instance": ["slug": "later", "runtime": "process"],
        "surfaces": ["models.providers.openai.apiKey"],
      ]
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: onboarding)
      let two = try JSONValue.decode(
        ProofReport.self, from: try await programme.aw(["prove", "build-sequence-2"] + subject, code: 1).output)
      #expect(two.claims.map(\.holds) == [true, true, false, false, false, true] && two.unbuilt.isEmpty)
      #expect(two.claims[3].text.contains("has ended, and a plan shows nothing; it is: gate, collect, "))
      try await scene.setCredential()
      let set = try JSONValue.decode(
        ProofReport.self, from: try await programme.aw(["prove", "build-sequence-2"] + subject, code: 1).output)
      #expect(set.claims.map(\.holds) == [true, true, true, false, false, true], "\(set.claims.map(\.text))")
      let board = try await programme.board()
      let checkpoint = try #require(board.sequences[0].checkpoints.first)
      #expect(checkpoint.claims.allSatisfy { $0.basis == .machineChecked })
      // Each reference is an entry of the log, with its hash.
      for reference in checkpoint.evidence {
        let entry = try await scene.client.send(.get, "/\(reference.uri)")
        #expect(entry["hash"]?.stringValue == reference.digest.hex)
      }
      #expect(!checkpoint.evidence.isEmpty && board.contradictions.isEmpty)
    }
  }
}
