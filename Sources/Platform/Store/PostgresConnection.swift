import Basics
import CPostgres

/// One place of the pool: a libpq session on a thread of its own, opened again when it was lost.
actor PostgresConnection {
  enum Kind { case read, write }

  /// Serialises the writers of every process that shares the database. The first number says "AW", the second is
  /// the schema, so that two deployments in one database do not wait for each other.
  private static let writerLock = "SELECT pg_advisory_xact_lock(24919, hashtext(current_schema()))"

  private nonisolated let thread = ThreadExecutor.start(name: "aw.postgres")
  private let target: Secret
  private let limits: StoreLimits
  private let clock = ContinuousClock()
  private var backoff = ReconnectBackoff()
  private var session: PostgresSession?
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  init(target: Secret, limits: StoreLimits) {
    self.target = target
    self.limits = limits
  }

  deinit { thread.stop() }

  /// Connects now, so that a wrong address shows when the store is opened.
  func connect() throws { _ = try openSession() }

  func close() {
    session = nil
    isClosed = true
  }

  /// Runs `body` between BEGIN and COMMIT. `body` is synchronous, so nothing can interleave.
  func transaction<Value: Sendable>(_ kind: Kind, _ body: @Sendable (Transaction) throws -> Value) throws -> Value {
    let session = try begin(kind)
    let tx = Transaction { sql, values in
      do { return try session.run(sql, values) } catch { throw PostgresConnection.explain(error) }
    }
    let value: Value
    do {
      if kind == .write { try tx.run(PostgresConnection.writerLock) }
      value = try body(tx)
      if let failure = tx.failure { throw failure }
    } catch {
      rollBack(session)
      throw error
    }
    do {
      try session.run("COMMIT")
    } catch {
      rollBack(session)
      if (error as? PostgresFailure)?.state == nil { throw StoreErrors.lostWhileCommitting(error) }
      throw PostgresConnection.explain(error)
    }
    for action in tx.afterCommitActions { action() }
    return value
  }

  /// Starts a transaction on a session that works: one that was lost since its last use shows here, before anything
  /// of the caller has run, so it can be replaced without harm.
  private func begin(_ kind: Kind) throws -> PostgresSession {
    let statement =
      switch kind {
      case .read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
      // The snapshot must be taken after the lock is held, which REPEATABLE READ would not do.
      case .write: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
      }
    if let session, session.isAlive {
      do {
        try session.run(statement)
        return session
      } catch let failure as PostgresFailure where failure.state != nil {
        rollBack(session)
        throw PostgresConnection.explain(failure)
      } catch {
        self.session = nil
      }
    }
    let fresh = try openSession()
    do {
      try fresh.run(statement)
      return fresh
    } catch {
      session = nil
      throw PostgresConnection.explain(error)
    }
  }

  private func openSession() throws -> PostgresSession {
    if isClosed { throw StoreErrors.closed() }
    guard backoff.mayConnect(at: clock.now) else {
      throw StoreErrors.unreachable("the last attempt to connect failed a moment ago", nil)
    }
    do {
      let fresh = try PostgresSession(target: target, limits: limits)
      backoff.connected()
      session = fresh
      return fresh
    } catch {
      backoff.failed(at: clock.now)
      throw PostgresConnection.explain(error)
    }
  }

  /// A session whose rollback fails is not used again.
  private func rollBack(_ session: PostgresSession) {
    do { try session.run("ROLLBACK") } catch { self.session = nil }
  }

  private static func explain(_ error: any Error) -> any Error {
    guard let failure = error as? PostgresFailure else { return error }
    guard let state = failure.state else { return StoreErrors.unreachable("the connection was lost", failure) }
    switch state {
    case "23505": return StoreErrors.conflict(failure)
    case "53100": return StoreErrors.full(failure)
    case "55P03", "40001", "40P01": return StoreErrors.locked(failure)
    case "57014": return StoreErrors.slow(failure)
    case "57P01", "57P02", "57P03": return StoreErrors.unreachable("it is starting or stopping", failure)
    case _ where state.hasPrefix("08"): return StoreErrors.unreachable("the connection was lost", failure)
    default: return StoreErrors.failed(failure)
    }
  }
}
