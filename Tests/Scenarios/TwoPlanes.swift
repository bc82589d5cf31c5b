import Basics
import Client
import Fleet
import Foundation
import Link
import Logging
import Store
import Synthetic
import TestSupport
import Testing
import Web

/// Two control planes on one PostgreSQL with one vault, and two Hosts that keep links to both: five programs, each of
/// which can be killed, stopped and started again.
actor TwoPlanes {
  nonisolated let folder: String
  /// The database, read beside the control planes.
  nonisolated let store: Store
  private let model: FixtureModelServer
  private let serving: Task<Void, any Error>
  private let ports: [(console: Int, gateway: Int)]
  private var planes: [LongRunning?] = [nil, nil]
  private var hosts: [LongRunning] = []
  private static let key = "fixture-model-key-0123456789"
  static let names = ["plane-a", "plane-b"]

  static func with(_ body: @escaping @Sendable (TwoPlanes) async throws -> Void) async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await TestStores.withLocation(.postgres) { location in
      guard case .postgres(let target, _) = location else { return }
      let planes = try await TwoPlanes(folder, target)
      do {
        try await body(planes)
      } catch {
        Issue.record("\(await planes.logs)")
        await planes.close()
        throw error
      }
      await planes.close()
    }
  }

  private init(_ folder: String, _ target: Secret) async throws {
    self.folder = folder
    let logger = Logger(label: "model") { _ in SwiftLogNoOpLogHandler() }
    let model = try await FixtureModelServer.open(host: "127.0.0.1", port: 0, key: Secret(Self.key), logger: logger)
    self.model = model
    serving = Task { try await model.run() }
    ports = try (0..<2).map { _ in (try FreePort.take(), try FreePort.take()) }
    store = try await Store.openWithoutMigrations(.postgres(target: target, connections: 2))
    for (name, text) in [("model.key", Secret(Self.key)), ("postgres", target)] {
      try text.withText { try $0.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8) }
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/" + name)
    }
    try FileManager.default.createDirectory(
      atPath: folder + "/shared", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  private func close() async {
    // Ended already is ended too; one that stands still dies of this all the same.
    for host in hosts { _ = try? await host.end(SIGKILL) }
    for plane in planes { _ = try? await plane?.end(SIGKILL) }
    await store.close()
    serving.cancel()
    _ = await serving.result
    for left in ProcessLook.instances(below: folder) { kill(left.id, SIGKILL) }
  }

  private var logs: String {
    let programs = planes.map { $0?.log ?? "" } + hosts.map(\.log)
    return programs.map { $0.suffix(5_000) }.joined(separator: "\n======\n")
  }

  // MARK: - Programs

  func start(_ index: Int) async throws {
    let (name, port) = (Self.names[index], ports[index])
    let plane = try await LongRunning(
      try Programs.aw(),
      [
        "serve", "--data", folder + "/" + name, "--vault", folder + "/shared", "--name", name,
        "--postgres", folder + "/postgres", "--listen", "127.0.0.1:\(port.console)",
        "--gateway-listen", "127.0.0.1:\(port.gateway)", "--gateway-address", "127.0.0.1:\(port.gateway)",
        "--fixture-model", "http://127.0.0.1:\(model.port)/v1", "--fixture-model-key-file", folder + "/model.key",
        "--json",
      ])
    planes[index] = plane
    _ = try await plane.document()
  }

  func signal(_ index: Int, _ signal: Int32) { if let id = planes[index]?.id { kill(id, signal) } }
  func killPlane(_ index: Int) async throws { _ = try await planes[index]?.end(SIGKILL) }

  func end(_ index: Int) async throws {
    let code = try await planes[index]?.end(SIGTERM)
    #expect(code == 0)
  }

  func client(_ index: Int) throws -> APIClient {
    try APIClient(ContextFile.load(from: folder + "/" + Self.names[index] + "/context.json"))
  }

  /// Makes a Host of a machine that knows of one control plane only.
  func connect(_ slug: String, to index: Int) async throws {
    let invited = try await client(index).send(.post, "/hosts", body: ["slug": slug], as: InvitationView.self)
    let ticket = try #require(invited.line.split(separator: " ").dropFirst().first)
    hosts.append(
      try await LongRunning(
        try Programs.aw(),
        [
          "connect", "--data", folder + "/" + slug, "--json", "--openclaw", try Programs.synthetic(),
          "--openclaw-argument", "openclaw", "--enrol", "127.0.0.1:\(ports[index].gateway)",
        ], input: ticket + "\n"))
  }

  // MARK: - Looking

  func node(_ index: Int, by asked: Int) async throws -> NodeView? {
    try await client(asked).all("/nodes", as: NodeView.self).first { $0.name == Self.names[index] }
  }

  /// Reads how a control plane is, as another one sees it, until that is as wanted.
  func until(_ index: Int, by asked: Int, _ wanted: @Sendable (NodeView) -> Bool) async throws {
    while try await node(index, by: asked).map({ !wanted($0) }) ?? true { await Task.yield() }
  }

  /// Waits until every Host has one connection to each of these control planes, and as many as it wants in all.
  nonisolated func linked(to planes: Set<String>, hosts: Int = 2) async throws {
    while true {
      let links = try await store.read { tx in
        try tx.run("SELECT l.host, n.name, l.connections FROM node_link l JOIN node n ON n.id = l.node").map {
          (try $0.text("host"), try $0.text("name"), Int(try $0.integer("connections")))
        }
      }
      let byHost = Dictionary(grouping: links) { $0.0 }
      let isThere =
        byHost.count == hosts
        && byHost.values.allSatisfy { links in
          Set(links.map(\.1)) == planes && links.map(\.2).reduce(0, +) == 2
        }
      if isThere { return }
      await Task.yield()
    }
  }

  func until(
    _ slug: String, by index: Int, _ wanted: @Sendable (InstanceView) -> Bool
  ) async throws -> InstanceView {
    while true {
      let view = try await client(index).send(.get, "/instances/\(slug)", as: InstanceView.self)
      if wanted(view) { return view }
      await Task.yield()
    }
  }

  func evidence(_ kind: String, by index: Int) async throws -> [EvidenceView] {
    try await client(index).all("/evidence", query: [("kind", kind)], as: EvidenceView.self)
  }

  /// Every event that was ever told, oldest first.
  nonisolated func events() async throws -> [JSONValue] {
    try await store.read { tx in
      try tx.run("SELECT event FROM event ORDER BY sequence").map { try JSONValue(parsing: $0.text("event")) }
    }
  }
}
