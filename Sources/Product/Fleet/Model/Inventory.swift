import Basics
import Link
import Paths

public enum OrgKind {}
public typealias OrgID = ID<OrgKind>

/// A customer organisation.
public struct Org: Codable, Sendable, Equatable {
  /// What kind of data an Org may hold. `real` has no case: nothing can create one until a signed gate adds it.
  public enum Sort: String, Codable, Sendable, CaseIterable {
    case synthetic
  }

  public let id: OrgID
  public let slug: Slug
  public let name: String
  public let sort: Sort
  public let createdAt: Timestamp

  public init(id: OrgID, slug: Slug, name: String, sort: Sort, createdAt: Timestamp) {
    self.id = id
    self.slug = slug
    self.name = name
    self.sort = sort
    self.createdAt = createdAt
  }
}

/// A machine that runs Instances.
public struct Host: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    /// A line was printed; nobody has redeemed it yet.
    case invited
    case active
    /// Takes no new Instances.
    case draining
  }

  public let id: HostID
  public let slug: Slug
  public var state: State
  /// The machine's own name, as it said when it enrolled.
  public var machine: String?
  public var program: String?
  public var runtimes: [RuntimeAvailability]
  /// Nil while a link is up.
  public var disconnectedAt: Timestamp?
  public var connectedAt: Timestamp?
  /// How the last link ended, in the classes of the link.
  public var lastLoss: String?
  public let createdAt: Timestamp

  public init(
    id: HostID, slug: Slug, state: State, machine: String? = nil, program: String? = nil,
    runtimes: [RuntimeAvailability] = [], disconnectedAt: Timestamp? = nil, connectedAt: Timestamp? = nil,
    lastLoss: String? = nil, createdAt: Timestamp
  ) {
    self.id = id
    self.slug = slug
    self.state = state
    self.machine = machine
    self.program = program
    self.runtimes = runtimes
    self.disconnectedAt = disconnectedAt
    self.connectedAt = connectedAt
    self.lastLoss = lastLoss
    self.createdAt = createdAt
  }
}

/// One complete OpenClaw Gateway that serves one Org.
public struct Instance: Codable, Sendable, Equatable {
  /// What AW was asked to make of it. How it is doing is its status, which is derived and never stored.
  public enum State: String, Codable, Sendable, CaseIterable {
    case provisioning
    case active
    case stopped
    case removing
    /// Provisioning failed and was undone; nothing of it is left on a Host.
    case failed

    /// What a person reads: what AW was asked for.
    public var words: String {
      switch self {
      case .provisioning: "being provisioned"
      case .active: "meant to run"
      case .stopped: "meant to be stopped"
      case .removing: "being removed"
      case .failed: "never made"
      }
    }
  }

  /// It is reached by its Host's link, and not by another control path.
  var usesLink: Bool { path == .gateway }

  /// It is there, and no operation makes or removes it.
  var isWatched: Bool { state == .active || state == .stopped }

  public let id: InstanceID
  public let slug: Slug
  public let org: OrgID
  public let host: HostID
  public let runtime: RuntimeKind
  public let image: String?
  /// What the operator asked for; nil leaves the choice to the Host.
  public let requestedPort: Int?
  public var state: State
  public var port: Int?
  public var version: String?
  /// The Gateway's own device, pinned: another one behind the same name is another Instance.
  public var gatewayDevice: String?
  public var dataDirectory: String?
  /// How the control plane reaches its Gateway WebSocket.
  public var path: ControlPath
  public let createdAt: Timestamp

  public init(
    id: InstanceID, slug: Slug, org: OrgID, host: HostID, runtime: RuntimeKind, image: String?, requestedPort: Int?,
    state: State, port: Int? = nil, version: String? = nil, gatewayDevice: String? = nil,
    dataDirectory: String? = nil, path: ControlPath = .gateway, createdAt: Timestamp
  ) {
    self.id = id
    self.slug = slug
    self.org = org
    self.host = host
    self.runtime = runtime
    self.image = image
    self.requestedPort = requestedPort
    self.state = state
    self.port = port
    self.version = version
    self.gatewayDevice = gatewayDevice
    self.dataDirectory = dataDirectory
    self.path = path
    self.createdAt = createdAt
  }
}
