import Basics

/// AW's database: portable SQL written once, over SQLite (the embedded default) or PostgreSQL.
///
/// - Placeholders are `?` on both engines.
/// - Column types in migrations: `TEXT`, `BIGINT`, and `BLOB` (`BYTEA` on PostgreSQL; the engine translates).
/// - Closures are synchronous on purpose: nothing can interleave between the start of a transaction and its commit.
public struct Store: Sendable {
  /// Where the data lives.
  public enum Location: Sendable {
    /// A SQLite file, made if missing.
    case sqlite(path: String)
    /// A libpq connection string or URI, and how many connections to hold.
    case postgres(target: Secret, connections: Int)
  }

  let engine: any StoreEngine

  init(engine: any StoreEngine) { self.engine = engine }

  /// Runs `body` on a consistent snapshot.
  public func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try await engine.read(body)
  }

  /// Runs `body` in one write transaction; anything it throws rolls everything back.
  ///
  /// Writers are serial, across processes too, so a decision taken on what `body` read stays true until it commits.
  /// Actions registered with `Transaction.afterCommit` run once the commit is durable, in order.
  @discardableResult
  public func write<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try await engine.write(body)
  }

  /// Closes the connections. Calls after it fail.
  public func close() async { await engine.close() }
}

/// One open transaction. Use it only inside the closure that received it.
///
/// A statement that fails, fails the transaction: later statements and the commit throw the same error, on both
/// engines. (PostgreSQL works like this; SQLite is held to it, so that no code depends on one engine by accident.)
public final class Transaction {
  private let runner: (String, [SQLValue]) throws -> [SQLRow]
  private(set) var afterCommitActions: [@Sendable () -> Void] = []
  /// The first failed statement; a transaction that has one cannot commit.
  private(set) var failure: (any Error)?

  init(runner: @escaping (String, [SQLValue]) throws -> [SQLRow]) { self.runner = runner }

  /// Runs one statement and returns its rows (none for statements that return nothing).
  ///
  /// - Throws: `AWError` with `storeLocked`, `storeFull`, `storeFailed`, or `conflict` for a broken unique constraint.
  @discardableResult
  public func run(_ sql: String, _ values: [SQLValue] = []) throws -> [SQLRow] {
    if let failure { throw failure }
    do {
      try values.forEach(Transaction.check)
      return try runner(sql, values)
    } catch {
      failure = error
      throw error
    }
  }

  /// PostgreSQL cannot hold U+0000 in text, so neither engine takes it.
  private static func check(_ value: SQLValue) throws {
    guard case .text(let text) = value, text.utf8.contains(0) else { return }
    throw AWError(
      .usage, "A text contains the character U+0000, which cannot be stored.", next: "Remove it from the text.")
  }

  /// Registers something to do after the commit: telling live listeners, waking a worker. Dropped on rollback.
  ///
  /// Actions run before the next writer starts, in commit order, on the engine's thread: keep them short.
  public func afterCommit(_ action: @escaping @Sendable () -> Void) { afterCommitActions.append(action) }
}

/// A value that crosses the boundary to SQL.
public enum SQLValue: Sendable, Hashable {
  case null
  case integer(Int64)
  case text(String)
  case blob([UInt8])

  public static func text(_ value: String?) -> SQLValue { value.map { .text($0) } ?? .null }
  public static func integer(_ value: Int64?) -> SQLValue { value.map { .integer($0) } ?? .null }
  public static func integer(_ value: Int) -> SQLValue { .integer(Int64(value)) }
  public static func bool(_ value: Bool) -> SQLValue { .integer(value ? 1 : 0) }
  public static func id<Kind>(_ value: ID<Kind>) -> SQLValue { .text(value.text) }
  public static func id<Kind>(_ value: ID<Kind>?) -> SQLValue { .text(value?.text) }
  /// Timestamps are stored as milliseconds since 1970, in a `BIGINT`.
  public static func time(_ value: Timestamp) -> SQLValue { .integer(value.millisecondsSince1970) }
  public static func time(_ value: Timestamp?) -> SQLValue { .integer(value?.millisecondsSince1970) }
}

/// One row of a result, by column name.
public struct SQLRow: Sendable {
  private let values: [String: SQLValue]

  init(_ values: [String: SQLValue]) { self.values = values }

  public func optionalText(_ column: String) throws -> String? {
    switch try value(column) {
    case .null: nil
    case .text(let text): text
    default: throw wrongType(column, "text")
    }
  }

  public func optionalInteger(_ column: String) throws -> Int64? {
    switch try value(column) {
    case .null: nil
    case .integer(let integer): integer
    default: throw wrongType(column, "an integer")
    }
  }

  public func text(_ column: String) throws -> String {
    guard let text = try optionalText(column) else { throw wrongType(column, "text, not null") }
    return text
  }

  public func integer(_ column: String) throws -> Int64 {
    guard let integer = try optionalInteger(column) else { throw wrongType(column, "an integer, not null") }
    return integer
  }

  public func bool(_ column: String) throws -> Bool { try integer(column) != 0 }

  public func blob(_ column: String) throws -> [UInt8] {
    guard case .blob(let bytes) = try value(column) else { throw wrongType(column, "bytes") }
    return bytes
  }

  public func time(_ column: String) throws -> Timestamp { Timestamp(millisecondsSince1970: try integer(column)) }

  public func optionalTime(_ column: String) throws -> Timestamp? {
    try optionalInteger(column).map { Timestamp(millisecondsSince1970: $0) }
  }

  public func id<Kind>(_ column: String, _ kind: Kind.Type = Kind.self) throws -> ID<Kind> {
    guard let id = ID<Kind>(try text(column)) else { throw wrongType(column, "an identifier") }
    return id
  }

  public func optionalID<Kind>(_ column: String, _ kind: Kind.Type = Kind.self) throws -> ID<Kind>? {
    guard let text = try optionalText(column) else { return nil }
    guard let id = ID<Kind>(text) else { throw wrongType(column, "an identifier") }
    return id
  }

  private func value(_ column: String) throws -> SQLValue {
    guard let value = values[column] else { throw wrongType(column, "a column of the result") }
    return value
  }

  private func wrongType(_ column: String, _ wanted: String) -> AWError {
    AWError(
      .storeFailed, "The database column '\(column)' is not \(wanted).",
      next: "This is a defect in AW: report it with the log of the control plane.")
  }
}

/// A named, forward-only change of the schema. Names are applied once, in the order of the list.
public struct Migration: Sendable {
  /// `0001-what-it-does`; unique, never changed once released.
  public let name: String
  /// Statements, run in order inside one transaction.
  public let statements: [String]

  public init(_ name: String, _ statements: [String]) {
    self.name = name
    self.statements = statements
  }
}

/// What an engine must do. See `Store` for the contract.
protocol StoreEngine: Sendable {
  /// Rewrites a statement of a migration for this engine.
  func translate(migration statement: String) -> String
  func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value
  func write<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value
  func close() async
}
