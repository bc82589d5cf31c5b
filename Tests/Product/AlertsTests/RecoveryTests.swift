import Basics
import CoreMetrics
import Events
import Logging
import Store
import Synchronization
import TestSupport
import Testing

@testable import Alerts

@Suite("A receiver that comes back")
struct RecoveryTests {
  typealias Scene = AlertScene

  /// A receiver that answers 500 for a while, and what it heard.
  private final class Receiver: Sendable {
    struct State {
      var now = 0
      var isAway = false
      var calls = 0
      var heard: [(key: String, isOver: Bool, at: Int)] = []
    }
    let state = Mutex(State())

    var clock: WallClock { WallClock { Scene.at(self.state.withLock { $0.now }) } }

    func take(_ notification: Notification) -> DeliveryOutcome {
      state.withLock { state in
        state.calls += 1
        guard !state.isAway else { return .retry(after: nil, detail: "HTTP 500") }
        for alert in notification.alerts { state.heard.append((alert.key, alert.resolvedAt != nil, state.now)) }
        return .delivered(detail: "HTTP 200")
      }
    }

    func heard(_ key: String, over: Bool) -> Int? {
      state.withLock { $0.heard.first { $0.key == key && $0.isOver == over }?.at }
    }
  }

  private struct World {
    let store: Store
    let receiver = Receiver()

    func engine() -> AlertsEngine {
      let receiver = receiver
      return AlertsEngine(
        store: store, clock: receiver.clock, sender: "one", publicURL: nil, metrics: NOOPMetricsHandler.instance,
        logger: Logger(label: "alerts", factory: { _ in SwiftLogNoOpLogHandler() }),
        send: { notification, _, _ in receiver.take(notification) }, changed: {})
    }

    /// Lets the engine look each second, up to a time.
    func run(_ engine: AlertsEngine, until end: Int) async {
      for second in receiver.state.withLock({ $0.now })..<end {
        receiver.state.withLock { $0.now = second }
        for delivery in await engine.turn() { await engine.tryOnce(delivery) }
      }
      receiver.state.withLock { $0.now = end }
    }

    func happen(_ event: Event) async throws {
      try await store.write { try EventOutbox().append(event, in: $0) }
    }
  }

  private func world(_ engine: TestEngine, _ body: (World) async throws -> Void) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations + AlertsRecords.migrations) { store in
      try await store.write { tx in
        let endpoint = Endpoint(id: .make(at: Scene.start), name: try Slug("desk"), kind: .webhook, target: "x")
        try AlertsRecords.save(endpoint, in: tx)
        try AlertsRecords.save(
          AlertRoute(
            id: .make(at: Scene.start), name: try Slug("all"), position: 0, matchers: Matchers(),
            endpoints: [endpoint.name]), in: tx)
      }
      try await body(World(store: store))
    }
  }

  @Test(
    "the end of an alert comes within 20 s of the receiver's return, and after the beginnings it waited behind",
    arguments: TestEngine.available, [60, 420, 2_000])
  func resolve(_ database: TestEngine, outage: Int) async throws {
    try await world(database) { world in
      let engine = world.engine()
      try await world.happen(Scene.event("i/1", open: true, at: 0))
      await world.run(engine, until: 200)
      #expect(world.receiver.heard("i/1", over: false) != nil)
      world.receiver.state.withLock { $0.isAway = true }
      try await world.happen(Scene.event("i/2", open: true, at: 200))
      await world.run(engine, until: 203)
      try await world.happen(Scene.event("i/1", open: false, at: 203))
      await world.run(engine, until: 200 + outage)
      let calls = world.receiver.state.withLock { state in
        (state.isAway, state.heard) = (false, [])
        return state.calls
      }
      #expect(calls <= 50 + outage / 10)
      await world.run(engine, until: 200 + outage + 130)
      let end = try #require(world.receiver.heard("i/1", over: true))
      let other = try #require(world.receiver.heard("i/2", over: false))
      // A group that was told waits for its interval before it tells what changed; both were past it but in the first.
      if outage > 120 { #expect(end <= 200 + outage + 20) }
      #expect(other <= 200 + outage + 20 && other <= end)
      let heard = world.receiver.state.withLock { $0.heard.map { "\($0.key) \($0.isOver)" } }
      #expect(heard.sorted() == ["i/1 true", "i/2 false"])
    }
  }

  @Test("a control plane that starts asks at once, not when the schedule says", arguments: TestEngine.available)
  func start(_ database: TestEngine) async throws {
    try await world(database) { world in
      world.receiver.state.withLock { $0.isAway = true }
      try await world.happen(Scene.event("i/1", open: true, at: 0))
      await world.run(world.engine(), until: 1_000)
      world.receiver.state.withLock { $0.isAway = false }
      await world.run(world.engine(), until: 1_002)
      #expect(world.receiver.heard("i/1", over: false) == 1_000)
    }
  }

  @Test("an endpoint that is switched off is not asked, and what waits for it goes on waiting")
  func switchedOff() async throws {
    try await world(.sqlite) { world in
      let engine = world.engine()
      world.receiver.state.withLock { $0.isAway = true }
      try await world.happen(Scene.event("i/1", open: true, at: 0))
      // Its sixth try is over by now, and the seventh due after 430 s at the soonest.
      await world.run(engine, until: 300)
      try await world.store.write { tx in
        var endpoint = try #require(try AlertsRecords.endpoints(in: tx).first)
        endpoint.isEnabled = false
        try AlertsRecords.save(endpoint, in: tx)
      }
      let calls = world.receiver.state.withLock { $0.calls }
      await world.run(engine, until: 400)
      #expect(world.receiver.state.withLock { $0.calls } == calls)
      #expect(try await world.store.read { try DeliveryRecords.count(.waiting, in: $0) } == 1)
    }
  }
}
