import Basics
import Events
import Evidence
import Foundation
import Link
import OpenClaw
import Store
import TestSupport
import Testing
import Vault

@testable import Credentials
@testable import Fleet

@Suite("Instances that ask for their secrets")
struct ResolutionTests {
  private struct Place {
    let instance: Instance
    let host: HostID
  }

  /// An Instance of `acme` on a Host.
  private func place(_ world: CredentialWorld) async throws -> Place {
    let at = CredentialWorld.now
    let org = try await world.store.read { try FleetRecords.org(Slug("acme"), in: $0) }
    let host = Host(id: .make(at: at), slug: try Slug("host-1"), state: .active, createdAt: at)
    let instance = Instance(
      id: .make(at: at), slug: try Slug("acme-main"), org: try #require(org).id, host: host.id, runtime: .process,
      image: nil, requestedPort: nil, state: .active, createdAt: at)
    try await world.store.write { tx in
      try FleetRecords.save(host, in: tx)
      try FleetRecords.save(instance, in: tx)
    }
    return Place(instance: instance, host: host.id)
  }

  private func texts(_ answer: SecretAnswer) -> [String: String] {
    answer.values.values.mapValues { $0.withText { $0 } }
  }

  @Test("its own Org's are read, with who read them; all else is absent, and another Org's is told of")
  func resolves() async throws {
    try await CredentialWorld.with { world in
      let place = try await place(world)
      try await world.set(.openAI, "one")
      try await world.set(.openAI, "two")
      try await world.set(.slack, "other", org: "globex")
      let own = "orgs/acme/models.providers.openai.apiKey#v2"
      let absent = ["orgs/acme/models.providers.openai.apiKey#v1", "orgs/acme/channels.slack.botToken#v1", "x"]
      let foreign = ["orgs/globex/channels.slack.botToken#v1", "orgs/nobody/channels.slack.botToken#v1"]
      let question = SecretQuestion(number: 7, instance: place.instance.id, ids: [own] + absent + foreign)
      let answer = await world.service.answer(question, from: place.host)
      #expect(answer.number == 7 && Set(answer.absent) == Set(absent + foreign))
      #expect(texts(answer) == [own: try FixtureValue.make(.openAI, name: "two")])
      let credential = try await world.service.standing(.openAI, org: Slug("acme")).credential
      #expect(credential.lastResolved?.by == "instance/acme-main")

      let told = try #require(try await world.entries().last)
      #expect(told.kind == .credentialCrossOrgAsked && told.data["count"] == 2)
      #expect(told.data["ids"] == .array(foreign.sorted().map { .string($0) }))
      _ = await world.service.answer(question, from: place.host)
      let events = try await world.store.read { try EventOutbox.after(0, limit: 10, in: $0).map(\.event) }
      #expect(events.map(\.type) == [.credentialCrossOrgAsked])
      #expect(events.first?.org == place.instance.org.text)
    }
  }

  @Test("a Host that does not have the Instance is told nothing of it")
  func otherHost() async throws {
    try await CredentialWorld.with { world in
      let place = try await place(world)
      try await world.set()
      let id = "orgs/acme/models.providers.openai.apiKey#v1"
      let question = SecretQuestion(number: 1, instance: place.instance.id, ids: [id])
      let answer = await world.service.answer(question, from: .make(at: CredentialWorld.now))
      #expect(answer.values.values.isEmpty && answer.absent == [id])
    }
  }

  @Test("what a vault cannot say now is left out, and what it does not have is absent")
  func vaults() async throws {
    try await CredentialWorld.with { world in
      let place = try await place(world)
      let credential = try await world.set()
      let id = credential.reference.ref.id
      let question = SecretQuestion(number: 1, instance: place.instance.id, ids: [id])
      try await world.sealed.delete(SecretReference(credential.place.key))
      #expect(await world.service.answer(question, from: place.host).absent == [id])
    }
  }

  @Test("a value that needs a gate is there while one is open")
  func gated() async throws {
    try await CredentialWorld.with { world in
      let place = try await place(world)
      try await world.open()
      let value = "sk-proj-" + String(repeating: "k", count: 48)
      let credential = try await world.setGated(value)
      let id = credential.reference.ref.id
      let question = SecretQuestion(number: 1, instance: place.instance.id, ids: [id])
      #expect(texts(await world.service.answer(question, from: place.host)) == [id: value])
      world.time.advance(.seconds(3_601))
      let after = await world.service.answer(question, from: place.host)
      #expect(after.values.values.isEmpty && after.absent == [id])
    }
  }

  @Test("the token of its own Gateway is told to an Instance, and nothing else of its own or of another one's")
  func gatewayToken() async throws {
    try await CredentialWorld.with { world in
      let (place, at) = (try await place(world), CredentialWorld.now)
      func other(_ slug: String, of name: String) async throws -> Instance {
        let org = try #require(try await world.store.read { try FleetRecords.org(Slug(name), in: $0) })
        let instance = Instance(
          id: .make(at: at), slug: try Slug(slug), org: org.id, host: place.host, runtime: .process, image: nil,
          requestedPort: nil, state: .active, createdAt: at)
        try await world.store.write { try FleetRecords.save(instance, in: $0) }
        return instance
      }
      let (sibling, stranger) = (try await other("acme-two", of: "acme"), try await other("globex-main", of: "globex"))
      var ids: [String] = []
      for instance in [place.instance, sibling, stranger] {
        let secrets = InstanceSecrets(instance.id)
        for id in [secrets.gatewayToken, secrets.deviceSeed] {
          try await world.sealed.put(Secret("value of " + id), at: SecretReference(id))
          ids.append(id)
        }
      }
      let answer = await world.service.answer(
        SecretQuestion(number: 1, instance: place.instance.id, ids: ids), from: place.host)
      #expect(texts(answer) == [ids[0]: "value of " + ids[0]])
      #expect(Set(answer.absent) == Set(ids.dropFirst()))
      // Of its own Org's other Instance nobody is told: they are one trust boundary.
      let told = try #require(try await world.entries().last)
      #expect(
        told.kind == .credentialCrossOrgAsked && told.data["ids"] == .array(ids.suffix(2).sorted().map { .string($0) }))
    }
  }

  @Test("configurations name keys of every class while they can be resolved, each at its own vendor")
  func collected() async throws {
    let vendors = FixtureVendors(url: try #require(URL(string: "http://127.0.0.1:1/vendors")))
    try await CredentialWorld.with(vendors: vendors) { world in
      let place = try await place(world)
      try await world.open()
      _ = try await world.setGated("sk-proj-" + String(repeating: "k", count: 48))
      try await world.set(.anthropic, "one")
      try await world.set(.slack, "one")
      func collected() async throws -> [String: CollectedSecret] {
        let all = try await world.store.read { try world.service.collected(of: place.instance.org, in: $0) }
        return Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })
      }
      let open = try await collected()
      let real = try #require(open["models.providers.openai.apiKey"])
      #expect(real.completions?.absoluteString == "https://api.openai.com/v1" && !real.isFixture)
      let fixture = try #require(open["models.providers.anthropic.apiKey"])
      #expect(fixture.completions?.absoluteString == "http://127.0.0.1:1/vendors/anthropic/v1" && fixture.isFixture)
      #expect(open["channels.slack.botToken"]?.hindrance?.contains("fixture") == true)
      world.time.advance(.seconds(3_601))
      let closed = try #require(try await collected()["models.providers.openai.apiKey"])
      #expect(closed.completions == nil && closed.hindrance?.contains("gate") == true)
    }
  }
}
