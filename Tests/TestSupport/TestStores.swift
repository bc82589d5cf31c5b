import Basics
import Foundation
import Logging
import Store

/// The engines that the store's contract is tested on.
public enum TestEngine: String, Sendable, CaseIterable, CustomStringConvertible {
  case sqlite, postgres

  public var description: String { rawValue }

  /// The engines to run on: SQLite always; PostgreSQL when `AW_TEST_POSTGRES` holds a libpq target, or when
  /// `AW_TEST_REQUIRE_ALL=1` says that nothing may be left out (then its cases fail without a target).
  public static var available: [TestEngine] {
    TestStores.postgresTarget != nil || TestStores.requireAll ? [.sqlite, .postgres] : [.sqlite]
  }
}

/// Empty databases for tests, each gone when its test ends.
public enum TestStores {
  /// The libpq target of the server to test on, such as `script/test-postgres` prints.
  public static var postgresTarget: String? { ProcessInfo.processInfo.environment["AW_TEST_POSTGRES"] }
  public static var requireAll: Bool { ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1" }

  public static var logger: Logger {
    var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    logger.logLevel = .critical
    return logger
  }

  /// Opens a store with these migrations, hands it over, and removes it.
  @discardableResult
  public static func with<Value>(
    _ engine: TestEngine, migrations: [Migration], connections: Int = 4, limits: StoreLimits = .standard,
    _ body: (Store) async throws -> Value
  ) async throws -> Value {
    try await withLocation(engine, connections: connections) { location in
      let store = try await Store.open(location, migrations: migrations, logger: logger, limits: limits)
      do {
        let value = try await body(store)
        await store.close()
        return value
      } catch {
        await store.close()
        throw error
      }
    }
  }

  /// A place for a store that does not exist yet: for tests that open it themselves, more than once.
  @discardableResult
  public static func withLocation<Value>(
    _ engine: TestEngine, connections: Int = 4, _ body: (Store.Location) async throws -> Value
  ) async throws -> Value {
    switch engine {
    case .sqlite: try await TestFolder.with { try await body(.sqlite(path: $0 + "/aw.sqlite")) }
    case .postgres: try await withSchema(connections: connections, body)
    }
  }

  /// A store on the test server itself, outside of any test's schema.
  public static func administrator() async throws -> Store {
    guard let target = postgresTarget else { throw PostgresMissing() }
    return try await Store.openWithoutMigrations(.postgres(target: Secret(target), connections: 1))
  }

  private static func withSchema<Value>(
    connections: Int, _ body: (Store.Location) async throws -> Value
  ) async throws -> Value {
    guard let target = postgresTarget else { throw PostgresMissing() }
    let schema = "aw_test_" + Hex.encode([UInt8].random(count: 8))
    let administrator = try await administrator()
    try await administrator.write { try $0.run("CREATE SCHEMA \(schema)") }
    let location = Store.Location.postgres(target: Secret(within(schema, target)), connections: connections)
    let result: Result<Value, any Error>
    do { result = .success(try await body(location)) } catch { result = .failure(error) }
    try await administrator.write { try $0.run("DROP SCHEMA \(schema) CASCADE") }
    await administrator.close()
    return try result.get()
  }

  private static func within(_ schema: String, _ target: String) -> String {
    guard target.contains("://") else { return "\(target) options='-csearch_path=\(schema)'" }
    return target + (target.contains("?") ? "&" : "?") + "options=-csearch_path%3D\(schema)"
  }
}

/// `AW_TEST_POSTGRES` is not set, and `AW_TEST_REQUIRE_ALL` does not let the case be left out.
public struct PostgresMissing: Error, CustomStringConvertible {
  public var description: String {
    "AW_TEST_POSTGRES is not set: start a server with script/test-postgres and set it to what that prints."
  }
}
