import Basics
import NIOPosix
import Synchronization

/// Hashes passwords on threads of its own, two at a time in the whole process: each takes 64 MiB.
public final class PasswordHasher: Sendable {
  public static let threads = 2
  /// So many hashes may wait or run; then callers are sent away. 32 take 3.5 seconds at the standard cost.
  public static let queueMax = 32

  /// Lives as long as the process, so nobody has to shut it down.
  private static let pool: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: threads)
    pool.start()
    return pool
  }()

  let cost: ScryptCost
  /// Stands in for operators that do not exist, so that they take the same time.
  let decoy: PasswordHash
  private let waiting = Mutex(0)

  public init(cost: ScryptCost = .standard) {
    self.cost = cost
    decoy = PasswordHash(
      cost: cost, salt: .random(count: PasswordHash.saltBytes), hash: .random(count: PasswordHash.hashBytes))
  }

  func hash(_ password: Secret) async throws -> PasswordHash {
    let cost = cost
    return try await run {
      try PasswordHash.make(password, cost: cost, salt: .random(count: PasswordHash.saltBytes))
    }
  }

  func matches(_ password: Secret, _ stored: PasswordHash) async throws -> Bool {
    try await run { try stored.matches(password) }
  }

  private func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let isFull = waiting.withLock { count in
      if count >= PasswordHasher.queueMax { return true }
      count += 1
      return false
    }
    if isFull {
      throw AWError(
        .rateLimited, "Too many people sign in at this moment.", next: "Try again in a few seconds.")
    }
    defer { waiting.withLock { $0 -= 1 } }
    return try await PasswordHasher.pool.runIfActive(body)
  }
}
