import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle

/// Where an AW Gateway is reached.
public struct GatewayEndpoint: Sendable, Equatable, CustomStringConvertible {
  public let address: String
  public let port: Int

  public init(address: String, port: Int) {
    self.address = address
    self.port = port
  }

  public var description: String { "\(address):\(port)" }
}

/// The AW process on a Host: keeps its connections to the AW Gateway for as long as it runs. It never gives up and
/// never exits because of the network.
public final class Connector: Service {
  public struct Configuration: Sendable {
    /// Where the Host's identity and its Instances are kept.
    public var directory: String
    public var program: String
    /// How many connections to keep: with two, the end of one costs only what was under way on it.
    public var connections: Int
    /// Where the AW Gateway is dialled, one address for each connection in turn; empty takes that of the enrolment.
    public var gateways: [GatewayEndpoint]
    public var proxies: ProxyChoice
    public var liveness: Liveness.Policy
    /// How many seconds each further connection is dialled after the one before, at random.
    public var spacing: ClosedRange<Double>
    /// How long an address whose dial failed is left out at first, while there is another. A link looks three times as
    /// often whether it should end elsewhere.
    public var avoidFor = GatewayChoice.avoidFor
    /// Ends the Instances when the Connector is asked to end. What each is asked to be stays: the next Connector
    /// starts those that should run. Off, they run on without it.
    public var haltsInstances: Bool
    /// Asks a port of this machine for `/healthz`.
    public var probe: @Sendable (_ port: Int) async -> InstanceFacts.Answer

    public init(
      directory: String, program: String, connections: Int = LinkLimits.connectionsDefault,
      gateways: [GatewayEndpoint] = [], proxies: ProxyChoice = .none, liveness: Liveness.Policy = .init(),
      spacing: ClosedRange<Double> = LinkLimits.spacing, haltsInstances: Bool = false,
      probe: @escaping @Sendable (_ port: Int) async -> InstanceFacts.Answer = Connector.answer
    ) {
      self.directory = directory
      self.program = program
      self.connections = connections
      self.gateways = gateways
      self.proxies = proxies
      self.liveness = liveness
      self.spacing = spacing
      self.haltsInstances = haltsInstances
      self.probe = probe
    }
  }

  /// What the connections of one Connector know of each other.
  private struct Standing {
    var isLeaving = false
    /// By connection: tells the AW Gateway that this Connector leaves.
    var farewells: [ObjectIdentifier: @Sendable () async -> Void] = [:]
    /// The slots of the links that are registered and stay. While one takes over from another, a slot has two.
    var up: [ObjectIdentifier: Int] = [:]
    /// Where the slots dial, and at which control plane their links end.
    var choice: GatewayChoice
    /// By slot: takes leave of the link that another one is to replace.
    var replaced: [Int: @Sendable () async -> Void] = [:]
    /// By slot: what was seen of the end of the last link that was registered; told with the next one.
    var previousLoss: [Int: LossEvidence] = [:]

    /// A link is not counted any more; its slot is while another link has taken over.
    mutating func leave(_ link: ObjectIdentifier) {
      guard let slot = up.removeValue(forKey: link), !up.values.contains(slot) else { return }
      choice.unregistered(slot)
    }
  }

  let configuration: Configuration
  let runtimes: Runtimes
  let clock: WallClock
  let logger: Logger
  /// What all of its links may hold together.
  let budget = BufferBudget(bytesMax: LinkLimits.bufferedBytesPerConnectorMax)
  let boot = Base64URL.encode([UInt8].random(count: 12))
  let state: NIOLockedValueBox<HostState>
  private let standing: NIOLockedValueBox<Standing>

  /// - Throws: `enrolmentInvalid` when the directory holds no readable identity.
  public init(
    configuration: Configuration, runtimes: Runtimes, clock: WallClock = .system, logger: Logger
  ) throws {
    self.configuration = configuration
    self.runtimes = runtimes
    self.clock = clock
    self.logger = logger
    let known = try HostState.load(from: configuration.directory)
    state = NIOLockedValueBox(known)
    standing = NIOLockedValueBox(
      Standing(
        choice: GatewayChoice(
          given: configuration.gateways, told: known.document.gateways ?? [], avoidFor: configuration.avoidFor)))
  }

  public func run() async throws {
    await runtimes.resume()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await withDiscardingTaskGroup { slots in
          for number in 0..<self.configuration.connections {
            slots.addTask { await LinkSlot(number: number, connector: self).keep() }
          }
        }
      }
      group.addTask { await self.leaveInTime() }
      // The links end by themselves once what was under way is done; else the wait for that does.
      await group.next()
      group.cancelAll()
    }
    await runtimes.endTunnels()
    if configuration.haltsInstances { await runtimes.halt() }
  }

  /// Waits for the shutdown, says goodbye on every link, and gives the AW Gateway time to finish what is under way.
  private func leaveInTime() async {
    // Cancelled before there was a shutdown: then there is no time for a goodbye.
    guard (try? await gracefulShutdown()) != nil else { return }
    let farewells = standing.withLockedValue { standing in
      standing.isLeaving = true
      return Array(standing.farewells.values)
    }
    await withDiscardingTaskGroup { group in
      for farewell in farewells { group.addTask { await farewell() } }
      // Cancelled when the last link has ended.
      group.addTask { try? await Task.sleep(for: LinkLimits.drainGrace + LinkLimits.farewellMax) }
    }
  }

  // MARK: - What the slots tell each other

  var isLeaving: Bool { standing.withLockedValue { $0.isLeaving } }

  /// Whether another slot than this one has a link.
  func isLinked(beside slot: Int) -> Bool { standing.withLockedValue { $0.up.values.contains { $0 != slot } } }

  /// Whether this link is up and its slot the one of those at the same control plane that tells how the Instances are.
  func tells(_ link: AnyObject, in slot: Int) -> Bool {
    standing.withLockedValue { $0.up[ObjectIdentifier(link)] != nil && $0.choice.tells(slot) }
  }

  /// A link is registered. One that it replaces is taken leave of.
  ///
  /// - Returns: whether the Connector leaves, so that nobody else takes leave of this link.
  func registered(
    _ link: AnyObject, in slot: Int, at endpoint: GatewayEndpoint, node: String?,
    farewell: @escaping @Sendable () async -> Void
  ) async -> Bool {
    let (isLeaving, replaced) = standing.withLockedValue { standing in
      standing.up[ObjectIdentifier(link)] = slot
      standing.choice.registered(slot, at: endpoint, node: node)
      standing.farewells[ObjectIdentifier(link)] = farewell
      return (standing.isLeaving, standing.replaced.removeValue(forKey: slot))
    }
    await replaced?()
    return isLeaving
  }

  /// A link ends, or will because the AW Gateway said so.
  func unregistered(_ link: AnyObject) { standing.withLockedValue { $0.leave(ObjectIdentifier(link)) } }

  /// Has a link replaced when it should end at another control plane; it serves until the next one is up.
  ///
  /// - Returns: whether it is: the caller dials the next one.
  func replaceIfMisplaced(_ link: AnyObject, in slot: Int, leave: @escaping @Sendable () async -> Void) -> Bool {
    standing.withLockedValue { standing in
      guard standing.up[ObjectIdentifier(link)] != nil, standing.choice.isMisplaced(slot, enrolled: enrolled)
      else { return false }
      standing.leave(ObjectIdentifier(link))
      standing.replaced[slot] = leave
      return true
    }
  }

  /// A dial did not become a link.
  func failed(_ endpoint: GatewayEndpoint) { standing.withLockedValue { $0.choice.failed(endpoint) } }

  /// Keeps the list of AW Gateways that one of them told.
  func learn(_ gateways: [GatewayAddress]) throws {
    guard standing.withLockedValue({ $0.choice.learn(gateways) }) else { return }
    try state.withLockedValue { try $0.learn(gateways) }
  }

  func forget(_ link: AnyObject) { standing.withLockedValue { $0.farewells[ObjectIdentifier(link)] = nil } }

  func previousLoss(of slot: Int) -> LossEvidence? { standing.withLockedValue { $0.previousLoss[slot] } }

  /// A dial that failed is no link: what is told next time is the end of the last one that was up. But a dial that
  /// finds no way tells why that one fell silent.
  func remember(_ seen: LossEvidence, of slot: Int) {
    standing.withLockedValue { standing in
      if seen.phase == .established {
        standing.previousLoss[slot] = seen
      } else if seen.socket == .unreachable, standing.previousLoss[slot]?.silentMilliseconds != nil {
        standing.previousLoss[slot]?.socket = .unreachable
      }
    }
  }

  /// Where a slot dials.
  ///
  /// - Parameter moves: how often it had to turn to another address.
  func endpoint(of slot: Int, moves: Int) -> GatewayEndpoint {
    standing.withLockedValue { $0.choice.endpoint(of: slot, moves: moves, enrolled: enrolled) }
  }

  private var enrolled: GatewayEndpoint {
    state.withLockedValue { .init(address: $0.document.gatewayAddress, port: $0.document.gatewayPort) }
  }
}

/// When to renew a certificate: at half of its life, give or take a tenth.
enum Renewal {
  static func delay(left: Duration, random: Double) -> Duration {
    let half = Authority.hostLifetime / 2
    let jitter = Authority.hostLifetime * (0.2 * random - 0.1)
    return max(.zero, left - half + jitter)
  }
}

/// Facts of the machine that tell one loss from another.
enum HostFacts {
  /// Names this run of the kernel; empty where the kernel does not say.
  static let kernelBoot: String =
    (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8))?
    .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
}
