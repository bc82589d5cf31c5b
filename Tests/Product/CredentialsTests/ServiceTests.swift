import Access
import Basics
import Evidence
import Fleet
import Foundation
import OpenClaw
import Store
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Credentials

@Suite("Setting and removing credentials")
struct CredentialsServiceTests {
  private func fails(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await CredentialVaultTests.fails(code, body)
  }

  @Test("what is set is recorded without its value, and the value lies in the vault", arguments: TestEngine.available)
  func whole(engine: TestEngine) async throws {
    try await CredentialWorld.with(engine) { world in
      let made = try await world.set()
      #expect(made.version == 1 && made.reference.kind == .fixture && made.place.isOwn)
      #expect(made.reference.ref.description == "exec:aw:orgs/acme/models.providers.openai.apiKey#v1")
      let read = try await world.service.standing(.openAI, org: try Slug("acme")).credential
      #expect(read == made)
      #expect(try await world.kept() == [made.place.key])
      let value = try await world.sealed.get(try SecretReference(made.place.key))
      #expect(value.equals(Secret(try FixtureValue.make(.openAI, name: "one"))))
      let entry = try #require(try await world.entries().last)
      #expect(entry.kind == .credentialSet && entry.data["fingerprint"]?.stringValue == made.fingerprint)
      #expect(entry.org == made.org.text && entry.subject?.id == "acme/models.providers.openai.apiKey")
    }
  }

  @Test("another value is another version at another place, and the one before is gone from the vault")
  func replaced() async throws {
    try await CredentialWorld.with { world in
      let (first, second) = (try await world.set(), try await world.set(.openAI, "two"))
      #expect(second.version == 2 && second.place.key != first.place.key && second.fingerprint != first.fingerprint)
      #expect(try await world.kept() == [second.place.key])
      // The same value in another Org has the same fingerprint.
      #expect(try await world.set(.openAI, "two", org: "globex").fingerprint == second.fingerprint)
    }
  }

  @Test("versions go on after a removal, so that a reference never means another value")
  func removed() async throws {
    try await CredentialWorld.with { world in
      let acme = try Slug("acme")
      try await world.set()
      _ = try await world.service.remove(.openAI, org: acme, as: CredentialWorld.actor)
      #expect(try await world.kept() == [])
      #expect(try await world.service.standings(org: acme) == [])
      await fails(.credentialUnknown) { _ = try await world.service.standing(.openAI, org: acme) }
      await fails(.credentialUnknown) {
        _ = try await world.service.remove(.openAI, org: acme, as: CredentialWorld.actor)
      }
      #expect(try await world.set().version == 2)
      #expect(try await world.entries().map(\.kind.id) == ["credential.set", "credential.removed", "credential.set"])
    }
  }

  @Test("a rehearsal keeps nothing, neither in the database nor in the vault")
  func rehearsed() async throws {
    try await CredentialWorld.with { world in
      let rehearsed = try await world.set(dryRun: true)
      #expect(rehearsed.version == 1)
      #expect(try await world.kept() == [])
      #expect(try await world.service.standings(org: try Slug("acme")) == [])
      #expect(try await world.entries().isEmpty)
    }
  }

  @Test("who replaces another version than he saw is told what is there, and nothing is kept of his value")
  func conflict() async throws {
    try await CredentialWorld.with { world in
      let first = try await world.set(replacing: 0)
      await fails(.conflict) { try await world.set(.openAI, "two", replacing: 0) }
      await fails(.conflict) { try await world.set(.openAI, "two", replacing: 7) }
      #expect(try await world.kept() == [first.place.key])
      #expect(try await world.set(.openAI, "two", replacing: 1).version == 2)
    }
  }

  @Test(
    "classes that need a gate are refused whatever the value is, and that is recorded",
    arguments: ["real", "controlled-non-production"])
  func gated(name: String) async throws {
    try await CredentialWorld.with { world in
      for value in ["sk-proj-\(IntakeTests.tail)", try FixtureValue.make(.openAI, name: "one")] {
        await fails(.credentialClassRefused) {
          _ = try await world.service.set(
            .init(surface: CredentialSurface.openAI.rawValue, class: name), value: Secret(value),
            org: try Slug("acme"), as: CredentialWorld.actor)
        }
      }
      #expect(try await world.kept() == [])
      let entries = try await world.entries()
      #expect(entries.map(\.kind.id) == ["act.refused", "act.refused"])
      #expect(entries.allSatisfy { $0.data["code"] == "guardrail.credential-class" && $0.data["by"] == "guardrail" })
    }
  }

  @Test("what is malformed is refused by name")
  func refused() async throws {
    try await CredentialWorld.with { world in
      func set(_ request: CredentialsService.SetRequest, _ value: String?, org: String = "acme") async throws {
        _ = try await world.service.set(
          request, value: value.map { Secret($0) }, org: try Slug(org), as: CredentialWorld.actor)
      }
      let surface = CredentialSurface.openAI.rawValue
      let value = try FixtureValue.make(.openAI, name: "one")
      await fails(.surfaceUnknown) { try await set(.init(surface: "models.nobody"), value) }
      await fails(.usage) { try await set(.init(surface: surface, class: "pretend"), value) }
      await fails(.orgUnknown) { try await set(.init(surface: surface), value, org: "nobody") }
      await fails(.usage) { try await set(.init(surface: surface), nil) }
      await fails(.usage) { try await set(.init(surface: surface, key: "A"), value) }
      await fails(.vaultUnknown) { try await set(.init(surface: surface, vault: "bao"), value) }
      await fails(.vaultUnknown) { try await set(.init(surface: surface, vault: "bao", key: "A"), nil) }
      await fails(.credentialKey) { try await set(.init(surface: surface, key: "web/csrf-key"), nil) }
      await fails(.credentialNotFixture) { try await set(.init(surface: surface), "sk-proj-\(IntakeTests.tail)") }
      await fails(.credentialShape) { try await set(.init(surface: surface), "hunter2") }
      #expect(try await world.kept() == [])
      // A stranger is refused before any vault is asked.
      await fails(.forbidden) {
        _ = try await world.service.set(
          .init(surface: surface), value: Secret(value), org: try Slug("acme"),
          as: .operator(OperatorID.make(at: CredentialWorld.now)))
      }
    }
  }

  @Test("what a vault holds already stays there, and is read once to know what it is")
  func adopted() async throws {
    let value = try FixtureValue.make(.openAI, name: "one")
    let settings = VaultSettings(writes: nil, vaults: ["vars": .env(allowlist: ["OPENAI", "BAD", "GONE"])])
    try await CredentialWorld.with(settings: settings, environment: ["OPENAI": value, "BAD": "hunter2"]) { world in
      let (acme, surface) = (try Slug("acme"), CredentialSurface.openAI.rawValue)
      func adopt(_ key: String) async throws -> Credential {
        try await world.service.set(
          .init(surface: surface, vault: "vars", key: key), value: nil, org: acme, as: CredentialWorld.actor)
      }
      let credential = try await adopt("OPENAI")
      #expect(!credential.place.isOwn && credential.lastResolved?.by == "intake")
      #expect(try await world.kept() == [])
      await fails(.vaultMissing) { _ = try await adopt("GONE") }
      await fails(.credentialShape) { _ = try await adopt("BAD") }
      await fails(.vaultUnknown) {
        _ = try await world.service.set(
          .init(surface: surface, vault: "vars"), value: Secret(value), org: acme, as: CredentialWorld.actor)
      }
      _ = try await world.service.remove(.openAI, org: acme, as: CredentialWorld.actor)
    }
  }

  @Test("values go to the KV engine when that is what the control plane writes to, and leave it with their record")
  func remote() async throws {
    try await TestFolder.with { folder in
      try await KVServer.with { server in
        _ = try KVVaultTests.vault(server, folder)
        let kv = try KVSettings(
          name: "bao", address: "http://127.0.0.1:\(server.port)", mount: "secret", prefix: "aw", namespace: nil,
          roleID: "aw-role", secretIDFile: folder + "/secret-id", caFile: nil)
        try await CredentialWorld.with(settings: .init(writes: "bao", vaults: ["bao": .kv(kv)])) { world in
          try await world.set()
          let second = try await world.set(.openAI, "two")
          #expect(second.place.vault == "bao")
          #expect(server.state.withLock { $0.entries.keys.map { $0 + "#value" } } == [second.place.key])
          _ = try await world.service.remove(.openAI, org: try Slug("acme"), as: CredentialWorld.actor)
          #expect(server.state.withLock { $0.entries.isEmpty })
          server.state.withLock { $0.isSealed = true }
          await fails(.vaultUnreachable) { try await world.set() }
          #expect(try await world.service.standings(org: try Slug("acme")) == [])
          #expect(try await world.kept() == [])
        }
      }
    }
  }

  @Test("a value that a crash left without a record is forgotten at the next start; AW's own secrets stay")
  func orphans() async throws {
    try await CredentialWorld.with { world in
      let kept = try await world.set()
      try await world.sealed.put(Secret("x"), at: try SecretReference("credential/acme/models/v9-00"))
      try await world.sealed.put(Secret("x"), at: try SecretReference("web/csrf-key"))
      try await world.service.forgetOrphanedValues()
      #expect(try await world.kept() == [kept.place.key, "web/csrf-key"])
    }
  }
}
