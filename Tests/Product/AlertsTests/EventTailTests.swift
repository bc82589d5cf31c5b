import Basics
import Events
import Logging
import Store
import TestSupport
import Testing

@testable import Alerts
@testable import Web

@Suite("Events as they happen")
struct EventTailTests {
  typealias Scene = AlertScene

  /// A clock that does not wait.
  private struct Impatient: Clock {
    typealias Instant = ContinuousClock.Instant
    var now: Instant { .now }
    var minimumResolution: Duration { .zero }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws { try Task.checkCancellation() }
  }

  private func tail(_ store: Store, after cursor: Int64, _ seats: EventSeats = EventSeats()) throws -> EventTail {
    EventTail(
      store: store, after: cursor, source: "urn:aw:test", seat: try seats.take(), logger: TestStores.logger,
      clock: Impatient())
  }

  private func happen(_ key: String, _ store: Store) async throws {
    try await store.write { try EventOutbox().append(Scene.event(key, open: true, at: 0), in: $0) }
  }

  @Test("who comes back with the number of the last event gets every event after it, in order")
  func resumes() async throws {
    try await TestStores.with(.sqlite, migrations: EventOutbox.migrations) { store in
      for key in ["a", "b", "c"] { try await happen(key, store) }
      let tail = try tail(store, after: 1)
      guard case .event("2", "aw.instance.status-changed", let data) = await tail.next() else {
        Issue.record("the second event did not come")
        return
      }
      let event = try JSONValue(parsing: data)
      #expect(event["specversion"] == "1.0" && event["source"] == "urn:aw:test" && event["subject"] == "b")
      guard case .event("3", _, _) = await tail.next() else {
        Issue.record("the third event did not come")
        return
      }
    }
  }

  @Test("while nothing happens there is a sign of life, and then the event")
  func heartbeat() async throws {
    try await TestStores.with(.sqlite, migrations: EventOutbox.migrations) { store in
      let tail = try tail(store, after: 0)
      #expect(await tail.next() == .comment("heartbeat"))
      try await happen("a", store)
      guard case .event("1", _, _) = await tail.next() else {
        Issue.record("the event did not come")
        return
      }
    }
  }

  @Test("no more listen than there are seats, and a seat is free when its listener is gone")
  func seats() throws {
    let seats = EventSeats()
    var taken = try (0..<EventSeats.max).map { _ in try seats.take() }
    #expect(throws: AWError.self) { try seats.take() }
    taken.removeLast()
    taken.append(try seats.take())
    #expect(taken.count == EventSeats.max)
  }
}
