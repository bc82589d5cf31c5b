import Basics

/// How this server stands in the world.
public struct WebConfiguration: Sendable {
  /// True when browsers come over https: here, or at the proxy in front. Then cookies never travel otherwise.
  public var usesHTTPS: Bool
  /// True when a proxy that is trusted stands in front: the last address of `X-Forwarded-For` is then the client's.
  /// The proxy must pass the Host of the browser on, because forms are held against it.
  public var isBehindProxy: Bool
  /// True to let anybody read `/metrics`, as when only the monitoring can reach the port.
  public var metricsArePublic: Bool
  /// Where people are sent after they signed in.
  public var homePath: String

  public init(
    usesHTTPS: Bool, isBehindProxy: Bool = false, metricsArePublic: Bool = false, homePath: String = "/"
  ) {
    self.usesHTTPS = usesHTTPS
    self.isBehindProxy = isBehindProxy
    self.metricsArePublic = metricsArePublic
    self.homePath = homePath
  }

  /// `__Host-` makes browsers insist on https, on the path `/` and on this very host.
  var cookieName: String { usesHTTPS ? "__Host-aw" : "aw" }
}

/// A part of the system that must work before this process should get requests.
public struct ReadinessPart: Sendable {
  public let name: String
  /// Throws when the part does not work.
  public let check: @Sendable () async throws -> Void

  public init(_ name: String, check: @escaping @Sendable () async throws -> Void) {
    self.name = name
    self.check = check
  }
}
