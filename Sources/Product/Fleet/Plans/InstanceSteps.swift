import Basics
import Events
import Evidence
import Foundation
import Gateway
import Link
import OpenClaw
import Paths
import Store
import Vault
import Work

/// Carries out the steps of operations on Instances. Each may run twice; those that make something have an inverse.
public struct InstanceSteps: Sendable {
  /// The port inside an Instance's container.
  static let containerPort = 18_789

  let store: Store
  let vault: Vault
  let paths: ControlPaths
  var gateway: AWGateway { paths.gateway }
  let evidence: EvidenceLog
  let outbox: EventOutbox
  let index: FleetIndex
  let samples: SampleKeeper
  let share: FleetShare
  let clock: WallClock
  let version: String
  let model: FixtureModel?
  let readyWithin: Duration
  let hardening: Hardening

  /// The governed settings of an Org's Instances at a time, by dotted path; empty for an Org that has no baseline.
  public typealias Hardening = @Sendable (OrgID, Timestamp, Transaction) throws -> [String: JSONValue]
  /// The credentials of an Org, for the configuration of its Instances.
  let collected: @Sendable (OrgID, Transaction) throws -> [CollectedSecret]

  /// How long a Gateway may take from its start until it is ready, tries and waits included. A cold one with plugins
  /// needs up to a minute.
  public static let readyWithin = Duration.seconds(120)

  /// - Parameters:
  ///   - version: of this AW, as it introduces itself to Gateways.
  ///   - model: the endpoint of synthetic Orgs; nil refuses to provision.
  ///   - readyWithin: the deadline of the steps that wait for a Gateway.
  ///   - hardening: asked whenever an Instance is prepared.
  ///   - collected: the credentials of an Org.
  public init(
    store: Store, vault: Vault, paths: ControlPaths, evidence: EvidenceLog, outbox: EventOutbox, index: FleetIndex,
    samples: SampleKeeper, share: FleetShare, clock: WallClock, version: String, model: FixtureModel?,
    readyWithin: Duration = readyWithin, hardening: @escaping Hardening = { _, _, _ in [:] },
    collected: @escaping @Sendable (OrgID, Transaction) throws -> [CollectedSecret] = { _, _ in [] }
  ) {
    self.store = store
    self.vault = vault
    self.paths = paths
    self.evidence = evidence
    self.outbox = outbox
    self.index = index
    self.samples = samples
    self.share = share
    self.clock = clock
    self.version = version
    self.model = model
    self.readyWithin = readyWithin
    self.hardening = hardening
    self.collected = collected
  }

  /// The chain of checks, with these settings.
  public var walk: ChainWalk {
    ChainWalk(paths: paths, vault: vault, clock: clock, version: version) { try await departure(of: $0) }
  }

  /// Every operation on an Instance, for the engine.
  public var plans: [OperationPlan] {
    InstancePlan.allCases.map { plan in
      // What fails while it is provisioned is undone; later an Instance is somebody's, and stays for them to look at.
      OperationPlan(kind: plan.rawValue, steps: plan.steps.map { step($0, undone: plan == .provision) })
    }
  }

  private func step(_ step: InstanceStep, undone: Bool) -> OperationPlan.Step {
    func make(
      _ deadline: Duration, retries: @escaping @Sendable (AWError) -> Bool = { _ in false },
      run: @escaping @Sendable (WorkOperation) async throws -> JSONValue,
      undo: (@Sendable (WorkOperation) async throws -> Void)? = nil
    ) -> OperationPlan.Step {
      .init(step.rawValue, deadline: deadline, retries: retries, run: run, undo: undone ? undo : nil)
    }
    switch step {
    case .secrets: return make(.seconds(10), run: makeSecrets, undo: forgetFailed)
    case .prepare: return make(.seconds(120), retries: Self.waits, run: prepare, undo: purge)
    case .start: return make(.seconds(60), retries: Self.waits, run: start)
    case .ready: return make(readyWithin, retries: Self.starts, run: ready)
    case .pair: return make(min(readyWithin, .seconds(60)), retries: Self.starts, run: pair)
    case .verify: return make(min(readyWithin, .seconds(90)), retries: Self.starts, run: verify)
    case .stop: return make(.seconds(120), retries: Self.waits, run: stop)
    case .remove: return make(.seconds(300), retries: Self.waits, run: remove)
    case .forget: return make(.seconds(30), run: forget)
    }
  }

  /// Whether an operation is for this control plane to carry out: who watches an Instance also works on it, because
  /// that one has the link.
  public func owns(_ operation: WorkOperation, in tx: Transaction) throws -> Bool {
    let named = operation.input["host"]?.stringValue.flatMap { HostID($0) }
    let host = try named ?? InstanceID(operation.subject).flatMap { try FleetRecords.instance($0, in: tx)?.host }
    // A Host that is gone is nobody's; whoever has the duties of the fleet ends what was under way on it.
    guard let host, try FleetRecords.host(host, in: tx) != nil else { return try share.holds(.fleet, in: tx) }
    return try share.holds(.host(host), in: tx)
  }

  /// Errors that a Host coming back mends.
  static func waits(_ error: AWError) -> Bool { [.hostOffline, .linkLost, .operationDeadline].contains(error.code) }

  /// Errors of a Gateway that is still starting.
  static func starts(_ error: AWError) -> Bool {
    waits(error)
      || [.gatewayUnreachable, .gatewayNotReady, .gatewayTimeout, .targetRefused, .runtimeExited].contains(error.code)
  }

  // MARK: - Secrets

  private func makeSecrets(_ operation: WorkOperation) async throws -> JSONValue {
    let secrets = InstanceSecrets(try await instance(of: operation).id)
    _ = try await vault.putIfAbsent(SecretReference(secrets.gatewayToken)) { .randomHex(byteCount: 16) }
    _ = try await vault.putIfAbsent(SecretReference(secrets.deviceSeed)) { DeviceIdentity.makeSeed() }
    return ["references": .array([.string(secrets.gatewayToken), .string(secrets.deviceSeed)])]
  }

  /// The last undo: nothing of the Instance is left but the record that it failed.
  private func forgetFailed(_ operation: WorkOperation) async throws {
    guard let id = InstanceID(operation.subject) else { return }
    try await forgetSecrets(id)
    try await change(id) { $0.state = .failed }
  }

  private func forgetSecrets(_ id: InstanceID) async throws {
    let path = try await store.read { try FleetRecords.instance(id, in: $0)?.path.references } ?? []
    for reference in InstanceSecrets(id).all + path { try await vault.delete(SecretReference(reference)) }
  }

  /// Ends a removal: the record goes, and the evidence keeps what was.
  private func forget(_ operation: WorkOperation) async throws -> JSONValue {
    guard let id = InstanceID(operation.subject) else { return .null }
    await paths.close(id)
    try await forgetSecrets(id)
    let now = clock.now
    try await store.write { [outbox] tx in
      if let instance = try FleetRecords.instance(id, in: tx) {
        try outbox.appendRemoval(of: instance, at: now, in: tx)
      }
      try FleetRecords.deleteInstance(id, in: tx)
    }
    return .null
  }

  // MARK: - On the Host

  private func purge(_ operation: WorkOperation) async throws {
    let instance = try await instance(of: operation)
    // A Host that was removed meanwhile never comes back to be tidied up.
    guard try await store.read({ try FleetRecords.host(instance.host, in: $0) }) != nil else { return }
    _ = try await call(.remove(instance.runtime, instance.id, purge: true), on: instance, deadline: .seconds(60))
  }

  private func start(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    return try JSONValue(
      encoding: try await call(.start(instance.runtime, instance.id), on: instance, deadline: .seconds(30)))
  }

  private func stop(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    // OpenClaw's own shutdown takes up to 25 s, and the runtime gives it 30 before it kills.
    return try JSONValue(
      encoding: try await call(.stop(instance.runtime, instance.id), on: instance, deadline: .seconds(60)))
  }

  private func remove(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    // What failed was undone: there is nothing on the Host, which may be gone itself.
    if instance.state == .failed { return .null }
    let purge = operation.input["purge"]?.boolValue ?? false
    let state = try await call(
      .remove(instance.runtime, instance.id, purge: purge), on: instance, deadline: .seconds(120))
    return ["dataDirectory": state.dataDirectory.map { .string($0) } ?? .null]
  }

  // MARK: - At the Gateway

  private func ready(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    let state = try await call(.inspect(instance.runtime, instance.id), on: instance, deadline: .seconds(10))
    guard state.phase == .running else { throw ChainWalk.notRunning(state) }
    let dialer = try await paths.way(to: instance)
    for probe in Probe.allCases {
      let verdict = probe.verdict(on: try await probe.ask(through: dialer))
      guard verdict == .passed else {
        throw AWError(
          .gatewayNotReady, "The Gateway is not ready: \(probe.rawValue) \(verdict.words).",
          next: "Read the Instance's log: 'aw instance logs \(instance.slug)'.")
      }
    }
    return ["probes": .array(Probe.allCases.map { .string($0.rawValue) })]
  }

  private func pair(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    let secrets = InstanceSecrets(instance.id)
    let device = try DeviceIdentity(seed: try await vault.get(SecretReference(secrets.deviceSeed)))
    let paired = try await Pairing.pair(
      through: try await paths.way(to: instance),
      sharedToken: try await vault.get(SecretReference(secrets.gatewayToken)), device: device, version: version
    ) { request in
      _ = try await gateway.call(
        .approveDevice(instance.runtime, instance.id, request: request), on: instance.host, deadline: .seconds(20))
    }
    try await vault.put(paired.deviceToken, at: SecretReference(secrets.deviceToken))
    try await change(instance.id) {
      $0.version = paired.version
      $0.gatewayDevice = paired.gatewayDevice
    }
    return [
      "device": .string(device.id), "version": .string(paired.version),
      "scopes": .array(paired.scopes.map { .string($0) }),
    ]
  }

  private func verify(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    let report = await walk.walk(instance, ChainLink.allCases, acceptsVersion: true)
    // Before the report is recorded, so that the change of status that follows from it is recorded with it.
    if report.broken == nil {
      let version = report.result(.hello)?.evidence["version"]?.stringValue
      try await change(instance.id) {
        $0.state = .active
        $0.version = version ?? $0.version
      }
    }
    try await ChainRecorder(
      store: store, evidence: evidence, outbox: outbox, clock: clock, index: index, share: share
    ).record(report, of: instance)
    samples.note(report, of: instance.id)
    if let broken = report.broken {
      throw AWError(
        ErrorCode.named(broken.failure.code), "Not verified: \(broken.link.title): \(broken.failure.message)",
        next: broken.failure.next)
    }
    return try JSONValue(encoding: report)
  }

  // MARK: - Parts

  func instance(of operation: WorkOperation) async throws -> Instance {
    let found = try await store.read { tx in
      try InstanceID(operation.subject).flatMap { try FleetRecords.instance($0, in: tx) }
    }
    guard let found else {
      throw AWError(.instanceUnknown, "The Instance is gone.", next: "Create it again.")
    }
    return found
  }

  func call(_ call: RuntimeCall, on instance: Instance, deadline: Duration) async throws -> RunState {
    guard case .state(let state) = try await gateway.call(call, on: instance.host, deadline: deadline) else {
      throw AWError(.runtimeFailed, "The Host answered something else than a state.", next: "Update its Connector.")
    }
    return state
  }

  func change(_ id: InstanceID, _ edit: @escaping @Sendable (inout Instance) -> Void) async throws {
    try await store.write { tx in
      guard var instance = try FleetRecords.instance(id, in: tx) else { return }
      edit(&instance)
      try FleetRecords.save(instance, in: tx)
    }
  }
}

extension Probe.Verdict {
  /// The end of a sentence that begins with the probe.
  var words: String {
    switch self {
    case .passed: "passes"
    case .notReady(let failing) where failing.isEmpty: "says that it is not ready, and does not say why"
    case .notReady(let failing): "says that it is not ready: \(failing.joined(separator: ", "))"
    case .wrong(let what): "is answered by something that is no healthy Gateway: \(what)"
    }
  }
}
