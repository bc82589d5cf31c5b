import Basics

/// Tags for typed identifiers that both ends of the link share.
public enum HostKind {}
public enum InstanceKind {}
public typealias HostID = ID<HostKind>
public typealias InstanceID = ID<InstanceKind>

/// How an Instance is run on its Host.
public enum RuntimeKind: String, Codable, Sendable, CaseIterable {
  case process
  case docker
}

/// Everything a Connector needs to make one Instance exist, except its secrets.
public struct InstanceSpec: Codable, Sendable, Equatable {
  public var instance: InstanceID
  /// `acme-main`: names the container, the directory and the log lines.
  public var slug: Slug
  public var org: Slug
  public var runtime: RuntimeKind
  /// The loopback port on the Host; nil lets the Connector choose a free one and keep it.
  public var port: Int?
  /// docker only: an image reference; AW pins and reports the digest it resolved to.
  public var image: String?
  /// The whole `openclaw.json`, strict JSON. Secrets in it are SecretRefs to environment variables.
  public var configuration: String
  /// Values of `openclaw.json` that hold whoever wrote the file last, by dotted path. None of them is a secret.
  public var pinned: [String: JSONValue]?
  /// The `policy.jsonc` of its Org's baseline, whole; nil when it has none.
  public var policy: String?
  public var limits: Limits

  /// The limits of `openclaw fleet`'s hardening profile.
  public struct Limits: Codable, Sendable, Equatable {
    public var memoryBytesMax: Int64
    public var cpusMax: Double
    public var pidsMax: Int64

    public init(memoryBytesMax: Int64 = 2 << 30, cpusMax: Double = 2, pidsMax: Int64 = 512) {
      self.memoryBytesMax = memoryBytesMax
      self.cpusMax = cpusMax
      self.pidsMax = pidsMax
    }
  }

  public init(
    instance: InstanceID, slug: Slug, org: Slug, runtime: RuntimeKind, port: Int?, image: String?,
    configuration: String, pinned: [String: JSONValue]? = nil, policy: String? = nil, limits: Limits = Limits()
  ) {
    self.instance = instance
    self.slug = slug
    self.org = org
    self.runtime = runtime
    self.port = port
    self.image = image
    self.configuration = configuration
    self.pinned = pinned
    self.policy = policy
    self.limits = limits
  }
}

/// What a runtime says of an Instance, as found now on the Host.
public struct RunState: Codable, Sendable, Equatable {
  public enum Phase: String, Codable, Sendable {
    /// Nothing of the Instance runs or is installed (its data may be there).
    case absent
    /// Prepared, not started, or stopped on request.
    case stopped
    case running
    /// Ended on its own. `exitCode` tells how; 78 is never restarted.
    case exited
  }

  public var phase: Phase
  public var port: Int?
  public var processID: Int32?
  public var containerID: String?
  /// docker only: the digest or image id that runs.
  public var imageDigest: String?
  public var startedAt: Timestamp?
  public var exitCode: Int32?
  public var outOfMemory: Bool
  /// How many times the supervisor started it again since it was prepared.
  public var restarts: Int
  /// Where the Instance's data lies on the Host.
  public var dataDirectory: String?
  /// Somebody else than AW changed its configuration since AW last asked for a start.
  public var configurationDrifted: Bool?
  /// The paths whose values in its configuration are not those that were pinned, and `policy.jsonc` if that is not the
  /// one of its specification; nil when there are none.
  public var departures: [String]?

  public init(
    phase: Phase, port: Int? = nil, processID: Int32? = nil, containerID: String? = nil, imageDigest: String? = nil,
    startedAt: Timestamp? = nil, exitCode: Int32? = nil, outOfMemory: Bool = false, restarts: Int = 0,
    dataDirectory: String? = nil, configurationDrifted: Bool? = nil, departures: [String]? = nil
  ) {
    self.phase = phase
    self.port = port
    self.processID = processID
    self.containerID = containerID
    self.imageDigest = imageDigest
    self.startedAt = startedAt
    self.exitCode = exitCode
    self.outOfMemory = outOfMemory
    self.restarts = restarts
    self.dataDirectory = dataDirectory
    self.configurationDrifted = configurationDrifted
    self.departures = departures
  }
}

/// Whether a runtime can be used on a Host, and why not.
public struct RuntimeAvailability: Codable, Sendable, Equatable {
  public var kind: RuntimeKind
  public var available: Bool
  /// What was found, or what is missing and what to do, safe for people.
  public var detail: String
  /// The release of OpenClaw that it runs, where the runtime itself decides that: `2026.6.9`.
  public var openClaw: String?
  /// Whether its Instances can resolve secrets through the Connector; nil when not.
  public var resolvesSecrets: Bool?

  public init(
    kind: RuntimeKind, available: Bool, detail: String, openClaw: String? = nil, resolvesSecrets: Bool? = nil
  ) {
    self.kind = kind
    self.available = available
    self.detail = detail
    self.openClaw = openClaw
    self.resolvesSecrets = resolvesSecrets
  }
}
