import Basics
import Foundation
import Link
import Logging
import TestSupport
import Testing

@testable import Connector

@Suite("cloudflared, as the Connector runs it", .timeLimit(.minutes(2)))
struct TunnelTests {
  static let sentinel = "planted-tunnel-secret-9e41"

  static func plan(_ hostname: String = "acme.example.com") throws -> TunnelPlan {
    let credentials = Secret(StandInCloudflared.credentials(port: 1, secret: sentinel))
    return try TunnelPlan(hostname: hostname, port: 19_100, credentials: credentials)
  }

  // MARK: - Decisions

  @Test("its configuration names the tunnel, the file of its credentials and one rule, and no secret")
  func configuration() throws {
    let text = try Self.plan().configuration(credentialsFile: "/var/lib/a \"b\"/credentials.json")
    #expect(
      text == """
        # Written by AW's Connector: changes are overwritten.
        tunnel: "6ff42ae2-765d-4adf-8112-31c55c1551ef"
        credentials-file: "/var/lib/a \\"b\\"/credentials.json"
        no-autoupdate: true
        ingress:
          - hostname: "acme.example.com"
            service: "http://127.0.0.1:19100"
          - service: "http_status:404"

        """)
    #expect(!TunnelPlan.arguments(program: "cloudflared", configurationFile: "/f").joined().contains(Self.sentinel))
  }

  @Test(
    "what cloudflared would not take is refused before anything is written, and is not quoted",
    arguments: [
      "", "no json", "{}", #"{"AccountTag":"a","TunnelSecret":"planted-tunnel-secret-9e41"}"#,
      #"{"AccountTag":"a","TunnelSecret":"planted-tunnel-secret-9e41","TunnelID":"not-a-uuid"}"#,
      #"{"AccountTag":"a","TunnelSecret":"","TunnelID":"6ff42ae2-765d-4adf-8112-31c55c1551ef"}"#,
    ])
  func refusedCredentials(text: String) throws {
    let error = #expect(throws: AWError.self) {
      try TunnelPlan(hostname: "acme.example.com", port: 1, credentials: Secret(text))
    }
    #expect(error?.code == .pathInvalid && error?.description.contains(Self.sentinel) == false)
  }

  @Test(
    "a hostname that could be more than one in the configuration is refused",
    arguments: ["", "a b", "a\nb", "A.b"])
  func refusedHostname(name: String) {
    #expect(throws: AWError(.pathInvalid, "", next: "")) { try Self.plan(name) }
  }

  @Test("it is up while one of its connections is registered")
  func connections() {
    var log = TunnelLog()
    log.take("2024-05-01T10:00:00Z INF Starting tunnel tunnelID=6ff42ae2")
    #expect(log.connections.isEmpty && !log.wasUp)
    log.take("2024-05-01T10:00:01Z INF Registered tunnel connection connIndex=0 ip=198.41.192.7 protocol=quic")
    log.take("2024-05-01T10:00:02Z INF Registered tunnel connection connIndex=3 ip=198.41.200.7 protocol=quic")
    #expect(log.connections == [0, 3] && log.wasUp)
    log.take("2024-05-01T11:00:00Z WRN Serve tunnel error error=\"timeout: no recent network activity\" connIndex=0")
    log.take("2024-05-01T11:00:00Z INF Retrying connection in up to 2s connIndex=3 ip=198.41.200.7")
    #expect(log.connections.isEmpty && log.wasUp)
  }

  @Test(
    "why it ended is told from its own words",
    arguments: [
      (
        #"ERR Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" connIndex=0"#, 1,
        ErrorCode.pathCredentialRefused, LossClass.authRejected, true
      ),
      (
        #"ERR Register tunnel error from server side error="Unauthorized: Tunnel not found" connIndex=1"#, 1,
        .pathCredentialRefused, .authRejected, true
      ),
      ("Tunnel credentials file '/f' doesn't exist or is not a file", 1, .pathInvalid, nil, true),
      (
        #"ERR edge discovery: error looking up Cloudflare edge IPs error="lookup _v2-origintunneld: no such host""#, 1,
        .pathUnreachable, .dnsFailure, false
      ),
      (
        #"ERR Failed to dial a quic connection error="timeout: no recent network activity" connIndex=0"#, 1,
        .pathUnreachable, .connectTimeout, false
      ),
      (
        #"ERR Unable to establish connection with Cloudflare edge error="dial tcp: connect: connection refused""#, 1,
        .pathUnreachable, .connectRefused, false
      ),
      (
        #"ERR Unable to establish connection error="x509: certificate signed by unknown authority""#, 1,
        .pathTLSFailed, .tlsFailed, false
      ),
      (#"ERR dial udp: connect: network is unreachable"#, 1, .pathUnreachable, .networkUnreachable, false),
      ("INF Initiating graceful shutdown: connection refused", 0, .pathUnreachable, .unknown, false),
      ("", 137, .pathUnreachable, .unknown, false),
      ("", 127, .pathProgramMissing, nil, true),
    ] as [(String, Int32, ErrorCode, LossClass?, Bool)])
  func verdict(line: String, code: Int32, error: ErrorCode, lossClass: LossClass?, isRefusal: Bool) throws {
    var log = TunnelLog()
    log.take("2024-05-01T10:00:00Z " + line)
    let (failure, refused) = log.verdict(code: code, try Self.plan())
    #expect(failure.code == error.id && failure.lossClass == lossClass && refused == isRefusal)
    #expect(failure.message.contains("acme.example.com"))
  }

  // MARK: - With a program

  private struct Scene: Sendable {
    let folder: String
    let program: StandInCloudflared
    let key: Tunnels.Key

    static func with(_ body: (Scene) async throws -> Void) async throws {
      try await TestFolder.with { folder in
        let key = Tunnels.Key(.make(at: WallClock.system.now), try Slug("path-1-tunnel"))
        try await body(Scene(folder: folder, program: try StandInCloudflared(in: folder), key: key))
      }
    }

    func tunnels(_ program: String? = nil) -> Tunnels {
      Tunnels(
        directory: folder, program: program ?? self.program.program,
        logger: Logger(label: "tunnels") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Port 0: nobody has to reach it here.
    func credentials(_ secret: String = TunnelTests.sentinel) -> Secret {
      Secret(StandInCloudflared.credentials(port: 0, secret: secret))
    }

    @discardableResult
    func until(_ tunnels: Tunnels, _ wanted: @Sendable (TunnelState) -> Bool) async -> TunnelState {
      while true {
        let state = await tunnels.look(key)
        if wanted(state) { return state }
        await Task.yield()
      }
    }

    /// The processes that name the scene's folder among their arguments.
    var processes: [(id: Int32, arguments: String)] {
      let ids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
      return ids.compactMap { id in
        let bytes = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data()
        let arguments = String(decoding: bytes, as: UTF8.self)
        return arguments.contains(folder + "/tunnels") ? (id, arguments) : nil
      }
    }

    func mode(_ name: String) throws -> Int? {
      let path = "\(folder)/tunnels/\(key.instance)/\(key.name)\(name)"
      return try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
  }

  @Test("it is run with files that only its user can read, started again when it ends, and ended with its files")
  func life() async throws {
    try await Scene.with { scene in
      let tunnels = scene.tunnels()
      _ = try await tunnels.serve(scene.key, at: "acme.example.com", port: 1, credentials: scene.credentials())
      let up = await scene.until(tunnels) { $0.phase == .up }
      #expect(up.connections == 1 && up.failure == nil)
      #expect(await tunnels.phases() == [scene.key.instance: .up])
      #expect(try scene.mode("/credentials.json") == 0o600 && scene.mode("/config.yml") == 0o600)
      #expect(try scene.mode("") == 0o700)
      let first = scene.processes
      #expect(!first.isEmpty && !first.contains { $0.arguments.contains(Self.sentinel) })
      // The same again is no reason to interrupt what goes over it.
      _ = try await tunnels.serve(scene.key, at: "acme.example.com", port: 1, credentials: scene.credentials())
      #expect(scene.processes.map(\.id) == first.map(\.id))

      for process in first { kill(process.id, SIGKILL) }
      let back = await scene.until(tunnels) { $0.restarts == 1 && $0.phase == .up }
      #expect(back.failure == nil && Set(scene.processes.map(\.id)).isDisjoint(with: first.map(\.id)))

      try await tunnels.end(scene.key)
      #expect(await tunnels.look(scene.key) == .absent && scene.processes.isEmpty)
      #expect(throws: (any Error).self) { try scene.mode("") }
    }
  }

  @Test("the next Connector goes on with what the one before was asked to serve")
  func resumed() async throws {
    try await Scene.with { scene in
      let before = scene.tunnels()
      _ = try await before.serve(scene.key, at: "acme.example.com", port: 1, credentials: scene.credentials())
      await scene.until(before) { $0.phase == .up }
      await before.close()
      #expect(scene.processes.isEmpty)
      let after = scene.tunnels()
      await after.resume()
      await scene.until(after) { $0.phase == .up }
      try await after.endAll(of: scene.key.instance)
      #expect(scene.processes.isEmpty)
    }
  }

  @Test("what only a person can mend is told as that, and not tried every second")
  func refused() async throws {
    try await Scene.with { scene in
      let tunnels = scene.tunnels()
      _ = try await tunnels.serve(scene.key, at: "acme.example.com", port: 1, credentials: scene.credentials("wrong"))
      let state = await scene.until(tunnels) { $0.failure != nil && $0.phase == .refused }
      #expect(state.failure?.code == ErrorCode.pathCredentialRefused.id && state.failure?.lossClass == .authRejected)
      await tunnels.close()
      let missing = scene.tunnels("/nonexistent/cloudflared")
      _ = try await missing.serve(scene.key, at: "acme.example.com", port: 1, credentials: scene.credentials())
      let told = await scene.until(missing) { $0.failure != nil && $0.phase == .refused }
      #expect(told.failure?.code == ErrorCode.pathProgramMissing.id)
      await missing.close()
    }
  }
}
