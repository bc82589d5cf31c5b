import Basics
import Connector
import Foundation
import Gateway
import Link
import Logging
import OpenClaw
import Store
import Synchronization
import Synthetic
import Testing
import Vault
import Work

@testable import Fleet

/// A control plane, a Host that dialled it, and the programs it runs: everything real but OpenClaw itself.
final class FleetScene: Sendable {
  let store: Store
  let vault: Vault
  let gateway: AWGateway
  let engine: WorkEngine
  let directory: String
  let host: HostID
  let walk: ChainWalk
  let finished: AsyncStream<WorkOperation>
  private let services: [Task<Void, any Error>]

  init(program: String? = nil) async throws {
    let logger = Logger(label: "scene") { _ in SwiftLogNoOpLogHandler() }
    let clock = WallClock.system
    directory = NSTemporaryDirectory() + "aw-scene-" + Base64URL.encode([UInt8].random(count: 9))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    store = try await Store.open(
      .sqlite(path: directory + "/aw.sqlite"), migrations: FleetRecords.migrations + WorkRecords.migrations,
      logger: logger)
    vault = try Vault.open(file: directory + "/vault", key: .fromFile(directory + "/vault.key"))
    let (authority, _) = try Authority.make(at: clock.now)
    let delegate = SceneDelegate(authority: authority)
    gateway = try await AWGateway.listen(
      .init(
        address: "127.0.0.1", port: 0, identity: try authority.gatewayIdentity(at: clock.now),
        authorities: [authority.certificate]), delegate: delegate, clock: clock, logger: logger)
    let listening = Task { [gateway] in try await gateway.run() }

    let model = try await FixtureModelServer.open(
      host: "127.0.0.1", port: 0, key: Secret("fixture-model-key"), logger: logger)
    let serving = Task { try await model.run() }

    let enrolled = try await Enrolment.enrol(
      directory: directory + "/host", address: "127.0.0.1", port: gateway.port,
      ticket: .init(fingerprint: try authority.fingerprint, token: Secret("good")), program: "test", logger: logger)
    host = enrolled.host
    let runtime = ProcessRuntime(
      dataDirectory: directory + "/host", program: try program ?? Self.openClaw(in: directory), logger: logger)
    let connector = try Connector(
      configuration: .init(directory: directory + "/host", program: "test"),
      runtimes: Runtimes([runtime], logger: logger), logger: logger)
    let linked = Task { try await connector.run() }
    await delegate.linked()

    let provisioning = Provisioning(
      store: store, vault: vault, gateway: gateway, clock: clock, version: "1.0.0",
      model: .init(baseURL: "http://127.0.0.1:\(model.port)/v1", key: Secret("fixture-model-key")))
    let (finished, sink) = AsyncStream<WorkOperation>.makeStream()
    self.finished = finished
    engine = WorkEngine(
      store: store, plans: [provisioning.plan], clock: clock, logger: logger, journal: { _, _, _ in },
      changed: { if $0.isFinished { sink.yield($0) } })
    walk = ChainWalk(gateway: gateway, vault: vault, clock: clock, version: "1.0.0")
    services = [linked, Task { [engine] in try await engine.run() }, listening, serving]
  }

  /// The synthetic program under the name that a Host would have it by.
  static func openClaw(in directory: String) throws -> String {
    let built = Bundle.main.bundleURL.deletingLastPathComponent().appending(path: "aw-synthetic")
    let beside = Bundle.main.bundleURL.appending(path: "aw-synthetic")
    let program = FileManager.default.isExecutableFile(atPath: beside.path) ? beside : built
    try #require(FileManager.default.isExecutableFile(atPath: program.path), "aw-synthetic is not built: \(program.path)")
    let link = directory + "/openclaw"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: program.path)
    return link
  }

  /// Asks for `acme-main` and waits until the operation has ended.
  func provision() async throws -> (WorkOperation, Instance) {
    let now = Timestamp(.now)
    let org = Org(id: .make(at: now), slug: try Slug("acme"), name: "Acme", sort: .synthetic, createdAt: now)
    let instance = Instance(
      id: .make(at: now), slug: try Slug("acme-main"), org: org.id, host: host, runtime: .process, image: nil,
      requestedPort: nil, state: .provisioning, createdAt: now)
    _ = try await store.write { [engine] tx in
      try FleetRecords.insert(org, in: tx)
      try FleetRecords.save(instance, in: tx)
      return try engine.enqueue(
        Provisioning.kind, subject: instance.id.text, actor: "test", input: .null, in: tx)
    }
    var ended: WorkOperation?
    for await operation in finished {
      ended = operation
      break
    }
    let now2 = try await store.read { try FleetRecords.instance(instance.id, in: $0) }
    return (try #require(ended), try #require(now2))
  }

  func close(_ instance: Instance) async throws {
    _ = try await gateway.session(of: host).call(
      .remove(instance.runtime, instance.id, purge: true), deadline: .seconds(40))
    for service in services {
      service.cancel()
      _ = await service.result
    }
    await store.close()
    try FileManager.default.removeItem(atPath: directory)
  }
}

final class SceneDelegate: GatewayDelegate {
  private let authority: Authority
  private let arrivals: AsyncStream<Void>
  private let arrived: AsyncStream<Void>.Continuation

  init(authority: Authority) {
    self.authority = authority
    (arrivals, arrived) = AsyncStream.makeStream()
  }

  func enrol(_ request: EnrolmentRequest) async throws -> EnrolmentGrant {
    let host = HostID.make(at: Timestamp(.now))
    let bundle = try authority.signHost(host, request: request.signingRequest, at: Timestamp(.now))
    return EnrolmentGrant(host: host, slug: try Slug("host-1"), bundle: bundle)
  }
  func admit(_ hello: Hello, from host: HostID) async throws {}
  func renew(_ host: HostID, request: String) async throws -> CertificateBundle {
    try authority.signHost(host, request: request, at: Timestamp(.now))
  }
  func connected(_ host: HostID, _ hello: Hello) async { arrived.yield() }
  func disconnected(_ host: HostID, _ loss: LinkLoss) async {}

  func linked() async {
    for await _ in arrivals { return }
  }
}

@Suite("Fresh provisioning, end to end", .serialized, .timeLimit(.minutes(3)))
struct ProvisioningTests {
  @Test("an Instance is provisioned over the Host's link, paired, and verified by a model turn")
  func thread() async throws {
    let scene = try await FleetScene()
    let (operation, instance) = try await scene.provision()
    #expect(operation.progress.failure == nil)
    #expect(operation.progress.state == .succeeded)
    #expect(instance.state == .active)
    #expect(instance.version == Synthetic.version)
    #expect(instance.gatewayDevice?.count == 64)

    let report = await scene.walk.walk(instance, turn: true)
    #expect(report.isVerified, "\(report)")
    var evidence = StatusEvidence()
    evidence.take(report)
    #expect(StatusReading.of(evidence, policy: .init(), now: Timestamp(.now)).status == .current)

    // The Gateway's token is in the Instance's own environment, and on nobody's command line.
    let token = try await scene.vault.get(SecretReference(InstanceSecrets(instance.id).gatewayToken))
    let lines = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
      .compactMap { try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8) }
    token.withText { text in #expect(!lines.contains { $0.contains(text) }) }
    let database = try Data(contentsOf: URL(filePath: scene.directory + "/aw.sqlite"))
    let log = try Data(contentsOf: URL(filePath: scene.directory + "/aw.sqlite-wal"))
    token.withText { text in
      for needle in [text, Hex.encode(Array(text.utf8)), Data(text.utf8).base64EncodedString()] {
        #expect(database.range(of: Data(needle.utf8)) == nil && log.range(of: Data(needle.utf8)) == nil)
      }
    }
    try await scene.close(instance)
  }

  @Test("a stopped Instance is told by its runtime, not by a guess")
  func stopped() async throws {
    let scene = try await FleetScene()
    let (_, instance) = try await scene.provision()
    _ = try await scene.gateway.session(of: scene.host)
      .call(.stop(.process, instance.id), deadline: .seconds(40))
    let report = await scene.walk.walk(instance, turn: true)
    #expect(report.broken?.link == .runtime)
    #expect(report.result(.hello)?.outcome == .skipped)
    try await scene.close(instance)
  }

  @Test("a program that refuses its configuration fails the operation by name and leaves nothing")
  func exit78() async throws {
    let program = NSTemporaryDirectory() + "aw-exit78-\(UUID().uuidString)"
    try "#!/bin/sh\nexit 78\n".write(toFile: program, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let scene = try await FleetScene(program: program)
    let (operation, instance) = try await scene.provision()
    #expect(operation.progress.state == .failed)
    #expect(operation.progress.failure?.code == ErrorCode.runtimeConfigRefused.id)
    #expect(instance.state == .failed)
    #expect(try await scene.vault.references().isEmpty)
    let left = try? FileManager.default.contentsOfDirectory(atPath: scene.directory + "/host/instances")
    #expect((left ?? []).allSatisfy { $0.hasPrefix(".") }, "\(left ?? [])")
    try await scene.close(instance)
    try FileManager.default.removeItem(atPath: program)
  }
}
