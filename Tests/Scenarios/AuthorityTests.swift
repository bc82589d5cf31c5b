import Basics
import Client
import Fleet
import Foundation
import Testing
import Vault

@Suite("Another authority takes over, from the shell", .serialized, .timeLimit(.minutes(5)))
struct AuthorityTests {
  @Test("a control plane that is killed after each step goes on where it was; every Host comes along by itself")
  func kills() async throws {
    try await Deployed.with { deployed in
      let first = try await show(deployed)
      #expect(first.phase == .steady && first.hosts == 1 && first.authorities.count == 1)
      let rehearsal = try await rotate(deployed, ["--dry-run"])
      #expect(rehearsal.code == 0 && rehearsal.json?["steps"]?.arrayValue?.isEmpty == false)
      #expect(try await show(deployed) == first)
      #expect(try await authorities(deployed).count == 1)

      for phase in [AuthorityRotation.Phase.prepared, .dualTrust, .switched, .steady] {
        let taken = try await rotateInTime(deployed)
        #expect(taken.phase == phase)
        try await deployed.killControlPlane()
        try await deployed.startControlPlane()
        try await deployed.linked()
        #expect(try await show(deployed).phase == phase)
      }
      let last = try await show(deployed)
      #expect(last.authorities.count == 1 && last.authorities != first.authorities && last.waitsFor.isEmpty)
      let kept = try await authorities(deployed)
      #expect(kept == ["link/authority/\(last.authorities[0].fingerprint)"])
      let evidence = try await Programs.run(["evidence", "verify", deployed.controlData + "/evidence"])
      #expect(evidence.code == 0, "\(evidence)")
    }
  }

  @Test("a rotation is abandoned after either of its first steps: the key is gone, and the Host stays linked")
  func abandon() async throws {
    try await Deployed.with { deployed in
      let first = try await show(deployed)
      for steps in 1...2 {
        for _ in 0..<steps { _ = try await rotateInTime(deployed) }
        #expect(try await authorities(deployed).count == 2)
        let rehearsal = try await abandon(deployed, ["--dry-run"])
        #expect(rehearsal.code == 0, "\(rehearsal)")
        #expect(try await authorities(deployed).count == 2)
        let abandoned = try await abandon(deployed)
        #expect(abandoned.code == 0, "\(abandoned)")
        let view = try await show(deployed)
        #expect(view.phase == .steady && view.authorities == first.authorities && view.waitsFor.isEmpty)
        #expect(try await authorities(deployed).count == 1)
      }
      let refused = try await abandon(deployed)
      #expect(refused.code == 1 && refused.json?["error"]?["code"] == "request.conflict", "\(refused)")
      try await deployed.linked()
      #expect(try await rotateInTime(deployed).phase == .prepared)
    }
  }

  private func abandon(_ deployed: Deployed, _ arguments: [String] = []) async throws -> Programs.Answer {
    try await Programs.run(["ca", "abandon", "--json", "--context", deployed.context] + arguments)
  }

  @Test(
    "a Host that is away blocks by name; the rotation goes on without it only when told to; then it must enrol again")
  func laggard() async throws {
    try await Deployed.with { deployed in
      try await deployed.endConnector()
      for _ in 0..<2 { #expect(try await rotate(deployed).code == 0) }
      let refused = try await rotate(deployed)
      #expect(refused.code == 1 && refused.json?["error"]?["code"] == "authority.laggards", "\(refused)")
      #expect(refused.json?["error"]?["message"]?.stringValue?.contains("host-1") == true, "\(refused)")
      let waiting = try await show(deployed)
      #expect(waiting.phase == .dualTrust && waiting.waitsFor.map(\.host.text) == ["host-1"])
      #expect(waiting.waitsFor[0].why == .untrusting && !waiting.waitsFor[0].connected)
      #expect(try await rotate(deployed, ["--without", "host-9"]).code == 2)
      for arguments in [["--without", "host-1"], []] {
        let answer = try await rotate(deployed, arguments)
        #expect(answer.code == 0, "\(answer)")
      }
      #expect(try await show(deployed).phase == .steady)
      try await deployed.enrolAgain()
      try await deployed.linked()
      #expect(try await show(deployed).waitsFor.isEmpty)
    }
  }

  private func show(_ deployed: Deployed) async throws -> AuthorityView {
    try await deployed.client.send(.get, "/authority", as: AuthorityView.self)
  }

  private func rotate(_ deployed: Deployed, _ arguments: [String] = []) async throws -> Programs.Answer {
    try await Programs.run(["ca", "rotate", "--json", "--context", deployed.context] + arguments)
  }

  /// Takes the next step as soon as nobody is waited for.
  private func rotateInTime(_ deployed: Deployed) async throws -> AuthorityView {
    while try await !show(deployed).waitsFor.isEmpty { await Task.yield() }
    let answer = try await rotate(deployed)
    #expect(answer.code == 0, "\(answer)")
    return try JSONValue(parsing: answer.output).decode(AuthorityView.self)
  }

  private func authorities(_ deployed: Deployed) async throws -> [String] {
    let vault = try Vault.open(
      file: deployed.controlData + "/vault", key: .fromFile(deployed.controlData + "/vault.key"))
    return try await vault.references().map(\.text).filter { $0.hasPrefix("link/authority") }
  }
}
