import Basics
import Client
import Fleet
import Foundation
import Link
import Testing

/// Links that are lost in each way that this machine can bring about, with real processes and a real network: the class
/// is right, and the Host comes back.
@Suite("Losses of a link", .serialized, .timeLimit(.minutes(5)))
struct LossTests {
  @Test("processes that end, with and without a goodbye, on both sides")
  func processes() async throws {
    try await Deployed.with { deployed in
      try await Self.expect(.connectorShutdown, deployed) {
        try await deployed.endConnector()
        try await deployed.startConnector()
      }
      try await Self.expect(.connectorCrash, deployed) {
        try await deployed.killConnector()
        try await deployed.startConnector()
      }
      try await Self.expect(.gracefulDrain, deployed) {
        try await deployed.endControlPlane()
        try await deployed.startControlPlane()
      }
      try await Self.expect(.gatewayCrash, deployed) {
        try await deployed.killControlPlane()
        try await deployed.startControlPlane()
      }
      let listed = try await Programs.run(["loss", "list", "--context", deployed.context])
      for word in ["connector_shutdown", "connector_crash", "graceful_drain", "gateway_crash", "host-1"] {
        #expect(listed.output.contains(word), "\(listed)")
      }
    }
  }

  @Test("a Connector that stands still is told from a network that swallows everything, and both from a reset")
  func silence() async throws {
    try await Deployed.with { deployed in
      try await Self.expect(.hostSuspended, deployed) {
        await deployed.signalConnector(SIGSTOP)
        try await deployed.unlinked()
        await deployed.signalConnector(SIGCONT)
      }
      try await Self.expect(.networkBlackhole, deployed) {
        try await PortRule.with(port: deployed.gatewayPort, ["-j", "DROP"]) { try await deployed.unlinked() }
      }
      try await Self.expect(.networkReset, deployed) {
        // The resets themselves must pass.
        let reset = ["!", "--tcp-flags", "RST", "RST", "-j", "REJECT", "--reject-with", "tcp-reset"]
        try await PortRule.with(port: deployed.gatewayPort, reset) { try await deployed.unlinked() }
      }
    }
  }

  /// Brings a loss about and waits until the Host is back on both connections and has told of each.
  private static func expect(
    _ expected: LossClass, _ deployed: Deployed, _ body: () async throws -> Void
  ) async throws {
    let before = try await deployed.client.all("/losses", as: LossView.self).count
    try await body()
    try await deployed.linked()
    var losses: [LossView] = []
    while losses.isEmpty || losses.contains(where: { $0.recoveredAt == nil }) {
      losses = try await deployed.client.all("/losses", as: LossView.self)
      losses.removeLast(before)
    }
    for loss in losses { #expect(loss.lossClass == expected, "\(loss)") }
    // What nobody saw is one loss of them all.
    let slots: [Int?] = expected == .gatewayCrash ? [nil] : [0, 1]
    #expect(losses.map(\.seen.slot).sorted { ($0 ?? 0) < ($1 ?? 0) } == slots, "each loss is recorded once")
    let loss = try #require(losses.first)
    let shown = try await Programs.run(["loss", "show", loss.id.text, "--context", deployed.context])
    #expect(shown.code == 0 && shown.output.contains(loss.lossClass.explanation), "\(shown)")
  }
}

/// A rule of the packet filter on one port of the loopback, for as long as a test needs it.
enum PortRule {
  static func with(port: Int, _ verdict: [String], _ body: () async throws -> Void) async throws {
    let rules = ["--dport", "--sport"].map { side in
      ["-i", "lo", "-p", "tcp", side, String(port)] + verdict
    }
    for rule in rules { try await change("-I", rule) }
    let result: Result<Void, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    for rule in rules { try await change("-D", rule) }
    try result.get()
  }

  private static func change(_ verb: String, _ rule: [String]) async throws {
    let answer = try await Programs.run("iptables", [verb, "INPUT"] + rule)
    try #require(answer.code == 0, "\(answer)")
  }
}
