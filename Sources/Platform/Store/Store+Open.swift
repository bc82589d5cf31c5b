import Basics
import Logging

extension Store {
  /// Opens the database and brings its schema up to date.
  ///
  /// Missing migrations are applied in the order of `migrations`, each in a transaction of its own.
  ///
  /// - Throws: `AWError` with `storeNewer` when a newer AW has already changed the schema, `storeLocked` when another
  ///   process holds the database, `storeFull` when the disk is full, `storeFailed` for the rest.
  public static func open(
    _ location: Location, migrations: [Migration], logger: Logger, limits: StoreLimits = .standard
  ) async throws -> Store {
    let store = try await openWithoutMigrations(location, limits: limits)
    do {
      try await store.migrate(migrations, logger: logger)
      return store
    } catch {
      await store.close()
      throw error
    }
  }

  /// Opens the database as it is: for tools and tests that look at one from the outside.
  package static func openWithoutMigrations(
    _ location: Location, limits: StoreLimits = .standard
  ) async throws -> Store {
    switch location {
    case .sqlite(let path): Store(engine: try SQLiteEngine(path: path, limits: limits))
    case .postgres(let target, let connections):
      Store(engine: try await PostgresEngine.open(target, connections: connections, limits: limits))
    }
  }

  private func migrate(_ migrations: [Migration], logger: Logger) async throws {
    // One write transaction always runs, so that a database held by somebody else is found out now.
    let applied = try await write { tx in
      try tx.run("CREATE TABLE IF NOT EXISTS aw_migration (name TEXT PRIMARY KEY, applied_order BIGINT NOT NULL)")
      return try Store.appliedMigrations(tx)
    }
    try MigrationPlan.check(applied: applied, known: migrations)
    for migration in MigrationPlan.missing(applied: applied, known: migrations) {
      if try await apply(migration) { logger.info("Migration applied", metadata: ["name": "\(migration.name)"]) }
    }
  }

  /// False when another control plane applied it in the meantime.
  private func apply(_ migration: Migration) async throws -> Bool {
    let statements = migration.statements.map { engine.translate(migration: $0) }
    return try await write { tx in
      let applied = try Store.appliedMigrations(tx)
      if applied.contains(migration.name) { return false }
      for statement in statements { try tx.run(statement) }
      try tx.run(
        "INSERT INTO aw_migration (name, applied_order) VALUES (?, ?)",
        [.text(migration.name), .integer(applied.count)])
      return true
    }
  }

  private static func appliedMigrations(_ tx: Transaction) throws -> [String] {
    try tx.run("SELECT name FROM aw_migration ORDER BY applied_order").map { try $0.text("name") }
  }
}

/// Which migrations are to be applied: a pure decision.
enum MigrationPlan {
  /// - Throws: `storeNewer` when the database has a migration that this program does not know.
  static func check(applied: [String], known: [Migration]) throws {
    let names = Set(known.map(\.name))
    guard let unknown = applied.first(where: { !names.contains($0) }) else { return }
    throw AWError(
      .storeNewer,
      "The database was changed by a newer AW: this program does not know its migration \(unknown.quoted).",
      next: "Start the newer AW again, or restore the backup that was taken before the upgrade.")
  }

  static func missing(applied: [String], known: [Migration]) -> [Migration] {
    let applied = Set(applied)
    return known.filter { !applied.contains($0.name) }
  }
}
