import Basics
import Link
import Store
import TestSupport
import Testing
import Web

@testable import Fleet

@Suite("The board, page by page")
struct BoardTests {
  private static func row(
    _ number: Int, _ status: Status = .current, org: String = "acme", cause: ChainLink? = nil, version: String = "1"
  ) -> BoardRow {
    BoardRow(
      id: "\(number)", slug: "i-\(1_000 + number)", org: org, host: "host-\(number % 3)", asked: .active,
      version: version, status: status, cause: cause)
  }

  private static func fleet(_ count: Int, _ random: inout Seeded) -> [BoardRow] {
    (0..<count).map { row($0, Status.allCases.randomElement(using: &random) ?? .current) }
  }

  @Test("worst first, and every Instance once, whatever becomes of the statuses between two pages", arguments: 1...40)
  func paging(seed: UInt64) throws {
    var random = Seeded(state: seed)
    let count = Int.random(in: 1...300, using: &random)
    let limit = Int.random(in: 1...50, using: &random)
    let orders = BoardOrders()
    let first = Self.fleet(count, &random)
    var (rows, seen, cursor): ([BoardRow], [String], Cursor?) = (first, [], nil)
    repeat {
      let page = try BoardPage.of(
        rows, filter: BoardFilter(), sort: .worst, limit: limit, after: cursor, orders: orders)
      #expect(page.rows.count <= limit)
      seen += page.rows.map(\.slug)
      cursor = page.next
      rows = Self.fleet(count, &random)
    } while cursor != nil
    let wanted = first.sorted { ($1.status.severity, $0.slug) < ($0.status.severity, $1.slug) }
    #expect(seen == wanted.map(\.slug))
  }

  @Test("an order that is forgotten still leads on, by severity and name")
  func forgotten() throws {
    var random = Seeded(state: 7)
    let rows = Self.fleet(100, &random)
    let page = try BoardPage.of(
      rows, filter: BoardFilter(), sort: .worst, limit: 40, after: nil, orders: BoardOrders())
    let rest = try BoardPage.of(
      rows, filter: BoardFilter(), sort: .worst, limit: 100, after: page.next, orders: BoardOrders())
    #expect(Set((page.rows + rest.rows).map(\.slug)).count == 100)
    #expect(page.rows.count + rest.rows.count == 100)
  }

  @Test("a cursor of another listing is refused")
  func strange() {
    let cursor = Cursor(keys: ["a", "b"])
    for sort in BoardSort.allCases {
      #expect(throws: AWError.self) {
        try BoardPage.of(
          [Self.row(1)], filter: BoardFilter(), sort: sort, limit: 10, after: cursor, orders: BoardOrders())
      }
    }
  }

  @Test("all that a filter says must hold")
  func filters() throws {
    let rows = [
      Self.row(1), Self.row(2, .degraded, cause: .ready), Self.row(3, .degraded, org: "globex", cause: .ready),
      Self.row(4, .unreachable, cause: .host, version: "2"),
    ]
    func taken(_ filter: BoardFilter) -> [String] { rows.filter(filter.takes).map(\.id) }
    #expect(taken(BoardFilter()) == ["1", "2", "3", "4"])
    #expect(taken(BoardFilter(status: .degraded)) == ["2", "3"])
    #expect(taken(BoardFilter(org: try Slug("acme"), status: .degraded)) == ["2"])
    #expect(taken(BoardFilter(cause: .host)) == ["4"])
    #expect(taken(BoardFilter(version: "2")) == ["4"])
    #expect(taken(BoardFilter(host: try Slug("host-1"))) == ["1", "4"])
    #expect(taken(BoardFilter(name: "i-100")) == ["1", "2", "3", "4"])
    #expect(taken(BoardFilter(name: "i-1004")) == ["4"])
    #expect(taken(BoardFilter(org: try Slug("globex"), cause: .host)) == [])
  }

  @Test("the index in memory says what a fresh one reads from the database", arguments: TestEngine.available)
  func index(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: FleetRecords.migrations) { store in
      let now = Timestamp(millisecondsSince1970: 1_700_000_000_000)
      let org = Org(id: .make(at: now), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: now)
      let host = Host(id: .make(at: now), slug: try Slug("host-1"), state: .active, createdAt: now)
      let instances = try (0..<20).map { number in
        Instance(
          id: .make(at: now), slug: try Slug("i-\(number)"), org: org.id, host: host.id, runtime: .process,
          image: nil, requestedPort: nil, state: .active, version: "1", createdAt: now)
      }
      try await store.write { tx in
        try FleetRecords.insert(org, in: tx)
        try FleetRecords.save(host, in: tx)
        for instance in instances { try FleetRecords.save(instance, in: tx) }
      }
      let index = FleetIndex()
      func rows(_ index: FleetIndex, at now: Timestamp) async throws -> [BoardRow] {
        try await store.read { try index.rows(policy: StatusPolicy(), doubt: nil, now: now, in: $0) }
          .sorted { $0.slug < $1.slug }
      }
      #expect(try await rows(index, at: now).allSatisfy { $0.status == .unknown && $0.org == "acme" })
      for (number, instance) in instances.enumerated() {
        var evidence = StatusEvidence()
        let at = now.advanced(by: .seconds(number))
        let outcome: CheckResult.Outcome =
          number % 2 == 0 ? .passed : .failed(CheckFailure(code: "x", message: "It is gone.", next: "Look."))
        evidence.take(
          ChainReport(
            results: ChainLink.allCases.map {
              CheckResult(link: $0, outcome: outcome, at: at, durationMilliseconds: 1, evidence: ["big": "text"])
            }))
        try await store.write { [evidence] tx in try FleetRecords.save(evidence, of: instance.id, at: at, in: tx) }
        // What this control plane recorded it notes; the rest it finds by its time.
        if number % 3 == 0 {
          _ = index.change(instance.id) { known in
            known = evidence
            return (true, ())
          }
          index.stored(evidence, of: instance.id, at: at)
        }
      }
      let later = now.advanced(by: .seconds(20))
      let known = try await rows(index, at: later)
      #expect(known == (try await rows(FleetIndex(), at: later)))
      #expect(Set(known.map(\.status)) == [.current, .unknown])
      try await store.write { try FleetRecords.deleteInstance(instances[0].id, in: $0) }
      #expect(try await rows(index, at: later).count == 19)
    }
  }
}
