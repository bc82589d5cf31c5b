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
import Work

/// Walks along the chain of every Instance again and again, and records what it finds.
public final class ChainWatch: Service {
  /// How often it looks for Instances that are due.
  static let tick = Duration.seconds(1)
  /// Walks under way at once.
  static let walksMax = 16

  /// After a start Hosts need some time to dial again: until then a missing link says nothing about an Instance.
  static let grace = Duration.seconds(15)

  private let walk: ChainWalk
  private let recorder: ChainRecorder
  private let store: Store
  private let clock: WallClock
  private let policy: StatusPolicy
  private let logger: Logger
  private let timer: any Clock<Duration>
  private let schedule: Mutex<WatchSchedule>
  private let startedAt: Timestamp
  private let conscience: Conscience
  private let counters: FleetCounters
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation

  /// - Parameter changed: told after every walk that was recorded, for live pages.
  public init(
    walk: ChainWalk, steps: InstanceSteps, policy: StatusPolicy, conscience: Conscience, index: FleetIndex,
    metrics: any MetricsFactory, logger: Logger, timer: any Clock<Duration> = ContinuousClock(),
    changed: @escaping @Sendable (InstanceID) -> Void
  ) {
    self.walk = walk
    store = steps.store
    clock = steps.clock
    startedAt = clock.now
    recorder = ChainRecorder(
      store: steps.store, evidence: steps.evidence, outbox: steps.outbox, clock: steps.clock, policy: policy,
      index: index, changed: changed)
    self.policy = policy
    self.conscience = conscience
    counters = FleetCounters(factory: metrics)
    self.logger = logger
    self.timer = timer
    schedule = Mutex(WatchSchedule(interval: policy.interval))
    (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Walks along this Instance's chain soon, whatever the schedule says.
  public func nudge(_ id: InstanceID) {
    schedule.withLock { $0.nudge(id, now: clock.now) }
    waker.yield()
  }

  /// Walks along the chains of a Host's Instances soon: its link came or went.
  public func nudge(host: HostID) async {
    do {
      let ids = try await store.read { try FleetRecords.instances(on: host, in: $0).map(\.id) }
      ids.forEach(nudge)
    } catch {
      // Their turn comes by the schedule.
      logger.warning("a Host's Instances could not be nudged", metadata: ["host": "\(host)", "error": "\(error)"])
    }
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          while (try? await self.timer.sleep(for: Self.tick)) != nil { self.waker.yield() }
          self.waker.finish()
        }
        await self.walkWhatIsDue()
        group.cancelAll()
      }
    }
  }

  /// Bounded: a full house of slow walks delays the others, it does not pile up.
  private func walkWhatIsDue() async {
    await withTaskGroup(of: Void.self) { group in
      var underWay = 0
      for await _ in wake {
        for instance in await due() {
          if underWay >= Self.walksMax {
            await group.next()
            underWay -= 1
          }
          underWay += 1
          group.addTask { await self.check(instance) }
        }
      }
      group.cancelAll()
    }
  }

  private func due() async -> [Instance] {
    do {
      let all = try await store.read { tx in try FleetRecords.watched(in: tx) }
      let active = all.filter { $0.state == .active }
      if let change = conscience.look(at: active, now: clock.now) { try await record(change) }
      let ready = Set(schedule.withLock { $0.due(among: all.map(\.id), now: clock.now) })
      return all.filter { ready.contains($0.id) }
    } catch {
      logger.error("the Instances to check could not be read", metadata: ["error": "\(error)"])
      return []
    }
  }

  /// A doubt that begins or ends is one entry, whatever it does to how many Instances.
  private func record(_ change: Conscience.Change) async throws {
    let (kind, data) = change.entry
    let now = clock.now
    logger.warning("the Watchdog's doubt changed", metadata: ["kind": "\(kind)"])
    try await store.write { [recorder] tx in
      try recorder.evidence.append(
        EvidenceEntry(kind: kind, at: now, actor: ChainRecorder.actor, data: data), in: tx)
      try recorder.outbox.append(FleetEvents.disruption(change, at: now), in: tx)
    }
  }

  private func isTooEarly(for instance: Instance) -> Bool {
    !walk.gateway.isConnected(instance.host) && clock.now.since(startedAt) < Self.grace
  }

  private func check(_ instance: Instance) async {
    let again = await walkOnce(instance)
    schedule.withLock { $0.ended(instance.id, again: again, now: clock.now) }
  }

  /// - Returns: how long until the next walk; nil leaves it to the interval.
  private func walkOnce(_ instance: Instance) async -> Duration? {
    do {
      let known = try await store.read { tx in
        // An operation on the Instance moves what a walk would look at; it ends with a walk of its own.
        try WorkRecords.isBusy(instance.id.text, in: tx) ? nil : try FleetRecords.evidence(of: instance.id, in: tx)
      }
      guard let known, !isTooEarly(for: instance) else { return Self.tick }
      let turn = instance.state == .active && TurnDecision.isDue(known, policy: policy, now: clock.now)
      let report = await walk.walk(instance, turn: turn)
      // What a shutdown cut off says nothing about the Instance.
      guard !Task.isCancelled else { return nil }
      counters.walked(report)
      let now = try await recorder.record(report, of: instance.id, doubt: conscience.doubt)
      conscience.note(instance, missingSince: now.missingSince)
      return ConfirmDecision.again(now, now: clock.now)
    } catch {
      logger.error(
        "a check could not be recorded",
        metadata: [
          "instance": "\(instance.slug)", "error": "\(AWError.wrapping(error, doing: "Recording a check").chain)",
        ])
      return nil
    }
  }
}
