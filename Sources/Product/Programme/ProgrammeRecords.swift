import Basics
import Store

/// The SQL of the programme: its entries, in their order, and nothing else. All that is shown follows from them.
public enum ProgrammeRecords {
  public static let migrations = [
    Migration(
      "programme-0001",
      [
        """
        CREATE TABLE programme_entry (
          position BIGINT PRIMARY KEY NOT NULL, sequence TEXT NOT NULL, at BIGINT NOT NULL, record TEXT NOT NULL)
        """
      ]),
    Migration(
      "programme-0002",
      ["CREATE TABLE programme_visit (actor TEXT PRIMARY KEY NOT NULL, at BIGINT NOT NULL)"]),
  ]

  /// Every entry that was recorded, in order.
  ///
  /// - Throws: `tooLarge` when there are more than are read at once.
  static func entries(in tx: Transaction) throws -> [ProgrammeEntry] {
    let rows = try tx.run(
      "SELECT record FROM programme_entry ORDER BY position LIMIT ?",
      [.integer(Int64(ProgrammeLimits.entriesMax + 1))])
    guard rows.count <= ProgrammeLimits.entriesMax else {
      throw AWError(
        .tooLarge, "The programme has more than \(ProgrammeLimits.entriesMax) entries.",
        next: "Begin a new deployment for the next programme; this one's evidence keeps what happened.")
    }
    return try rows.map { try JSONValue.decode(ProgrammeEntry.self, from: $0.text("record")) }
  }

  static func append(_ entry: ProgrammeEntry, in tx: Transaction) throws {
    let last = try tx.run("SELECT MAX(position) AS last FROM programme_entry").first?.optionalInteger("last") ?? 0
    guard last < Int64(ProgrammeLimits.entriesMax) else {
      throw AWError(
        .tooLarge, "The programme is full: it has \(ProgrammeLimits.entriesMax) entries.",
        next: "Begin a new deployment for the next programme; this one's evidence keeps what happened.")
    }
    try tx.run(
      "INSERT INTO programme_entry (position, sequence, at, record) VALUES (?, ?, ?, ?)",
      [
        .integer(last + 1), .text(entry.sequence.text), .time(entry.at),
        .text(try JSONValue(encoding: entry).canonical),
      ])
  }
}
