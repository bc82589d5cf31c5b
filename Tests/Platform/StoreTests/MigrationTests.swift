import Basics
import Store
import TestSupport
import Testing

@Suite("Migrations")
struct MigrationTests {
  static let first = Migration("0001-first", ["CREATE TABLE first (n BIGINT)", "INSERT INTO first (n) VALUES (1)"])
  static let second = Migration("0002-second", ["CREATE TABLE second (n BIGINT)"])
  static let third = Migration("0003-third", ["ALTER TABLE first ADD COLUMN data BLOB"])

  @Test("are applied once, in order, also from an older state", arguments: TestEngine.available)
  func once(engine: TestEngine) async throws {
    try await TestStores.withLocation(engine) { location in
      for migrations in [[Self.first], [Self.first], [Self.first, Self.second, Self.third]] {
        let store = try await Store.open(location, migrations: migrations, logger: TestStores.logger)
        let row = try await store.read { try $0.run("SELECT count(*) AS n FROM first").first }
        #expect(try row?.integer("n") == 1)
        await store.close()
      }
      let store = try await Store.open(
        location, migrations: [Self.first, Self.second, Self.third], logger: TestStores.logger)
      try await store.write { try $0.run("UPDATE first SET data = ?", [.blob([1])]) }
      await store.close()
    }
  }

  @Test("of a newer program make an older one refuse", arguments: TestEngine.available)
  func newer(engine: TestEngine) async throws {
    try await TestStores.withLocation(engine) { location in
      let store = try await Store.open(
        location, migrations: [Self.first, Self.second], logger: TestStores.logger)
      await store.close()
      let error = await #expect(throws: AWError(.storeNewer, "", next: "")) {
        _ = try await Store.open(location, migrations: [Self.first], logger: TestStores.logger)
      }
      #expect(error?.message.contains("0002-second") == true)
    }
  }

  @Test("that fail leave nothing of themselves", arguments: TestEngine.available)
  func broken(engine: TestEngine) async throws {
    let broken = Migration("0002-broken", ["CREATE TABLE half (n BIGINT)", "CREATE TABLE first (n BIGINT)"])
    try await TestStores.withLocation(engine) { location in
      await #expect(throws: AWError(.storeFailed, "", next: "")) {
        _ = try await Store.open(location, migrations: [Self.first, broken], logger: TestStores.logger)
      }
      let store = try await Store.open(
        location, migrations: [Self.first, Migration("0002-fixed", ["CREATE TABLE half (n BIGINT)"])],
        logger: TestStores.logger)
      await store.close()
    }
  }

  @Test("applied by two programs that start at once are applied once", arguments: TestEngine.available)
  func race(engine: TestEngine) async throws {
    try await TestStores.withLocation(engine) { location in
      let all = [Self.first, Self.second, Self.third]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask {
            let store = try await Store.open(location, migrations: all, logger: TestStores.logger)
            let row = try await store.read { try $0.run("SELECT count(*) AS n FROM first").first }
            #expect(try row?.integer("n") == 1)
            await store.close()
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
