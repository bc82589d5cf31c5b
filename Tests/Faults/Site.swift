import Basics
import Client
import Fleet
import Foundation
import Link
import Testing

/// A control plane and a Host with one Instance, each in a network namespace of its own, joined by one wire.
///
/// The namespaces have names that nobody else has; whatever happens they are gone in the end, with all that ran there.
actor Site {
  static let gatewayPort = 7_420
  static let controlAddress = "10.99.0.1"
  static let hostAddress = "10.99.0.2"
  static let gatewayName = "gateway.test"

  nonisolated let folder: String
  /// The namespaces.
  nonisolated let control: String
  nonisolated let host: String
  /// Whether connections can be forwarded through the link.
  nonisolated let forwards: Bool
  nonisolated let client: APIClient
  nonisolated let instance: InstanceID
  nonisolated let builtAt: ContinuousClock.Instant
  private var programs: Programs

  private struct Programs: Sendable {
    let site: Names
    var controlPlane: Spawned
    var connector: Spawned
    var all: [Spawned]
  }

  /// What is settled before the first program starts.
  struct Names: Sendable {
    let folder: String
    let control: String
    let host: String
    let forwards: Bool

    init(forwards: Bool) {
      let id = Hex.encode([UInt8].random(count: 4))
      (folder, control, host) = ("/tmp/aw-fault-\(id)", "awc-\(id)", "awh-\(id)")
      self.forwards = forwards
    }

    var hosts: String { "/etc/netns/\(host)/hosts" }

    func build() async throws {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
      try FileManager.default.createDirectory(atPath: "/etc/netns/\(host)", withIntermediateDirectories: true)
      try "\(Site.controlAddress) \(Site.gatewayName)\n".write(toFile: hosts, atomically: false, encoding: .utf8)
      try "".write(toFile: "/etc/netns/\(host)/resolv.conf", atomically: false, encoding: .utf8)
      try "fixture-model-key-0123456789".write(toFile: folder + "/model.key", atomically: true, encoding: .utf8)
      for line in [
        "netns add \(control)", "netns add \(host)",
        "link add c0 netns \(control) type veth peer name h0 netns \(host)",
        "-n \(control) addr add \(Site.controlAddress)/24 dev c0", "-n \(host) addr add \(Site.hostAddress)/24 dev h0",
        "-n \(control) link set lo up", "-n \(host) link set lo up", "-n \(control) link set c0 up",
        "-n \(host) link set h0 up",
      ] { try await Shell.must("ip " + line) }
    }

    func serve() async throws -> Spawned {
      let common = [
        "--data", folder + "/control", "--listen", "127.0.0.1:7080", "--gateway-listen",
        "\(Site.controlAddress):\(Site.gatewayPort)", "--gateway-address", "\(Site.gatewayName):\(Site.gatewayPort)",
        "--fixture-model", "http://127.0.0.1:8081/v1", "--fixture-model-key-file", folder + "/model.key",
      ]
      let words =
        forwards
        ? [try Shell.built("link-load"), "control"] + common
          + ["--forward", folder + "/forward", "--target", folder + "/target"]
        : [try Shell.built("aw"), "serve"] + common
      let context = folder + "/control/context.json"
      try? FileManager.default.removeItem(atPath: context)
      let serving = try await Spawned(in: control, words, log: folder + "/control.log")
      let ready = try await Pace.until(within: .seconds(60)) { FileManager.default.fileExists(atPath: context) }
      try #require(ready != nil, "the control plane did not start: \(serving.log.suffix(2_000))")
      return serving
    }

    func connect(ticket: String? = nil, environment: [String: String] = [:]) async throws -> Spawned {
      let enrolling = ticket == nil ? [] : ["--enrol", "\(Site.gatewayName):\(Site.gatewayPort)"]
      return try await Spawned(
        in: host,
        [
          try Shell.built("aw"), "connect", "--data", folder + "/host", "--openclaw", try Shell.built("aw-synthetic"),
          "--openclaw-argument", "openclaw",
        ] + enrolling, input: ticket.map { $0 + "\n" } ?? "", environment: environment, log: folder + "/host.log")
    }

    /// Ends whatever runs in the namespaces, and takes them away.
    func remove() async {
      for namespace in [control, host] {
        let inside = (try? await Shell.run("ip netns pids \(namespace)").output) ?? ""
        for id in inside.split(whereSeparator: \.isWhitespace).compactMap({ Int32($0) }) { kill(id, SIGKILL) }
        _ = try? await Shell.run("ip netns del \(namespace)")
      }
      try? FileManager.default.removeItem(atPath: "/etc/netns/\(host)")
      try? FileManager.default.removeItem(atPath: folder)
    }
  }

  static func with<Value: Sendable>(
    forwards: Bool, _ body: @Sendable (Site) async throws -> Value
  ) async throws -> Value {
    let names = Names(forwards: forwards)
    do {
      try await names.build()
      let site = try await Site(names)
      do {
        let value = try await body(site)
        await names.remove()
        return value
      } catch {
        throw Shell.Failed(description: "\(error)\n\(await site.logs)")
      }
    } catch {
      await names.remove()
      throw error
    }
  }

  private init(_ names: Names) async throws {
    (folder, control, host, forwards) = (names.folder, names.control, names.host, names.forwards)
    let model = try await Spawned(
      in: names.host, [try Shell.built("aw-synthetic"), "model", "--port", "8081"],
      environment: ["AW_FIXTURE_MODEL_KEY": "fixture-model-key-0123456789"], log: names.folder + "/model.log")
    let serving = try await names.serve()
    builtAt = .now
    client = try APIClient(ContextFile.load(from: names.folder + "/control/context.json"))
    let invited = try await client.send(.post, "/hosts", body: ["slug": "host-1"], as: InvitationView.self)
    let ticket = try #require(invited.line.split(separator: " ").dropFirst().first)
    let connector = try await names.connect(ticket: String(ticket))
    programs = Programs(site: names, controlPlane: serving, connector: connector, all: [model, serving, connector])
    let client = client
    let linked = try await Pace.until(within: .seconds(60)) {
      try await client.send(.get, "/hosts/host-1", as: HostView.self).connections == 2
    }
    try #require(linked != nil, "the Host did not link: \(connector.log.suffix(2_000))")
    _ = try await client.send(.post, "/orgs", body: ["slug": "acme"])
    let requested = try await client.send(
      .post, "/instances", body: ["org": "acme", "slug": "acme-main", "runtime": "process"], as: RequestedView.self)
    instance = requested.instance.id
    let host = try await client.send(.get, "/hosts/host-1", as: HostView.self).id
    try "\(host) \(instance)".write(toFile: folder + "/target", atomically: true, encoding: .utf8)
    let current = try await Pace.until(within: .seconds(60)) {
      try await client.send(.get, "/instances/acme-main", as: InstanceView.self).status.status == .current
    }
    try #require(current != nil, "the Instance is not current: \(serving.log.suffix(2_000))")
  }

  var logs: String {
    "control plane:\n\(programs.controlPlane.log.suffix(3_000))\nconnector:\n\(programs.connector.log.suffix(3_000))"
  }

  nonisolated var hostFile: String { folder + "/host/host.json" }
  nonisolated var hostsFile: String { "/etc/netns/\(host)/hosts" }

  // MARK: - The programs

  var controlPlane: Spawned { programs.controlPlane }
  var connector: Spawned { programs.connector }

  func startControlPlane() async throws { programs.controlPlane = try await programs.site.serve() }

  func startConnector(environment: [String: String] = [:]) async throws {
    programs.connector = try await programs.site.connect(environment: environment)
  }

  // MARK: - Looking

  nonisolated func status() async throws -> Status? { try await reading()?.status }

  /// What the Watchdog says of the Instance; nil when there is none any more.
  nonisolated func reading() async throws -> StatusView? {
    do {
      return try await client.send(.get, "/instances/acme-main", as: InstanceView.self).status
    } catch let error as AWError where error.code == .instanceUnknown || error.code == .notFound {
      return nil
    }
  }

  nonisolated func isLinked() async throws -> Bool {
    try await client.send(.get, "/hosts/host-1", as: HostView.self).connected
  }

  nonisolated func losses() async throws -> [LossView] {
    try await client.all("/losses", as: LossView.self)
  }

  /// The connections of the link that one end holds, by their ports.
  nonisolated func connections(in namespace: String) async throws -> Set<String> {
    let port = Self.gatewayPort
    let lines = try await Shell.must(
      "ip netns exec \(namespace) ss -Htn state established ( sport = :\(port) or dport = :\(port) )")
    return Set(
      lines.split(separator: "\n").map { line in
        line.split(separator: " ").suffix(2).joined(separator: " ")
      })
  }

  /// The classes that the Connector gave in its log, oldest first.
  func classesLogged() -> [String] {
    programs.connector.log.matches(of: /the link ended class=([a-z_]+)/).map { String($0.output.1) }
  }

  // MARK: - The wire

  /// Runs a line in a namespace; it must succeed.
  nonisolated func inHost(_ line: String) async throws { try await Shell.must("ip netns exec \(host) " + line) }
  nonisolated func inControl(_ line: String) async throws { try await Shell.must("ip netns exec \(control) " + line) }
}
