import Basics
import Client
import Deployment
import Evidence
import Fleet
import Foundation
import Link
import Paths
import Store
import Synchronization
import TestSupport
import Testing
import Vault
import Work

@Suite("Control paths", .serialized, .timeLimit(.minutes(4)))
struct PathTests {
  static let clientID = "planted-client-id-7d1f.access"
  static let clientSecret = "planted-client-secret-51c2e0b7"

  static func ssh(_ daemon: SSHDaemon, key: String? = nil) throws -> FleetRoutes.PathBody {
    .init(
      kind: "ssh-forward",
      ssh: .init(
        address: "127.0.0.1", port: daemon.port, user: daemon.user, hostKeys: try daemon.hostKey,
        key: try key ?? daemon.key))
  }

  static func edge(
    _ edge: AccessEdge, _ authority: TestAuthority?, secret: String = clientSecret, tunnel: String? = nil,
    allowing: [String] = ["127.0.0.0/8", "::1"]
  ) -> FleetRoutes.PathBody {
    .init(
      kind: "cloudflared",
      cloudflared: .init(
        hostname: "localhost", port: edge.port, authority: authority?.authorityPEM, allowsPrivate: allowing,
        clientID: clientID, clientSecret: secret, tunnelCredentials: tunnel))
  }

  static let gateway = FleetRoutes.PathBody(kind: "aw-gateway")

  @Test("ssh-forward: rehearsed, switched to, lost as what it is, back by itself; another host key is never taken")
  func forward() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      let daemon = try await SSHDaemon(in: scene.directory)
      var running = try await daemon.start()

      let plan = try await scene.path(Self.ssh(daemon), dryRun: true)
      #expect(plan["steps"]?.arrayValue?.contains { $0.stringValue?.contains("ssh-forward") == true } == true)
      #expect(try await scene.instance().path.kind == .gateway)
      await #expect(throws: AWError(.pathCredentialRefused, "", next: "")) {
        let other = try String(contentsOfFile: daemon.folder + "/other", encoding: .utf8)
        try await scene.path(Self.ssh(daemon, key: other))
      }
      #expect(try await scene.instance().path.kind == .gateway, "a refused switch changes nothing")
      #expect(try await scene.secretsOfPaths() == [])

      let state = try await scene.path(Self.ssh(daemon)).decode(PathStateView.self)
      #expect(state.path.kind == .ssh && state.path.target == "root@127.0.0.1:\(daemon.port)")
      try await scene.until { $0.chain.first?.evidence["path"] == "ssh-forward" && $0.status.status == .current }
      #expect(try await scene.secretsOfPaths() == state.path.references)
      // The private key is in the vault, and nowhere else.
      let sentinel = try #require(try daemon.key.split(separator: "\n").dropFirst(2).first.map(String.init))
      #expect(!ProcessLook.all().contains { ($0.arguments + $0.environment).contains(sentinel) })
      #expect(try scene.filesHolding(sentinel) == [])
      let entries = try await scene.control.store.read { tx in
        try EvidenceLog().list(before: nil, limit: 50, in: tx).map(\.entry).filter { $0.kind == .instancePathSwitched }
      }
      #expect(entries.count == 1 && entries.first?.data["to"] == "ssh-forward", "rehearsals and refusals are none")

      try await SSHDaemon.end(running)
      let lost = try await scene.until { $0.chain.first?.code == ErrorCode.pathUnreachable.id }
      #expect(lost.chain.first?.evidence["class"] == .string(LossClass.connectRefused.rawValue))
      running = try await daemon.start()
      try await scene.until { $0.status.status == .current && $0.chain.first?.outcome == "passed" }

      try await SSHDaemon.end(running)
      running = try await daemon.start(hostKey: "other")
      let changed = try await scene.until { $0.chain.first?.code == ErrorCode.pathHostKeyChanged.id }
      #expect(changed.chain.first?.outcome == "failed")
      // The way back does not need the path that is broken.
      _ = try await scene.path(Self.gateway)
      try await scene.until { $0.chain.first?.evidence["path"] == "aw-gateway" && $0.status.status == .current }
      #expect(try await scene.secretsOfPaths() == [])
      try await SSHDaemon.end(running)
    }
  }

  @Test("cloudflared: TLS, the service token on probes and on the WebSocket; what is wrong is told as that")
  func hostname() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let port = try await scene.provisionedPort()
      let authority = try TestAuthority(names: ["localhost"])
      try await AccessEdge.with(
        origin: port, clientID: Self.clientID, clientSecret: Self.clientSecret, certificate: authority
      ) { edge in
        func refused(_ code: ErrorCode, _ body: FleetRoutes.PathBody) async {
          await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await scene.path(body) }
        }
        await refused(.pathCredentialRefused, Self.edge(edge, authority, secret: "wrong-secret"))
        #expect(edge.refused > 0 && edge.passed == 0)
        await refused(.pathAddressRefused, Self.edge(edge, authority, allowing: []))
        await refused(.pathTLSFailed, Self.edge(edge, nil))
        await refused(.pathTLSFailed, Self.edge(edge, try TestAuthority(names: ["localhost"])))
        await refused(.pathKindUnknown, .init(kind: "carrier-pigeon"))
        await refused(.pathInvalid, .init(kind: "cloudflared"))
        #expect(try await scene.instance().path.kind == .gateway)
        #expect(try await scene.secretsOfPaths() == [])

        let state = try await scene.path(Self.edge(edge, authority)).decode(PathStateView.self)
        #expect(state.path.kind == .cloudflared && state.path.references.count == 2)
        try await scene.until { $0.chain.first?.evidence["path"] == "cloudflared" && $0.status.status == .current }
        let check = try await scene.checkPath()
        #expect(check.reached && check.chain.allSatisfy { $0.outcome == "passed" })
        // A turn over it, as after every restart.
        #expect(try await scene.operate("restart").state == .succeeded)
        for secret in [Self.clientID, Self.clientSecret] {
          #expect(!ProcessLook.all().contains { $0.arguments.contains(secret) })
          #expect(try scene.filesHolding(secret) == [])
        }
        _ = try await scene.remove(purge: true)
        #expect(try await scene.secretsOfPaths() == [])
      }
    }
  }

  static let tunnelSecret = "planted-tunnel-secret-4b7702f1"

  @Test("cloudflared that the Connector runs: traffic goes through it, and its end is told in its own words")
  func tunnel() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let program = try StandInCloudflared(in: folder).program
    try await Scene.with(cloudflared: program) { scene in
      try await scene.createOrg()
      try await scene.provision()
      let authority = try TestAuthority(names: ["localhost"])
      // The edge leads to the tunnel's end only, never to the Instance itself.
      let port = try FreePort.take()
      try await AccessEdge.with(
        origin: port, clientID: Self.clientID, clientSecret: Self.clientSecret, certificate: authority
      ) { edge in
        func body(_ secret: String) -> FleetRoutes.PathBody {
          Self.edge(edge, authority, tunnel: StandInCloudflared.credentials(port: port, secret: secret))
        }
        await #expect(throws: AWError(.pathInvalid, "", next: "")) {
          try await scene.path(Self.edge(edge, authority, tunnel: "no credentials"))
        }
        await #expect(throws: AWError(.pathCredentialRefused, "", next: "")) { try await scene.path(body("wrong")) }
        #expect(try await scene.instance().path.kind == .gateway)
        _ = try await scene.path(body(Self.tunnelSecret), dryRun: true)
        #expect(await ProcessLook.gone(scene.directory + "/host/tunnels"), "a rehearsal leaves nothing running")

        let before = edge.passed
        let state = try await scene.path(body(Self.tunnelSecret)).decode(PathStateView.self)
        #expect(state.path.kind == .cloudflared && state.path.references.count == 3 && edge.passed > before)
        let seen = try await scene.until { $0.chain.first?.evidence["tunnel"]?["connections"] == 1 }
        #expect(seen.chain.first?.evidence["path"] == "cloudflared")
        let check = try await scene.checkPath()
        #expect(check.reached && check.chain.allSatisfy { $0.outcome == "passed" })
        let opening = check.chain.first { $0.link == .hello }?.evidence["openingMilliseconds"]?.objectValue
        #expect(Set(opening.map { Array($0.keys) } ?? []) == ["tcp", "tls", "upgrade", "greeting"])
        #expect(!ProcessLook.all().contains { ($0.arguments + $0.environment).contains(Self.tunnelSecret) })
        #expect(try scene.filesHolding(Self.tunnelSecret) == [])

        // Whoever kills it is told: first what is seen, then that it is back.
        for process in ProcessLook.naming(scene.directory + "/host/tunnels") { kill(process.id, SIGKILL) }
        try await scene.until { $0.chain.first?.evidence["tunnel"]?["restarts"]?.intValue ?? 0 > 0 }
        try await scene.until { $0.status.status == .current }
        // With the Instance goes its tunnel.
        _ = try await scene.remove(purge: true)
        #expect(await ProcessLook.gone(scene.directory + "/host/tunnels"))
        #expect(try await scene.secretsOfPaths() == [])
      }
    }
  }

  @Test("aw-gateway, ssh-forward, cloudflared and back, under a reader that never fails")
  func noGap() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let port = try await scene.provisionedPort()
      let daemon = try await SSHDaemon(in: scene.directory)
      let running = try await daemon.start()
      let authority = try TestAuthority(names: ["localhost"])
      try await AccessEdge.with(
        origin: port, clientID: Self.clientID, clientSecret: Self.clientSecret, certificate: authority
      ) { edge in
        let seen = Seen()
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<2 {
            group.addTask {
              while !Task.isCancelled { seen.note(try await scene.checkPath()) }
            }
          }
          for body in [try Self.ssh(daemon), Self.edge(edge, authority), Self.gateway] {
            _ = try await scene.path(body)
            let wanted = try PathKind.named(body.kind)
            while !seen.take(wanted) { await Task.yield() }
          }
          // What this cuts off is no failure of a path.
          group.cancelAll()
        }
        #expect(seen.failures == [])
      }
      try await SSHDaemon.end(running)
    }
  }

  @Test("without the Host's link the other path goes on, and the chain says which link is missing")
  func withoutLink() async throws {
    try await Deployed.with { deployed in
      let body = ["org": "acme", "slug": "acme-main", "runtime": "process"]
      let requested = try await deployed.client.send(.post, "/instances", body: body, as: RequestedView.self)
      #expect(try await deployed.ended(requested.operation.id).state == .succeeded)
      let daemon = try await SSHDaemon(in: deployed.folder)
      let running = try await daemon.start()
      let options = [
        "--address", "127.0.0.1", "--port", "\(daemon.port)", "--user", daemon.user, "--host-keys-file",
        daemon.folder + "/host.pub", "--key-file", daemon.folder + "/key", "--context", deployed.context,
      ]
      let rehearsed = try await Programs.run(["path", "switch", "acme-main", "ssh-forward", "--dry-run"] + options)
      #expect(rehearsed.code == 0 && rehearsed.output.contains("Nothing was changed."), "\(rehearsed)")
      let switched = try await Programs.run(["path", "switch", "acme-main", "ssh-forward"] + options)
      #expect(switched.code == 0, "\(switched)")
      let shown = try await Programs.run(["path", "show", "acme-main", "--context", deployed.context])
      #expect(shown.code == 0 && shown.output.contains("ssh-forward, root@127.0.0.1:\(daemon.port)"), "\(shown)")

      try await deployed.killConnector()
      let seen = try await deployed.until { view in
        view.chain.contains { $0.link == .runtime && $0.code == ErrorCode.hostOffline.id }
      }
      #expect(seen.status.status == .degraded)
      let others = seen.chain.filter { $0.link != .runtime }
      #expect(others.allSatisfy { $0.outcome == "passed" })
      let check = try await Programs.run(["path", "check", "acme-main", "--context", deployed.context])
      #expect(check.code == 3 && check.output.contains("reached"), "\(check)")
      try await deployed.startConnector()
      try await deployed.until { $0.status.status == .current }

      // A control plane that is killed takes its ssh with it, and the next one makes it again.
      try await deployed.killControlPlane()
      #expect(await ProcessLook.gone(deployed.controlData + "/paths"))
      try await deployed.startControlPlane()
      try await deployed.until { $0.chain.first?.evidence["path"] == "ssh-forward" && $0.status.status == .current }
      try await deployed.endControlPlane()
      #expect(await ProcessLook.gone(deployed.controlData + "/paths"))
      try await deployed.startControlPlane()
      try await SSHDaemon.end(running)
    }
  }
}

/// What readers saw while paths were switched.
private final class Seen: Sendable {
  private let state = Mutex((kinds: Set<PathKind>(), failures: [PathCheckView]()))

  func note(_ check: PathCheckView) {
    state.withLock {
      $0.kinds.insert(check.path.kind)
      if check.chain.contains(where: { $0.outcome != "passed" }) { $0.failures.append(check) }
    }
  }

  /// Whether a check went over such a path since this was last asked.
  func take(_ kind: PathKind) -> Bool { state.withLock { $0.kinds.remove(kind) != nil } }

  /// The checks of which something did not pass.
  var failures: [PathCheckView] { state.withLock { $0.failures } }
}

extension Scene {
  func checkPath() async throws -> PathCheckView {
    try await client.send(.get, "/instances/acme-main/path/check", as: PathCheckView.self)
  }

  /// Asks for a switch.
  @discardableResult
  func path(_ body: FleetRoutes.PathBody, dryRun: Bool = false) async throws -> JSONValue {
    try await client.send(
      .post, "/instances/acme-main/path", query: [("dryRun", dryRun ? "true" : nil)], body: body)
  }

  func provisionedPort() async throws -> Int {
    try await provision()
    return try #require(try await instance().port)
  }

  func secretsOfPaths() async throws -> [String] {
    try await control.vault.references().map(\.text).filter { $0.contains("/path-") }
  }

  /// The control plane's files that hold a text, by path: of the database, the evidence, and everything else.
  func filesHolding(_ text: String) throws -> [String] {
    let folder = directory + "/control"
    let wanted = Data(text.utf8)
    let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    try #require(paths.contains("aw.sqlite"))
    return paths.filter { FileManager.default.contents(atPath: folder + "/" + $0)?.range(of: wanted) != nil }
  }
}
