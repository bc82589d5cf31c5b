/// The numbers that bound a store. Durations are real time.
public struct StoreLimits: Sendable {
  /// How long a writer waits for another process before it gives up with `storeLocked`.
  public var lockWait: Duration = .seconds(5)
  /// How long one statement may run (PostgreSQL).
  public var statement: Duration = .seconds(30)
  /// How long a connection attempt may take (PostgreSQL; libpq's least is 2 seconds).
  public var connect: Duration = .seconds(5)
  /// How long a call waits in line for a free connection (PostgreSQL).
  public var lend: Duration = .seconds(30)
  /// How long a transaction may sit without a statement before the server ends it, so that a machine that vanished
  /// with the write lock does not stop the others (PostgreSQL).
  public var idleTransaction: Duration = .seconds(10)
  /// How many connections read at the same time (SQLite).
  public var readersMax = 5

  public init() {}

  public static let standard = StoreLimits()
}
