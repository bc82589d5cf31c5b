import Basics
import Link

/// Which AW Gateway each of a Connector's connections goes to, as a value: to different control planes, where there are
/// several.
///
/// | the connection | goes to |
/// |---|---|
/// | is dialled | an AW Gateway that no other connection has, of those whose last dial did not fail; else any in turn |
/// | is up beside another one at the same control plane, and there may be a further one | moves there |
/// | is up, and there is no other | stays |
///
/// An address whose dial failed is left out for a while, and longer each time: a link that is up is not moved again and
/// again for the sake of an AW Gateway that this Host cannot reach.
///
/// Addresses that an operator gave are kept to; else there are that of the enrolment, which is known to lead somewhere,
/// and those that the AW Gateway tells of other control planes than the one behind it. Behind which address which
/// control plane is, is learned when a connection is registered.
struct GatewayChoice: Sendable {
  /// An address whose dial failed is left out for so long, while there is another; each further failure doubles it.
  static let avoidFor = Duration.seconds(30)
  static let avoidForMax = Duration.seconds(30 * 60)

  private struct Failures: Sendable {
    let count: Int
    let avoidedUntil: ContinuousClock.Instant
  }

  private let given: [GatewayEndpoint]
  private let avoidFor: Duration
  private var told: [GatewayAddress] = []
  private var nodes: [String: String] = [:]
  private var failures: [String: Failures] = [:]
  /// By slot that is up: the control plane at its other end, as far as that has a name.
  private var up: [Int: String?] = [:]

  /// - Parameter told: what the AW Gateway told last.
  init(given: [GatewayEndpoint], told: [GatewayAddress], avoidFor: Duration = GatewayChoice.avoidFor) {
    self.given = given
    self.avoidFor = avoidFor
    take(told)
  }

  private mutating func take(_ gateways: [GatewayAddress]) {
    for gateway in gateways {
      let text = GatewayEndpoint(gateway).description
      // One that is told anew is there now, whatever the last dial met.
      if !told.contains(gateway) { failures[text] = nil }
      nodes[text] = gateway.node
    }
    told = gateways
  }

  /// - Returns: whether that is news.
  mutating func learn(_ gateways: [GatewayAddress]) -> Bool {
    guard gateways != told else { return false }
    take(gateways)
    return true
  }

  private func all(_ enrolled: GatewayEndpoint) -> [GatewayEndpoint] {
    if !given.isEmpty { return given }
    let behind = nodes[enrolled.description]
    return [enrolled] + told.filter { $0.node != behind }.map { GatewayEndpoint($0) }.filter { $0 != enrolled }
  }

  /// The control planes at the other ends of the other connections.
  private func taken(besides slot: Int) -> Set<String> { Set(up.filter { $0.key != slot }.compactMap(\.value)) }

  private func free(_ slot: Int, _ enrolled: GatewayEndpoint, at now: ContinuousClock.Instant) -> [GatewayEndpoint] {
    let taken = taken(besides: slot)
    return healthy(all(enrolled), at: now).filter { endpoint in
      nodes[endpoint.description].map { !taken.contains($0) } ?? true
    }
  }

  private func healthy(_ endpoints: [GatewayEndpoint], at now: ContinuousClock.Instant) -> [GatewayEndpoint] {
    endpoints.filter { endpoint in failures[endpoint.description].map { now >= $0.avoidedUntil } ?? true }
  }

  /// Where a slot dials.
  ///
  /// - Parameter moves: how often it had to turn to another address.
  func endpoint(
    of slot: Int, moves: Int, enrolled: GatewayEndpoint, at now: ContinuousClock.Instant = .now
  ) -> GatewayEndpoint {
    let all = all(enrolled)
    let pool = [free(slot, enrolled, at: now), healthy(all, at: now), all].first { !$0.isEmpty } ?? [enrolled]
    return pool[(slot + moves) % pool.count]
  }

  mutating func failed(_ endpoint: GatewayEndpoint, at now: ContinuousClock.Instant = .now) {
    let before = failures[endpoint.description]?.count ?? 0
    let avoided = avoidFor.doubled(before, most: Self.avoidForMax)
    failures[endpoint.description] = Failures(count: before + 1, avoidedUntil: now + avoided)
  }

  mutating func registered(_ slot: Int, at endpoint: GatewayEndpoint, node: String?) {
    up[slot] = .some(node)
    failures[endpoint.description] = nil
    if let node { nodes[endpoint.description] = node }
  }

  mutating func unregistered(_ slot: Int) { up[slot] = nil }

  var slots: Set<Int> { Set(up.keys) }

  /// Whether this slot is to move: another one ends at the same control plane, and there may be a further one.
  func isMisplaced(_ slot: Int, enrolled: GatewayEndpoint, at now: ContinuousClock.Instant = .now) -> Bool {
    guard let node = up[slot] ?? nil else { return false }
    let isDouble = up.contains { $0.key < slot && $0.value == node }
    return isDouble && !free(slot, enrolled, at: now).isEmpty
  }

  /// Whether this slot tells its control plane how the Instances are: one of those that end there does.
  func tells(_ slot: Int) -> Bool {
    guard let node = up[slot] else { return false }
    return !up.contains { $0.key < slot && $0.value == node }
  }
}

extension GatewayEndpoint {
  init(_ address: GatewayAddress) { self.init(address: address.address, port: address.port) }
}
