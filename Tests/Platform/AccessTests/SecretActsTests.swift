import Basics
import Evidence
import Foundation
import Store
import TestSupport
import Testing
import Vault

@testable import Access

@Suite("Acts and secrets")
struct SecretActsTests {
  private static let secret = "0123456789abcdef-of-the-tests"

  @Test("an act that would be recorded with a secret is refused; that is recorded without it, and nothing else changed")
  func refused() async throws {
    try await AccessWorld.with { world in
      try await TestFolder.with { folder in
        let vault = try Vault.open(file: folder + "/vault", key: .fromFile(folder + "/key"))
        try await vault.put(Secret(Self.secret), at: SecretReference("instance/a/gateway-token"))
        let acts = Acts(
          store: world.store, evidence: EvidenceLog(watch: vault.watch), guardrails: [], clock: world.clock.wall,
          logger: TestStores.logger)
        let hidden = Data("x:\(Self.secret)".utf8).base64EncodedString()
        let act = Act(.tokenManage, kind: .tokenMade, details: ["name": .string("robot \(hidden)")])
        let owner = try await world.owner()
        let before = try await world.kinds().count
        let error = await #expect(throws: AWError.self) {
          try await acts.perform(act, as: .operator(owner.operator.id)) { tx, _ in
            try tx.run("DELETE FROM access_session")
          }
        }
        #expect(error?.code == .evidenceSecret && error?.code.exitCode == 4)
        let entries = try await world.entries()
        let refusal = try #require(entries.last)
        #expect(entries.count == before + 1 && refusal.kind == .actRefused)
        #expect(refusal.data["code"] == "evidence.secret-found" && refusal.data["by"] == "hygiene")
        #expect(refusal.data["reason"]?.stringValue?.contains("instance/a/gateway-token") == true)
        for entry in entries { #expect(!entry.data.canonical.contains(hidden)) }
        #expect(try await world.count("access_session") == 1)
      }
    }
  }

  @Test("a refusal for another reason that repeats a secret is recorded with the text withheld")
  func repeated() async throws {
    try await AccessWorld.with { world in
      try await TestFolder.with { folder in
        let vault = try Vault.open(file: folder + "/vault", key: .fromFile(folder + "/key"))
        try await vault.put(Secret(Self.secret), at: SecretReference("instance/a/gateway-token"))
        let rule: Guardrail = { _, _, _ in AWError(.forbidden, "There is no \(Self.secret) here.", next: "Ask.") }
        let acts = Acts(
          store: world.store, evidence: EvidenceLog(watch: vault.watch), guardrails: [rule], clock: world.clock.wall,
          logger: TestStores.logger)
        let owner = try await world.owner()
        await #expect(throws: AWError(.forbidden, "", next: "")) {
          try await acts.perform(Act(.tokenManage, kind: .tokenMade), as: .operator(owner.operator.id)) { _, _ in }
        }
        let entries = try await world.entries().suffix(2)
        #expect(entries.map(\.kind) == [.actRefused, .evidenceWithheld])
        #expect(entries.first?.data["reason"] == "[withheld: instance/a/gateway-token]")
      }
    }
  }
}
