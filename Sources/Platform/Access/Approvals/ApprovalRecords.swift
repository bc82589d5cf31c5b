import Basics
import Store

/// The SQL of approval rules, requests and emergencies.
public enum ApprovalRecords {
  public static let migrations = [
    Migration(
      "access-0002-approvals",
      [
        "CREATE TABLE approval_rule (kind TEXT PRIMARY KEY NOT NULL, record TEXT NOT NULL)",
        """
        CREATE TABLE approval (
          id TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL, requester TEXT NOT NULL, expires_at BIGINT NOT NULL,
          is_closed BIGINT NOT NULL, record TEXT NOT NULL)
        """,
        "CREATE INDEX approval_by_digest ON approval (digest)",
        """
        CREATE TABLE emergency (
          id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, is_reviewed BIGINT NOT NULL, record TEXT NOT NULL)
        """,
      ])
  ]

  // MARK: - Rules

  static func rule(_ kind: String, in tx: Transaction) throws -> ApprovalRule? {
    try tx.run("SELECT record FROM approval_rule WHERE kind = ?", [.text(kind)]).first.map(read)
  }

  static func rules(in tx: Transaction) throws -> [ApprovalRule] {
    try tx.run("SELECT record FROM approval_rule ORDER BY kind").map(read)
  }

  static func save(_ rule: ApprovalRule, in tx: Transaction) throws {
    try tx.run("DELETE FROM approval_rule WHERE kind = ?", [.text(rule.kind)])
    try tx.run(
      "INSERT INTO approval_rule (kind, record) VALUES (?, ?)", [.text(rule.kind), .text(try text(rule))])
  }

  static func removeRule(_ kind: String, in tx: Transaction) throws {
    try tx.run("DELETE FROM approval_rule WHERE kind = ?", [.text(kind)])
  }

  // MARK: - Requests

  static func approval(_ id: ApprovalID, in tx: Transaction) throws -> Approval? {
    try tx.run("SELECT record FROM approval WHERE id = ?", [.id(id)]).first.map(read)
  }

  /// The newest first.
  static func approvals(in tx: Transaction) throws -> [Approval] {
    try tx.run("SELECT record FROM approval ORDER BY id DESC LIMIT \(ApprovalLimits.listedMax)").map(read)
  }

  /// Those about one act that can still be used, the newest first.
  static func open(_ digest: String, at now: Timestamp, in tx: Transaction) throws -> [Approval] {
    try tx.run(
      """
      SELECT record FROM approval WHERE digest = ? AND is_closed = 0 AND expires_at > ? ORDER BY id DESC
      LIMIT \(ApprovalLimits.listedMax)
      """, [.text(digest), .time(now)]
    ).map(read)
  }

  static func waiting(at now: Timestamp, in tx: Transaction) throws -> Int64 {
    try tx.run("SELECT COUNT(*) AS n FROM approval WHERE is_closed = 0 AND expires_at > ?", [.time(now)])
      .first?.integer("n") ?? 0
  }

  static func save(_ approval: Approval, in tx: Transaction) throws {
    let isClosed = approval.usedAt != nil || approval.votes.contains { !$0.approves }
    try tx.run("DELETE FROM approval WHERE id = ?", [.id(approval.id)])
    try tx.run(
      "INSERT INTO approval (id, digest, requester, expires_at, is_closed, record) VALUES (?, ?, ?, ?, ?, ?)",
      [
        .id(approval.id), .text(approval.digest), .text(approval.requester.text), .time(approval.expiresAt),
        .integer(isClosed ? 1 : 0), .text(try text(approval)),
      ])
  }

  // MARK: - Emergencies

  static func emergency(_ id: EmergencyID, in tx: Transaction) throws -> Emergency? {
    try tx.run("SELECT record FROM emergency WHERE id = ?", [.id(id)]).first.map(read)
  }

  /// The newest first.
  static func emergencies(in tx: Transaction) throws -> [Emergency] {
    try tx.run("SELECT record FROM emergency ORDER BY id DESC LIMIT \(ApprovalLimits.listedMax)").map(read)
  }

  /// Those that nobody has reviewed, the oldest first.
  public static func unreviewed(in tx: Transaction) throws -> [Emergency] {
    try tx.run("SELECT record FROM emergency WHERE is_reviewed = 0 ORDER BY id").map(read)
  }

  static func save(_ emergency: Emergency, in tx: Transaction) throws {
    try tx.run("DELETE FROM emergency WHERE id = ?", [.id(emergency.id)])
    try tx.run(
      "INSERT INTO emergency (id, account, is_reviewed, record) VALUES (?, ?, ?, ?)",
      [
        .id(emergency.id), .text(emergency.account.text), .integer(emergency.reviewedAt == nil ? 0 : 1),
        .text(try text(emergency)),
      ])
  }

  private static func text(_ value: some Encodable) throws -> String { try JSONValue(encoding: value).canonical }

  private static func read<Value: Decodable>(_ row: SQLRow) throws -> Value {
    try JSONValue.decode(Value.self, from: row.text("record"))
  }
}
