import Access
import Basics
import Events
import Evidence
import Fleet
import Foundation
import Store
import Synchronization
import Synthetic
import TestSupport
import Testing
import Vault
import Work

@testable import Credentials

/// A clock that tests move.
final class TestTime: Sendable {
  private let time = Mutex(CredentialWorld.now)
  var now: Timestamp { time.withLock { $0 } }
  func advance(_ by: Duration) { time.withLock { $0 = $0.advanced(by: by) } }
  var clock: WallClock { WallClock { self.now } }
}

/// The service over a real database and a real sealed file, with the Orgs `acme` and `globex`, and the person `ada`.
struct CredentialWorld: Sendable {
  let store: Store
  let sealed: Vault
  let evidence = EvidenceLog()
  let time = TestTime()
  let service: CredentialsService
  /// A person, who may ask for gates.
  let ada = Actor.operator(.make(at: Self.now))

  static let actor = Actor.system("test")
  static let now = Timestamp(millisecondsSince1970: 1_795_000_000_000)

  /// Whom the deployment trusts to open gates, besides `ada`, who asks for them.
  static let (eve, adaKey) = (try? ApproverKey.make(name: "eve"), try? ApproverKey.make(name: "ada"))
  static var trust: GateTrust {
    GateTrust(deployment: "here", approvers: [eve, adaKey].compactMap { $0?.verifierKey })
  }

  static func with(
    _ engine: TestEngine = .sqlite, settings: VaultSettings = .none, environment: [String: String] = [:],
    vendors: FixtureVendors? = nil, endpoints: VendorEndpoints = .published, trust: GateTrust = trust,
    _ body: (CredentialWorld) async throws -> Void
  ) async throws {
    let migrations =
      EvidenceLog.migrations + AccessRecords.migrations + EventOutbox.migrations + WorkRecords.migrations
      + FleetRecords.migrations + CredentialsRecords.migrations
    try await TestFolder.with { folder in
      try await TestStores.with(engine, migrations: migrations) { store in
        let sealed = try Vault.open(file: folder + "/vault", key: .fromFile(folder + "/vault.key"))
        let world = try CredentialWorld(
          store: store, sealed: sealed, settings: settings, environment: environment, vendors: vendors,
          endpoints: endpoints, trust: trust)
        for slug in ["acme", "globex"] {
          try await store.write { tx in
            try tx.run(
              "INSERT INTO org (id, slug, name, sort, created_at) VALUES (?, ?, ?, 'synthetic', 0)",
              [.id(OrgID.make(at: Self.now)), .text(slug), .text(slug)])
          }
        }
        guard case .operator(let id) = world.ada else { return }
        try await store.write { tx in
          try tx.run(
            """
            INSERT INTO access_operator (id, name, role, state, created_at) VALUES (?, 'ada', 'owner', 'active', 0)
            """, [.id(id)])
        }
        try await body(world)
      }
    }
  }

  /// With simulated vendors at both doors: fixtures at one, and at the other what the desk admits.
  static func withVendors(
    _ body: @escaping @Sendable (CredentialWorld, VendorDesk) async throws -> Void
  ) async throws {
    let server = try await FixtureModelServer.open(
      host: "127.0.0.1", port: 0, key: Secret("k"), clock: WallClock { now }, logger: TestStores.logger)
    let serving = Task { try await server.run() }
    defer { serving.cancel() }
    let url = try #require(URL(string: "http://127.0.0.1:\(server.port)/vendors"))
    try await with(vendors: FixtureVendors(url: url), endpoints: try endpoints(at: server.port)) {
      try await body($0, server.desk)
    }
  }

  static func endpoints(at port: Int) throws -> VendorEndpoints {
    let names = CredentialVendor.allCases.map(\.rawValue)
    let table = names.map { "\"\($0)\": \"http://127.0.0.1:\(port)/endpoints/\($0)\"" }.joined(separator: ", ")
    return try VendorEndpoints(parsing: Array("{\(table)}".utf8))
  }

  private init(
    store: Store, sealed: Vault, settings: VaultSettings, environment: [String: String], vendors: FixtureVendors?,
    endpoints: VendorEndpoints, trust: GateTrust
  ) throws {
    self.store = store
    self.sealed = sealed
    let acts = Acts(
      store: store, evidence: evidence, guardrails: CredentialGuardrails.all, clock: time.clock,
      logger: TestStores.logger)
    service = CredentialsService(
      acts: acts, store: store, sealed: sealed,
      vaults: try CredentialVaults(sealed: sealed, settings: settings, environment: environment),
      fingerprinter: Fingerprinter(key: Secret("key")), evidence: evidence, outbox: EventOutbox(), vendors: vendors,
      endpoints: endpoints, trust: trust, clock: time.clock, logger: TestStores.logger)
  }

  @discardableResult
  func set(
    _ surface: CredentialSurface = .openAI, _ name: String = "one", org: String = "acme", replacing: Int? = nil,
    dryRun: Bool = false
  ) async throws -> Credential {
    try await service.set(
      .init(surface: surface.rawValue, replacing: replacing),
      value: Secret(try FixtureValue.make(surface, name: name)), org: try Slug(org), as: Self.actor, dryRun: dryRun)
  }

  /// Sets a value of a class that needs a gate.
  @discardableResult
  func setGated(
    _ value: String, _ surface: CredentialSurface = .openAI, class kind: String = "real", org: String = "acme",
    with settings: [String: String]? = nil
  ) async throws -> Credential {
    try await service.set(
      .init(surface: surface.rawValue, class: kind, settings: settings), value: Secret(value), org: try Slug(org),
      as: Self.actor)
  }

  func ask(
    _ surfaces: [CredentialSurface] = [.openAI], class kind: String = "real", org: String = "acme",
    for duration: Duration = .seconds(3_600)
  ) async throws -> GateStanding {
    try await service.requestGate(
      .init(
        org: try Slug(org), surfaces: surfaces.map(\.rawValue), class: kind, until: time.now.advanced(by: duration),
        reason: "a pilot"), as: ada)
  }

  /// A gate that is open.
  @discardableResult
  func open(
    _ surfaces: [CredentialSurface] = [.openAI], class kind: String = "real", org: String = "acme"
  ) async throws -> GateStanding {
    let request = try await ask(surfaces, class: kind, org: org).record.request
    return try await service.submitGate(
      try Self.signed(request), of: request.id, as: Self.actor)
  }

  static func signed(_ request: GateRequest, by key: ApproverKey? = eve) throws -> Envelope {
    try Envelope(signing: try request.statement.bytes, by: [try #require(key)])
  }

  func kept() async throws -> [String] { try await sealed.references().map(\.text) }

  func entries() async throws -> [EvidenceEntry] {
    try await store.read { tx in
      try (0..<(try evidence.head(in: tx).size)).compactMap { try evidence.record(at: $0, in: tx)?.entry }
    }
  }
}
