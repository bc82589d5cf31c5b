import Basics
import Link
import Store

/// The SQL of samples of checks.
enum SampleRecords {
  static let migration = Migration(
    "fleet-0006-history",
    [
      """
      CREATE TABLE check_sample (
        instance TEXT NOT NULL, at BIGINT NOT NULL, span BIGINT NOT NULL, phases TEXT NOT NULL,
        PRIMARY KEY (instance, at, span))
      """,
      "CREATE INDEX check_sample_span ON check_sample (span, at)",
      "CREATE INDEX instance_org ON instance (org)",
    ])

  static func insert(_ sample: CheckSample, of instance: InstanceID, in tx: Transaction) throws {
    try tx.run(
      "INSERT INTO check_sample (instance, at, span, phases) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      [.id(instance), .time(sample.at), .integer(sample.span.milliseconds), .text(sample.text)])
  }

  /// Oldest first.
  static func list(of instance: InstanceID, since: Timestamp, in tx: Transaction) throws -> [CheckSample] {
    try tx.run(
      "SELECT at, span, phases FROM check_sample WHERE instance = ? AND at >= ? ORDER BY at",
      [.id(instance), .time(since)]
    ).map(read)
  }

  /// Instances that have single checks from before a time.
  static func unthinned(before time: Timestamp, limit: Int, in tx: Transaction) throws -> [InstanceID] {
    try tx.run(
      "SELECT DISTINCT instance FROM check_sample WHERE span = 0 AND at < ? LIMIT ?", [.time(time), .integer(limit)]
    ).map { try $0.id("instance") }
  }

  /// Takes the single checks from before a time out.
  static func takeSingle(
    of instance: InstanceID, before time: Timestamp, in tx: Transaction
  ) throws -> [CheckSample] {
    let samples = try tx.run(
      "SELECT at, span, phases FROM check_sample WHERE instance = ? AND span = 0 AND at < ? ORDER BY at",
      [.id(instance), .time(time)]
    ).map(read)
    try tx.run(
      "DELETE FROM check_sample WHERE instance = ? AND span = 0 AND at < ?", [.id(instance), .time(time)])
    return samples
  }

  static func delete(before time: Timestamp, in tx: Transaction) throws {
    for span in [0, SampleLimits.thinTo.milliseconds] {
      try tx.run("DELETE FROM check_sample WHERE span = ? AND at < ?", [.integer(span), .time(time)])
    }
  }

  static func deleteAll(of instance: InstanceID, in tx: Transaction) throws {
    try tx.run("DELETE FROM check_sample WHERE instance = ?", [.id(instance)])
  }

  /// Removes the oldest above a number, the thinned ones first.
  static func cap(_ max: Int, in tx: Transaction) throws {
    var over = Int(try tx.run("SELECT COUNT(*) AS n FROM check_sample").first?.integer("n") ?? 0) - max
    for span in [SampleLimits.thinTo.milliseconds, 0] where over > 0 {
      let held = Int(
        try tx.run("SELECT COUNT(*) AS n FROM check_sample WHERE span = ?", [.integer(span)]).first?.integer("n") ?? 0)
      let going = min(over, held)
      guard going > 0,
        let last = try tx.run(
          "SELECT at FROM check_sample WHERE span = ? ORDER BY at LIMIT 1 OFFSET ?",
          [.integer(span), .integer(going - 1)]
        ).first?.time("at")
      else { continue }
      try tx.run("DELETE FROM check_sample WHERE span = ? AND at <= ?", [.integer(span), .time(last)])
      over -= going
    }
  }

  private static func read(_ row: SQLRow) throws -> CheckSample {
    CheckSample(
      at: try row.time("at"), span: .milliseconds(try row.integer("span")), text: try row.text("phases"))
  }
}
