import Basics
import Credentials
import Evidence
import Fleet
import Foundation
import NIOCore
import NIOPosix
import Programme
import Store

/// How one control plane is set up.
public struct ControlPlaneSettings: Sendable {
  /// An address to listen on. Port 0 takes a free one.
  public struct Listen: Sendable, Equatable {
    public var address: String
    public var port: Int

    public init(address: String, port: Int) {
      self.address = address
      self.port = port
    }

    /// Reads `ADDRESS:PORT`; an IPv6 address stands in brackets.
    ///
    /// - Throws: `usage`.
    public init(_ text: String) throws {
      guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
        (0...65_535).contains(port), colon != text.startIndex
      else {
        throw AWError(
          .usage, "\(text.quoted) is not of the form ADDRESS:PORT.", next: "Write it like 127.0.0.1:7080 or [::1]:7080."
        )
      }
      address = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
      self.port = port
    }

    /// Where others reach it: a wildcard is no address to dial, so it gives way to this machine's name.
    func reachable(port: Int) -> String {
      guard ["0.0.0.0", "::"].contains(address) else { return text(port: port) }
      return Listen(address: ProcessInfo.processInfo.hostName, port: port).text(port: port)
    }

    /// Listens there for a moment.
    ///
    /// - Returns: the port that it was; for 0 one that was free.
    /// - Throws: the system's error when nothing can listen there.
    func freePort() async throws -> Int {
      let probe = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: address, port: port).get()
      let taken = probe.localAddress?.port ?? port
      try await probe.close().get()
      return taken
    }

    /// For a URL, with the port that was taken.
    func text(port: Int) -> String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }
  }

  /// The ports when nobody says otherwise.
  public static let consolePort = 7080
  public static let gatewayPort = 7443

  public var console = Listen(address: "127.0.0.1", port: consolePort)
  public var gateway = Listen(address: "127.0.0.1", port: gatewayPort)
  /// `ADDRESS:PORT` of the AW Gateway as Hosts reach it; nil takes where it listens.
  public var gatewayAddress: String?
  /// What browsers see, such as `https://aw.example.com` of a proxy in front; nil takes where the console listens.
  public var publicURL: String?
  /// A libpq connection string; nil keeps the database in the data directory, as SQLite.
  public var postgres: Secret?
  /// What people call this control plane among several; nil takes this machine's name.
  public var name: String?
  public var model: FixtureModel?
  /// The vaults of credentials beside the sealed file.
  public var vaults = VaultSettings.none
  /// What a vault that reads variables is given; never passed on to anything else.
  public var environment = ProcessInfo.processInfo.environment
  /// Where fixtures are validated.
  public var vendors: FixtureVendors?
  /// Where values of the gated classes are validated.
  public var endpoints = VendorEndpoints.published
  /// Names the address by which questions to vendors leave; control planes with one name share a budget.
  public var egress = "default"
  /// Whose signatures open gates. None: no gate is ever accepted.
  public var approvers: [EvidenceVerifierKey] = []
  /// Whose signatures count in the programme. None: no gate of it ever passes.
  public var signers = ProgrammeTrust(deployment: "")
  public var metricsArePublic = false
  /// How long a Gateway may take from its start until it is ready.
  public var readyWithin = InstanceSteps.readyWithin

  public init() {}

  public static let postgresConnections = 8
}
