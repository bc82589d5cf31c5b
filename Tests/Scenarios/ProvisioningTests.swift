import Basics
import Client
import Deployment
import Evidence
import Fleet
import Foundation
import Link
import Store
import Synthetic
import TestSupport
import Testing
import Vault
import Work

@Suite("Fresh provisioning, end to end", .serialized, .timeLimit(.minutes(3)))
struct ProvisioningTests {
  @Test("an Instance is provisioned over the Host's link, paired, verified by a model turn, and shown as current")
  func thread() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let operation = try await scene.provision()
      #expect(operation.state == .succeeded && operation.failure == nil)
      #expect(operation.steps.map(\.name) == InstancePlan.provision.steps.map(\.rawValue))
      let view = try await scene.instance()
      #expect(view.state == .active && view.version == Synthetic.version)
      #expect(view.status.status == .current)
      #expect(view.chain.map(\.link) == ChainLink.allCases)
      #expect(view.chain.allSatisfy { $0.outcome == "passed" })

      let metrics = try await scene.client.metrics()
      for line in [
        #"aw_instances{status="unreachable"}"#, #"aw_hosts_linked"#, #"aw_evidence_entries"#, #"aw_http_requests"#,
      ] {
        #expect(metrics.contains(line), "\(metrics)")
      }

      // Every act, transition and step is in the evidence, which verifies from its directory alone.
      let published = await scene.control.publisher.publish()
      #expect(published.problem == nil)
      let verified = try EvidenceVerifier.verify(directory: scene.directory + "/control/evidence")
      #expect(verified.isIntact, "\(verified.problems)")
      let kinds = try await scene.control.store.read { tx in
        try EvidenceLog().list(before: nil, limit: 100, in: tx).map(\.entry.kind.id)
      }
      #expect(
        Set(kinds).isSuperset(of: [
          "org.created", "host.invited", "host.enrolled", "host.connected", "instance.requested", "operation.step",
          "operation.ended", "instance.checked", "instance.status-changed",
        ]), "\(kinds)")
    }
  }

  @Test("it is stopped, started, restarted and removed with its data kept, each verified by what the Host says")
  func lifecycle() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      let stopped = try await scene.operate("stop")
      #expect(stopped.state == .succeeded)
      let asked = try await scene.until { $0.status.status == .unreachable }
      #expect(asked.state == .stopped && asked.status.reason == "It was stopped on request.")
      let started = try await scene.operate("start")
      #expect(started.state == .succeeded)
      #expect(try await scene.instance().status.status == .current)
      let restarted = try await scene.operate("restart")
      #expect(restarted.steps.map(\.name) == ["prepare", "stop", "start", "ready", "verify"])
      #expect(restarted.state == .succeeded)
      let removed = try await scene.remove(purge: false)
      let kept = try #require(removed.steps.first?.detail["dataDirectory"]?.stringValue)
      #expect(FileManager.default.fileExists(atPath: kept + "/state/openclaw.json"))
      #expect(!FileManager.default.fileExists(atPath: kept + "/environment"), "the secrets are gone")
      await #expect(throws: AWError(.instanceUnknown, "", next: "")) { try await scene.instance() }
      #expect(try await scene.control.vault.references().filter { $0.text.hasPrefix("instance/") } == [])
    }
  }

  @Test("a purge takes the data too, and asks for the name first")
  func purge() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      await #expect(throws: AWError(.confirmationMissing, "", next: "")) {
        try await scene.client.send(.delete, "/instances/acme-main", query: [("purge", "true")])
      }
      let data = try #require(try await scene.instance().dataDirectory)
      #expect(try await scene.remove(purge: true).state == .succeeded)
      #expect(!FileManager.default.fileExists(atPath: data))
    }
  }

  @Test("a release that AW did not start is drift until somebody accepts it; another Gateway is never accepted")
  func drift() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      // As if AW had started an older one, which then upgraded itself.
      try await scene.control.store.write { try $0.run("UPDATE instance SET version = '2026.1.1'") }
      let drifted = try await scene.until { $0.status.status == .degraded }
      #expect(drifted.chain.first { $0.link == .hello }?.code == ErrorCode.gatewayDrifted.id)
      #expect(try await scene.operate("restart").state == .succeeded)
      let accepted = try await scene.until { $0.status.status == .current }
      #expect(accepted.version == Synthetic.version)
      // As if somebody had edited its configuration on the Host.
      let configuration = try #require(accepted.dataDirectory) + "/state/openclaw.json"
      let text = try String(contentsOfFile: configuration, encoding: .utf8)
      try (text + "\n").write(toFile: configuration, atomically: false, encoding: .utf8)
      let edited = try await scene.until { $0.status.status == .degraded }
      #expect(edited.status.primaryCause == .drift && edited.status.link == .runtime)
      #expect(try await scene.operate("restart").state == .succeeded)
      _ = try await scene.until { $0.status.status == .current }
      // As if something else had taken its port.
      try await scene.control.store.write { try $0.run("UPDATE instance SET gateway_device = 'another'") }
      let stranger = try await scene.until { view in
        view.chain.contains { $0.code == ErrorCode.gatewayOtherIdentity.id }
      }
      #expect(stranger.chain.first { $0.link == .hello }?.outcome == "failed")
    }
  }

  @Test("what is refused is refused by name and changes nothing")
  func refusals() async throws {
    try await Scene.with { scene in
      func refused(_ code: ErrorCode, _ act: () async throws -> Void) async {
        await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await act() }
      }
      await refused(.orgNotSynthetic) {
        _ = try await scene.client.send(.post, "/orgs", body: ["slug": "contoso", "sort": "real"])
      }
      await refused(.slugInvalid) { _ = try await scene.client.send(.post, "/orgs", body: ["slug": "Not-A-Slug"]) }
      await refused(.orgUnknown) { try await scene.provision() }
      try await scene.createOrg()
      await refused(.slugTaken) { try await scene.createOrg() }
      await refused(.usage) { try await scene.provision(runtime: .docker) }
      await refused(.runtimeUnavailable) { try await scene.provision(runtime: .docker, image: "nowhere:1") }
      await refused(.hostUnknown) {
        let body = FleetRoutes.InstanceBody(
          org: try Slug("acme"), slug: try Slug("acme-main"), runtime: .process, host: try Slug("nobody"))
        _ = try await scene.client.send(.post, "/instances", body: body)
      }
      let rehearsed = try await scene.client.send(
        .post, "/orgs", query: [("dryRun", "true")], body: ["slug": "later"])
      #expect(rehearsed["dryRun"]?.boolValue == true)
      await refused(.orgUnknown) { _ = try await scene.client.send(.get, "/orgs/later") }
      await refused(.instanceUnknown) { _ = try await scene.operate("start") }
      await refused(.hostUnknown) { _ = try await scene.client.send(.delete, "/hosts/nobody") }
      // Of all this, what changed something is the Org; the guardrail's refusal is evidence too. What the Host and
      // the control plane say of themselves may come at any time.
      let kinds = try await scene.control.store.read { tx in
        try EvidenceLog().list(before: nil, limit: 100, in: tx).map(\.entry.kind.id)
      }
      #expect(kinds.filter { $0.hasPrefix("org.") || $0.hasPrefix("act.") } == ["org.created", "act.refused"])
    }
  }

  @Test("an Instance that cannot be made is undone by name", arguments: Unmakeable.all)
  func undone(_ unmakeable: Unmakeable) async throws {
    let program = try unmakeable.program()
    defer { if let program { try? FileManager.default.removeItem(atPath: program) } }
    try await Scene.with(program: program, readyWithin: .seconds(2)) { scene in
      try await scene.createOrg()
      let operation = try await scene.provision(port: unmakeable.port)
      #expect(operation.state == .failed)
      #expect(operation.failure?.code == unmakeable.code.id, "\(String(describing: operation.failure))")
      let view = try await scene.instance()
      #expect(view.state == .failed && view.status.status == .unreachable)
      #expect(try await scene.control.vault.references().filter { $0.text.hasPrefix("instance/") } == [])
      let left = (try? FileManager.default.contentsOfDirectory(atPath: scene.directory + "/host/instances")) ?? []
      #expect(left.allSatisfy { $0.hasPrefix(".") }, "\(left)")
      // Its name is free again, and its record can be removed.
      #expect(try await scene.remove(purge: false).state == .succeeded)
    }
  }

  struct Unmakeable: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: ErrorCode
    var port: Int?
    /// What stands in for OpenClaw: a shell script; nil is the synthetic one.
    var script: String?

    func program() throws -> String? {
      guard let script else { return nil }
      let filled = script.replacing("PROGRAM", with: try Programs.synthetic())
      let path = NSTemporaryDirectory() + "aw-program-" + Hex.encode([UInt8].random(count: 6))
      try "#!/bin/sh\n[ \"$1\" = --version ] && echo OpenClaw 2026.6.9 && exit 0\n\(filled)\n".write(
        toFile: path, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
      return path
    }

    static let all: [Unmakeable] = [
      .init(testDescription: "OpenClaw refuses its configuration", code: .runtimeConfigRefused, script: "exit 78"),
      .init(testDescription: "the port is taken", code: .runtimePortTaken, port: takenPort),
      .init(testDescription: "it never becomes ready", code: .gatewayNotReady, script: synthetic("notReady")),
      .init(testDescription: "it never opens its port", code: .targetRefused, script: synthetic("neverListen")),
      .init(testDescription: "its shared token is another", code: .gatewayRefused, script: synthetic("wrongToken")),
      .init(testDescription: "its model fails", code: .modelTurnFailed, script: synthetic("modelFails")),
    ]

    /// The synthetic OpenClaw, told to do something wrong.
    private static func synthetic(_ fault: String) -> String {
      // The program's path is put in when the script is written, where a missing one can fail the test.
      "AW_SYNTHETIC_FAULTS=\(fault) exec PROGRAM openclaw \"$@\""
    }

    /// A port that something of this test process holds, for as long as it runs.
    private static let takenPort: Int = (try? FreePort.hold()) ?? 0
  }
}
