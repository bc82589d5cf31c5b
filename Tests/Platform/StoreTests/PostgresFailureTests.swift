import Basics
import Foundation
import Store
import TestSupport
import Testing

@Suite(
  "PostgreSQL in trouble",
  .enabled(if: TestEngine.available.contains(.postgres), "set AW_TEST_POSTGRES to test on PostgreSQL"))
struct PostgresFailureTests {
  @Test("a killed backend is replaced on the next call")
  func killed() async throws {
    try await TestStores.with(.postgres, migrations: StoreContractTests.tables, connections: 2) { store in
      let administrator = try await TestStores.administrator()
      let writer = try await store.write { try $0.run("SELECT pg_backend_pid() AS pid").first?.integer("pid") }
      let reader = try await store.read { try $0.run("SELECT pg_backend_pid() AS pid").first?.integer("pid") }
      for pid in [writer, reader] {
        let ended = try await administrator.read { tx in
          try tx.run("SELECT pg_terminate_backend(CAST(? AS INTEGER), 5000) AS ended", [.integer(pid)])
            .first?.bool("ended")
        }
        #expect(ended == true)
      }
      try await store.write { try $0.run("UPDATE counter SET value = 3") }
      let value = try await store.read { try $0.run("SELECT value FROM counter").first?.integer("value") }
      #expect(value == 3)
      await administrator.close()
    }
  }

  @Test("a backend killed in the middle of a transaction fails that one only")
  func killedInside() async throws {
    try await TestStores.with(.postgres, migrations: StoreContractTests.tables) { store in
      let error = await #expect(throws: AWError(.storeFailed, "", next: "")) {
        try await store.write { tx in
          try tx.run("UPDATE counter SET value = 3")
          try tx.run("SELECT pg_terminate_backend(pg_backend_pid())")
          try tx.run("UPDATE counter SET value = 4")
        }
      }
      #expect(error?.message.contains("unreachable") == true)
      try await store.write { try $0.run("UPDATE counter SET value = value + 1") }
      let value = try await store.read { try $0.run("SELECT value FROM counter").first?.integer("value") }
      #expect(value == 1)
    }
  }

  @Test("a writer that waits too long for another process is told that the database is locked")
  func locked() async throws {
    try await TestStores.withLocation(.postgres) { location in
      let holder = try await Store.open(
        location, migrations: StoreContractTests.tables, logger: TestStores.logger)
      var limits = StoreLimits()
      limits.lockWait = .milliseconds(50)
      let waiting = try await Store.openWithoutMigrations(location, limits: limits)
      let (held, heldContinuation) = AsyncStream<Void>.makeStream()
      let release = DispatchSemaphore(value: 0)
      async let holding: Void = holder.write { _ in
        heldContinuation.finish()
        release.wait()
      }
      for await _ in held {}
      await #expect(throws: AWError(.storeLocked, "", next: "")) {
        try await waiting.write { try $0.run("UPDATE counter SET value = 1") }
      }
      release.signal()
      try await holding
      await holder.close()
      await waiting.close()
    }
  }

  @Test(
    "an unusable target is explained without showing any part of it",
    arguments: [
      "host=127.0.0.1 port=1 user=aw password=SENTINEL-pw dbname=aw", "postgresql://aw:SENTINEL-pw@127.0.0.1:1/aw",
      "SENTINEL-pw and no target at all", "host=127.0.0.1 port=1 user=aw password='SENTINEL-pw",
    ])
  func unusable(target: String) async throws {
    let error = await #expect(throws: AWError(.storeFailed, "", next: "")) {
      _ = try await Store.open(
        .postgres(target: Secret(target), connections: 2), migrations: [], logger: TestStores.logger)
    }
    #expect(error?.chain.contains("SENTINEL") == false)
    #expect(error?.message.isEmpty == false)
  }

  @Test("a user that does not exist is told apart from a server that does not answer")
  func wrongUser() async throws {
    let target = try #require(TestStores.postgresTarget)
    let error = await #expect(throws: AWError(.storeFailed, "", next: "")) {
      _ = try await Store.open(
        .postgres(target: Secret(target + " user=nobody_here"), connections: 2), migrations: [],
        logger: TestStores.logger)
    }
    #expect(error?.message.contains("does not exist") == true)
  }
}
