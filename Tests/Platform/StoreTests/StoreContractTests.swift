import Basics
import Dispatch
import Store
import Synchronization
import TestSupport
import Testing

/// The contract of `Store`, the same cases on every engine.
@Suite("Store contract")
struct StoreContractTests {
  static let tables = [
    Migration(
      "0001-things",
      [
        "CREATE TABLE thing (name TEXT PRIMARY KEY, number BIGINT, bytes BLOB)",
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
        "INSERT INTO counter (name, value) VALUES ('BLOB?', 0)",
      ])
  ]

  @Test(
    "PostgreSQL is among the engines under test",
    .enabled(if: TestEngine.available.contains(.postgres), "set AW_TEST_POSTGRES to test on PostgreSQL"))
  func postgresIsTested() async throws {
    let administrator = try await TestStores.administrator()
    let rows = try await administrator.read { try $0.run("SELECT 1 AS one") }
    #expect(try rows.first?.integer("one") == 1)
    await administrator.close()
  }

  @Test("every value comes back as it was stored", arguments: TestEngine.available)
  func roundTrip(engine: TestEngine) async throws {
    let megabyte = (0..<1_048_576).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    let cases: [(name: String, number: Int64?, bytes: [UInt8]?)] = [
      ("plain", 1, [1, 2, 3]), ("", 0, []), ("nulls", nil, nil), ("most", .max, Array(UInt8.min ... .max)),
      ("least", .min, [0]), ("Zoë ✓ 👩‍👩‍👧 \u{202e} ' \" \\ ? $1 ; --", -1, megabyte), ("line\nbreak\ttab", 7, [0, 0]),
    ]
    try await TestStores.with(engine, migrations: Self.tables) { store in
      for item in cases {
        try await store.write { tx in
          try tx.run(
            "INSERT INTO thing (name, number, bytes) VALUES (?, ?, ?)",
            [.text(item.name), .integer(item.number), item.bytes.map { .blob($0) } ?? .null])
        }
        let rows = try await store.read { try $0.run("SELECT * FROM thing WHERE name = ?", [.text(item.name)]) }
        let row = try #require(rows.first)
        #expect(try row.text("name") == item.name)
        #expect(try row.optionalInteger("number") == item.number)
        if let bytes = item.bytes {
          #expect(try row.blob("bytes") == bytes)
        } else {
          #expect(throws: AWError.self) { try row.blob("bytes") }
        }
      }
      let small = try await store.read { tx in
        try tx.run("SELECT count(*) AS n, sum(number) AS s FROM thing WHERE number BETWEEN -10 AND 10").first
      }
      #expect(try small?.integer("n") == 4)
      #expect(try small?.integer("s") == 7)
    }
  }

  @Test("a question mark and BLOB inside quotes are left alone", arguments: TestEngine.available)
  func quotes(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      let row = try await store.read { tx in
        try tx.run(
          "SELECT name AS \"what?\", 'it''s ?' AS q /* ? */ FROM counter WHERE name = ? -- ?\n AND value = ?",
          [.text("BLOB?"), .integer(0)]
        ).first
      }
      #expect(try row?.text("what?") == "BLOB?")
      #expect(try row?.text("q") == "it's ?")
    }
  }

  @Test("a text with U+0000 is refused before it reaches the engine", arguments: TestEngine.available)
  func nul(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      _ = await #expect(throws: AWError(.usage, "", next: "")) {
        try await store.write { try $0.run("INSERT INTO thing (name) VALUES (?)", [.text("a\u{0}b")]) }
      }
    }
  }

  private struct Refusal: Error {}

  @Test(
    "a rollback leaves nothing behind and drops what was to be done after the commit",
    arguments: TestEngine.available)
  func rollback(engine: TestEngine) async throws {
    let done = Mutex<[String]>([])
    try await TestStores.with(engine, migrations: Self.tables) { store in
      await #expect(throws: Refusal.self) {
        try await store.write { tx in
          try tx.run("INSERT INTO thing (name) VALUES ('lost')")
          tx.afterCommit { done.withLock { $0.append("lost") } }
          throw Refusal()
        }
      }
      try await store.write { tx in
        try tx.run("INSERT INTO thing (name) VALUES ('kept')")
        tx.afterCommit { done.withLock { $0.append("first") } }
        tx.afterCommit { done.withLock { $0.append("second") } }
      }
      #expect(done.withLock { $0 } == ["first", "second"])
      let names = try await store.read { try $0.run("SELECT name FROM thing").map { try $0.text("name") } }
      #expect(names == ["kept"])
    }
  }

  @Test("a second row with the same key is a conflict", arguments: TestEngine.available)
  func conflict(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      try await store.write { try $0.run("INSERT INTO thing (name) VALUES ('one')") }
      await #expect(throws: AWError(.conflict, "", next: "")) {
        try await store.write { try $0.run("INSERT INTO thing (name) VALUES ('one')") }
      }
    }
  }

  @Test(
    "a failed statement fails the whole transaction, even when its error is caught",
    arguments: TestEngine.available)
  func poisoned(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      await #expect(throws: AWError(.conflict, "", next: "")) {
        try await store.write { tx in
          try tx.run("INSERT INTO thing (name) VALUES ('one')")
          _ = try? tx.run("INSERT INTO thing (name) VALUES ('one')")
        }
      }
      let rows = try await store.read { try $0.run("SELECT name FROM thing") }
      #expect(rows.isEmpty)
    }
  }

  @Test("fifty writers at once count exactly", arguments: TestEngine.available)
  func writers(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<50 {
          group.addTask {
            try await store.write { tx in
              let value = try tx.run("SELECT value FROM counter").first?.integer("value") ?? -1
              try tx.run("UPDATE counter SET value = ?", [.integer(value + 1)])
            }
          }
        }
        try await group.waitForAll()
      }
      let counted = try await counter(store)
      #expect(counted == 50)
    }
  }

  @Test(
    "writers of two processes, seen as two stores, do not lose each other's changes",
    arguments: TestEngine.available)
  func twoStores(engine: TestEngine) async throws {
    try await TestStores.withLocation(engine) { location in
      let stores = [try await open(location, Self.tables), try await open(location, Self.tables)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<20 {
          group.addTask {
            try await stores[number % 2].write { tx in
              let value = try tx.run("SELECT value FROM counter").first?.integer("value") ?? -1
              try tx.run("UPDATE counter SET value = ?", [.integer(value + 1)])
            }
          }
        }
        try await group.waitForAll()
      }
      let counted = try await counter(stores[0])
      #expect(counted == 20)
      for store in stores { await store.close() }
    }
  }

  @Test("a reader keeps its snapshot while a writer commits", arguments: TestEngine.available)
  func snapshot(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      let (started, startedContinuation) = AsyncStream<Void>.makeStream()
      let written = DispatchSemaphore(value: 0)
      async let seen = store.read { tx in
        let before = try tx.run("SELECT value FROM counter").first?.integer("value")
        startedContinuation.finish()
        // The closure has a thread of the engine to itself, so it may block.
        written.wait()
        let after = try tx.run("SELECT value FROM counter").first?.integer("value")
        return [before, after]
      }
      for await _ in started {}
      try await store.write { try $0.run("UPDATE counter SET value = 9") }
      written.signal()
      let pair = try await seen
      #expect(pair == [0, 0])
      let counted = try await counter(store)
      #expect(counted == 9)
    }
  }

  @Test("a read cannot write", arguments: TestEngine.available)
  func readOnly(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      await #expect(throws: AWError(.storeFailed, "", next: "")) {
        _ = try await store.read { try $0.run("UPDATE counter SET value = 9") }
      }
      let counted = try await counter(store)
      #expect(counted == 0)
    }
  }

  @Test("a closed store says so", arguments: TestEngine.available)
  func closed(engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: Self.tables) { store in
      await store.close()
      for write in [true, false] {
        let error = await #expect(throws: AWError.self) {
          if write {
            try await store.write { try $0.run("UPDATE counter SET value = 9") }
          } else {
            _ = try await store.read { try $0.run("SELECT value FROM counter") }
          }
        }
        #expect(error?.message.contains("closed") == true, "\(error?.chain ?? "no error")")
      }
    }
  }

  private func counter(_ store: Store) async throws -> Int64? {
    try await store.read { try $0.run("SELECT value FROM counter").first?.integer("value") }
  }

  private func open(_ location: Store.Location, _ migrations: [Migration]) async throws -> Store {
    try await Store.open(location, migrations: migrations, logger: TestStores.logger)
  }
}
