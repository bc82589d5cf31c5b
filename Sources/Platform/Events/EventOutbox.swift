import Basics
import Store

/// The transactional outbox: an event is written with the change that it tells of, or not at all. Whoever is to be told
/// reads on from where it was.
public struct EventOutbox: Sendable {
  public static let migrations = [
    Migration(
      "events-0001-outbox",
      [
        """
        CREATE TABLE event (
          sequence BIGINT PRIMARY KEY NOT NULL, id TEXT NOT NULL UNIQUE, at BIGINT NOT NULL, type TEXT NOT NULL,
          org TEXT, event TEXT NOT NULL)
        """,
        "CREATE TABLE event_head (id BIGINT PRIMARY KEY NOT NULL, sequence BIGINT NOT NULL)",
        "INSERT INTO event_head (id, sequence) VALUES (1, 0)",
        "CREATE INDEX event_at ON event (at)",
      ])
  ]

  /// Told after every commit that added an event: short, and from any thread.
  private let appended: @Sendable () -> Void

  public init(appended: @escaping @Sendable () -> Void = {}) { self.appended = appended }

  /// Adds an event in the caller's transaction. One whose id is there already is the same fact: it is left out.
  public func append(_ event: Event, in tx: Transaction) throws {
    guard try !EventOutbox.holds(event.id, in: tx) else { return }
    // Counted here rather than by the engine: writers are serial, so the order of the numbers is that of the commits.
    let sequence = try EventOutbox.head(in: tx) + 1
    try tx.run("UPDATE event_head SET sequence = ? WHERE id = 1", [.integer(sequence)])
    try tx.run(
      "INSERT INTO event (sequence, id, at, type, org, event) VALUES (?, ?, ?, ?, ?, ?)",
      [
        .integer(sequence), .text(event.id), .time(event.time), .text(event.type.rawValue), .text(event.org),
        .text(try JSONValue(encoding: event).canonical),
      ])
    tx.afterCommit(appended)
  }

  /// Whether an event with this id is there.
  public static func holds(_ id: String, in tx: Transaction) throws -> Bool {
    try !tx.run("SELECT sequence FROM event WHERE id = ?", [.text(id)]).isEmpty
  }

  /// Looks back so far for what is open.
  static let openSearched = 1_000

  /// The events of these types that opened something that is still open, newest first.
  public static func open(_ types: [EventType], in tx: Transaction) throws -> [Event] {
    let marks = types.map { _ in "?" }.joined(separator: ", ")
    let newest = try tx.run(
      "SELECT sequence, event FROM event WHERE type IN (\(marks)) ORDER BY sequence DESC LIMIT \(openSearched)",
      types.map { .text($0.rawValue) }
    ).map { try read($0).event }
    var seen: Set<String> = []
    return newest.filter { event in event.condition.map { seen.insert($0.key).inserted && $0.isOpen } ?? false }
  }

  /// The number of the newest event; 0 before the first.
  public static func head(in tx: Transaction) throws -> Int64 {
    try tx.run("SELECT sequence FROM event_head WHERE id = 1").first?.integer("sequence") ?? 0
  }

  /// An event with its place in the outbox.
  public struct Entry: Sendable, Equatable {
    public let sequence: Int64
    public let event: Event
  }

  /// The events after a number, oldest first.
  public static func after(_ sequence: Int64, limit: Int, in tx: Transaction) throws -> [Entry] {
    try tx.run(
      "SELECT sequence, event FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?",
      [.integer(sequence), .integer(limit)]
    ).map(read)
  }

  /// The newest events before a number, newest first.
  public static func before(_ sequence: Int64, limit: Int, in tx: Transaction) throws -> [Entry] {
    try tx.run(
      "SELECT sequence, event FROM event WHERE sequence < ? ORDER BY sequence DESC LIMIT ?",
      [.integer(sequence), .integer(limit)]
    ).map(read)
  }

  private static func read(_ row: SQLRow) throws -> Entry {
    Entry(sequence: try row.integer("sequence"), event: try JSONValue.decode(Event.self, from: row.text("event")))
  }

  /// Forgets events that are older than a time and that everybody has read.
  ///
  /// - Parameter upTo: the last number that may go.
  public static func forget(olderThan time: Timestamp, upTo sequence: Int64, in tx: Transaction) throws {
    try tx.run("DELETE FROM event WHERE at < ? AND sequence <= ?", [.time(time), .integer(sequence)])
  }
}
