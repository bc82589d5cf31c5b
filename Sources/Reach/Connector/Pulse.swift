import Basics
import Link
import OpenClaw

/// Looks at this Host's Instances again and again, and tells the AW Gateway: of all of them at its interval, of those
/// that changed at once.
struct Pulse: Sendable {
  /// How often what supervision knows is compared with what was told. No I/O, so a crash is told within a second.
  static let lookEvery = Duration.seconds(1)
  /// How often a port that answers is asked again, and one that does not.
  static let probeEvery = Duration.seconds(5)
  static let probeAgainAfter = Duration.seconds(2)
  /// A loopback answer that takes longer is none.
  static let probeDeadline = Duration.seconds(2)
  /// Ports asked at once.
  static let probesMax = 64

  let runtimes: Runtimes
  let every: Duration
  let probe: @Sendable (_ port: Int) async -> InstanceFacts.Answer

  /// Runs until it is cancelled or `send` throws.
  ///
  /// - Parameter isWanted: false while another connection tells; whoever takes over begins with all.
  func run(while isWanted: () -> Bool, _ send: (Heartbeat) async throws -> Void) async throws {
    var ledger = PulseLedger(every: every)
    while true {
      guard isWanted() else {
        ledger = PulseLedger(every: every)
        try await Task.sleep(for: Self.lookEvery)
        continue
      }
      let states = await runtimes.states()
      let now = ContinuousClock.now
      let answers = await ask(ledger.due(states, now: now).compactMap { id in states[id]?.port.map { (id, $0) } })
      let tunnels = await runtimes.tunnelPhases()
      for part in ledger.take(states, answers, tunnels, now: now)?.parts() ?? [] { try await send(part) }
      try await Task.sleep(for: Self.lookEvery)
    }
  }

  private func ask(_ ports: [(InstanceID, Int)]) async -> [InstanceID: InstanceFacts.Answer] {
    await withTaskGroup(of: (InstanceID, InstanceFacts.Answer).self) { group in
      var answers: [InstanceID: InstanceFacts.Answer] = [:]
      for (index, (id, port)) in ports.enumerated() {
        if index >= Self.probesMax, let (id, answer) = await group.next() { answers[id] = answer }
        group.addTask { [probe] in (id, await probe(port)) }
      }
      for await (id, answer) in group { answers[id] = answer }
      return answers
    }
  }
}

extension Connector {
  /// What a port of this machine says to `/healthz`.
  @Sendable public static func answer(of port: Int) async -> InstanceFacts.Answer {
    let dialer = TCPDialer(host: "127.0.0.1", port: port)
    let began = ContinuousClock.now
    do {
      let answer = try await Probe.live.ask(through: dialer, deadline: Pulse.probeDeadline)
      return Probe.live.verdict(on: answer) == .passed ? .live : .wrong
    } catch {
      // What did not answer in time is told from what was refused by how long it took: the error is the same to a
      // person, and the deadline is far longer than a refusal on loopback takes.
      return ContinuousClock.now - began >= Pulse.probeDeadline ? .timeout : .refused
    }
  }
}

/// What was told of each Instance and when, as a value: what is to be asked, and what is to be told.
///
/// | since the last heartbeat | told |
/// |---|---|
/// | the interval is over, or there was none | all Instances |
/// | some look otherwise than they were told | those |
/// | all look as they were told | nothing |
struct PulseLedger: Sendable {
  private let every: Duration
  private var toldAt: ContinuousClock.Instant?
  private var told: [InstanceID: InstanceFacts] = [:]
  private var answers: [InstanceID: (answer: InstanceFacts.Answer, at: ContinuousClock.Instant)] = [:]

  init(every: Duration) { self.every = every }

  /// The Instances whose port is to be asked now.
  func due(_ states: [InstanceID: RunState], now: ContinuousClock.Instant) -> [InstanceID] {
    states.compactMap { id, state in
      guard state.phase == .running else { return nil }
      guard let last = answers[id] else { return id }
      let wait = last.answer == .live ? Pulse.probeEvery : Pulse.probeAgainAfter
      return now - last.at >= wait ? id : nil
    }.sorted()
  }

  mutating func take(
    _ states: [InstanceID: RunState], _ fresh: [InstanceID: InstanceFacts.Answer],
    _ tunnels: [InstanceID: TunnelState.Phase] = [:], now: ContinuousClock.Instant
  ) -> Heartbeat? {
    for (id, answer) in fresh { answers[id] = (answer, now) }
    // What does not run has no answer; the next one that runs under this name is asked at once.
    answers = answers.filter { states[$0.key]?.phase == .running }
    var facts: [InstanceID: InstanceFacts] = [:]
    for (id, state) in states {
      facts[id] = InstanceFacts(
        phase: state.phase, exitCode: state.exitCode, outOfMemory: state.outOfMemory, answer: answers[id]?.answer,
        configurationDrifted: state.configurationDrifted == true || state.departures != nil, tunnel: tunnels[id])
    }
    defer { told = facts }
    if toldAt.map({ now - $0 >= every }) ?? true {
      toldAt = now
      return Heartbeat(facts)
    }
    let changed = facts.filter { told[$0.key] != $0.value }
    return changed.isEmpty ? nil : Heartbeat(changed)
  }
}
