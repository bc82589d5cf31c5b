import Basics
import Foundation
import Gateway
import Link
import Logging
import NIOCore
import OpenClaw
import Paths

/// A public hostname that the Host itself serves: its Connector runs cloudflared, and says how that is.
struct TunnelledWay: ControlWay {
  let hostname: HostnameWay
  let tunnel: HostTunnel

  var heading: RequestHeading { hostname.heading }

  func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    try await hostname.dial(initialize)
  }

  /// The hostname answers for the edge only: whether cloudflared is there behind it, the Host knows. Without its link
  /// nobody can say, and the rest of the chain shows it.
  func look() async throws -> JSONValue {
    let seen = try await hostname.look()
    guard tunnel.gateway.isConnected(tunnel.host) else { return seen }
    let state = try await tunnel.look()
    guard state.phase == .up else { throw HostTunnel.failure(state) }
    var members = seen.objectValue ?? [:]
    members["tunnel"] = [
      "connections": .integer(Int64(state.connections)), "restarts": .integer(Int64(state.restarts)),
    ]
    return .object(members)
  }
}

/// The cloudflared of one Instance, by way of its Host's link.
struct HostTunnel: Sendable {
  static let deadline = Duration.seconds(10)
  static let pollInterval = Duration.milliseconds(200)
  /// How long to wait until one that was asked for has a connection to the edge.
  static let upWithin = Duration.seconds(20)

  let gateway: AWGateway
  let host: HostID
  let instance: InstanceID
  /// Tells it from that of another path of the same Instance.
  let name: Slug

  /// - Parameter reference: the vault's name of its credentials, whose end is different from switch to switch.
  init(_ reference: String, of instance: Instance, gateway: AWGateway) throws {
    self.gateway = gateway
    (host, self.instance) = (instance.host, instance.id)
    name = try Slug(reference.split(separator: "/").last.map(String.init) ?? "")
  }

  func look() async throws -> TunnelState { try await order(.look(instance, name)) }

  /// Has it serve a hostname, and waits until it does.
  ///
  /// - Parameter timer: what the waiting is timed by.
  /// - Throws: why it does not.
  func serve(_ hostname: String, credentials: Secret, timer: any Clock<Duration>) async throws {
    let environment = InstanceEnvironment([TunnelOrder.credentials: credentials])
    var state = try await order(.serve(instance, name, hostname: hostname, environment))
    let began = ContinuousClock.now
    while state.phase != .up {
      guard state.phase != .refused, ContinuousClock.now - began < Self.upWithin else {
        throw Self.failure(state).explained
      }
      try await timer.sleep(for: Self.pollInterval)
      state = try await look()
    }
  }

  func end() async throws { _ = try await order(.end(instance, name)) }

  private func order(_ order: TunnelOrder) async throws -> TunnelState {
    let reply = try await gateway.call(.tunnel(order), on: host, deadline: Self.deadline)
    guard case .tunnel(let state) = reply else {
      throw AWError(
        .runtimeFailed, "The Host answered something else than the state of a tunnel.", next: "Update its Connector.")
    }
    return state
  }

  /// Why it does not serve.
  static func failure(_ state: TunnelState) -> PathFailure {
    if let failure = state.failure {
      return PathFailure(
        AWError(ErrorCode.named(failure.code), failure.message, next: failure.next), failure.lossClass,
        isRefusal: state.phase == .refused)
    }
    guard state.phase != .absent else {
      return PathFailure(
        AWError(
          .pathUnreachable, "The Host runs no cloudflared for this Instance.",
          next: "It was enrolled anew, perhaps. 'aw path switch' to the hostname again, with the credentials."),
        .localTargetDown)
    }
    return PathFailure(
      AWError(
        .pathUnreachable, "The Host's cloudflared has no connection to Cloudflare's edge yet.",
        next: "It goes on trying. If it does not get there, look at the Connector's log on the Host."),
      .localTargetDown)
  }
}
