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

/// Checks every Instance again and again, and records what it finds.
///
/// Light checks are what the Connectors tell of themselves; where one tells nothing, it is asked. Deep ones go through
/// the Gateway WebSocket. What is to be checked when is `WatchSchedule`'s decision; a Host without a link is looked at
/// once for all its Instances.
public final class ChainWatch: Service {
  /// How often it looks for what is due.
  static let tick = Duration.milliseconds(250)
  /// How often it looks at itself.
  static let lookEvery = Duration.seconds(1)
  /// How often it writes what was only confirmed.
  static let flushEvery = Duration.seconds(5)
  /// How often it reads all Instances anew: what this control plane changes it is told, what another changed is seen
  /// here.
  static let rereadEvery = Duration.seconds(30)
  /// After a start Hosts need some time to dial again: until then a missing link says nothing about an Instance.
  static let grace = Duration.seconds(15)
  /// The same for what was another control plane's: its Hosts may still be on their way here.
  static let takeoverGrace = Duration.seconds(60)
  /// A check that takes longer than this, its model turn apart, has its next one in the slow lane.
  static let slowAfter = Duration.seconds(2)
  /// How often it dials its own AW Gateway, and its anchors.
  static let mirrorEvery = Duration.seconds(5)
  /// Words of Connectors that wait to be taken in. Those that are lost come again with the next heartbeat.
  static let wordsMax = 4_096

  private let walk: ChainWalk
  private let recorder: ChainRecorder
  private let index: FleetIndex
  private let share: FleetShare
  private let store: Store
  private let clock: WallClock
  private let policy: StatusPolicy
  private let logger: Logger
  private let timer: any Clock<Duration>
  private let state: Mutex<WatchState>
  private let conscience: Conscience
  private let sentinels: Sentinels
  private let counters: FleetCounters
  private let samples: SampleKeeper
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation
  private let words: AsyncStream<Word>
  private let speaker: AsyncStream<Word>.Continuation

  private enum Word: Sendable {
    case heartbeat(Heartbeat, HostID)
    case link(HostID)
    /// Nil when any may have changed.
    case changed(InstanceID?, check: Bool)
    case moved(taken: Set<HostID>, lost: Set<HostID>)
  }

  /// - Parameter changed: told of every Instance whose evidence changed, for live pages.
  public init(
    walk: ChainWalk, steps: InstanceSteps, policy: StatusPolicy, conscience: Conscience, anchors: [Anchor] = [],
    metrics: any MetricsFactory, logger: Logger, timer: any Clock<Duration> = ContinuousClock(),
    seed: UInt64 = .random(in: .min ... .max), changed: @escaping @Sendable (InstanceID) -> Void
  ) {
    self.walk = walk
    store = steps.store
    clock = steps.clock
    index = steps.index
    share = steps.share
    recorder = ChainRecorder(
      store: steps.store, evidence: steps.evidence, outbox: steps.outbox, clock: steps.clock, policy: policy,
      index: steps.index, share: steps.share, changed: changed)
    self.policy = policy
    self.conscience = conscience
    sentinels = Sentinels(gateway: walk.gateway, anchors: anchors, logger: logger)
    counters = FleetCounters(factory: metrics)
    samples = steps.samples
    self.logger = logger
    self.timer = timer
    state = Mutex(WatchState(policy: policy, seed: seed))
    (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    (words, speaker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.wordsMax))
  }

  // MARK: - What it is told

  /// A Connector tells how its Instances are.
  public func heard(_ heartbeat: Heartbeat, from host: HostID) { speaker.yield(.heartbeat(heartbeat, host)) }

  /// A Host's link came or went.
  public func linkChanged(_ host: HostID) { speaker.yield(.link(host)) }

  /// An Instance is there, is gone, or is meant to be something else; nil when any of them may be.
  ///
  /// - Parameter andCheck: it is also to be checked soon, whatever the schedule says.
  public func changed(_ id: InstanceID?, andCheck: Bool = false) { speaker.yield(.changed(id, check: andCheck)) }

  /// Hosts fell to this control plane, or to another one.
  public func moved(taken: Set<HostID>, lost: Set<HostID>) { speaker.yield(.moved(taken: taken, lost: lost)) }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          var began = ContinuousClock.now
          while (try? await self.timer.sleep(for: Self.tick)) != nil {
            self.conscience.noteLag(ContinuousClock.now - began - Self.tick)
            self.waker.yield()
            began = .now
          }
          self.waker.finish()
        }
        group.addTask { await self.again(every: Self.rereadEvery) { await self.reread() } }
        group.addTask { await self.again(every: Self.lookEvery) { await self.look() } }
        group.addTask { await self.again(every: Self.flushEvery) { await self.flush() } }
        group.addTask { await self.again(every: Self.mirrorEvery) { await self.sentinels.look(for: self.conscience) } }
        group.addTask { for await word in self.words { await self.take(word) } }
        await self.checkWhatIsDue()
        group.cancelAll()
      }
    }
    // A shutdown cancels what runs in its task; what is left to write is not to be lost for that.
    await Task { await self.flush(all: true) }.value
  }

  private func again(every: Duration, _ body: () async -> Void) async {
    repeat { await body() } while (try? await timer.sleep(for: every)) != nil
  }

  private func take(_ word: Word) async {
    do {
      switch word {
      case .heartbeat(let heartbeat, let host): try await take(heartbeat, from: host)
      case .link(let host):
        guard share.holds(host) else { return }
        note(host, linked: walk.gateway.isConnected(host))
        try await lookAtOutages()
      case .moved(let taken, let lost): await move(taken, lost)
      case .changed(nil, _): await reread()
      case .changed(let id?, let check): try await reread(id, check: check)
      }
    } catch {
      logger.error("what the Watchdog was told could not be taken in", metadata: metadata(error))
    }
  }

  // MARK: - The roster

  private func reread() async {
    do {
      let (every, busy) = try await store.read { tx in
        (try FleetRecords.watched(in: tx), try WorkRecords.busySubjects(in: tx))
      }
      let all = every.filter { share.holds($0.host) }
      // What is in memory of those that are new here is as old as the last reading.
      for id in state.withLock({ state in all.map(\.id).filter { state.watched[$0] == nil } }) { index.forget(id) }
      try await index.load(all.map(\.id), from: store)
      let present = Set(all.map(\.id))
      for id in state.withLock({ Array($0.watched.keys) }) where !present.contains(id) { forget(id) }
      for instance in all { watch(instance, isBusy: busy.contains(instance.id.text)) }
    } catch {
      logger.error("the Instances to check could not be read", metadata: metadata(error))
    }
  }

  private func reread(_ id: InstanceID, check: Bool) async throws {
    let (instance, isBusy) = try await store.read { tx in
      (try FleetRecords.instance(id, in: tx), try WorkRecords.isBusy(id.text, in: tx))
    }
    guard let instance, instance.isWatched, share.holds(instance.host) else { return forget(id) }
    if state.withLock({ $0.watched[id] == nil }) { index.forget(id) }
    try await index.load([id], from: store)
    watch(instance, isBusy: isBusy)
    if instance.state != .active { conscience.forget(id) }
    if check {
      state.withLock { $0.schedule.nudge(id, now: clock.now) }
      waker.yield()
    }
  }

  /// Lets go of Hosts that another control plane has now, and looks at those that are new here: what was found there
  /// counts on, and is looked at again at once.
  private func move(_ taken: Set<HostID>, _ lost: Set<HostID>) async {
    for host in lost {
      for id in state.withLock({ $0.leave(host, now: clock.now) }) { forget(id) }
    }
    guard !taken.isEmpty else { return }
    for id in state.withLock({ state in taken.flatMap { state.leave($0, now: clock.now) } }) { forget(id) }
    await reread()
    let now = clock.now
    state.withLock { state in
      for host in taken { for instance in state.instances(on: host) { state.schedule.nudge(instance.id, now: now) } }
    }
    waker.yield()
  }

  private func watch(_ instance: Instance, isBusy: Bool) {
    let evidence = index.evidence(of: instance.id) ?? StatusEvidence()
    state.withLock {
      $0.watch(instance, isBusy: isBusy, turn: TurnDecision.due(evidence, policy: policy), now: clock.now)
    }
  }

  private func forget(_ id: InstanceID) {
    state.withLock { $0.forget(id) }
    conscience.forget(id)
    index.forget(id)
  }

  // MARK: - Hosts

  private func note(_ host: HostID, linked: Bool) {
    // A link to another control plane is a link: the Host falls to that one soon.
    let linked = linked || share.elsewhere(host) > 0
    guard linked || !share.isGracious(with: host, at: clock.now) else { return }
    state.withLock { $0.note(host, linked: linked, now: clock.now) }
    waker.yield()
  }

  /// One look at each Host without a link tells of all its Instances.
  private func lookAtOutages() async throws {
    let now = clock.now
    let instances = state.withLock { state in
      state.outages.due(now: now).flatMap { state.instances(on: $0) }
    }
    guard !instances.isEmpty else { return }
    let failure = CheckFailure(AWGateway.offline)
    let report = ChainReport(results: [
      CheckResult(link: .host, outcome: .failed(failure), at: now, durationMilliseconds: 0, evidence: .null)
    ])
    try await record(instances.map { ($0, report) })
  }

  private func take(_ heartbeat: Heartbeat, from host: HostID) async throws {
    let now = clock.now
    let short = walk.gateway.shortcoming(of: host)
    var findings: [(instance: Instance, report: ChainReport)] = []
    for group in heartbeat.groups {
      guard let report = ToldChain.report(group.facts, at: now),
        let linked = ToldChain.report(group.facts, short: short, at: now)
      else { continue }
      let instances = state.withLock { $0.told(group.instances, by: host, isWell: group.facts.isWell, now: now) }
      findings += instances.map { ($0, $0.usesLink ? linked : report) }
    }
    let missed = Set(findings.map(\.instance.id).filter { (index.evidence(of: $0)?.misses ?? 0) > 0 })
    try await record(findings)
    // What is newly missed is confirmed, and what is back is let in again.
    let odd = findings.filter { instance, report in
      guard instance.state == .active, let evidence = index.evidence(of: instance.id) else { return false }
      return evidence.misses > 0 && !(report.hasFailed && missed.contains(instance.id))
    }
    guard !odd.isEmpty else { return }
    state.withLock { state in for (instance, _) in odd { state.schedule.nudge(instance.id, now: now) } }
    waker.yield()
  }

  private func record(_ found: [(instance: Instance, report: ChainReport)]) async throws {
    let findings = found.map { instance, report in
      let isHeld = state.withLock { $0.isOut(instance) } || conscience.holds(instance)
      return ChainRecorder.Finding(
        id: instance.id, asked: instance.state, report: report, isHeld: isHeld, token: share.token(of: instance.host))
    }
    let began = ContinuousClock.now
    let wrote = try await recorder.record(findings, doubt: conscience.doubt)
    if wrote { conscience.noteWrite(ContinuousClock.now - began) }
    for finding in findings { samples.note(finding.report, of: finding.id) }
    for (instance, _) in found where instance.state == .active {
      conscience.note(instance, missingSince: index.evidence(of: instance.id)?.missingSince)
    }
  }

  // MARK: - Itself

  private func look() async {
    do {
      let linked = walk.gateway.connectedHosts
      for host in state.withLock({ $0.hosts }) { note(host, linked: linked.contains(host)) }
      try await lookAtOutages()
      let (census, unlinked) = state.withLock { ($0.census(), $0.outages.hosts) }
      for change in conscience.look(census, unlinked: unlinked, now: clock.now) { try await record(change) }
    } catch {
      logger.error("the Watchdog could not look at itself", metadata: metadata(error))
    }
  }

  private func flush(all: Bool = false) async {
    do {
      let began = ContinuousClock.now
      if try await recorder.flush(all: all) { conscience.noteWrite(ContinuousClock.now - began) }
    } catch {
      // It stays in memory and is tried again.
      logger.error("what was checked could not be written yet", metadata: metadata(error))
    }
  }

  /// What is larger than one Instance is one entry and one event, whatever it does to how many Instances.
  private func record(_ change: Conscience.Change) async throws {
    let node = share.node
    switch change {
    case .began(let doubt, let lost):
      let data: JSONValue = [
        "cause": .string(doubt.cause.rawValue), "reason": .string(doubt.reason), "lost": .integer(Int64(lost)),
      ]
      try await record(.disruptionBegan, data) { FleetEvents.disruption(doubt, lost: lost, by: node, at: $0) }
    case .ended:
      try await record(.disruptionEnded, [:]) { FleetEvents.disruption(nil, lost: 0, by: node, at: $0) }
    case .settling: judgeAnew { _ in true }
    case .scope(.settling(let scope)): judgeAnew { $0.member.scopes.contains(scope) }
    case .scope(.began(let scope, let lost, let all)):
      let name = try await name(scope)
      let data: JSONValue = [
        "scope": .string(scope.text), "lost": .integer(Int64(lost)), "instances": .integer(Int64(all)),
      ]
      try await record(.scopeDisruptionBegan, data) {
        FleetEvents.scopeDisruption(scope, name: name, lost: (lost, all), by: node, at: $0)
      }
    case .scope(.ended(let scope)):
      let name = try await name(scope)
      try await record(.scopeDisruptionEnded, ["scope": .string(scope.text)]) {
        FleetEvents.scopeDisruption(scope, name: name, lost: nil, by: node, at: $0)
      }
    }
  }

  private func record(
    _ kind: EvidenceKind, _ data: JSONValue, _ event: @escaping @Sendable (Timestamp) -> Event
  ) async throws {
    let now = clock.now
    let told = event(now)
    try await store.write { [recorder, share, logger] tx in
      // Who watches nothing has nothing to tell; and what it told of while it did ends all the same.
      let isOpen = try EventOutbox.open([told.type], in: tx).contains { $0.condition?.key == told.condition?.key }
      guard try told.condition?.isOpen == true ? share.holdsAny(in: tx) : isOpen else { return }
      logger.warning("what the Watchdog believes changed", metadata: ["kind": "\(kind)"])
      try recorder.evidence.append(EvidenceEntry(kind: kind, at: now, actor: ChainRecorder.actor, data: data), in: tx)
      try recorder.outbox.append(told, in: tx)
    }
  }

  private func name(_ scope: DisruptionScope) async throws -> String {
    switch scope {
    case .host(let host):
      "on the Host \(try await store.read { try FleetRecords.host(host, in: $0)?.slug.text } ?? host.text)"
    case .release(let release): "of OpenClaw \(release)"
    }
  }

  /// What was missed is forgotten, and everything checked soon: what is still lost has three new tries.
  private func judgeAnew(_ concerns: (Instance) -> Bool) {
    let now = clock.now
    for instance in state.withLock({ Array($0.watched.values) }) where instance.state == .active && concerns(instance) {
      guard let evidence = index.evidence(of: instance.id), evidence.misses > 0 else { continue }
      _ = index.change(instance.id) { evidence in
        evidence.pardon()
        return (true, ())
      }
      conscience.note(instance, missingSince: nil)
      state.withLock { $0.schedule.nudge(instance.id, now: now) }
    }
  }

  // MARK: - Checks

  private func checkWhatIsDue() async {
    await withDiscardingTaskGroup { group in
      for await _ in wake {
        // The schedule bounds how many are under way.
        for check in state.withLock({ $0.schedule.take(now: clock.now) }) {
          group.addTask { await self.run(check) }
        }
      }
      group.cancelAll()
    }
  }

  private func run(_ check: WatchSchedule.Check) async {
    let began = ContinuousClock.now
    var (turn, again): (Timestamp?, Duration?) = (nil, nil)
    var patience = Duration.zero
    // An operation on the Instance moves what a check would look at; it ends with a check of its own.
    if let instance = state.withLock({ $0.free(check.id) }), !isTooEarly(for: instance) {
      do {
        let report = await withTaskExecutorPreference(walk.gateway.executor(of: instance.host)) {
          await look(at: instance, check.depth)
        }
        patience = .milliseconds(report.result(.turn)?.durationMilliseconds ?? 0)
        // What a shutdown cut off, or an operation that began meanwhile, says nothing about the Instance.
        if !Task.isCancelled, state.withLock({ $0.free(check.id) }) != nil {
          counters.walked(report)
          try await record([(instance, report)])
        }
        let evidence = index.evidence(of: check.id) ?? StatusEvidence()
        again = instance.state == .active ? ConfirmDecision.again(evidence, policy: policy, now: clock.now) : nil
        if evidence.misses == 0 { turn = TurnDecision.due(evidence, policy: policy) ?? clock.now }
      } catch {
        logger.error("a check could not be recorded", metadata: metadata(error))
        again = ConfirmDecision.retry
      }
    }
    let slow = ContinuousClock.now - began - patience >= Self.slowAfter
    state.withLock { $0.schedule.ended(check.id, slow: slow, again: again, turn: turn, now: clock.now) }
  }

  private func isTooEarly(for instance: Instance) -> Bool {
    instance.usesLink && !walk.gateway.isConnected(instance.host)
      && (share.isGracious(with: instance.host, at: clock.now) || share.elsewhere(instance.host) > 0)
  }

  private func look(at instance: Instance, _ depth: WatchSchedule.Depth) async -> ChainReport {
    let links = CheckPlan.links(depth, index.evidence(of: instance.id) ?? StatusEvidence(), now: clock.now)
    let report = await walk.walk(instance, links, patience: conscience.patience)
    // What the Host told a moment ago may no longer be so: the whole chain tells which link it is.
    guard !links.contains(.live), !report.isReached else { return report }
    return await walk.walk(instance, ChainLink.deep, patience: conscience.patience)
  }

  private func metadata(_ error: any Error) -> Logger.Metadata {
    ["error": "\(AWError.wrapping(error, doing: "The Watchdog").chain)"]
  }
}
