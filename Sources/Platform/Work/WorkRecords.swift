import Basics
import Foundation
import Store

/// The SQL of durable operations.
public enum WorkRecords {
  public static let migrations = [
    Migration(
      "work-0001-operations",
      [
        """
        CREATE TABLE operation (
          id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, actor TEXT NOT NULL,
          input TEXT NOT NULL, progress TEXT NOT NULL, state TEXT NOT NULL,
          created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)
        """,
        "CREATE INDEX operation_subject ON operation (subject, created_at)",
        "CREATE INDEX operation_state ON operation (state)",
      ])
  ]

  static func insert(_ operation: WorkOperation, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO operation (id, kind, subject, actor, input, progress, state, created_at, updated_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        .id(operation.id), .text(operation.kind), .text(operation.subject), .text(operation.actor),
        .text(operation.input.canonical), .text(try JSONValue(encoding: operation.progress).canonical),
        .text(operation.progress.state.rawValue), .time(operation.createdAt), .time(operation.updatedAt),
      ])
  }

  static func update(_ operation: WorkOperation, in tx: Transaction) throws {
    try tx.run(
      "UPDATE operation SET progress = ?, state = ?, updated_at = ? WHERE id = ?",
      [
        .text(try JSONValue(encoding: operation.progress).canonical), .text(operation.progress.state.rawValue),
        .time(operation.updatedAt), .id(operation.id),
      ])
  }

  public static func find(_ id: OperationID, in tx: Transaction) throws -> WorkOperation? {
    try tx.run("SELECT * FROM operation WHERE id = ?", [.id(id)]).first.map(read)
  }

  /// The newest operations of a subject, newest first.
  public static func of(_ subject: String, limit: Int, in tx: Transaction) throws -> [WorkOperation] {
    try tx.run(
      "SELECT * FROM operation WHERE subject = ? ORDER BY created_at DESC, id DESC LIMIT ?",
      [.text(subject), .integer(limit)]
    ).map(read)
  }

  static func unfinished(in tx: Transaction) throws -> [WorkOperation] {
    try tx.run("SELECT * FROM operation WHERE state IN ('running', 'undoing') ORDER BY created_at").map(read)
  }

  public static func isBusy(_ subject: String, in tx: Transaction) throws -> Bool {
    try !tx.run(
      "SELECT id FROM operation WHERE subject = ? AND state IN ('running', 'undoing') LIMIT 1", [.text(subject)]
    ).isEmpty
  }

  /// Every subject of an operation that is not finished.
  public static func busySubjects(in tx: Transaction) throws -> Set<String> {
    let rows = try tx.run("SELECT DISTINCT subject FROM operation WHERE state IN ('running', 'undoing')")
    return Set(try rows.map { try $0.text("subject") })
  }

  /// What is said to whoever asks for something of a busy subject.
  public static var busy: AWError {
    AWError(
      .operationRunning, "Another operation on the same subject is still running.",
      next: "Wait until it is finished; its progress is shown with its subject.")
  }

  private static func read(_ row: SQLRow) throws -> WorkOperation {
    WorkOperation(
      id: try row.id("id"), kind: try row.text("kind"), subject: try row.text("subject"), actor: try row.text("actor"),
      input: try JSONValue(parsing: row.text("input")), createdAt: try row.time("created_at"),
      updatedAt: try row.time("updated_at"),
      progress: try JSONValue.decode(OperationProgress.self, from: row.text("progress")))
  }
}
