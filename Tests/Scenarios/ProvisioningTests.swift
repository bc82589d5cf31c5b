import Access
import Basics
import Connector
import Evidence
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
  let host: Fleet.Host
  let walk: ChainWalk
  let fleet: FleetService
  let publisher: EvidencePublisher
  let finished: AsyncStream<WorkOperation>
  private let services: [Task<Void, any Error>]
  static let actor = Actor.system("setup")

  init(program: String? = nil) async throws {
    let logger = Logger(label: "scene") { _ in SwiftLogNoOpLogHandler() }
    let clock = WallClock.system
    directory = NSTemporaryDirectory() + "aw-scene-" + Base64URL.encode([UInt8].random(count: 9))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    store = try await Store.open(
      .sqlite(path: directory + "/aw.sqlite"),
      migrations: EvidenceLog.migrations + AccessRecords.migrations + WorkRecords.migrations + FleetRecords.migrations,
      logger: logger)
    vault = try Vault.open(file: directory + "/vault", key: .fromFile(directory + "/vault.key"))
    let (authority, _) = try Authority.make(at: clock.now)
    let evidence = EvidenceLog()
    publisher = try await EvidencePublisher(
      log: evidence, store: store, vault: vault, directory: directory + "/evidence", origin: "aw/test", clock: clock,
      logger: logger)
    let (links, linked) = AsyncStream<HostID>.makeStream()
    let gatekeeper = FleetGatekeeper(
      store: store, evidence: evidence, authority: authority, clock: clock, logger: logger,
      changed: { linked.yield($0) })
    gateway = try await AWGateway.listen(
      .init(
        address: "127.0.0.1", port: 0, identity: try authority.gatewayIdentity(at: clock.now),
        authorities: [authority.certificate]), delegate: gatekeeper, clock: clock, logger: logger)
    let listening = Task { [gateway] in try await gateway.run() }

    let model = try await FixtureModelServer.open(
      host: "127.0.0.1", port: 0, key: Secret("fixture-model-key"), logger: logger)
    let serving = Task { try await model.run() }

    let provisioning = Provisioning(
      store: store, vault: vault, gateway: gateway, clock: clock, version: "1.0.0",
      model: .init(baseURL: "http://127.0.0.1:\(model.port)/v1", key: Secret("fixture-model-key")))
    let (finished, sink) = AsyncStream<WorkOperation>.makeStream()
    self.finished = finished
    engine = WorkEngine(
      store: store, plans: [provisioning.plan], clock: clock, logger: logger,
      journal: { try OperationJournal.record($0, $1, evidence: evidence, in: $2) },
      changed: { if $0.isFinished { sink.yield($0) } })
    fleet = FleetService(
      acts: Acts(store: store, evidence: evidence, guardrails: [], clock: clock, logger: logger), store: store,
      gateway: gateway, engine: engine)
    let invitation = try await fleet.inviteHost(try Slug("host-1"), as: Self.actor)
    _ = try await Enrolment.enrol(
      directory: directory + "/host", address: "127.0.0.1", port: gateway.port,
      ticket: .init(fingerprint: try authority.fingerprint, token: invitation.token), program: "test", logger: logger)
    host = invitation.host
    let runtime = ProcessRuntime(
      dataDirectory: directory + "/host", program: try program ?? Self.openClaw(in: directory), logger: logger)
    let connector = try Connector(
      configuration: .init(directory: directory + "/host", program: "test"),
      runtimes: Runtimes([runtime], logger: logger), logger: logger)
    let linking = Task { try await connector.run() }
    for await _ in links { break }
    walk = ChainWalk(gateway: gateway, vault: vault, clock: clock, version: "1.0.0")
    services = [linking, Task { [engine] in try await engine.run() }, listening, serving]
  }

  /// The synthetic program under the name that a Host would have it by.
  static func openClaw(in directory: String) throws -> String {
    let built = Bundle.main.bundleURL.deletingLastPathComponent().appending(path: "aw-synthetic")
    let beside = Bundle.main.bundleURL.appending(path: "aw-synthetic")
    let program = FileManager.default.isExecutableFile(atPath: beside.path) ? beside : built
    try #require(
      FileManager.default.isExecutableFile(atPath: program.path), "aw-synthetic is not built: \(program.path)")
    let link = directory + "/openclaw"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: program.path)
    return link
  }

  /// Asks for `acme-main` and waits until the operation has ended.
  func provision() async throws -> (WorkOperation, Instance) {
    let org = try await fleet.createOrg(.init(slug: Slug("acme"), name: "Acme"), as: Self.actor)
    let (instance, _) = try await fleet.createInstance(
      .init(org: org.slug, placement: .init(slug: Slug("acme-main"), runtime: .process)), as: Self.actor)
    var ended: WorkOperation?
    for await operation in finished {
      ended = operation
      break
    }
    let stored = try await store.read { try FleetRecords.instance(instance.id, in: $0) }
    return (try #require(ended), try #require(stored))
  }

  func close(_ instance: Instance) async throws {
    _ = try await gateway.session(of: host.id).call(
      .remove(instance.runtime, instance.id, purge: true), deadline: .seconds(40))
    for service in services {
      service.cancel()
      _ = await service.result
    }
    await store.close()
    try FileManager.default.removeItem(atPath: directory)
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
    // Every act, transition and step is in the evidence, which verifies from its directory alone.
    let published = await scene.publisher.publish()
    #expect(published.problem == nil)
    let verified = try EvidenceVerifier.verify(directory: scene.directory + "/evidence")
    #expect(verified.isIntact, "\(verified.problems)")
    let kinds = try await scene.store.read { tx in
      try EvidenceLog().list(before: nil, limit: 100, in: tx).map(\.entry.kind.id)
    }
    #expect(
      Set(kinds).isSuperset(of: [
        "org.created", "host.invited", "host.enrolled", "host.connected", "instance.requested", "operation.step",
        "operation.ended",
      ]), "\(kinds)")
    try await scene.close(instance)
  }

  @Test("what is refused is refused by name and changes nothing")
  func refusals() async throws {
    let scene = try await FleetScene()
    let (_, instance) = try await scene.provision()
    await #expect(throws: AWError(.orgNotSynthetic, "", next: "")) {
      try await scene.fleet.createOrg(
        .init(slug: Slug("contoso"), name: "Contoso", sort: "real"), as: FleetScene.actor)
    }
    await #expect(throws: AWError(.slugTaken, "", next: "")) {
      try await scene.fleet.createOrg(.init(slug: Slug("acme"), name: "Acme"), as: FleetScene.actor)
    }
    await #expect(throws: AWError(.slugTaken, "", next: "")) {
      try await scene.fleet.createInstance(
        .init(org: Slug("acme"), placement: .init(slug: Slug("acme-main"), runtime: .process)), as: FleetScene.actor)
    }
    await #expect(throws: AWError(.orgUnknown, "", next: "")) {
      try await scene.fleet.createInstance(
        .init(org: Slug("nobody"), placement: .init(slug: Slug("x"), runtime: .process)), as: FleetScene.actor)
    }
    await #expect(throws: AWError(.runtimeUnavailable, "", next: "")) {
      try await scene.fleet.createInstance(
        .init(org: Slug("acme"), placement: .init(slug: Slug("x"), runtime: .docker, image: "sha256:1")),
        as: FleetScene.actor)
    }
    let rehearsed = try await scene.fleet.createOrg(
      .init(slug: Slug("later"), name: "Later"), as: FleetScene.actor, dryRun: true)
    #expect(try await scene.store.read { try FleetRecords.org(rehearsed.id, in: $0) } == nil)
    #expect(try await scene.store.read { try FleetRecords.instances(after: nil, limit: 10, in: $0).count } == 1)
    try await scene.close(instance)
  }

  @Test("a stopped Instance is told by its runtime, not by a guess")
  func stopped() async throws {
    let scene = try await FleetScene()
    let (_, instance) = try await scene.provision()
    _ = try await scene.gateway.session(of: scene.host.id)
      .call(.stop(.process, instance.id), deadline: .seconds(40))
    let report = await scene.walk.walk(instance, turn: true)
    #expect(report.broken?.link == .runtime)
    #expect(report.result(.hello)?.outcome == .skipped)
    try await scene.close(instance)
  }

  @Test("a program that refuses its configuration fails the operation by name and leaves nothing")
  func exit78() async throws {
    let program = NSTemporaryDirectory() + "aw-exit78-\(UUID().uuidString)"
    try "#!/bin/sh\n[ \"$1\" = --version ] && echo OpenClaw 2026.6.9 && exit 0\nexit 78\n".write(
      toFile: program, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let scene = try await FleetScene(program: program)
    let (operation, instance) = try await scene.provision()
    #expect(operation.progress.state == .failed)
    #expect(operation.progress.failure?.code == ErrorCode.runtimeConfigRefused.id)
    #expect(instance.state == .failed)
    #expect(try await scene.vault.references().filter { $0.text.hasPrefix("instance/") } == [])
    let left = try? FileManager.default.contentsOfDirectory(atPath: scene.directory + "/host/instances")
    #expect((left ?? []).allSatisfy { $0.hasPrefix(".") }, "\(left ?? [])")
    try await scene.close(instance)
    try FileManager.default.removeItem(atPath: program)
  }
}
