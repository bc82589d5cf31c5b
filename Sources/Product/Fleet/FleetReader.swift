import Basics
import Evidence
import Gateway
import Link
import Store
import Web
import Work

/// Reads the fleet as people and programs see it: records, joined, with the status derived now.
public struct FleetReader: Sendable {
  let store: Store
  let evidence: EvidenceLog
  let gateway: AWGateway
  let policy: StatusPolicy
  let conscience: Conscience
  let index: FleetIndex
  let samples: SampleKeeper
  let share: FleetShare
  let sources: [TimelineSource]
  let orders = BoardOrders()
  let clock: WallClock

  public init(
    store: Store, evidence: EvidenceLog, gateway: AWGateway, policy: StatusPolicy, conscience: Conscience,
    index: FleetIndex, samples: SampleKeeper, share: FleetShare, sources: [TimelineSource] = [], clock: WallClock
  ) {
    self.store = store
    self.evidence = evidence
    self.gateway = gateway
    self.policy = policy
    self.conscience = conscience
    self.index = index
    self.samples = samples
    self.share = share
    self.sources = sources
    self.clock = clock
  }

  // MARK: - Instances

  public func instance(_ slug: Slug) async throws -> InstanceView {
    let now = clock.now
    return try await store.read { tx in
      guard let instance = try FleetRecords.instance(slug, in: tx) else { throw FleetService.unknown(slug) }
      return try view(instance, try names(in: tx), now: now, in: tx)
    }
  }

  /// An Instance as an act left it.
  func view(_ instance: Instance) async throws -> InstanceView {
    let now = clock.now
    return try await store.read { tx in try view(instance, try names(in: tx), now: now, in: tx) }
  }

  func slug(of host: HostID) async throws -> String {
    try await store.read { try FleetRecords.host(host, in: $0)?.slug.text } ?? host.text
  }

  // MARK: - The board

  /// How each Instance is now, in no order.
  func rows() async throws -> [BoardRow] {
    let now = clock.now
    return try await store.read { tx in
      try index.rows(policy: policy, doubt: conscience.doubt, now: now, in: tx)
    }
  }

  /// One page of those that the filter takes.
  ///
  /// - Parameter rows: of the whole fleet.
  func page(
    of rows: [BoardRow], _ filter: BoardFilter, sort: BoardSort, limit: Int, after: Cursor?
  ) async throws -> (items: [InstanceView], next: Cursor?) {
    let page = try BoardPage.of(
      rows.filter(filter.takes), filter: filter, sort: sort, limit: limit, after: after, orders: orders)
    let now = clock.now
    let items = try await store.read { tx in
      let names = try names(in: tx)
      // One that was removed since has no row to show.
      return try page.rows.compactMap { row in
        try InstanceID(row.id).flatMap { try FleetRecords.instance($0, in: tx) }
          .map { try view($0, names, now: now, in: tx) }
      }
    }
    return (items, page.next)
  }

  public func summary(_ filter: BoardFilter = BoardFilter()) async throws -> FleetSummary {
    try await summary(of: try await rows().filter(filter.takes).map(\.status))
  }

  /// What each Instance was asked to be, and how it is.
  func standings() async throws -> [(asked: Instance.State, status: Status)] {
    try await rows().map { ($0.asked, $0.status) }
  }

  /// - Parameter status: of the Instances that count.
  func summary(of status: [Status]) async throws -> FleetSummary {
    let hosts = try await store.read { tx in try FleetRecords.slugs(of: "host", HostKind.self, in: tx) }
    var statuses = Dictionary(uniqueKeysWithValues: Status.allCases.map { ($0.rawValue, 0) })
    for one in status { statuses[one.rawValue, default: 0] += 1 }
    return FleetSummary(
      statuses: statuses, instances: status.count, hosts: hosts.count,
      hostsConnected: hosts.keys.count { connections(of: $0) > 0 },
      worst: status.max { $0.severity < $1.severity }, doubt: conscience.doubt?.reason, now: clock.now)
  }

  // MARK: - Views

  private struct Names {
    let orgs: [OrgID: Slug]
    let hosts: [HostID: Slug]
  }

  private func names(in tx: Transaction) throws -> Names {
    Names(
      orgs: try FleetRecords.slugs(of: "org", OrgKind.self, in: tx),
      hosts: try FleetRecords.slugs(of: "host", HostKind.self, in: tx))
  }

  private func reading(
    _ instance: Instance, now: Timestamp, in tx: Transaction
  ) throws -> (reading: StatusReading, evidence: StatusEvidence) {
    let evidence = try index.evidence(of: instance.id, in: tx)
    let reading = StatusReading.of(evidence, asked: instance.state, policy: policy, now: now, doubt: conscience.doubt)
    return (reading, evidence)
  }

  private func view(_ instance: Instance, _ names: Names, now: Timestamp, in tx: Transaction) throws -> InstanceView {
    let (reading, evidence) = try reading(instance, now: now, in: tx)
    // A record without its Org or Host cannot come from AW: say so by name rather than leave the row out.
    let gone = try Slug("gone")
    return InstanceView(
      id: instance.id, slug: instance.slug, org: names.orgs[instance.org] ?? gone,
      host: names.hosts[instance.host] ?? gone, runtime: instance.runtime, image: instance.image,
      state: instance.state, port: instance.port, version: instance.version, dataDirectory: instance.dataDirectory,
      path: PathView(instance.path), createdAt: instance.createdAt,
      status: StatusView(reading, evidence, doubted: conscience.doubt != nil),
      chain: CheckView.chain(evidence),
      operation: try WorkRecords.of(instance.id.text, limit: 1, in: tx).first.map { OperationView($0) })
  }

  public func operation(_ id: OperationID) async throws -> OperationView {
    guard let operation = try await store.read({ try WorkRecords.find(id, in: $0) }) else {
      throw AWError(.operationUnknown, "There is no operation \(id).", next: "See the Instance's page.")
    }
    return OperationView(operation)
  }

  // MARK: - Orgs and Hosts

  public func orgs(after cursor: String?, name: String = "", limit: Int) async throws -> [OrgView] {
    try await store.read { tx in
      let orgs = try FleetRecords.orgs(after: cursor, name: name, limit: limit, in: tx)
      let counts = try FleetRecords.counts(of: orgs.map(\.id), in: tx)
      return orgs.map { OrgView($0, instances: counts[$0.id] ?? 0) }
    }
  }

  public func org(_ slug: Slug) async throws -> OrgView {
    try await store.read { tx in
      guard let org = try FleetRecords.org(slug, in: tx) else {
        throw AWError(.orgUnknown, "There is no Org named '\(slug)'.", next: "See 'aw org list'.")
      }
      return OrgView(org, instances: try FleetRecords.counts(of: [org.id], in: tx)[org.id] ?? 0)
    }
  }

  public func hosts(after cursor: String?, limit: Int) async throws -> [HostView] {
    try await store.read { tx in
      try FleetRecords.hosts(after: cursor, limit: limit, in: tx).map { try view($0, in: tx) }
    }
  }

  public func host(_ slug: Slug) async throws -> HostView {
    try await store.read { tx in
      guard let host = try FleetRecords.host(slug, in: tx) else { throw FleetService.unknownHost(slug) }
      return try view(host, in: tx)
    }
  }

  func view(_ host: Host, in tx: Transaction) throws -> HostView {
    HostView(
      host, connections: connections(of: host.id), instances: try FleetRecords.count(on: host.id, in: tx))
  }

  /// How many connections a Host has, at all control planes together.
  private func connections(of host: HostID) -> Int { gateway.connections(of: host) + share.elsewhere(host) }

  /// The control planes that share the database, in the order in which they came.
  func nodes() async throws -> [NodeView] {
    let run = share.run
    return try await store.read { tx in
      let (shards, links) = (try NodeRecords.counts(in: tx), try NodeRecords.links(in: tx))
      let fleet = try NodeRecords.roll(in: tx).shards[.fleet]??.node
      return try NodeRecords.nodes(in: tx).map { row in
        NodeView(
          row, isThis: row.node.run == run, hosts: shards[row.node.id] ?? 0,
          links: links.values.count { $0[row.node.id] != nil }, hasFleet: row.node.id == fleet)
      }
    }
  }
}
