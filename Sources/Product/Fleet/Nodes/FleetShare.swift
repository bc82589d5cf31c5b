import Basics
import CoreMetrics
import Link
import Store
import Synchronization

/// What this control plane holds of the fleet, and which links the others have: what it may write of an Instance, and
/// what it may not hold against one.
///
/// Whether it still holds a shard is asked in the very transaction that writes: memory may be behind the database.
public final class FleetShare: Sendable {
  struct Held: Sendable, Equatable {
    let token: Int64
    /// Until when a missing link says nothing: the Hosts have yet to find their way here.
    let graceUntil: Timestamp
  }

  private struct State {
    var held: [Shard: Held] = [:]
    var elsewhere: [HostID: Int] = [:]
  }

  public let node: NodeID
  /// This process among all that share the database.
  let run: String
  private let state = Mutex(State())
  private let refusals: Counter

  /// - Parameter run: names this process among all that share the database.
  public init(node: NodeID, run: String, metrics: any MetricsFactory) {
    self.node = node
    self.run = run
    refusals = Counter(label: "aw_watchdog_fenced", dimensions: [], factory: metrics)
  }

  func holds(_ shard: Shard) -> Bool { state.withLock { $0.held[shard] != nil } }
  func holds(_ host: HostID) -> Bool { holds(.host(host)) }
  func token(of host: HostID) -> Int64? { state.withLock { $0.held[.host(host)]?.token } }
  var count: Int { state.withLock { $0.held.count } }

  /// Whether a link that this Host lacks may still be on its way here.
  func isGracious(with host: HostID, at now: Timestamp) -> Bool {
    state.withLock { $0.held[.host(host)].map { now < $0.graceUntil } ?? false }
  }

  /// How many connections other control planes have to a Host, as of the last look.
  func elsewhere(_ host: HostID) -> Int { state.withLock { $0.elsewhere[host] ?? 0 } }

  func note(elsewhere: [HostID: Int]) { state.withLock { $0.elsewhere = elsewhere } }

  func hold(_ taken: [Shard: Held]) { state.withLock { $0.held.merge(taken) { $1 } } }

  /// Compares what it holds with what the database says.
  ///
  /// - Returns: what somebody else has taken.
  func keep(_ tokens: [Shard: Int64]) -> [Shard] {
    state.withLock { state in
      let lost = state.held.filter { tokens[$0.key] != $0.value.token }.map(\.key)
      for shard in lost { state.held[shard] = nil }
      return lost
    }
  }

  /// Lets go of all: what is left to write is written before.
  func letGo() { state.withLock { $0.held = [:] } }

  // MARK: - Fencing

  /// Whether a shard is this process's now.
  public func holds(_ shard: Shard, in tx: Transaction) throws -> Bool {
    try NodeRecords.token(of: shard, run: run, in: tx) != nil
  }

  /// Whether any Host is this process's now.
  func holdsAny(in tx: Transaction) throws -> Bool { try NodeRecords.holdsAny(run: run, in: tx) }

  /// Something was not written, because another control plane has taken over.
  func fenced(_ count: Int) {
    guard count > 0 else { return }
    refusals.increment(by: Int64(count))
  }
}
