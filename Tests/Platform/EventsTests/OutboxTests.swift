import Basics
import Events
import Store
import Synchronization
import TestSupport
import Testing

@Suite("The outbox of events")
struct OutboxTests {
  static func event(_ number: Int) -> Event {
    Event(
      id: "instance/a/\(number)", type: EventType("aw.test"), subject: "instance/a",
      time: Timestamp(millisecondsSince1970: 1_000 * Int64(number)), org: nil, severity: .warning,
      condition: .init(key: "instance/a/status", isOpen: true), title: "Something happened.", data: ["n": .integer(1)])
  }

  struct Undone: Error {}

  @Test("an event is there once its change is, in order, and read on from anywhere", arguments: TestEngine.available)
  func order(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations) { store in
      let outbox = EventOutbox()
      try await store.write { tx in for number in 1...3 { try outbox.append(Self.event(number), in: tx) } }
      let all = try await store.read { try EventOutbox.after(0, limit: 10, in: $0) }
      #expect(all.map(\.sequence) == [1, 2, 3])
      #expect(all.map(\.event) == [1, 2, 3].map(Self.event))
      let rest = try await store.read { try EventOutbox.after(2, limit: 10, in: $0) }
      #expect(rest.map(\.event.id) == ["instance/a/3"])
      let newest = try await store.read { try EventOutbox.before(3, limit: 1, in: $0) }
      #expect(newest.map(\.sequence) == [2])
    }
  }

  @Test("the same fact told twice is one event", arguments: TestEngine.available)
  func twice(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations) { store in
      let outbox = EventOutbox()
      for _ in 1...2 { try await store.write { try outbox.append(Self.event(1), in: $0) } }
      #expect(try await store.read { try EventOutbox.head(in: $0) } == 1)
      #expect(try await store.read { try EventOutbox.after(0, limit: 10, in: $0).count } == 1)
    }
  }

  @Test("what is rolled back was never told", arguments: TestEngine.available)
  func rollback(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations) { store in
      let told = Mutex(0)
      let count: @Sendable () -> Void = { told.withLock { $0 += 1 } }
      let outbox = EventOutbox(appended: count)
      await #expect(throws: Undone.self) {
        try await store.write { tx in
          try outbox.append(Self.event(1), in: tx)
          throw Undone()
        }
      }
      #expect(told.withLock { $0 } == 0)
      try await store.write { try outbox.append(Self.event(2), in: $0) }
      #expect(told.withLock { $0 } == 1)
      #expect(try await store.read { try EventOutbox.after(0, limit: 10, in: $0).map(\.sequence) } == [1])
    }
  }

  @Test("only what everybody has read is forgotten", arguments: TestEngine.available)
  func forget(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: EventOutbox.migrations) { store in
      let outbox = EventOutbox()
      try await store.write { tx in for number in 1...4 { try outbox.append(Self.event(number), in: tx) } }
      try await store.write {
        try EventOutbox.forget(olderThan: Timestamp(millisecondsSince1970: 4_000), upTo: 2, in: $0)
      }
      #expect(try await store.read { try EventOutbox.after(0, limit: 10, in: $0).map(\.sequence) } == [3, 4])
      try await store.write { try outbox.append(Self.event(5), in: $0) }
      #expect(try await store.read { try EventOutbox.head(in: $0) } == 5)
    }
  }

  @Test("a CloudEvent has what the specification asks for")
  func cloudEvent() {
    let event = Self.event(1).cloudEvent(source: "urn:aw:1")
    #expect(event["specversion"]?.stringValue == "1.0")
    #expect(event["source"]?.stringValue == "urn:aw:1")
    #expect(event["type"]?.stringValue == "aw.test")
    #expect(event["time"]?.stringValue == "1970-01-01T00:00:01.000Z")
    // Names of extensions are lower-case letters and digits only.
    #expect((event.objectValue ?? [:]).keys.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber } })
  }
}
