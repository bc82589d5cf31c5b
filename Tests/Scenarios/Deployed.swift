import Basics
import Client
import Fleet
import Foundation
import Logging
import Store
import Synthetic
import TestSupport
import Testing
import Vault
import Work

/// `aw serve` and `aw connect` as two programs, as on two machines, each of which can be killed and started again.
actor Deployed {
  nonisolated let folder: String
  nonisolated let gatewayPort: Int
  nonisolated let client: APIClient
  /// The control plane's database, read beside it.
  nonisolated let store: Store
  /// The socket of the engine that runs the Instances; nil when they are processes.
  nonisolated let engine: String?
  nonisolated let model: FixtureModelServer
  private let parts: Parts
  private var control: LongRunning
  private var host: LongRunning

  /// What the programs are told beside what they need.
  struct More: Sendable {
    /// Arguments of `aw serve`, by the folder of the deployment and the port of the model and its vendors.
    var serve: @Sendable (_ folder: String, _ port: Int) throws -> [String] = { _, _ in [] }
    /// Arguments of both programs.
    var both: [String] = []
  }

  /// What is settled before the first program starts.
  private struct Parts: Sendable {
    let folder: String
    let console: Int
    let gateway: Int
    let model: FixtureModelServer
    let serving: Task<Void, any Error>
    let engine: String?
    let more: (serve: [String], both: [String])
    static let key = "fixture-model-key-0123456789"

    init(_ folder: String, engine: String?, _ more: More) async throws {
      self.folder = folder
      self.engine = engine
      console = try FreePort.take()
      gateway = try FreePort.take()
      let logger = Logger(label: "model") { _ in SwiftLogNoOpLogHandler() }
      try Parts.key.write(toFile: folder + "/model.key", atomically: true, encoding: .utf8)
      // Containers reach the machine by the address of their bridge, never by its loopback.
      let model = try await FixtureModelServer.open(
        host: engine == nil ? "127.0.0.1" : "0.0.0.0", port: 0, key: Secret(Parts.key), logger: logger)
      self.model = model
      self.more = (try more.serve(folder, model.port), more.both)
      serving = Task { try await model.run() }
    }

    func serve() async throws -> LongRunning {
      let arguments = [
        "serve", "--data", folder + "/control", "--listen", "127.0.0.1:\(console)",
        "--gateway-listen", "127.0.0.1:\(gateway)", "--fixture-model", "http://127.0.0.1:\(model.port)/v1",
        "--fixture-model-key-file", folder + "/model.key", "--json",
      ]
      let control = try await LongRunning(try Programs.aw(), arguments + more.serve + more.both)
      _ = try await control.document()
      return control
    }

    func connect(ticket: String? = nil, replacing: Bool = false) async throws -> LongRunning {
      let program = ["--openclaw", try Programs.synthetic(), "--openclaw-argument", "openclaw"]
      let engine = engine.map { ["--docker-socket", $0] } ?? []
      let enrolling = ticket == nil ? [] : ["--enrol", "127.0.0.1:\(gateway)"] + (replacing ? ["--replace"] : [])
      let arguments = ["connect", "--data", folder + "/host", "--json"] + program + engine + enrolling
      return try await LongRunning(
        try Programs.aw(), arguments + more.both, input: ticket.map { $0 + "\n" } ?? "")
    }
  }

  static func with(engine: String? = nil, _ more: More = More(), _ body: (Deployed) async throws -> Void) async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let deployed = try await Deployed(folder, engine: engine, more)
    do {
      try await body(deployed)
    } catch {
      Issue.record("\(await deployed.logs)")
      await deployed.close()
      throw error
    }
    await deployed.close()
  }

  private init(_ folder: String, engine: String?, _ more: More) async throws {
    self.folder = folder
    self.engine = engine
    parts = try await Parts(folder, engine: engine, more)
    model = parts.model
    gatewayPort = parts.gateway
    control = try await parts.serve()
    client = try APIClient(ContextFile.load(from: folder + "/control/context.json"))
    store = try await Store.openWithoutMigrations(.sqlite(path: folder + "/control/aw.sqlite"))
    let invited = try await client.send(.post, "/hosts", body: ["slug": "host-1"], as: InvitationView.self)
    let ticket = try #require(invited.line.split(separator: " ").dropFirst().first)
    host = try await parts.connect(ticket: String(ticket))
    try await linked()
    _ = try await client.send(.post, "/orgs", body: ["slug": "acme"])
  }

  nonisolated var controlData: String { folder + "/control" }
  nonisolated var context: String { controlData + "/context.json" }
  nonisolated var hostData: String { folder + "/host" }

  /// What the two programs that run now have logged.
  var fullLogs: [String] { [control.log, host.log] }

  private var logs: String {
    "control plane:\n\(control.log.suffix(4_000))\nconnector:\n\(host.log.suffix(4_000))"
  }

  private func close() async {
    // Ended already is ended too.
    _ = try? await host.end(SIGKILL)
    _ = try? await control.end(SIGTERM)
    await store.close()
    parts.serving.cancel()
    _ = await parts.serving.result
    for left in ProcessLook.instances(below: folder) { kill(left.id, SIGKILL) }
    if engine != nil, let containers = try? await containers(), !containers.isEmpty {
      _ = try? await docker(["rm", "--force"] + containers)
    }
  }

  // MARK: - Killing

  func killControlPlane() async throws { try await control.end(SIGKILL) }
  func startControlPlane() async throws { control = try await parts.serve() }
  func endControlPlane() async throws {
    let code = try await control.end(SIGTERM)
    #expect(code == 0)
  }

  func endConnector() async throws {
    let code = try await host.end(SIGTERM)
    #expect(code == 0)
  }

  func signalConnector(_ signal: Int32) { kill(host.id, signal) }
  func killConnector() async throws { try await host.end(SIGKILL) }
  func startConnector() async throws { host = try await parts.connect() }

  /// As after a loss of its identity: the machine enrols again with a line for the same Host.
  func enrolAgain() async throws {
    let line = try await client.send(.post, "/hosts", body: ["slug": "host-1"], as: InvitationView.self).line
    #expect(line.hasSuffix(" --replace"))
    let ticket = try #require(line.split(separator: " ").dropFirst().first)
    host = try await parts.connect(ticket: String(ticket), replacing: true)
  }

  /// Waits until the Host has both of its connections.
  nonisolated func linked() async throws {
    while try await client.send(.get, "/hosts/host-1", as: HostView.self).connections < 2 { await Task.yield() }
  }

  nonisolated func unlinked() async throws {
    while try await client.send(.get, "/hosts/host-1", as: HostView.self).connected { await Task.yield() }
  }

  // MARK: - Looking

  /// The newest operation of all.
  nonisolated func newest() async throws -> OperationView? {
    try await store.read { tx in
      let row = try tx.run("SELECT id FROM operation ORDER BY created_at DESC, id DESC LIMIT 1").first
      guard let id: OperationID = try row?.id("id") else { return nil }
      return try WorkRecords.find(id, in: tx).map { OperationView($0) }
    }
  }

  /// Every operation that there was.
  nonisolated func operations() async throws -> [OperationID] {
    try await store.read { tx in try tx.run("SELECT id FROM operation").map { try $0.id("id") } }
  }

  nonisolated func operation(_ id: OperationID) async throws -> OperationView {
    let found = try await store.read { try WorkRecords.find(id, in: $0) }
    return OperationView(try #require(found))
  }

  /// Waits for the end, in the database: whatever process carries it there.
  nonisolated func ended(_ id: OperationID) async throws -> OperationView {
    while true {
      let view = try await operation(id)
      if view.isFinished { return view }
    }
  }

  /// Reads the Instance until it is as wanted.
  @discardableResult
  nonisolated func until(_ wanted: @Sendable (InstanceView) -> Bool) async throws -> InstanceView {
    while true {
      let view = try await client.send(.get, "/instances/acme-main", as: InstanceView.self)
      if wanted(view) { return view }
    }
  }

  nonisolated func secrets() async throws -> [String] {
    let vault = try Vault.open(file: controlData + "/vault", key: .fromFile(controlData + "/vault.key"))
    return try await vault.references().map(\.text).filter { $0.hasPrefix("instance/") }
  }

  nonisolated func directories() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: hostData + "/instances")) ?? []
    return names.filter { !$0.hasPrefix(".") }
  }

  /// The processes of the Instances that run; of a container its first one, with which the others end.
  nonisolated func processes() async throws -> [Int32] {
    guard engine != nil else { return ProcessLook.instances(below: folder).map(\.id) }
    let containers = try await containers()
    guard !containers.isEmpty else { return [] }
    // A container that was removed since is not inspected, and 0 stands for one that does not run.
    let answer = try await docker(["inspect", "--format", "{{.State.Pid}}"] + containers)
    return answer.output.split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
  }

  /// Every container of the engine, running or not.
  nonisolated func containers() async throws -> [String] { try await listed(["ps", "--all", "--quiet"]) }

  /// The networks that AW made on the engine.
  nonisolated func networks() async throws -> [String] {
    try await listed(["network", "ls", "--quiet", "--filter", "name=aw-"])
  }

  private nonisolated func listed(_ arguments: [String]) async throws -> [String] {
    guard engine != nil else { return [] }
    let answer = try await docker(arguments)
    #expect(answer.code == 0, "\(answer)")
    return answer.output.split(separator: "\n").map(String.init)
  }

  private nonisolated func docker(_ arguments: [String]) async throws -> Programs.Answer {
    try await Programs.run("docker", ["--host", "unix://" + (try #require(engine))] + arguments)
  }

  /// The devices that the Gateway of an Instance has paired.
  nonisolated func devices(of slug: String) async throws -> Int {
    let directory = hostData + "/instances/" + slug
    let answer = try await Programs.run(
      try Programs.synthetic(), ["openclaw", "devices", "list", "--json"],
      environment: [
        "OPENCLAW_STATE_DIR": directory + "/state", "OPENCLAW_CONFIG_PATH": directory + "/state/openclaw.json",
        "HOME": directory + "/keys",
      ])
    return try #require(answer.json?["paired"]?.arrayValue, "\(answer)").count
  }
}
