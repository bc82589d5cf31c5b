import Basics
import Link
import Store

/// The SQL of control planes that share a database: their leases, their links, and what each of them holds.
public enum NodeRecords {
  static let migration = Migration(
    "fleet-0007-nodes",
    [
      """
      CREATE TABLE node (
        id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, run TEXT NOT NULL, beat BIGINT NOT NULL, state TEXT NOT NULL,
        gateway TEXT NOT NULL, program TEXT NOT NULL, started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL)
      """,
      """
      CREATE TABLE node_link (
        host TEXT NOT NULL, node TEXT NOT NULL, connections BIGINT NOT NULL, PRIMARY KEY (host, node))
      """,
      """
      CREATE TABLE shard (
        shard TEXT PRIMARY KEY NOT NULL, node TEXT NOT NULL, run TEXT NOT NULL, token BIGINT NOT NULL,
        taken_at BIGINT NOT NULL)
      """,
      "CREATE TABLE shard_token (id BIGINT PRIMARY KEY NOT NULL, token BIGINT NOT NULL)",
      "INSERT INTO shard_token (id, token) VALUES (1, 0)",
    ])

  /// A node as the database has it.
  struct Row: Sendable {
    let node: NodeRoll.Node
    let program: String
    let startedAt: Timestamp
    let seenAt: Timestamp
  }

  // MARK: - Nodes

  static func nodes(in tx: Transaction) throws -> [Row] { try tx.run("SELECT * FROM node ORDER BY id").map(read) }

  static func node(_ id: NodeID, in tx: Transaction) throws -> Row? {
    try tx.run("SELECT * FROM node WHERE id = ?", [.id(id)]).first.map(read)
  }

  static func save(_ row: Row, in tx: Transaction) throws {
    let node = row.node
    try tx.run(
      """
      INSERT INTO node (id, name, run, beat, state, gateway, program, started_at, seen_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, run = excluded.run, beat = excluded.beat,
        state = excluded.state, gateway = excluded.gateway, program = excluded.program,
        started_at = excluded.started_at, seen_at = excluded.seen_at
      """,
      [
        .id(node.id), .text(node.name), .text(node.run), .integer(node.beat), .text(node.state.rawValue),
        .text(node.gateway), .text(row.program), .time(row.startedAt), .time(row.seenAt),
      ])
  }

  static func set(_ state: NodeRoll.Node.State, _ id: NodeID, in tx: Transaction) throws {
    try tx.run("UPDATE node SET state = ? WHERE id = ?", [.text(state.rawValue), .id(id)])
  }

  static func beat(_ id: NodeID, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "UPDATE node SET beat = beat + 1, state = 'up', seen_at = ? WHERE id = ?", [.time(now), .id(id)])
  }

  /// Forgets nodes that are gone, have no link left and were last seen before a time.
  ///
  /// - Returns: who was forgotten.
  static func forget(before time: Timestamp, in tx: Transaction) throws -> [NodeID] {
    try tx.run(
      """
      DELETE FROM node WHERE state <> 'up' AND seen_at < ? AND id NOT IN (SELECT node FROM node_link) RETURNING id
      """, [.time(time)]
    ).map { try $0.id("id") }
  }

  private static func read(_ row: SQLRow) throws -> Row {
    Row(
      node: .init(
        id: try row.id("id"), name: try row.text("name"), run: try row.text("run"), beat: try row.integer("beat"),
        state: try FleetRecords.value(NodeRoll.Node.State(rawValue: row.text("state")), "node.state"),
        gateway: try row.text("gateway")),
      program: try row.text("program"), startedAt: try row.time("started_at"), seenAt: try row.time("seen_at"))
  }

  // MARK: - Links

  /// Records how many connections a node has to a Host.
  static func save(connections: Int, of host: HostID, at node: NodeID, in tx: Transaction) throws {
    guard connections > 0 else { return try deleteLink(of: host, at: node, in: tx) }
    try tx.run(
      """
      INSERT INTO node_link (host, node, connections) VALUES (?, ?, ?)
      ON CONFLICT (host, node) DO UPDATE SET connections = excluded.connections
      """, [.id(host), .id(node), .integer(connections)])
  }

  static func deleteLink(of host: HostID, at node: NodeID, in tx: Transaction) throws {
    try tx.run("DELETE FROM node_link WHERE host = ? AND node = ?", [.id(host), .id(node)])
  }

  static func hasLink(of host: HostID, at node: NodeID, in tx: Transaction) throws -> Bool {
    try !tx.run("SELECT host FROM node_link WHERE host = ? AND node = ?", [.id(host), .id(node)]).isEmpty
  }

  /// How many connections other nodes have to a Host.
  static func connections(of host: HostID, besides node: NodeID, in tx: Transaction) throws -> Int {
    let row = try tx.run(
      "SELECT CAST(COALESCE(SUM(connections), 0) AS BIGINT) AS n FROM node_link WHERE host = ? AND node <> ?",
      [.id(host), .id(node)]
    ).first
    return Int(try row?.integer("n") ?? 0)
  }

  static func hosts(linkedTo node: NodeID, in tx: Transaction) throws -> [HostID] {
    try tx.run("SELECT host FROM node_link WHERE node = ? ORDER BY host", [.id(node)]).map { try $0.id("host") }
  }

  static func links(in tx: Transaction) throws -> [HostID: [NodeID: Int]] {
    var links: [HostID: [NodeID: Int]] = [:]
    for row in try tx.run("SELECT host, node, connections FROM node_link") {
      links[try row.id("host"), default: [:]][try row.id("node")] = Int(try row.integer("connections"))
    }
    return links
  }

  // MARK: - Shards

  /// The whole roll. The shards are the Hosts that there are, and the fleet.
  static func roll(in tx: Transaction) throws -> NodeRoll {
    var roll = NodeRoll()
    for row in try nodes(in: tx) { roll.nodes[row.node.id] = row.node }
    roll.links = try links(in: tx)
    roll.shards[.fleet] = .some(nil)
    for row in try tx.run("SELECT id FROM host") { roll.shards[Shard(try row.text("id"))] = .some(nil) }
    for row in try tx.run("SELECT shard, node, run, token FROM shard") {
      let shard = Shard(try row.text("shard"))
      guard roll.shards[shard] != nil else { continue }
      roll.shards[shard] = NodeRoll.Holder(
        node: try row.id("node"), run: try row.text("run"), token: try row.integer("token"))
    }
    let busy = try tx.run(
      """
      SELECT DISTINCT i.host FROM operation o JOIN instance i ON i.id = o.subject
      WHERE o.state IN ('running', 'undoing')
      """)
    roll.busy = Set(try busy.map { Shard(try $0.text("host")) })
    return roll
  }

  /// Carries out takes, each unless what it depends on has changed.
  ///
  /// - Returns: what was taken, with its new token.
  static func take(
    _ takes: [ShardLeases.Take], for node: NodeID, run: String, at now: Timestamp, in tx: Transaction
  ) throws -> [Shard: Int64] {
    var taken: [Shard: Int64] = [:]
    guard let own = try self.node(node, in: tx)?.node, own.run == run, own.state == .up else { return [:] }
    var token = try tx.run("SELECT token FROM shard_token WHERE id = 1").first?.integer("token") ?? 0
    for take in takes {
      guard try holder(of: take.shard, in: tx) == take.holder else { continue }
      if let beat = take.beat, let holder = take.holder, try self.node(holder.node, in: tx)?.node.beat != beat {
        continue
      }
      token += 1
      taken[take.shard] = token
      try tx.run(
        """
        INSERT INTO shard (shard, node, run, token, taken_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (shard) DO UPDATE SET node = excluded.node, run = excluded.run, token = excluded.token,
          taken_at = excluded.taken_at
        """, [.text(take.shard.text), .id(node), .text(run), .integer(token), .time(now)])
    }
    try tx.run("UPDATE shard_token SET token = ? WHERE id = 1", [.integer(token)])
    return taken
  }

  private static func holder(of shard: Shard, in tx: Transaction) throws -> NodeRoll.Holder? {
    try tx.run("SELECT node, run, token FROM shard WHERE shard = ?", [.text(shard.text)]).first.map {
      NodeRoll.Holder(node: try $0.id("node"), run: try $0.text("run"), token: try $0.integer("token"))
    }
  }

  /// The token by which a process holds a shard; nil when it does not.
  static func token(of shard: Shard, run: String, in tx: Transaction) throws -> Int64? {
    try tx.run("SELECT token FROM shard WHERE shard = ? AND run = ?", [.text(shard.text), .text(run)]).first?
      .integer("token")
  }

  static func holdsAny(run: String, in tx: Transaction) throws -> Bool {
    try !tx.run("SELECT shard FROM shard WHERE run = ? AND shard <> 'fleet' LIMIT 1", [.text(run)]).isEmpty
  }

  /// Of these Instances, those whose Host the process holds, with the Host and the token.
  static func held(
    _ instances: [String], run: String, in tx: Transaction
  ) throws -> [String: (host: HostID, token: Int64)] {
    guard !instances.isEmpty else { return [:] }
    let marks = instances.map { _ in "?" }.joined(separator: ", ")
    let rows = try tx.run(
      "SELECT i.id, i.host, s.token FROM instance i JOIN shard s ON s.shard = i.host "
        + "WHERE s.run = ? AND i.id IN (\(marks))", [.text(run)] + instances.map { .text($0) })
    return Dictionary(
      try rows.map { (try $0.text("id"), (try $0.id("host"), try $0.integer("token"))) }
    ) { first, _ in first }
  }

  /// How many shards each node holds.
  static func counts(in tx: Transaction) throws -> [NodeID: Int] {
    let rows = try tx.run("SELECT node, COUNT(*) AS n FROM shard WHERE shard <> 'fleet' GROUP BY node")
    return Dictionary(try rows.map { (try $0.id("node"), Int(try $0.integer("n"))) }) { first, _ in first }
  }

  static func deleteAll(of host: HostID, in tx: Transaction) throws {
    try tx.run("DELETE FROM shard WHERE shard = ?", [.id(host)])
    try tx.run("DELETE FROM node_link WHERE host = ?", [.id(host)])
  }
}
