import Basics
import Events
import Logging
import ServiceLifecycle
import Store

/// Looks for Hosts that have had no link for so long that people are told, and shows that somebody looks.
public struct LinkWatch: Service {
  static let every = Duration.seconds(5)
  /// A link that is back sooner is a hiccup: the Connector dials again within seconds.
  public static let tellAfter = Duration.seconds(30)
  /// The time between two signs of life.
  public static let heartbeatEvery = Duration.seconds(60)

  let store: Store
  let outbox: EventOutbox
  let conscience: Conscience
  let share: FleetShare
  let clock: WallClock
  let logger: Logger

  public init(
    store: Store, outbox: EventOutbox, conscience: Conscience, share: FleetShare, clock: WallClock, logger: Logger
  ) {
    self.store = store
    self.outbox = outbox
    self.conscience = conscience
    self.share = share
    self.clock = clock
    self.logger = logger
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var heartbeatAt: Timestamp?
      repeat {
        // What the fleet has once, one control plane does.
        do {
          guard share.holds(.fleet) else {
            heartbeatAt = nil
            continue
          }
          try await look()
          if heartbeatAt.map({ clock.now.since($0) >= Self.heartbeatEvery }) ?? true {
            heartbeatAt = clock.now
            try await beat()
          }
        } catch {
          logger.error("the Hosts' links could not be looked at", metadata: ["error": "\(error)"])
        }
      } while (try? await Task.sleep(for: Self.every)) != nil
    }
  }

  /// Tells of every Host that is without a link too long. One that was told of is not told of again.
  func look() async throws {
    // While the watch doubts itself one event stands for all: those that are still without a link then are told later.
    guard conscience.doubt == nil else { return }
    let now = clock.now
    let tellable = now.advanced(by: .zero - Self.tellAfter)
    let news = try await store.read { tx in
      try FleetRecords.lostHosts(before: tellable, in: tx).filter { host in
        guard let since = host.disconnectedAt else { return false }
        let event = FleetEvents.connectionLost(host, since: since, instances: 0, at: now)
        return try !EventOutbox.holds(event.id, in: tx)
      }
    }
    guard !news.isEmpty else { return }
    try await store.write { [outbox] tx in
      for one in news {
        // It may have come back since.
        guard let host = try FleetRecords.host(one.id, in: tx), let since = host.disconnectedAt else { continue }
        let instances = try FleetRecords.instances(on: host.id, in: tx).count { $0.state == .active }
        try outbox.append(FleetEvents.connectionLost(host, since: since, instances: instances, at: now), in: tx)
      }
    }
  }

  private func beat() async throws {
    let now = clock.now
    try await store.write { [outbox, share] tx in
      guard try share.holds(.fleet, in: tx) else { return }
      let instances = try FleetRecords.watched(in: tx).count
      try outbox.append(FleetEvents.heartbeat(instances, at: now), in: tx)
    }
  }
}
