import Basics

/// PostgreSQL through libpq: one connection for writers, the others for readers.
///
/// Writers are serial anyway, so a second connection for them would only wait for the first one's lock, and a rush of
/// writers cannot take the connections that readers need.
struct PostgresEngine: StoreEngine {
  private let writers: ConnectionPool
  private let readers: ConnectionPool

  static func open(_ target: Secret, connections: Int, limits: StoreLimits) async throws -> PostgresEngine {
    let writer = PostgresConnection(target: target, limits: limits)
    try await writer.connect()
    let readers = (0..<max(1, connections - 1)).map { _ in PostgresConnection(target: target, limits: limits) }
    return PostgresEngine(
      writers: ConnectionPool([writer], wait: limits.lend), readers: ConnectionPool(readers, wait: limits.lend))
  }

  func translate(migration statement: String) -> String { PostgresSQL.translate(migration: statement) }

  func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try await readers.withConnection { try await $0.transaction(.read, body) }
  }

  func write<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
    try await writers.withConnection { try await $0.transaction(.write, body) }
  }

  func close() async {
    await readers.close()
    await writers.close()
  }
}

/// A fixed set of connections, lent one at a time in the order of arrival.
///
/// A connection checks its health itself when it starts a transaction, so the pool never throws one away.
actor ConnectionPool {
  private typealias Waiter = CheckedContinuation<PostgresConnection, any Error>

  private let all: [PostgresConnection]
  private let wait: Duration
  private var idle: [PostgresConnection]
  /// Numbers of the callers in line, oldest first; those that gave up are skipped.
  private var line: [Int] = []
  private var waiters: [Int: Waiter] = [:]
  private var lastNumber = 0
  private var isClosed = false

  init(_ connections: [PostgresConnection], wait: Duration) {
    self.all = connections
    self.idle = connections
    self.wait = wait
  }

  nonisolated func withConnection<Value: Sendable>(
    _ body: (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    let connection = try await lend()
    do {
      let value = try await body(connection)
      await giveBack(connection)
      return value
    } catch {
      await giveBack(connection)
      throw error
    }
  }

  func close() async {
    isClosed = true
    for (_, waiter) in waiters { waiter.resume(throwing: StoreErrors.closed()) }
    waiters = [:]
    for connection in all { await connection.close() }
  }

  private func lend() async throws -> PostgresConnection {
    try Task.checkCancellation()
    if isClosed { throw StoreErrors.closed() }
    if let connection = idle.popLast() { return connection }
    lastNumber += 1
    let number = lastNumber
    let deadline = Task {
      try await Task.sleep(for: wait)
      self.giveUp(number, StoreErrors.locked(PoolBusy()))
    }
    defer { deadline.cancel() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
        waiters[number] = continuation
        line.append(number)
      }
    } onCancel: {
      Task { await self.giveUp(number, CancellationError()) }
    }
  }

  private func giveUp(_ number: Int, _ reason: any Error) {
    waiters.removeValue(forKey: number)?.resume(throwing: reason)
  }

  private func giveBack(_ connection: PostgresConnection) {
    while !line.isEmpty {
      if let waiter = waiters.removeValue(forKey: line.removeFirst()) { return waiter.resume(returning: connection) }
    }
    idle.append(connection)
  }
}

/// Every connection stayed in use for the whole time a caller may wait.
private struct PoolBusy: Error {}
