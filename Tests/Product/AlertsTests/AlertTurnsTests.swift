import Basics
import Events
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite("Events become alerts, alerts become notifications")
struct AlertTurnsTests {
  typealias Scene = AlertScene
  let turns = AlertTurns(publicURL: "https://aw.example.com")

  private func world(
    _ engine: TestEngine, routes: [Matchers] = [Matchers()], _ body: (Store) async throws -> Void
  ) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations + AlertsRecords.migrations) { store in
      try await store.write { tx in
        let endpoint = Endpoint(id: .make(at: Scene.start), name: try Slug("desk"), kind: .webhook, target: "x")
        try AlertsRecords.save(endpoint, in: tx)
        for (index, matchers) in routes.enumerated() {
          try AlertsRecords.save(
            AlertRoute(
              id: .make(at: Scene.start), name: try Slug("route-\(index)"), position: index, matchers: matchers,
              endpoints: [endpoint.name]), in: tx)
        }
      }
      try await body(store)
    }
  }

  private func happen(_ events: [Event], _ store: Store) async throws {
    try await store.write { tx in for event in events { try EventOutbox().append(event, in: tx) } }
  }

  /// One turn.
  ///
  /// - Returns: what is queued after it, oldest first.
  private func turn(_ seconds: Int, _ store: Store) async throws -> [Delivery] {
    try await store.write { tx in
      _ = try turns.takeEvents(in: tx, at: Scene.at(seconds))
      _ = try turns.flush(in: tx, at: Scene.at(seconds))
      return try DeliveryRecords.list(endpoint: nil, state: nil, before: nil, limit: 100, in: tx).reversed()
    }
  }

  @Test("an event opens an alert, is told after the wait, and its end is told too", arguments: TestEngine.available)
  func wholeLife(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      try await happen([Scene.event("i/1", open: true, at: 0)], store)
      #expect(try await turn(0, store).isEmpty)
      let told = try await turn(10, store)
      #expect(told.map { $0.notification.alerts.map(\.key) } == [["i/1"]])
      try await store.write { tx in
        var first = told[0]
        first.took(.delivered(detail: ""), at: Scene.at(11), random: 0)
        try DeliveryRecords.save(first, in: tx)
      }
      try await happen([Scene.event("i/1", open: false, at: 60)], store)
      _ = try await turn(60, store)
      let all = try await turn(130, store)
      #expect(all.count == 2 && all.last?.notification.alerts.first?.resolvedAt == Scene.at(60))
      #expect(try await store.read { try AlertsRecords.openAlert("i/1", in: $0) } == nil)
    }
  }

  @Test("a turn that is made twice tells nothing twice", arguments: TestEngine.available)
  func twice(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      try await happen([Scene.event("i/1", open: true, at: 0)], store)
      for second in [0, 0, 10, 10, 11] { _ = try await turn(second, store) }
      #expect(try await turn(12, store).count == 1)
    }
  }

  @Test("each Org has a group of its own, and its name in the notification", arguments: TestEngine.available)
  func orgs(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      try await happen(
        [Scene.event("i/1", open: true, at: 0), Scene.event("i/2", open: true, at: 0, org: "globex")], store)
      _ = try await turn(0, store)
      let orgs = try await turn(10, store).compactMap { $0.notification.org?.text }
      #expect(orgs.sorted() == ["acme", "globex"])
    }
  }

  @Test("the first route that takes an alert is the last that is asked", arguments: TestEngine.available)
  func firstRoute(_ engine: TestEngine) async throws {
    let routes = [Matchers(org: try Slug("globex")), Matchers(severity: .critical), Matchers()]
    try await world(engine, routes: routes) { store in
      try await happen([Scene.event("i/1", open: true, at: 0)], store)
      _ = try await turn(0, store)
      #expect(try await turn(10, store).map(\.notification.groupKey) == ["route-1/acme"])
    }
  }

  @Test("five thousand lost with their Host are one notification that counts them", arguments: TestEngine.available)
  func scope(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      let scopes: [String: JSONValue] = [EventData.scopes: [.string("host/h")]]
      let children = (0..<500).map { Scene.event("i/\($0)", open: true, at: 1, data: scopes) }
      try await happen(children, store)
      _ = try await turn(1, store)
      _ = try await turn(1, store)
      try await happen(
        [Scene.event("host/h", open: true, at: 5, org: "", data: [EventData.inhibits: .string("host/h")])], store)
      _ = try await turn(5, store)
      _ = try await turn(11, store)
      let told = try await turn(15, store)
      #expect(told.map { $0.notification.alerts.map(\.key) } == [["host/h"]])
      #expect(told.first?.notification.alerts.first?.data["inhibited"] == .integer(500))
      // All over: nobody hears of the children now either.
      try await happen(
        [Scene.event("host/h", open: false, at: 20, org: "")]
          + (0..<500).map { Scene.event("i/\($0)", open: false, at: 21, data: scopes) }, store)
      for second in stride(from: 20, through: 400, by: 20) { _ = try await turn(second, store) }
      let keys = try await turn(401, store).flatMap { $0.notification.alerts.map(\.key) }
      #expect(Set(keys) == ["host/h"])
    }
  }

  @Test("a silence keeps an alert from being told, and the alert says so", arguments: TestEngine.available)
  func silence(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      let silence = Silence(
        id: .make(at: Scene.start), sort: .silence, matchers: Matchers(org: try Slug("acme")), startsAt: Scene.at(0),
        endsAt: Scene.at(100), reason: "known", by: "user/1")
      try await store.write { try AlertsRecords.save(silence, in: $0) }
      try await happen([Scene.event("i/1", open: true, at: 0)], store)
      _ = try await turn(0, store)
      #expect(try await turn(10, store).isEmpty)
      let row = try await store.read { try AlertsRecords.list(open: true, org: nil, before: nil, limit: 9, in: $0) }
      #expect(row.map(\.mutedBy) == ["silence/\(silence.id)"])
      #expect(try await turn(130, store).count == 1)
    }
  }

  @Test("while a receiver is away the queue holds one delivery more of a group, not one a change",
    arguments: TestEngine.available)
  func bounded(_ engine: TestEngine) async throws {
    try await world(engine) { store in
      try await happen([Scene.event("i/1", open: true, at: 0)], store)
      _ = try await turn(0, store)
      let first = try #require(try await turn(10, store).first)
      try await store.write { tx in
        var tried = first
        tried.took(.retry(after: nil, detail: "no answer"), at: Scene.at(11), random: 0.5)
        try DeliveryRecords.save(tried, in: tx)
      }
      for round in 1...10 {
        let second = 200 * round
        try await happen([Scene.event("i/\(round + 1)", open: true, at: second)], store)
        _ = try await turn(second, store)
      }
      try await happen([Scene.event("i/1", open: false, at: 2_200)], store)
      _ = try await turn(2_200, store)
      let queue = try await turn(2_400, store)
      #expect(queue.count == 2)
      #expect(queue.last?.notification.alerts.count == 11)
      // Nobody hears of the end before the beginning.
      let leased = try await store.write {
        try DeliveryRecords.lease(for: "a", resting: [], limit: 10, at: Scene.at(2_400), in: $0)
      }
      #expect(leased.map(\.id) == [first.id])
      // And nobody else sends what is being sent.
      let others = try await store.write {
        try DeliveryRecords.lease(for: "b", resting: [], limit: 10, at: Scene.at(2_401), in: $0)
      }
      #expect(others.isEmpty)
    }
  }
}
