import Basics
import CoreMetrics
import Events
import Evidence
import Gateway
import Link
import Logging
import ServiceLifecycle
import Store
import Synchronization

extension EvidenceKind {
  public static let nodeJoined = EvidenceKind("node.joined")
  public static let nodeTookOver = EvidenceKind("node.took-over")
}

/// Keeps this control plane's place among those that share the database: renews its lease, takes what falls to it, and
/// puts away those that are gone.
///
/// What is taken when is `ShardLeases`' decision. Alone on SQLite there is nobody to renew a lease for: then it looks
/// only when something changed.
public final class NodeKeeper: Service {
  public struct Identity: Sendable {
    public let id: NodeID
    /// For people.
    public let name: String
    /// Where its AW Gateway is reached, `ADDRESS:PORT`.
    public let gateway: String
    public let program: String
    /// Whether others can use the same database.
    public let isShared: Bool

    public init(id: NodeID, name: String, gateway: String, program: String, isShared: Bool) {
      self.id = id
      self.name = name
      self.gateway = gateway
      self.program = program
      self.isShared = isShared
    }
  }

  /// Nodes that are gone are shown for so long.
  static let rememberedFor = Duration.seconds(24 * 3_600)
  /// Alone, a look from time to time mends what a look that failed has left.
  static let aloneEvery = Duration.seconds(30)
  static let actor = "system/watchdog"

  let identity: Identity
  let share: FleetShare
  private let store: Store
  private let evidence: EvidenceLog
  private let outbox: EventOutbox
  private let gatekeeper: FleetGatekeeper
  private let gateway: AWGateway
  private let clock: WallClock
  private let timer: any Clock<Duration>
  private let began = ContinuousClock.now
  private let logger: Logger
  private let metrics: any MetricsFactory
  private let leases: Mutex<ShardLeases>
  private let unrecorded = Mutex<Set<HostID>>([])
  private let announced = Mutex<[GatewayAddress]>([])
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation
  private let moved: @Sendable (_ taken: Set<HostID>, _ lost: Set<HostID>) -> Void

  /// - Parameter moved: told after every commit that took Hosts, and when some were found taken by another.
  public init(
    identity: Identity, share: FleetShare, store: Store, evidence: EvidenceLog, outbox: EventOutbox,
    gatekeeper: FleetGatekeeper, gateway: AWGateway, metrics: any MetricsFactory, clock: WallClock, logger: Logger,
    timer: any Clock<Duration> = ContinuousClock(),
    moved: @escaping @Sendable (_ taken: Set<HostID>, _ lost: Set<HostID>) -> Void
  ) {
    self.identity = identity
    self.share = share
    self.store = store
    self.evidence = evidence
    self.outbox = outbox
    self.gatekeeper = gatekeeper
    self.gateway = gateway
    self.metrics = metrics
    self.clock = clock
    self.timer = timer
    self.logger = logger
    self.moved = moved
    leases = Mutex(ShardLeases(me: identity.id, run: share.run))
    (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Something changed that may move a shard: a link, a Host.
  public func nudge() { waker.yield() }

  // MARK: - Coming and going

  /// Takes this node's place. Whatever an earlier process of it held falls to this one at once.
  public func join() async throws {
    let now = clock.now
    try await store.write { [self] tx in
      let others = try NodeRecords.nodes(in: tx).filter { $0.node.id != identity.id }
      let before = try NodeRecords.node(identity.id, in: tx)
      let node = NodeRoll.Node(
        id: identity.id, name: identity.name, run: share.run, beat: (before?.node.beat ?? 0) + 1, state: .up,
        gateway: identity.gateway)
      try NodeRecords.save(.init(node: node, program: identity.program, startedAt: now, seenAt: now), in: tx)
      if before == nil, !others.isEmpty {
        try record(
          .nodeJoined, ["gateway": .string(identity.gateway), "nodes": .integer(Int64(others.count + 1))], now, tx)
      }
      try endDisruptions(of: identity.id, at: now, in: tx)
      if before?.node.state == .lost {
        try outbox.append(FleetEvents.node(node, isLost: false, why: "is back", at: now), in: tx)
      }
    }
  }

  public func run() async throws {
    let (wake, waker, timer) = (wake, waker, timer)
    let every = identity.isShared ? ShardLeases.every : Self.aloneEvery
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        // Cancellation is the only reason why sleeping fails.
        while (try? await timer.sleep(for: every)) != nil { waker.yield() }
      }
      for await _ in wake.cancelOnGracefulShutdown() {
        do {
          try await look()
        } catch let error as AWError where error.code == .dataInUse {
          throw error
        } catch {
          logger.warning("this control plane could not renew its lease", metadata: ["error": "\(explained(error))"])
        }
      }
      group.cancelAll()
    }
    await Task { await self.leave() }.value
  }

  /// Hands over what it holds: the others take it at their next look instead of when the lease is over.
  private func leave() async {
    share.letGo()
    do {
      try await store.write { [identity] tx in try NodeRecords.set(.left, identity.id, in: tx) }
    } catch {
      logger.warning("this control plane could not say that it leaves", metadata: ["error": "\(explained(error))"])
    }
  }

  // MARK: - One look

  /// - Throws: `dataInUse` when another process took this node's place, and what the store throws.
  public func look() async throws {
    if identity.isShared { try await renew() }
    let links = gateway.connectionCounts
    let roll = try await store.read { try NodeRecords.roll(in: $0) }
    try await mend(roll, links)
    notice(roll)
    let decision = leases.withLock { $0.look(roll, at: ContinuousClock.now - began) }
    for node in decision.lost { try await putAway(node) }
    try await take(decision.takes, roll)
    for node in decision.lost.map(\.id) + decision.unlinked { try await gatekeeper.recordCrash(of: node) }
    try await forgetOld(roll)
    measure(roll)
  }

  private func renew() async throws {
    let now = clock.now
    try await store.write { [self] tx in
      guard let row = try NodeRecords.node(identity.id, in: tx), row.node.run == share.run else {
        throw AWError(
          .dataInUse, "Another process runs as this control plane: its data directory was copied.",
          next: "Give each control plane a data directory of its own, and end one of the two.")
      }
      try NodeRecords.beat(identity.id, at: now, in: tx)
      if row.node.state == .lost {
        try outbox.append(FleetEvents.node(row.node, isLost: false, why: "is back", at: now), in: tx)
      }
    }
  }

  /// What could not be recorded when it happened, or was put away by others meanwhile, is recorded again. What looks
  /// wrong for the first time may be on its way.
  private func mend(_ roll: NodeRoll, _ links: [HostID: Int]) async throws {
    // Another control plane was asked to remove these.
    for host in links.keys where roll.shards[.host(host)] == nil {
      gateway.disconnect(host, reason: "the Host was removed")
    }
    let recorded = roll.links.compactMapValues { $0[identity.id] }
    let wrong = Set(links.keys).union(recorded.keys).filter { links[$0] != recorded[$0] }
    let before = unrecorded.withLock { unrecorded in
      defer { unrecorded = wrong }
      return unrecorded
    }
    for host in wrong.intersection(before) {
      await gatekeeper.relink(host, connections: { [gateway] in gateway.connections(of: host) })
    }
  }

  private func notice(_ roll: NodeRoll) {
    var elsewhere: [HostID: Int] = [:]
    for (host, nodes) in roll.links {
      let count = nodes.filter { $0.key != identity.id && roll.nodes[$0.key]?.state == .up }.values.reduce(0, +)
      if count > 0 { elsewhere[host] = count }
    }
    share.note(elsewhere: elsewhere)
    gateway.note(elsewhere: elsewhere)
    let mine = roll.shards.compactMapValues { $0?.run == share.run ? $0?.token : nil }
    let lost = share.keep(mine)
    if !lost.isEmpty {
      logger.notice("another control plane took over", metadata: ["shards": "\(lost.count)"])
      moved([], Set(lost.compactMap(\.host)))
    }
    announce(roll)
  }

  /// Connectors are told of every AW Gateway that there is, so that each keeps a link to two of them.
  private func announce(_ roll: NodeRoll) {
    let addresses = roll.nodes.values.filter { $0.state == .up }.sorted { $0.id < $1.id }.compactMap {
      GatewayAddress(node: $0.id.text, text: $0.gateway)
    }
    let isNew = announced.withLock { announced in
      defer { announced = addresses }
      return announced != addresses
    }
    if isNew { gateway.announce(addresses) }
  }

  private func take(_ takes: [ShardLeases.Take], _ roll: NodeRoll) async throws {
    guard !takes.isEmpty else { return }
    let now = clock.now
    let taken = try await store.write { [self] tx in
      let taken = try NodeRecords.take(takes, for: identity.id, run: share.run, at: now, in: tx)
      let told = takes.filter { taken[$0.shard] != nil && $0.reason != .vacant }
      for (from, parts) in Dictionary(grouping: told, by: { $0.holder?.node }) {
        let name = from.flatMap { roll.nodes[$0]?.name } ?? "a node that was forgotten"
        for (reason, shards) in Dictionary(grouping: parts, by: \.reason) {
          let data: JSONValue = [
            "from": .string(name), "reason": .string(reason.rawValue),
            "hosts": .integer(Int64(shards.count { $0.shard.host != nil })),
            "fleet": .bool(shards.contains { $0.shard == .fleet }),
            "token": .integer(shards.compactMap { taken[$0.shard] }.max() ?? 0),
          ]
          try record(.nodeTookOver, data, now, tx)
        }
      }
      return taken
    }
    let fromOthers = Set(takes.filter { $0.reason != .vacant }.map(\.shard))
    share.hold(
      Dictionary(
        uniqueKeysWithValues: taken.map { shard, token in
          let grace = fromOthers.contains(shard) ? ChainWatch.takeoverGrace : ChainWatch.grace
          return (shard, FleetShare.Held(token: token, graceUntil: now.advanced(by: grace)))
        }))
    for (reason, count) in Dictionary(grouping: takes.filter { taken[$0.shard] != nil }, by: \.reason) {
      takeovers(reason).increment(by: Int64(count.count))
    }
    moved(Set(taken.keys.compactMap(\.host)), [])
    // More than one transaction takes is taken in the next.
    if takes.count >= ShardLeases.takesMax { nudge() }
  }

  /// The first to find a node's lease over says so, for all.
  private func putAway(_ gone: NodeRoll.Node) async throws {
    let now = clock.now
    try await store.write { [self] tx in
      guard let row = try NodeRecords.node(gone.id, in: tx), row.node == gone else { return }
      try NodeRecords.set(.lost, gone.id, in: tx)
      try record(
        .nodeLost,
        [
          "lost": .string(gone.name), "lostNode": .string(gone.id.text), "seenAt": .string(row.seenAt.description),
        ], now, tx)
      try outbox.append(FleetEvents.node(gone, isLost: true, why: "", at: now), in: tx)
      try endDisruptions(of: gone.id, at: now, in: tx)
      logger.warning("a control plane's lease is over", metadata: ["node": "\(gone.name)"])
    }
  }

  /// What a process that is gone told of and can no longer end.
  private func endDisruptions(of node: NodeID, at now: Timestamp, in tx: Transaction) throws {
    for event in try EventOutbox.open([.fleetDisruption, .scopeDisruption], in: tx)
    where event.data[FleetEvents.byNode]?.stringValue == node.text {
      try outbox.append(FleetEvents.over(event, at: now), in: tx)
    }
  }

  private func forgetOld(_ roll: NodeRoll) async throws {
    guard share.holds(.fleet), roll.nodes.values.contains(where: { $0.state != .up }) else { return }
    let now = clock.now
    let before = now.advanced(by: .zero - Self.rememberedFor)
    let isDue = try await store.read { tx in
      try NodeRecords.nodes(in: tx).contains { $0.node.state != .up && $0.seenAt < before }
    }
    guard isDue else { return }
    try await store.write { [outbox] tx in
      for id in try NodeRecords.forget(before: before, in: tx) {
        guard let node = roll.nodes[id], node.state == .lost else { continue }
        try outbox.append(FleetEvents.node(node, isLost: false, why: "is forgotten", at: now), in: tx)
      }
    }
  }

  private func record(_ kind: EvidenceKind, _ data: [String: JSONValue], _ now: Timestamp, _ tx: Transaction) throws {
    try record(kind, .object(data), now, tx)
  }

  private func record(_ kind: EvidenceKind, _ data: JSONValue, _ now: Timestamp, _ tx: Transaction) throws {
    let subject = EvidenceSubject(type: "node", id: identity.id.text, slug: identity.name)
    try evidence.append(EvidenceEntry(kind: kind, at: now, actor: Self.actor, subject: subject, data: data), in: tx)
  }

  private func explained(_ error: any Error) -> String { AWError.wrapping(error, doing: "Renewing the lease").chain }

  // MARK: - Metrics

  private func takeovers(_ reason: ShardLeases.Reason) -> Counter {
    Counter(label: "aw_node_takeovers", dimensions: [("reason", reason.rawValue)], factory: metrics)
  }

  private func measure(_ roll: NodeRoll) {
    for state in [NodeRoll.Node.State.up, .left, .lost] {
      Meter(label: "aw_nodes", dimensions: [("state", state.rawValue)], factory: metrics)
        .set(Int64(roll.nodes.values.count { $0.state == state }))
    }
    Meter(label: "aw_node_shards", dimensions: [], factory: metrics).set(Int64(share.count))
    for reason in ShardLeases.Reason.allCases { takeovers(reason).increment(by: 0) }
  }
}
