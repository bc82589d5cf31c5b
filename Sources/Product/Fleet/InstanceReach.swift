import Basics
import Gateway
import Link
import NIOCore
import OpenClaw

/// Reaches the port of one Instance through its Host's link.
struct TunnelDialer: ByteDialer {
  let gateway: AWGateway
  let host: HostID
  let instance: InstanceID

  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await gateway.open(.openClaw(instance), on: host) { stream in initialize(stream) }
  }
}

/// The secrets of an Instance, by reference: the vault holds the values.
public struct InstanceSecrets: Sendable {
  public let gatewayToken: String
  public let deviceSeed: String
  public let deviceToken: String

  public init(_ instance: InstanceID) {
    gatewayToken = "instance/\(instance)/gateway-token"
    deviceSeed = "instance/\(instance)/device-seed"
    deviceToken = "instance/\(instance)/device-token"
  }

  /// The Instance whose secret a reference names; nil for another's.
  static func instance(of reference: String) -> InstanceID? {
    let parts = reference.split(separator: "/").map(String.init)
    return parts.count == 3 && parts[0] == "instance" ? InstanceID(parts[1]) : nil
  }

  var all: [String] { [gatewayToken, deviceSeed, deviceToken] }
}
