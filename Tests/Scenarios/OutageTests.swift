import Basics
import Client
import Connector
import Credentials
import Deployment
import Fleet
import Foundation
import Gateway
import Link
import Logging
import ServiceLifecycle
import Synthetic
import Testing
import Work

/// A Host that goes on without its control plane.
@Suite("A control plane that is down", .serialized, .timeLimit(.minutes(3)))
struct OutageTests {
  @Test("an Instance that ends is started again for as long as its Host keeps its secrets, and refuses after that")
  func restart() async throws {
    let time = ShiftedClock()
    try await Self.with(hostClock: time.clock) { scene, endControlPlane in
      try await scene.createOrg()
      try await scene.setCredential()
      #expect(try await scene.provision().state == .succeeded)
      try await endControlPlane()

      let first = try #require(ProcessLook.instances(below: scene.directory).first?.id)
      // Old enough that the Connector would ask, if there was anybody.
      time.pass(SecretLimits.keptFor - .seconds(600))
      kill(first, SIGKILL)
      let log = try await Self.output(of: scene) { $0.starts == 2 }
      let second = try #require(ProcessLook.instances(below: scene.directory).first?.id)
      #expect(second != first && !log.text.contains("SECRETS_DEGRADED"))

      time.pass(.seconds(600))
      kill(second, SIGKILL)
      let after = try await Self.output(of: scene) { $0.text.contains("gateway.auth.token SecretRef is unresolved") }
      #expect(after.starts == 2, "nothing listens without its token")
    }
  }

  /// What the Instance has printed, and how often it began to listen.
  private struct Output {
    let text: String
    var starts: Int { text.components(separatedBy: #"{"listening":"#).count - 1 }
  }

  /// Reads it again and again until it is as wanted.
  private static func output(of scene: Scene, until wanted: (Output) -> Bool) async throws -> Output {
    let path = scene.directory + "/host/instances/acme-main/output.log"
    while true {
      let found = Output(text: try String(contentsOfFile: path, encoding: .utf8))
      if wanted(found) { return found }
      try Task.checkCancellation()
      await Task.yield()
    }
  }

  /// A control plane and a Connector that run apart, so that one can end without the other.
  ///
  /// - Parameter hostClock: of the Connector.
  private static func with(
    hostClock: WallClock, _ body: (Scene, _ endControlPlane: () async throws -> Void) async throws -> Void
  ) async throws {
    let directory = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let (logger, key) = (Scene.silent, Secret("fixture-model-key-0123456789"))
    let model = try await FixtureModelServer.open(host: "127.0.0.1", port: 0, key: key, logger: logger)
    let modelRuns = Task { try await model.run() }
    var settings = ControlPlaneSettings()
    settings.console = .init(address: "127.0.0.1", port: 0)
    settings.gateway = .init(address: "127.0.0.1", port: 0)
    settings.model = FixtureModel(url: try #require(URL(string: "http://127.0.0.1:\(model.port)/v1")), key: key)
    settings.vendors = FixtureVendors(url: try #require(URL(string: "http://127.0.0.1:\(model.port)/vendors")))
    let control = try await ControlPlane.open(
      try DataDirectory(directory + "/control"), settings, logger: logger)
    let (answering, answers) = AsyncStream<ControlPlane.Running>.makeStream()
    let serving: Task<Void, any Error> = Task {
      try await control.run { running in
        answers.yield(running)
        return []
      }
    }
    let running = try #require(await answering.first { _ in true })

    var host = HostProgram.Settings()
    host.openClaw = try Programs.synthetic()
    host.openClawArguments = ["openclaw"]
    host.dockerSocket = "/nonexistent"
    host.haltsInstances = true
    let program = HostProgram(directory: directory + "/host", settings: host, clock: hostClock, logger: logger)
    let invitation = try await control.fleet.inviteHost(Slug(Scene.host), as: Scene.actor)
    try await program.enrol(
      at: .init(address: "127.0.0.1", port: control.gateway.port),
      ticket: try Programs.ticket(in: control.enrolmentLine(invitation.token)))
    let group = ServiceGroup(services: [try program.connector()], logger: logger)
    let connecting = Task { try await group.run() }

    let scene = Scene(
      directory: directory, control: control, client: try APIClient(running.context), running: running, model: model)
    let outcome: Result<Void, any Error>
    do {
      try await scene.linked()
      try await body(scene) {
        await running.stop()
        try await serving.value
      }
      outcome = .success(())
    } catch {
      outcome = .failure(error)
    }
    await running.stop()
    _ = await serving.result
    await group.triggerGracefulShutdown()
    _ = await connecting.result
    modelRuns.cancel()
    _ = await modelRuns.result
    try outcome.get()
  }
}
