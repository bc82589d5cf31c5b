import Basics
import Client
import Fleet
import Foundation
import Link
import Testing
import Web
import Work

/// `kill -9` of each program in each step of provisioning and of removal: the operation ends right, and nothing is
/// left over.
@Suite("kill -9", .serialized, .timeLimit(.minutes(10)))
struct KillTests {
  enum Victim: String, CaseIterable, Sendable {
    case controlPlane, connector, instance

    /// In which steps it can be killed: an Instance has no process before it was started.
    func canDie(in step: InstanceStep) -> Bool {
      self != .instance || [.ready, .pair, .verify, .remove].contains(step)
    }
  }

  /// How often a step is tried to be hit; the shortest takes some milliseconds.
  static let triesMax = 25

  @Test("in every step of provisioning and removal", arguments: Victim.allCases)
  func processes(_ victim: Victim) async throws {
    try await Deployed.with { try await everyStep(victim, $0) }
  }

  @Test(
    "with containers, in every step in which the engine works", .enabled(if: TestDocker.isWanted),
    arguments: Victim.allCases)
  func containers(_ victim: Victim) async throws {
    try await Deployed.with(engine: try TestDocker.required) {
      try await everyStep(victim, $0) { [.prepare, .start, .ready, .remove].contains($0) }
    }
  }

  private func everyStep(
    _ victim: Victim, _ deployed: Deployed, where isWanted: (InstanceStep) -> Bool = { _ in true }
  ) async throws {
    for step in InstancePlan.provision.steps where victim.canDie(in: step) && isWanted(step) {
      try await hit(victim, in: step, deployed) { try await provision(deployed, killing: victim, in: step) }
    }
    for step in InstancePlan.remove.steps where victim.canDie(in: step) && isWanted(step) {
      try await hit(victim, in: step, deployed) {
        try await provision(deployed, killing: nil, in: step)
        return try await remove(deployed, killing: victim, in: step)
      }
    }
  }

  /// Repeats until the kill fell into the step; every try must end right, wherever it fell.
  private func hit(
    _ victim: Victim, in step: InstanceStep, _ deployed: Deployed, _ body: () async throws -> Bool
  ) async throws {
    for _ in 0..<Self.triesMax {
      let wasHit = try await body()
      if try await deployed.client.all("/instances", as: InstanceView.self).contains(where: { $0.state != .removing }) {
        try await remove(deployed, killing: nil, in: step)
      }
      try await gone(deployed)
      if wasHit { return }
    }
    Issue.record("\(victim) was never killed in the step '\(step.rawValue)'")
  }

  @discardableResult
  private func provision(_ deployed: Deployed, killing victim: Victim?, in step: InstanceStep) async throws -> Bool {
    let body = FleetRoutes.InstanceBody(
      org: try Slug("acme"), slug: try Slug("acme-main"), runtime: deployed.engine == nil ? .process : .docker,
      image: deployed.engine.map { _ in TestDocker.image })
    let (id, wasHit) = try await killed(deployed, victim, in: step) {
      try await deployed.client.send(.post, "/instances", body: body, as: RequestedView.self).operation.id
    }
    let operation = try await deployed.ended(id)
    #expect(operation.state == .succeeded, "\(operation)")
    try await deployed.linked()
    try await proven(deployed, operation)
    return wasHit
  }

  @discardableResult
  private func remove(_ deployed: Deployed, killing victim: Victim?, in step: InstanceStep) async throws -> Bool {
    let (id, wasHit) = try await killed(deployed, victim, in: step) {
      let query = [("purge", Optional("true")), ("confirm", "acme-main")]
      return try await deployed.client.send(.delete, "/instances/acme-main", query: query, as: RequestedView.self)
        .operation.id
    }
    let operation = try await deployed.ended(id)
    #expect(operation.state == .succeeded, "\(operation)")
    try await deployed.linked()
    return wasHit
  }

  /// Asks, and kills the victim as soon as the step is seen to run.
  ///
  /// - Returns: the operation, and whether the step was still running when the victim was dead.
  private func killed(
    _ deployed: Deployed, _ victim: Victim?, in step: InstanceStep,
    asking ask: @escaping @Sendable () async throws -> OperationID
  ) async throws -> (OperationID, wasHit: Bool) {
    guard let victim else { return (try await ask(), false) }
    let before = try await deployed.newest()?.id
    // A control plane that dies while it answers has committed all the same: the database knows.
    let asking = Task { try? await ask() }
    while true {
      guard let operation = try await deployed.newest(), operation.id != before else { continue }
      guard operation.isRunning(step) || operation.isFinished else { continue }
      var isHit = operation.isRunning(step)
      if isHit { isHit = try await kill(victim, in: step, operation.id, deployed) }
      _ = await asking.value
      return (operation.id, isHit)
    }
  }

  /// - Returns: whether it died in the step. Once the control plane is dead the database stands still and tells; the
  ///   others die while the operation goes on, so what was seen just before has to do.
  private func kill(
    _ victim: Victim, in step: InstanceStep, _ id: OperationID, _ deployed: Deployed
  ) async throws -> Bool {
    switch victim {
    case .controlPlane:
      try await deployed.killControlPlane()
      let isHit = try await deployed.operation(id).isRunning(step)
      try await deployed.startControlPlane()
      return isHit
    case .connector:
      try await deployed.killConnector()
      try await deployed.startConnector()
    case .instance:
      for process in try await deployed.processes() { Foundation.kill(process, SIGKILL) }
    }
    return true
  }

  /// One process or container, one directory, one set of secrets, one paired device, and evidence of every step.
  private func proven(_ deployed: Deployed, _ operation: OperationView) async throws {
    #expect(try await deployed.processes().count == 1)
    if deployed.engine != nil { #expect(try await deployed.containers().count == 1) }
    #expect(deployed.directories() == ["acme-main"])
    let kinds = try await deployed.secrets().compactMap { $0.split(separator: "/").last.map(String.init) }
    #expect(kinds.sorted() == ["device-seed", "device-token", "gateway-token"])
    #expect(try await deployed.devices(of: "acme-main") == 1)
    let evidence = try await deployed.client.all(
      "/evidence", query: [("act", operation.id.text)], as: EvidenceView.self)
    let done = evidence.filter { $0.data["outcome"] == "done" }.compactMap { $0.data["step"]?.stringValue }
    #expect(Set(done) == Set(InstancePlan.provision.steps.map(\.rawValue)))
    #expect(evidence.filter { $0.kind == "operation.ended" }.count == 1)
  }

  private func gone(_ deployed: Deployed) async throws {
    #expect(try await deployed.processes().isEmpty)
    #expect(try await deployed.containers().isEmpty)
    #expect(try await deployed.networks().isEmpty)
    #expect(deployed.directories().isEmpty)
    #expect(try await deployed.secrets().isEmpty)
    #expect(try await deployed.client.all("/instances", as: InstanceView.self).isEmpty)
    let verified = try await Programs.run(["evidence", "verify", deployed.controlData + "/evidence"])
    #expect(verified.code == 0, "\(verified)")
  }
}

extension OperationView {
  func isRunning(_ step: InstanceStep) -> Bool {
    steps.contains { $0.name == step.rawValue && $0.state == .running }
  }
}
