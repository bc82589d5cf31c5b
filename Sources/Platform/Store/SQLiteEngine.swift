import Basics
import Foundation
import GRDB
import Synchronization

/// SQLite through GRDB: one writer and several readers in WAL mode.
final class SQLiteEngine: StoreEngine {
  private let pool: DatabasePool
  private let isClosed = Atomic(false)
  private let path: String

  init(path: String, limits: StoreLimits) throws {
    self.path = path
    try SQLiteEngine.makeFile(path)
    do {
      pool = try DatabasePool(path: path, configuration: SQLiteEngine.configuration(limits))
    } catch {
      throw SQLiteEngine.explain(error, path: path)
    }
  }

  private static func configuration(_ limits: StoreLimits) -> Configuration {
    var configuration = Configuration()
    configuration.label = "aw.store"
    configuration.busyMode = .timeout(limits.lockWait.seconds)
    configuration.maximumReaderCount = limits.readersMax
    configuration.foreignKeysEnabled = true
    configuration.prepareDatabase { db in
      // A confirmed act must survive a power cut: in WAL mode only FULL syncs the log at every commit.
      try db.execute(sql: "PRAGMA synchronous = FULL")
      // What is deleted is written over: a field of the evidence that was erased must not stay in a free page.
      try db.execute(sql: "PRAGMA secure_delete = ON")
    }
    return configuration
  }

  /// Makes the file readable by its owner only, before SQLite would make it with the process's mask.
  private static func makeFile(_ path: String) throws {
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let code = errno
      if code == ENOSPC { throw StoreErrors.full(SystemFailure(code: code)) }
      throw AWError(
        .storeFailed, "The database file cannot be opened: \(SystemFailure(code: code)).",
        next: "Check that the data directory exists and belongs to the user that runs AW.")
    }
    _ = Foundation.close(descriptor)
  }

  func translate(migration statement: String) -> String { statement }

  func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try Task.checkCancellation()
    // GRDB's own async calls interrupt the database when the task is cancelled, after which nobody can say whether
    // a commit happened. The callback forms run to their end.
    return try await withCheckedThrowingContinuation { continuation in
      pool.asyncRead { database in
        continuation.resume(
          with: Result { try self.explaining { try body(self.transaction(on: try database.get())) } })
      }
    }
  }

  func write<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try Task.checkCancellation()
    return try await withCheckedThrowingContinuation { continuation in
      pool.asyncWriteWithoutTransaction { database in
        continuation.resume(with: Result { try self.explaining { try self.writeNow(body, on: database) } })
      }
    }
  }

  private func writeNow<Value>(_ body: (Transaction) throws -> Value, on database: Database) throws -> Value {
    if isClosed.load(ordering: .acquiring) { throw StoreErrors.closed() }
    let tx = transaction(on: database)
    var value: Value?
    try database.inTransaction(.immediate) {
      value = try body(tx)
      if let failure = tx.failure { throw failure }
      return .commit
    }
    for action in tx.afterCommitActions { action() }
    guard let value else { throw StoreErrors.closed() }
    return value
  }

  func close() async {
    isClosed.store(true, ordering: .releasing)
    // The only failure is a statement still in use; the process that closes its store is about to end anyway.
    do { try pool.close() } catch { pool.interrupt() }
  }

  private func transaction(on database: Database) -> Transaction {
    Transaction { [self] sql, values in
      try explaining {
        let statement = try database.cachedStatement(sql: sql)
        return try Row.fetchAll(statement, arguments: StatementArguments(values.map(\.databaseValue)))
          .map(SQLiteEngine.row)
      }
    }
  }

  private static func row(_ row: Row) throws -> SQLRow {
    var values: [String: SQLValue] = [:]
    for (column, value) in row {
      switch value.storage {
      case .null: values[column] = .null
      case .int64(let integer): values[column] = .integer(integer)
      case .string(let text): values[column] = .text(text)
      case .blob(let bytes): values[column] = .blob(Array(bytes))
      case .double: throw StoreErrors.unknownType(column, "REAL")
      }
    }
    return SQLRow(values)
  }

  private func explaining<Value>(_ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as DatabaseError where error.resultCode == .SQLITE_MISUSE && isClosed.load(ordering: .acquiring) {
      throw StoreErrors.closed()
    } catch {
      throw SQLiteEngine.explain(error, path: path)
    }
  }

  private static func explain(_ error: any Error, path: String) -> any Error {
    guard let error = error as? DatabaseError else { return error }
    switch error.extendedResultCode {
    case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY: return StoreErrors.conflict(error)
    default: break
    }
    switch error.resultCode {
    case .SQLITE_BUSY, .SQLITE_LOCKED: return StoreErrors.locked(error)
    case .SQLITE_FULL: return StoreErrors.full(error)
    case .SQLITE_IOERR, .SQLITE_CANTOPEN:
      // A full disk also shows as a failed fsync or a log that cannot grow.
      return isFull(path) ? StoreErrors.full(error) : StoreErrors.failed(error)
    case .SQLITE_NOTADB, .SQLITE_CORRUPT:
      return AWError(
        .storeFailed, "The database file is damaged or is not a database.",
        next: "Stop AW, keep the file for analysis, and restore the last backup.", cause: error)
    default: return StoreErrors.failed(error)
    }
  }

  /// Less than 64 KiB left: SQLite could not even add a page and its log frame.
  private static func isFull(_ path: String) -> Bool {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return false }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize) < 65_536
  }
}

extension SQLValue {
  fileprivate var databaseValue: DatabaseValue {
    switch self {
    case .null: .null
    case .integer(let integer): integer.databaseValue
    case .text(let text): text.databaseValue
    case .blob(let bytes): Data(bytes).databaseValue
    }
  }
}

/// A failed system call, in the system's words.
struct SystemFailure: Error, CustomStringConvertible {
  let code: Int32
  var description: String { String(cString: strerror(code)) }
}
