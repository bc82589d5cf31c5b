import Access
import Basics
import Evidence
import Foundation
import Store
import Synchronization
import TestSupport

/// A clock that tests move.
final class TestClock: Sendable {
  private let time = Mutex(Timestamp(millisecondsSince1970: 1_795_000_000_000))

  var wall: WallClock { WallClock { self.time.withLock { $0 } } }
  func advance(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }
}

/// Access over a real database: a SQLite file unless a test asks for another engine.
struct AccessWorld: Sendable {
  static let cheap = ScryptCost(ln: 10)

  let store: Store
  let folder: String
  let clock: TestClock
  let evidence: EvidenceLog
  let acts: Acts
  let service: AccessService

  /// Opens a world, hands it over, and removes it.
  static func with(
    _ engine: TestEngine = .sqlite, guardrails: [Guardrail] = [], approvals: Approvals? = nil,
    _ body: (AccessWorld) async throws -> Void
  ) async throws {
    try await TestStores.withLocation(engine) { location in
      let store = try await Store.open(
        location, migrations: EvidenceLog.migrations + AccessRecords.migrations + ApprovalRecords.migrations,
        logger: TestStores.logger)
      var folder = ""
      if case .sqlite(let path) = location { folder = (path as NSString).deletingLastPathComponent }
      let (clock, evidence) = (TestClock(), EvidenceLog())
      let acts = Acts(
        store: store, evidence: evidence, guardrails: guardrails, approvals: approvals, clock: clock.wall,
        logger: TestStores.logger)
      let service = AccessService(
        store: store, acts: acts, csrfKey: Secret("csrf key of the tests, 32 bytes."), clock: clock.wall,
        logger: TestStores.logger, hasher: PasswordHasher(cost: cheap))
      let world = AccessWorld(
        store: store, folder: folder, clock: clock, evidence: evidence, acts: acts, service: service)
      do {
        try await body(world)
        await store.close()
      } catch {
        await store.close()
        throw error
      }
    }
  }

  /// The first owner, signed in by link.
  func owner(_ name: String = "anna") async throws -> NewSession {
    let link = try await service.signInLink(for: Slug(name), reason: "setup")
    return try await service.signIn(link: link.secret, client: "test")
  }

  /// Somebody invited by `owner`, with a password.
  func member(
    _ name: String, role: OperatorRole = .viewer, password: Secret, by owner: NewSession
  ) async throws -> Operator {
    let link = try await service.invite(Slug(name), role: role, as: .operator(owner.operator.id))
    return try await service.setPassword(password, link: link.secret)
  }

  func signIn(_ name: String, _ password: Secret, from address: String = "192.0.2.1") async throws -> NewSession {
    try await service.signIn(name: name, password: password, address: address, client: "test")
  }

  func entries() async throws -> [EvidenceEntry] {
    let evidence = evidence
    return try await store.read { tx in
      let size = try evidence.head(in: tx).size
      return try (0..<size).compactMap { try evidence.record(at: $0, in: tx)?.entry }
    }
  }

  func kinds() async throws -> [String] { try await entries().map(\.kind.id) }

  func count(_ table: String) async throws -> Int64 {
    try await store.read { tx in try tx.run("SELECT COUNT(*) AS n FROM \(table)").first?.integer("n") ?? 0 }
  }

  /// All bytes of the database, the log of SQLite included.
  func databaseBytes() throws -> Data {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted().reduce(into: Data()) { all, name in
      all.append(try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
    }
  }
}

/// The code of the error that `body` throws; nil when it throws none.
func code(_ body: () async throws -> Void) async -> ErrorCode? {
  do {
    try await body()
    return nil
  } catch {
    return AWError.wrapping(error, doing: "The test").code
  }
}
