import ArgumentParser
import Basics
import Connector
import Deployment
import Fleet
import Foundation
import Link
import Logging
import ServiceLifecycle
import Store
import Synchronization
import UnixSignals
import Vault

/// Makes a fleet out of one Instance, so that 10,000 can be watched without 10,000 Gateways: each has the identity and
/// the secrets of the one, and is the same Gateway.
struct SeedCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "seed", abstract: "Copies an Instance many times in the data of a control plane that does not run.")

  @Option(help: "The control plane's data directory.") var data: String
  @Option(help: "The slug of the Instance to copy.") var like: String
  @Option(help: "How many copies.") var count: Int
  @Option(help: "What their slugs begin with.") var prefix = "load"

  func run() async throws {
    let directory = try DataDirectory(data)
    let vault = try directory.openVault()
    let logger = Logger(label: "link-load") { _ in SwiftLogNoOpLogHandler() }
    let store = try await Store.open(
      .sqlite(path: directory.database), migrations: ControlPlane.migrations, logger: logger)
    let now = WallClock.system.now
    let (like, count, prefix) = (like, count, prefix)
    let copies = (0..<count).map { _ in InstanceID.make(at: now) }
    let original = try await store.write { tx in
      guard let row = try tx.run("SELECT id FROM instance WHERE slug = ?", [.text(like)]).first else {
        throw ValidationError("There is no Instance named '\(like)'.")
      }
      let original: InstanceID = try row.id("id")
      let stored = try tx.run("SELECT evidence FROM instance_evidence WHERE instance = ?", [.id(original)])
      let evidence = try JSONValue.decode(StatusEvidence.self, from: stored.first?.text("evidence") ?? "{}")
      for (number, copy) in copies.enumerated() {
        try tx.run(
          """
          INSERT INTO instance (id, slug, org, host, runtime, image, requested_port, state, port, version,
            gateway_device, data_directory, created_at)
          SELECT ?, ?, org, host, runtime, image, requested_port, state, port, version, gateway_device, data_directory,
            created_at FROM instance WHERE id = ?
          """, [.id(copy), .text("\(prefix)-\(number)"), .id(original)])
        try tx.run(
          "INSERT INTO instance_evidence (instance, evidence, updated_at) VALUES (?, ?, ?)",
          [.id(copy), .text(try JSONValue(encoding: spread(evidence, number, now)).canonical), .time(now)])
      }
      return original
    }
    await store.close()
    let (from, kinds) = (InstanceSecrets(original), [\InstanceSecrets.deviceSeed, \.deviceToken])
    var secrets: [SecretReference: Secret] = [:]
    for kind in kinds {
      let secret = try await vault.get(try SecretReference(from[keyPath: kind]))
      for copy in copies { secrets[try SecretReference(InstanceSecrets(copy)[keyPath: kind])] = secret }
    }
    try await vault.put(secrets)
    let list = ([original] + copies).map { $0.text + "\n" }.joined()
    try FileHandle.standardOutput.write(contentsOf: Data(list.utf8))
  }

  /// The model turns of the copies are due one after the other, as those of a fleet that has grown are.
  private func spread(_ evidence: StatusEvidence, _ number: Int, _ now: Timestamp) -> StatusEvidence {
    guard let turn = evidence.newest[.turn] else { return evidence }
    var spread = evidence
    let age = StatusPolicy().turnInterval * number / max(1, count)
    spread.newest[.turn] = CheckResult(
      link: .turn, outcome: turn.outcome, at: now.advanced(by: .zero - age),
      durationMilliseconds: turn.durationMilliseconds, evidence: turn.evidence)
    return spread
  }
}

/// One Connector with many Instances: they share a few ports, and lines on standard input break and mend them, or they
/// have a port each.
struct FleetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fleet",
    abstract: "A Connector with many Instances, broken by lines: 'crash N', 'hole N' (the first N), 'well'.")

  @Option(help: "The data directory of an enrolled Host.") var data: String
  @Option(help: "A file with the ids of the Instances, one a line.") var instances: String
  @Option(help: "A port of 127.0.0.1 that stands for Instances; several share them.") var origin: [Int] = []
  @Option(help: "A port of 127.0.0.1 that takes connections and never answers.") var hole: Int?
  @Option(help: "In place of these: the port of 127.0.0.1 of the first Instance; the others have those after it.")
  var portsFrom: Int?

  func run() async throws {
    var logger = Logger(label: "link-load", factory: ConsoleLog.factory(level: .notice, format: .text))
    logger.logLevel = .notice
    let ids = try String(contentsOfFile: instances, encoding: .utf8).split(separator: "\n")
      .compactMap { InstanceID(String($0)) }
    let runtime: ManyRuntime
    var configuration = Connector.Configuration(directory: data, program: "link-load")
    switch (portsFrom, origin.isEmpty, hole) {
    case (let first?, true, nil): runtime = ManyRuntime(ids, ports: .each(from: first))
    case (nil, false, let hole?):
      runtime = ManyRuntime(ids, ports: .shared(origin, hole: hole))
      // Whatever the ports would say is known: asking 10,000 times is not what is measured.
      configuration.probe = { $0 == hole ? .timeout : .live }
    default: throw ValidationError("Give --ports-from, or --origin and --hole.")
    }
    let connector = try Connector(
      configuration: configuration, runtimes: Runtimes([runtime], logger: logger), logger: logger)
    let commands = Thread {
      while let line = readLine() {
        runtime.obey(line)
        print("done")
        fflush(nil)
      }
    }
    commands.start()
    try await ServiceGroup(
      services: [connector], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    ).run()
  }
}

/// Instances that nobody started, some of them broken.
final class ManyRuntime: InstanceRuntime {
  enum Ports: Sendable {
    /// They share these; those that are swallowed have the other one.
    case shared([Int], hole: Int)
    case each(from: Int)

    func port(of place: Int, isSwallowed: Bool) -> Int {
      switch self {
      case .shared(let origins, let hole): isSwallowed ? hole : origins[place % origins.count]
      case .each(let first): first + place
      }
    }
  }

  let kind = RuntimeKind.process
  private let ids: [InstanceID]
  private let places: [InstanceID: Int]
  private let ports: Ports
  private let broken = Mutex((crashed: 0, swallowed: 0))

  init(_ ids: [InstanceID], ports: Ports) {
    self.ids = ids
    places = Dictionary(ids.enumerated().map { ($1, $0) }) { first, _ in first }
    self.ports = ports
  }

  func obey(_ line: String) {
    let words = line.split(separator: " ")
    let count = words.count > 1 ? Int(words[1]) ?? 0 : 0
    broken.withLock { broken in
      switch words.first {
      case "crash": broken.crashed = count
      case "hole": broken.swallowed = count
      default: broken = (0, 0)
      }
    }
  }

  private func state(_ instance: InstanceID) -> RunState {
    guard let place = places[instance] else { return RunState(phase: .absent) }
    let (crashed, swallowed) = broken.withLock { $0 }
    let port = ports.port(of: place, isSwallowed: place < swallowed)
    return place < crashed ? RunState(phase: .exited, port: port, exitCode: 1) : RunState(phase: .running, port: port)
  }

  func availability() async -> RuntimeAvailability {
    .init(kind: .process, available: true, detail: "Instances that nobody started")
  }
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState { state(spec.instance) }
  func start(_ instance: InstanceID) async throws -> RunState { state(instance) }
  func stop(_ instance: InstanceID) async throws -> RunState { state(instance) }
  func inspect(_ instance: InstanceID) async throws -> RunState { state(instance) }
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState { state(instance) }
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] { [] }
  func approveDevice(_ instance: InstanceID, request: String) async throws {}
  func instances() async throws -> [InstanceID] { ids }
  func states() async throws -> [InstanceID: RunState] {
    Dictionary(ids.map { ($0, state($0)) }) { first, _ in first }
  }
}
