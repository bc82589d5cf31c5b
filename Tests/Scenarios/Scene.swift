import Access
import Basics
import Client
import Connector
import Credentials
import Deployment
import Evidence
import Fleet
import Foundation
import Gateway
import Link
import Logging
import ServiceLifecycle
import Store
import Synchronization
import Synthetic
import Testing
import Vault
import Work

/// A control plane with its console and API, a Host that dialled it, and the programs that the Host runs: everything
/// real but OpenClaw and the model.
struct Scene: Sendable {
  let directory: String
  let control: ControlPlane
  /// The API over the control plane's own socket.
  let client: APIClient
  let running: ControlPlane.Running
  let model: FixtureModelServer

  static let host = "host-1"
  static let actor = Actor.system("setup")
  static let silent = Logger(label: "scene") { _ in SwiftLogNoOpLogHandler() }

  /// Runs `body` while everything runs, and ends all of it.
  ///
  /// - Parameters:
  ///   - program: what the Host runs as OpenClaw; nil is the synthetic one.
  ///   - cloudflared: what the Host runs as cloudflared; nil looks for it on the search path.
  ///   - clock: of the control plane.
  static func with(
    program: String? = nil, socket: String = "/nonexistent", cloudflared: String? = nil,
    modelAddress: String = "127.0.0.1", readyWithin: Duration = .seconds(60), clock: WallClock = .system,
    _ body: @escaping @Sendable (Scene) async throws -> Void
  ) async throws {
    let directory = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let logger = silent
    let key = Secret("fixture-model-key-0123456789")
    let model = try await FixtureModelServer.open(host: modelAddress, port: 0, key: key, logger: logger)
    var settings = ControlPlaneSettings()
    settings.console = .init(address: "127.0.0.1", port: 0)
    settings.gateway = .init(address: "127.0.0.1", port: 0)
    let url = try #require(URL(string: "http://127.0.0.1:\(model.port)/v1"))
    settings.model = FixtureModel(url: url, key: key)
    settings.vendors = FixtureVendors(url: try #require(URL(string: "http://127.0.0.1:\(model.port)/vendors")))
    settings.endpoints = try Gating.endpoints(at: model.port)
    settings.approvers = [try Gating.eve().verifierKey]
    settings.signers = try Programming.trust()
    settings.readyWithin = readyWithin
    let control = try await ControlPlane.open(
      try DataDirectory(directory + "/control"), settings, clock: clock, logger: logger)
    let serving = Task { try await model.run() }
    let outcome = Outcome()
    try await control.run { running in
      var host = HostProgram.Settings()
      host.openClaw = try program ?? Programs.synthetic()
      host.openClawArguments = program == nil ? ["openclaw"] : []
      host.dockerSocket = socket
      host.cloudflared = cloudflared
      host.haltsInstances = true
      let hosting = HostProgram(directory: directory + "/host", settings: host, logger: logger)
      let invitation = try await control.fleet.inviteHost(Slug(Scene.host), as: Scene.actor)
      try await hosting.enrol(
        at: .init(address: "127.0.0.1", port: control.gateway.port),
        ticket: try Programs.ticket(in: control.enrolmentLine(invitation.token)))
      let scene = Scene(
        directory: directory, control: control, client: try APIClient(running.context), running: running, model: model)
      return [try hosting.connector(), Act(scene: scene, body: body, outcome: outcome)]
    }
    serving.cancel()
    _ = await serving.result
    try outcome.get()
  }

  /// The test itself, as the last of the services: when it ends, the others are asked to.
  private struct Act: Service {
    let scene: Scene
    let body: @Sendable (Scene) async throws -> Void
    let outcome: Outcome

    func run() async throws {
      do {
        try await scene.linked()
        try await body(scene)
        try await Scene.closed(scene.control.store)
      } catch {
        outcome.set(error)
      }
      await scene.running.stop()
      try await gracefulShutdown()
    }
  }

  /// What the code wrote, the profiles of evidence have: nothing was dropped.
  static func closed(_ store: Store) async throws {
    var before: Int64?
    repeat {
      let page = try await store.read { [before] in
        try EvidenceLog().list(before: before, limit: EvidenceLog.listMax, in: $0)
      }
      for record in page {
        let dropped = record.entry.data["_dropped"]
        #expect(dropped == nil, "add the fields of \(record.entry.kind) to EvidenceProfiles")
      }
      before = page.count == EvidenceLog.listMax ? page.last?.index : nil
    } while before != nil
  }

  // MARK: - What tests do

  /// Waits until the Host has both of its connections: the second one is evidence, too, and may come late.
  func linked() async throws {
    while try await control.reader.host(Slug(Scene.host)).connections < 2 { await Task.yield() }
  }

  func createOrg(_ slug: String = "acme") async throws {
    _ = try await client.send(.post, "/orgs", body: ["slug": slug])
  }

  func setCredential(
    _ surface: CredentialSurface = .openAI, _ name: String = "acme", org: String = "acme"
  ) async throws {
    let body: JSONValue = [
      "surface": .string(surface.rawValue), "value": .string(try FixtureValue.make(surface, name: name)),
    ]
    _ = try await client.send(.post, "/orgs/\(org)/credentials", body: body)
  }

  /// Asks for an Instance by the API, and waits until the operation has ended.
  @discardableResult
  func provision(
    _ slug: String = "acme-main", runtime: RuntimeKind = .process, image: String? = nil, port: Int? = nil
  ) async throws -> OperationView {
    let body = FleetRoutes.InstanceBody(
      org: try Slug("acme"), slug: try Slug(slug), runtime: runtime, image: image, port: port)
    return try await ended(try await client.send(.post, "/instances", body: body, as: RequestedView.self).operation)
  }

  func operate(_ verb: String, on slug: String = "acme-main") async throws -> OperationView {
    try await ended(try await client.send(.post, "/instances/\(slug)/\(verb)", as: RequestedView.self).operation)
  }

  func remove(_ slug: String = "acme-main", purge: Bool) async throws -> OperationView {
    let query = purge ? [("purge", "true"), ("confirm", slug)] : []
    return try await ended(
      try await client.send(.delete, "/instances/\(slug)", query: query, as: RequestedView.self).operation)
  }

  func ended(_ operation: OperationView) async throws -> OperationView {
    var operation = operation
    while !operation.isFinished {
      operation = try await client.send(.get, "/operations/\(operation.id)", as: OperationView.self)
    }
    return operation
  }

  func instance(_ slug: String = "acme-main") async throws -> InstanceView {
    try await client.send(.get, "/instances/\(slug)", as: InstanceView.self)
  }

  /// Reads the Instance until it is as wanted.
  @discardableResult
  func until(
    _ slug: String = "acme-main", _ wanted: @Sendable (InstanceView) -> Bool
  ) async throws -> InstanceView {
    while true {
      let view = try await instance(slug)
      if wanted(view) { return view }
    }
  }
}

/// A clock that runs with the machine's, ahead of it by as much as a test says.
final class ShiftedClock: Sendable {
  private let ahead = Mutex(Duration.zero)

  func pass(_ duration: Duration) { ahead.withLock { $0 += duration } }

  var clock: WallClock { WallClock { WallClock.system.now.advanced(by: self.ahead.withLock { $0 }) } }
}

/// What a test ended with, carried out of the services.
final class Outcome: Sendable {
  private let failure = Mutex<(any Error)?>(nil)

  func set(_ error: any Error) { failure.withLock { $0 = error } }
  func get() throws { if let error = failure.withLock({ $0 }) { throw error } }
}
