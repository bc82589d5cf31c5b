import Testing

@testable import Store

@Suite("Portable SQL for PostgreSQL")
struct PostgresSQLTests {
  @Test(
    "placeholders are numbered outside quotes and comments",
    arguments: [
      ("SELECT ?", "SELECT $1"), ("a = ? AND b = ?", "a = $1 AND b = $2"), ("'?' || ?", "'?' || $1"),
      ("'it''s ?', ?", "'it''s ?', $1"), ("\"a?\" = ?", "\"a?\" = $1"), ("? -- ?\n, ?", "$1 -- ?\n, $2"),
      ("? /* ? ' */ , ?", "$1 /* ? ' */ , $2"), ("'open ?", "'open ?"), ("", ""), ("é ? é", "é $1 é"),
    ])
  func placeholders(sql: String, expected: String) {
    #expect(PostgresSQL.numberPlaceholders(sql) == expected)
  }

  @Test(
    "BLOB becomes BYTEA where it is a type",
    arguments: [
      ("a BLOB NOT NULL", "a BYTEA NOT NULL"), ("a blob", "a BYTEA"), ("blobs BLOB", "blobs BYTEA"),
      ("a TEXT DEFAULT 'BLOB'", "a TEXT DEFAULT 'BLOB'"), ("\"BLOB\" BLOB", "\"BLOB\" BYTEA"),
    ])
  func types(sql: String, expected: String) {
    #expect(PostgresSQL.translate(migration: sql) == expected)
  }

  @Test("a lost server is tried again after waits that double up to a limit")
  func backoff() {
    var backoff = ReconnectBackoff()
    let start = ContinuousClock().now
    #expect(backoff.mayConnect(at: start))
    var now = start
    var waits: [Duration] = []
    for _ in 0..<8 {
      backoff.failed(at: now)
      let wait = stride(from: 50, through: 10_000, by: 50).map { Duration.milliseconds($0) }
        .first { backoff.mayConnect(at: now.advanced(by: $0)) }
      waits.append(wait ?? .zero)
      now = now.advanced(by: wait ?? .zero)
    }
    #expect(waits == [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map { .milliseconds($0) })
    backoff.connected()
    #expect(backoff.mayConnect(at: start))
  }
}
