import Basics
import Web

/// One control plane of those that share the database, as people and programs see it.
public struct NodeView: Codable, Sendable, Equatable {
  public let id: String
  public let name: String
  /// `up`, `left`, `lost`.
  public let state: String
  /// Whether it is the one that answers.
  public let isThis: Bool
  /// Where its AW Gateway is reached.
  public let gateway: String
  public let program: String
  public let startedAt: Timestamp
  /// When it last renewed its lease; of a control plane that is alone, when it started.
  public let seenAt: Timestamp
  /// Hosts whose Instances it watches and works on.
  public let hosts: Int
  /// Hosts that have a link to it.
  public let links: Int
  /// Whether it does what the fleet has once, such as the Watchdog's sign of life.
  public let hasFleet: Bool

  init(_ row: NodeRecords.Row, isThis: Bool, hosts: Int, links: Int, hasFleet: Bool) {
    id = row.node.id.text
    name = row.node.name
    state = row.node.state.rawValue
    self.isThis = isThis
    gateway = row.node.gateway
    program = row.program
    startedAt = row.startedAt
    seenAt = row.seenAt
    self.hosts = hosts
    self.links = links
    self.hasFleet = hasFleet
  }

  static let schema = JSONSchema.object([
    "id": JSONSchema.id, "name": JSONSchema.text, "state": JSONSchema.oneOf(["up", "left", "lost"]),
    "isThis": JSONSchema.bool, "gateway": JSONSchema.text, "program": JSONSchema.text, "startedAt": JSONSchema.time,
    "seenAt": JSONSchema.time, "hosts": JSONSchema.integer, "links": JSONSchema.integer, "hasFleet": JSONSchema.bool,
  ])
}

extension FleetRoutes {
  var nodes: [Route] {
    [
      .read(
        "/api/v1/nodes", "The control planes that share the database, in the order in which they came.",
        schema: .listing(of: NodeView.schema)
      ) { request in
        let wanted = try request.listing()
        let all = try await reader.nodes().filter { node in
          wanted.after?.keys.first.map { $0 < node.id } ?? true
        }
        return try .listing(Listing(Array(all.prefix(wanted.readLimit)), for: wanted) { [$0.id] })
      }
    ]
  }
}
