import Basics
import Link
import Store

/// The SQL of losses.
enum LossRecords {
  static let migration = Migration(
    "fleet-0002-loss",
    [
      """
      CREATE TABLE loss (
        id TEXT PRIMARY KEY NOT NULL, host TEXT NOT NULL, at BIGINT NOT NULL, class TEXT NOT NULL, rule TEXT NOT NULL,
        seen TEXT NOT NULL, account TEXT, called_first TEXT, recovered_at BIGINT)
      """,
      "CREATE INDEX loss_host ON loss (host, at)",
      "CREATE INDEX loss_class ON loss (class, at)",
      "ALTER TABLE host ADD COLUMN boot TEXT",
      "ALTER TABLE host ADD COLUMN kernel TEXT",
    ])

  static func save(_ loss: Loss, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO loss (id, host, at, class, rule, seen, account, called_first, recovered_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET class = excluded.class, rule = excluded.rule, account = excluded.account,
        called_first = excluded.called_first, recovered_at = excluded.recovered_at
      """,
      [
        .id(loss.id), .id(loss.host), .time(loss.at), .text(loss.verdict.lossClass.rawValue),
        .text(loss.verdict.rule.rawValue), .text(try JSONValue(encoding: loss.seen).canonical),
        .text(try loss.account.map { try JSONValue(encoding: $0).canonical }),
        .text(loss.calledFirst?.rawValue), .time(loss.recoveredAt),
      ])
  }

  static func find(_ id: LossID, in tx: Transaction) throws -> Loss? {
    try tx.run("SELECT * FROM loss WHERE id = ?", [.id(id)]).first.map(read)
  }

  /// The newest loss of a Host's connection that nothing was told of yet.
  ///
  /// - Parameter slot: of the connection; a loss of all of them, or one whose connection is not known, counts too.
  static func open(of host: HostID, slot: Int, in tx: Transaction) throws -> Loss? {
    try tx.run(
      """
      SELECT * FROM loss WHERE host = ? AND recovered_at IS NULL AND class <> ? ORDER BY at DESC, id DESC LIMIT ?
      """, [.id(host), .text(LossClass.pathDegraded.rawValue), .integer(16)]
    ).lazy.map(read).first { ($0.seen.slot ?? slot) == slot }
  }

  /// Degraded paths that are so no more.
  ///
  /// - Parameters:
  ///   - host: nil for all.
  ///   - slot: nil for all.
  static func mend(_ host: HostID?, slot: Int?, at now: Timestamp, in tx: Transaction) throws {
    let open = try tx.run(
      "SELECT * FROM loss WHERE class = ? AND recovered_at IS NULL", [.text(LossClass.pathDegraded.rawValue)]
    ).map(read)
    for loss in open where loss.host == host ?? loss.host && loss.seen.slot == slot ?? loss.seen.slot {
      try tx.run("UPDATE loss SET recovered_at = ? WHERE id = ?", [.time(now), .id(loss.id)])
    }
  }

  /// Losses, newest first.
  ///
  /// - Parameter before: the time and id of the last one of the page before.
  static func list(
    host: HostID?, lossClass: LossClass?, before: (at: Timestamp, id: String)?, limit: Int, in tx: Transaction
  ) throws -> [Loss] {
    var (conditions, values): ([String], [SQLValue]) = ([], [])
    if let host {
      conditions.append("host = ?")
      values.append(.id(host))
    }
    if let lossClass {
      conditions.append("class = ?")
      values.append(.text(lossClass.rawValue))
    }
    if let before {
      conditions.append("(at < ? OR (at = ? AND id < ?))")
      values += [.time(before.at), .time(before.at), .text(before.id)]
    }
    let clause = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
    return try tx.run(
      "SELECT * FROM loss \(clause) ORDER BY at DESC, id DESC LIMIT ?", values + [.integer(limit)]
    ).map(read)
  }

  /// After how much silence the Host's last links died, oldest first, in milliseconds.
  static func idleDeaths(of host: HostID, in tx: Transaction) throws -> [Int64] {
    try list(host: host, lossClass: nil, before: nil, limit: 10, in: tx).reversed()
      .compactMap(\.seen.silentMilliseconds)
  }

  static func deleteAll(of host: HostID, in tx: Transaction) throws {
    try tx.run("DELETE FROM loss WHERE host = ?", [.id(host)])
  }

  private static func read(_ row: SQLRow) throws -> Loss {
    Loss(
      id: try row.id("id"), host: try row.id("host"),
      seen: try JSONValue.decode(LossEvidence.self, from: row.text("seen")),
      account: try row.optionalText("account").map { try JSONValue.decode(PeerAccount.self, from: $0) },
      verdict: LossVerdict(
        try FleetRecords.value(LossClass(rawValue: row.text("class")), "loss.class"),
        by: try FleetRecords.value(LossVerdict.Rule(rawValue: row.text("rule")), "loss.rule")),
      calledFirst: try row.optionalText("called_first").map {
        try FleetRecords.value(LossClass(rawValue: $0), "loss.called_first")
      },
      recoveredAt: try row.optionalTime("recovered_at"))
  }

  // MARK: - Runs of the Connector and of the Host's kernel

  /// What the last HELLO of a Host said of itself.
  static func run(of host: HostID, in tx: Transaction) throws -> LossEvidence.Run? {
    guard let row = try tx.run("SELECT boot, kernel FROM host WHERE id = ?", [.id(host)]).first,
      let connector = try row.optionalText("boot"), let kernel = try row.optionalText("kernel")
    else { return nil }
    return LossEvidence.Run(connector: connector, kernel: kernel)
  }

  static func save(_ run: LossEvidence.Run, of host: HostID, in tx: Transaction) throws {
    try tx.run(
      "UPDATE host SET boot = ?, kernel = ? WHERE id = ?", [.text(run.connector), .text(run.kernel), .id(host)])
  }
}
