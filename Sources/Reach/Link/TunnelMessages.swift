import Basics

/// What a Host's Connector is asked about a cloudflared of an Instance. Each has a name, so that the one of another
/// path can be tried beside the one in use.
public enum TunnelOrder: Codable, Sendable {
  /// Serve the Instance's port at a public hostname, through the named tunnel whose credentials come along.
  case serve(InstanceID, Slug, hostname: String, InstanceEnvironment)
  case end(InstanceID, Slug)
  case look(InstanceID, Slug)

  /// The name under which the credentials travel: the JSON file that `cloudflared tunnel create` writes.
  public static let credentials = "credentials"
}

/// How the cloudflared of an Instance is, as its Host sees it.
public struct TunnelState: Codable, Sendable, Equatable {
  public enum Phase: String, Codable, Sendable, CaseIterable {
    /// The Host was not asked to run one.
    case absent
    /// It runs, and no connection to the edge is registered yet, or any more.
    case starting
    case up
    /// It ended, and is started again.
    case lost
    /// It ended for something that only a person can mend; it is tried again after minutes.
    case refused
  }

  /// What cloudflared said last that was not well: code, what, what next, and the class of the loss where one fits.
  public struct Failure: Codable, Sendable, Equatable {
    public var code: String
    public var message: String
    public var next: String
    public var lossClass: LossClass?

    public init(_ error: AWError, _ lossClass: LossClass?) {
      (code, message, next, self.lossClass) = (error.code.id, error.message, error.next, lossClass)
    }
  }

  public var phase: Phase
  /// Connections to the edge that are registered; cloudflared keeps four.
  public var connections: Int
  /// How many times it was started again since it was asked for.
  public var restarts: Int
  public var failure: Failure?

  public init(phase: Phase, connections: Int = 0, restarts: Int = 0, failure: Failure? = nil) {
    self.phase = phase
    self.connections = connections
    self.restarts = restarts
    self.failure = failure
  }

  public static let absent = TunnelState(phase: .absent)
}
