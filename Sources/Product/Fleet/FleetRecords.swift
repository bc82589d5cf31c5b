import Basics
import Foundation
import Link
import Paths
import Store

/// The SQL of Orgs, Hosts, Instances, enrolments and the evidence that statuses are derived from.
public enum FleetRecords {
  public static let migrations = [
    Migration(
      "fleet-0001-inventory",
      [
        """
        CREATE TABLE org (
          id TEXT PRIMARY KEY NOT NULL, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, sort TEXT NOT NULL,
          created_at BIGINT NOT NULL)
        """,
        """
        CREATE TABLE host (
          id TEXT PRIMARY KEY NOT NULL, slug TEXT NOT NULL UNIQUE, state TEXT NOT NULL, machine TEXT, program TEXT,
          runtimes TEXT NOT NULL, connected_at BIGINT, disconnected_at BIGINT, last_loss TEXT,
          created_at BIGINT NOT NULL)
        """,
        """
        CREATE TABLE enrolment (
          token_hash TEXT PRIMARY KEY NOT NULL, host TEXT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT)
        """,
        """
        CREATE TABLE instance (
          id TEXT PRIMARY KEY NOT NULL, slug TEXT NOT NULL UNIQUE, org TEXT NOT NULL, host TEXT NOT NULL,
          runtime TEXT NOT NULL, image TEXT, requested_port BIGINT, state TEXT NOT NULL, port BIGINT, version TEXT,
          gateway_device TEXT, data_directory TEXT, created_at BIGINT NOT NULL)
        """,
        "CREATE INDEX instance_host ON instance (host)",
        """
        CREATE TABLE instance_evidence (
          instance TEXT PRIMARY KEY NOT NULL, evidence TEXT NOT NULL, updated_at BIGINT NOT NULL)
        """,
      ]), LossRecords.migration, BoardRecords.migration, BoardRecords.goodMigration, pathMigration,
    SampleRecords.migration, AuthorityRecords.migration, NodeRecords.migration, preparedMigration,
  ]
}

extension FleetRecords {
  /// Null is the link: what every Instance had before there was a choice.
  static let pathMigration = Migration("fleet-0005-path", ["ALTER TABLE instance ADD COLUMN path TEXT"])

  private static func text(_ path: ControlPath) throws -> String? {
    path == .gateway ? nil : try JSONValue(encoding: path).canonical
  }
}

// MARK: - What Instances were prepared with

extension FleetRecords {
  static let preparedMigration = Migration("fleet-0008-prepared", ["ALTER TABLE instance ADD COLUMN prepared TEXT"])

  /// Takes note of the governed settings that an Instance was prepared with.
  static func save(prepared settings: [String: JSONValue], of instance: InstanceID, in tx: Transaction) throws {
    try tx.run(
      "UPDATE instance SET prepared = ? WHERE id = ?", [.text(JSONValue.object(settings).canonical), .id(instance)])
  }

  /// Nil for one that was last prepared by a release that took no note.
  static func prepared(of instance: InstanceID, in tx: Transaction) throws -> [String: JSONValue]? {
    try tx.run("SELECT prepared FROM instance WHERE id = ?", [.id(instance)]).first?.optionalText("prepared")
      .flatMap { try JSONValue(parsing: $0).objectValue }
  }
}

// MARK: - Orgs

extension FleetRecords {
  static func insert(_ org: Org, in tx: Transaction) throws {
    try tx.run(
      "INSERT INTO org (id, slug, name, sort, created_at) VALUES (?, ?, ?, ?, ?)",
      [.id(org.id), .text(org.slug.text), .text(org.name), .text(org.sort.rawValue), .time(org.createdAt)])
  }

  /// Orgs by slug, after `cursor`, whose slug begins with `name`.
  static func orgs(after cursor: String?, name: String = "", limit: Int, in tx: Transaction) throws -> [Org] {
    try tx.run(
      "SELECT * FROM org WHERE slug > ? AND SUBSTR(slug, 1, CAST(? AS INTEGER)) = ? ORDER BY slug LIMIT ?",
      [.text(cursor ?? ""), .integer(name.count), .text(name), .integer(limit)]
    ).map(org)
  }

  public static func org(_ slug: Slug, in tx: Transaction) throws -> Org? {
    try tx.run("SELECT * FROM org WHERE slug = ?", [.text(slug.text)]).first.map(org)
  }

  public static func org(_ id: OrgID, in tx: Transaction) throws -> Org? {
    try tx.run("SELECT * FROM org WHERE id = ?", [.id(id)]).first.map(org)
  }

  private static func org(_ row: SQLRow) throws -> Org {
    Org(
      id: try row.id("id"), slug: try Slug(row.text("slug")), name: try row.text("name"),
      sort: try value(Org.Sort(rawValue: row.text("sort")), "org.sort"), createdAt: try row.time("created_at"))
  }

  /// - Throws: `storeFailed` for a value that this AW does not know.
  static func value<Value>(_ value: Value?, _ column: String) throws -> Value {
    guard let value else {
      throw AWError(
        .storeFailed, "The database holds a value in '\(column)' that this AW does not know.",
        next: "Start the AW that wrote it, or restore a backup.")
    }
    return value
  }
}

// MARK: - Hosts and enrolments

extension FleetRecords {
  static func save(_ host: Host, in tx: Transaction) throws {
    let runtimes = try JSONValue(encoding: host.runtimes).canonical
    try tx.run(
      """
      INSERT INTO host (
        id, slug, state, machine, program, runtimes, connected_at, disconnected_at, last_loss, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, machine = excluded.machine, program = excluded.program,
        runtimes = excluded.runtimes, connected_at = excluded.connected_at,
        disconnected_at = excluded.disconnected_at, last_loss = excluded.last_loss
      """,
      [
        .id(host.id), .text(host.slug.text), .text(host.state.rawValue), .text(host.machine), .text(host.program),
        .text(runtimes), .time(host.connectedAt), .time(host.disconnectedAt), .text(host.lastLoss),
        .time(host.createdAt),
      ])
  }

  /// The Hosts whose link was up when this database was last written to.
  static func linkedHosts(in tx: Transaction) throws -> [Host] {
    try tx.run("SELECT * FROM host WHERE connected_at IS NOT NULL AND disconnected_at IS NULL ORDER BY id").map(host)
  }

  /// The Hosts that had a link and have been without one since before a time.
  static func lostHosts(before time: Timestamp, in tx: Transaction) throws -> [Host] {
    try tx.run(
      "SELECT * FROM host WHERE connected_at IS NOT NULL AND disconnected_at <= ? ORDER BY id", [.time(time)]
    ).map(host)
  }

  static func hosts(after cursor: String?, limit: Int, in tx: Transaction) throws -> [Host] {
    try tx.run(
      "SELECT * FROM host WHERE slug > ? ORDER BY slug LIMIT ?", [.text(cursor ?? ""), .integer(limit)]
    ).map(host)
  }

  static func host(_ slug: Slug, in tx: Transaction) throws -> Host? {
    try tx.run("SELECT * FROM host WHERE slug = ?", [.text(slug.text)]).first.map(host)
  }

  public static func host(_ id: HostID, in tx: Transaction) throws -> Host? {
    try tx.run("SELECT * FROM host WHERE id = ?", [.id(id)]).first.map(host)
  }

  static func deleteHost(_ id: HostID, in tx: Transaction) throws {
    try tx.run("DELETE FROM enrolment WHERE host = ?", [.id(id)])
    try LossRecords.deleteAll(of: id, in: tx)
    try AuthorityRecords.delete(id, in: tx)
    try NodeRecords.deleteAll(of: id, in: tx)
    try tx.run("DELETE FROM host WHERE id = ?", [.id(id)])
  }

  private static func host(_ row: SQLRow) throws -> Host {
    Host(
      id: try row.id("id"), slug: try Slug(row.text("slug")),
      state: try value(Host.State(rawValue: row.text("state")), "host.state"), machine: try row.optionalText("machine"),
      program: try row.optionalText("program"),
      runtimes: try JSONValue.decode([RuntimeAvailability].self, from: row.text("runtimes")),
      disconnectedAt: try row.optionalTime("disconnected_at"), connectedAt: try row.optionalTime("connected_at"),
      lastLoss: try row.optionalText("last_loss"), createdAt: try row.time("created_at"))
  }

  static func insertEnrolment(hash: String, host: HostID, expiresAt: Timestamp, in tx: Transaction) throws {
    try tx.run(
      "INSERT INTO enrolment (token_hash, host, expires_at) VALUES (?, ?, ?)",
      [.text(hash), .id(host), .time(expiresAt)])
  }

  /// What is known of a token, by its hash.
  struct EnrolmentRow: Sendable {
    let host: HostID
    let expiresAt: Timestamp
    let usedAt: Timestamp?
  }

  static func enrolment(hash: String, in tx: Transaction) throws -> EnrolmentRow? {
    try tx.run("SELECT * FROM enrolment WHERE token_hash = ?", [.text(hash)]).first.map { row in
      EnrolmentRow(
        host: try row.id("host"), expiresAt: try row.time("expires_at"), usedAt: try row.optionalTime("used_at"))
    }
  }

  static func useEnrolment(hash: String, at now: Timestamp, in tx: Transaction) throws {
    try tx.run("UPDATE enrolment SET used_at = ? WHERE token_hash = ?", [.time(now), .text(hash)])
  }
}

// MARK: - Instances

extension FleetRecords {
  static func save(_ instance: Instance, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO instance (id, slug, org, host, runtime, image, requested_port, state, port, version, gateway_device,
        data_directory, path, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET state = excluded.state, port = excluded.port, version = excluded.version,
        gateway_device = excluded.gateway_device, data_directory = excluded.data_directory,
        path = excluded.path
      """,
      [
        .id(instance.id), .text(instance.slug.text), .id(instance.org), .id(instance.host),
        .text(instance.runtime.rawValue), .text(instance.image), .integer(instance.requestedPort.map(Int64.init)),
        .text(instance.state.rawValue), .integer(instance.port.map(Int64.init)), .text(instance.version),
        .text(instance.gatewayDevice), .text(instance.dataDirectory), .text(try text(instance.path)),
        .time(instance.createdAt),
      ])
  }

  static func instances(after cursor: String?, limit: Int, in tx: Transaction) throws -> [Instance] {
    try tx.run(
      "SELECT * FROM instance WHERE slug > ? ORDER BY slug LIMIT ?", [.text(cursor ?? ""), .integer(limit)]
    ).map(instance)
  }

  static func instances(in tx: Transaction) throws -> [Instance] {
    try tx.run("SELECT * FROM instance ORDER BY slug").map(instance)
  }

  /// How many Instances each of these Orgs has; an Org without any is not in it.
  static func counts(of orgs: [OrgID], in tx: Transaction) throws -> [OrgID: Int] {
    guard !orgs.isEmpty else { return [:] }
    let marks = orgs.map { _ in "?" }.joined(separator: ", ")
    let rows = try tx.run(
      "SELECT org, COUNT(*) AS n FROM instance WHERE org IN (\(marks)) GROUP BY org", orgs.map { .id($0) })
    return Dictionary(try rows.map { (try $0.id("org"), Int(try $0.integer("n"))) }) { first, _ in first }
  }

  /// The Instances on a Host that are there, or are being made or removed.
  static func count(on host: HostID, in tx: Transaction) throws -> Int {
    let row = try tx.run("SELECT COUNT(*) AS n FROM instance WHERE host = ? AND state <> 'failed'", [.id(host)]).first
    return Int(try row?.integer("n") ?? 0)
  }

  /// The slug of every row of a table that has slugs.
  static func slugs<Kind>(of table: StaticString, _ kind: Kind.Type, in tx: Transaction) throws -> [ID<Kind>: Slug] {
    let rows = try tx.run("SELECT id, slug FROM \(table)")
    return Dictionary(try rows.map { (try $0.id("id"), try Slug($0.text("slug"))) }) { first, _ in first }
  }

  /// The Instances that are there and that no operation makes or removes.
  static func watched(in tx: Transaction) throws -> [Instance] {
    try tx.run("SELECT * FROM instance WHERE state IN ('active', 'stopped') ORDER BY id").map(instance)
  }

  public static func instances(of org: OrgID, in tx: Transaction) throws -> [Instance] {
    try tx.run("SELECT * FROM instance WHERE org = ? ORDER BY slug", [.id(org)]).map(instance)
  }

  static func instances(on host: HostID, in tx: Transaction) throws -> [Instance] {
    try tx.run("SELECT * FROM instance WHERE host = ? ORDER BY slug", [.id(host)]).map(instance)
  }

  public static func instance(_ slug: Slug, in tx: Transaction) throws -> Instance? {
    try tx.run("SELECT * FROM instance WHERE slug = ?", [.text(slug.text)]).first.map(instance)
  }

  public static func instance(_ id: InstanceID, in tx: Transaction) throws -> Instance? {
    try tx.run("SELECT * FROM instance WHERE id = ?", [.id(id)]).first.map(instance)
  }

  static func deleteInstance(_ id: InstanceID, in tx: Transaction) throws {
    try tx.run("DELETE FROM instance_evidence WHERE instance = ?", [.id(id)])
    try SampleRecords.deleteAll(of: id, in: tx)
    try tx.run("DELETE FROM instance WHERE id = ?", [.id(id)])
  }

  private static func instance(_ row: SQLRow) throws -> Instance {
    Instance(
      id: try row.id("id"), slug: try Slug(row.text("slug")), org: try row.id("org"), host: try row.id("host"),
      runtime: try value(RuntimeKind(rawValue: row.text("runtime")), "instance.runtime"),
      image: try row.optionalText("image"), requestedPort: try row.optionalInteger("requested_port").map(Int.init),
      state: try value(Instance.State(rawValue: row.text("state")), "instance.state"),
      port: try row.optionalInteger("port").map(Int.init), version: try row.optionalText("version"),
      gatewayDevice: try row.optionalText("gateway_device"), dataDirectory: try row.optionalText("data_directory"),
      path: try row.optionalText("path").map { try JSONValue.decode(ControlPath.self, from: $0) } ?? .gateway,
      createdAt: try row.time("created_at"))
  }

  static func evidence(of instance: InstanceID, in tx: Transaction) throws -> StatusEvidence {
    try tx.run("SELECT evidence, good_at FROM instance_evidence WHERE instance = ?", [.id(instance)]).first
      .map(evidence) ?? StatusEvidence()
  }

  static func evidence(_ row: SQLRow) throws -> StatusEvidence {
    var evidence = try JSONValue.decode(StatusEvidence.self, from: row.text("evidence"))
    guard let goodAt = try row.optionalTime("good_at"), evidence.misses == 0, let known = evidence.lastGoodAt else {
      return evidence
    }
    if goodAt > known { evidence.goodAt = goodAt }
    return evidence
  }

  static func save(_ evidence: StatusEvidence, of instance: InstanceID, at now: Timestamp, in tx: Transaction) throws {
    try save(evidence, of: instance.text, at: now, in: tx)
  }

  static func save(_ evidence: StatusEvidence, of instance: String, at now: Timestamp, in tx: Transaction) throws {
    try tx.run(
      """
      INSERT INTO instance_evidence (instance, evidence, updated_at, good_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (instance) DO UPDATE SET evidence = excluded.evidence, updated_at = excluded.updated_at,
        good_at = excluded.good_at
      """,
      [
        .text(instance), .text(String(decoding: try JSONEncoder().encode(evidence), as: UTF8.self)), .time(now),
        .time(evidence.goodAt),
      ])
  }

  /// Moves the time of the newest good check of many Instances.
  static func save(goodAt: Timestamp, of instances: [String], in tx: Transaction) throws {
    let marks = instances.map { _ in "?" }.joined(separator: ", ")
    try tx.run(
      "UPDATE instance_evidence SET good_at = ? WHERE instance IN (\(marks))",
      [.time(goodAt)] + instances.map { .text($0) })
  }

  /// Those of them that are still there.
  static func present(_ instances: [String], in tx: Transaction) throws -> Set<String> {
    guard !instances.isEmpty else { return [] }
    let marks = instances.map { _ in "?" }.joined(separator: ", ")
    let rows = try tx.run("SELECT id FROM instance WHERE id IN (\(marks))", instances.map { .text($0) })
    return Set(try rows.map { try $0.text("id") })
  }
}
