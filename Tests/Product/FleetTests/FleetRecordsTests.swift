import Basics
import Foundation
import Link
import Store
import TestSupport
import Testing

@testable import Fleet

@Suite("The inventory in the database")
struct FleetRecordsTests {
  static let now = Timestamp(millisecondsSince1970: 1_700_000_000_123)

  @Test(
    "an Org, a Host and an Instance read back as they were saved, and change in place", arguments: TestEngine.available)
  func roundTrip(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let org = Org(
        id: .make(at: Self.now), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: Self.now)
      var host = Host(
        id: .make(at: Self.now), slug: try Slug("host-1"), state: .invited, createdAt: Self.now)
      var instance = Instance(
        id: .make(at: Self.now), slug: try Slug("acme-main"), org: org.id, host: host.id, runtime: .docker,
        image: "sha256:1", requestedPort: nil, state: .provisioning, createdAt: Self.now)
      try await store.write { [host, instance] tx in
        try FleetRecords.insert(org, in: tx)
        try FleetRecords.save(host, in: tx)
        try FleetRecords.save(instance, in: tx)
      }
      host.state = .active
      host.runtimes = [.init(kind: .docker, available: true, detail: "28.2")]
      host.connectedAt = Self.now
      instance.state = .active
      instance.port = 19_100
      instance.version = "2026.6.9"
      try await store.write { [host, instance] tx in
        try FleetRecords.save(host, in: tx)
        try FleetRecords.save(instance, in: tx)
      }
      try await store.read { [host, instance] (tx: Transaction) throws in
        #expect(try FleetRecords.org(org.slug, in: tx) == org)
        #expect(try FleetRecords.host(host.id, in: tx) == host)
        #expect(try FleetRecords.instance(instance.slug, in: tx) == instance)
        #expect(try FleetRecords.instances(on: host.id, in: tx) == [instance])
      }
      await store.close()
    }
  }

  @Test("a slug is taken once", arguments: TestEngine.available)
  func duplicate(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let make = { @Sendable () throws -> Org in
        Org(id: .make(at: Self.now), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: Self.now)
      }
      try await store.write { try FleetRecords.insert(make(), in: $0) }
      await #expect(throws: AWError(.conflict, "", next: "")) {
        try await store.write { try FleetRecords.insert(make(), in: $0) }
      }
      await store.close()
    }
  }

  @Test("pages follow each other without a gap or a repeat", arguments: TestEngine.available)
  func pages(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      try await store.write { tx in
        for number in 10..<35 {
          try FleetRecords.insert(
            Org(
              id: .make(at: Self.now), slug: try Slug("org-\(number)"), name: "Org", sort: .synthetic,
              createdAt: Self.now), in: tx)
        }
      }
      let slugs = try await store.read { tx in
        var slugs: [String] = []
        var cursor: String?
        while true {
          let page = try FleetRecords.orgs(after: cursor, limit: 10, in: tx)
          guard let last = page.last else { return slugs }
          slugs += page.map(\.slug.text)
          cursor = last.slug.text
        }
      }
      #expect(slugs == (10..<35).map { "org-\($0)" })
      await store.close()
    }
  }

  @Test("evidence of an Instance reads back, and goes with it", arguments: TestEngine.available)
  func evidence(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let id = InstanceID.make(at: Self.now)
      let evidence = StatusTests.evidence(StatusTests.walk(0, turn: true), StatusTests.walk(15, failing: .live))
      try await store.write { tx in
        #expect(try FleetRecords.evidence(of: id, in: tx) == StatusEvidence())
        try FleetRecords.save(evidence, of: id, at: Self.now, in: tx)
        try FleetRecords.save(evidence, of: id, at: Self.now, in: tx)
        #expect(try FleetRecords.evidence(of: id, in: tx) == evidence)
        try FleetRecords.deleteInstance(id, in: tx)
        #expect(try FleetRecords.evidence(of: id, in: tx) == StatusEvidence())
      }
      await store.close()
    }
  }
}
