import Basics
import Evidence
import Foundation
import Gateway
import Link
import OpenClaw
import Store
import Vault
import Work

/// The plan that makes an Instance: each step may run twice, and each has an inverse.
public struct Provisioning: Sendable {
  public static let kind = "instance.provision"

  /// What the model endpoint of synthetic Orgs is, as an Instance on a Host reaches it.
  public struct FixtureModel: Sendable {
    public let baseURL: String
    public let key: Secret

    public init(baseURL: String, key: Secret) {
      self.baseURL = baseURL
      self.key = key
    }
  }

  static let modelKeyVariable = "AW_FIXTURE_MODEL_KEY"
  /// The port inside an Instance's container.
  static let containerPort = 18_789

  let store: Store
  let vault: Vault
  let gateway: AWGateway
  let clock: WallClock
  let version: String
  let model: FixtureModel

  public init(
    store: Store, vault: Vault, gateway: AWGateway, clock: WallClock, version: String, model: FixtureModel
  ) {
    self.store = store
    self.vault = vault
    self.gateway = gateway
    self.clock = clock
    self.version = version
    self.model = model
  }

  /// Errors that a Host coming back mends.
  static func waits(_ error: AWError) -> Bool { [.hostOffline, .linkLost, .operationDeadline].contains(error.code) }

  /// Errors of a Gateway that is still starting.
  static func starts(_ error: AWError) -> Bool {
    waits(error)
      || [.gatewayUnreachable, .gatewayNotReady, .gatewayTimeout, .targetRefused, .runtimeExited].contains(error.code)
  }

  public var plan: OperationPlan {
    OperationPlan(
      kind: Self.kind,
      steps: [
        .init("secrets", deadline: .seconds(10), run: makeSecrets, undo: forgetSecrets),
        .init("prepare", deadline: .seconds(120), retries: Self.waits, run: prepare, undo: remove),
        .init("start", deadline: .seconds(60), retries: Self.waits, run: start),
        .init("ready", deadline: .seconds(120), retries: Self.starts, run: ready),
        .init("pair", deadline: .seconds(60), retries: Self.starts, run: pair),
        .init("verify", deadline: .seconds(90), retries: Self.starts, run: verify),
      ])
  }

  private func instance(of operation: WorkOperation) async throws -> Instance {
    let found = try await store.read { tx in
      try InstanceID(operation.subject).flatMap { try FleetRecords.instance($0, in: tx) }
    }
    guard let found else {
      throw AWError(.instanceUnknown, "The Instance is gone.", next: "Create it again.")
    }
    return found
  }

  private func makeSecrets(_ operation: WorkOperation) async throws -> JSONValue {
    let secrets = InstanceSecrets(try await instance(of: operation).id)
    _ = try await vault.putIfAbsent(SecretReference(secrets.gatewayToken)) { .randomHex(byteCount: 16) }
    _ = try await vault.putIfAbsent(SecretReference(secrets.deviceSeed)) { DeviceIdentity.makeSeed() }
    return ["references": .array([.string(secrets.gatewayToken), .string(secrets.deviceSeed)])]
  }

  /// The last undo: nothing of the Instance is left but the record that it failed.
  private func forgetSecrets(_ operation: WorkOperation) async throws {
    guard let id = InstanceID(operation.subject) else { return }
    for reference in InstanceSecrets(id).all { try await vault.delete(SecretReference(reference)) }
    try await change(id) { $0.state = .failed }
  }

  private func prepare(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    let token = try await vault.get(SecretReference(InstanceSecrets(instance.id).gatewayToken))
    let org = try await store.read { tx in try FleetRecords.org(instance.org, in: tx)?.slug }
    let inContainer = instance.runtime == .docker
    let settings = InstanceConfiguration.Settings(
      port: Self.containerPort, bind: inContainer ? .lan : .loopback,
      model: .init(
        provider: "fixture", baseURL: model.baseURL, id: "echo-1", keyVariable: Self.modelKeyVariable))
    let spec = InstanceSpec(
      instance: instance.id, slug: instance.slug, org: try org ?? Slug("unknown"), runtime: instance.runtime,
      port: instance.requestedPort, image: instance.image,
      configuration: InstanceConfiguration.make(settings, for: nil).canonical)
    let environment = InstanceEnvironment([
      InstanceConfiguration.tokenVariable: token, Self.modelKeyVariable: model.key,
    ])
    let state = try await call(.prepare(spec, environment), on: instance, deadline: .seconds(60))
    try await change(instance.id) {
      $0.port = state.port
      $0.dataDirectory = state.dataDirectory
    }
    return try JSONValue(encoding: state)
  }

  private func remove(_ operation: WorkOperation) async throws {
    let instance = try await instance(of: operation)
    _ = try await call(.remove(instance.runtime, instance.id, purge: true), on: instance, deadline: .seconds(60))
  }

  private func start(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    return try JSONValue(
      encoding: try await call(.start(instance.runtime, instance.id), on: instance, deadline: .seconds(30)))
  }

  private func ready(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    let state = try await call(.inspect(instance.runtime, instance.id), on: instance, deadline: .seconds(10))
    guard state.phase == .running else { throw ChainWalk.notRunning(state) }
    let dialer = TunnelDialer(gateway: gateway, host: instance.host, instance: instance.id)
    for probe in Probe.allCases {
      let verdict = probe.verdict(on: try await probe.ask(through: dialer))
      guard verdict == .passed else {
        throw AWError(
          .gatewayNotReady, "The Gateway is not ready: \(probe.rawValue) says \(verdict).",
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
      through: TunnelDialer(gateway: gateway, host: instance.host, instance: instance.id),
      sharedToken: try await vault.get(SecretReference(secrets.gatewayToken)), device: device, version: version
    ) { request in
      _ = try await gateway.session(of: instance.host)
        .call(.approveDevice(instance.runtime, instance.id, request: request), deadline: .seconds(20))
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
    let walk = ChainWalk(gateway: gateway, vault: vault, clock: clock, version: version)
    let report = await walk.walk(instance, turn: true)
    let now = clock.now
    try await store.write { tx in
      var evidence = try FleetRecords.evidence(of: instance.id, in: tx)
      evidence.take(report)
      try FleetRecords.save(evidence, of: instance.id, at: now, in: tx)
    }
    if let broken = report.broken {
      throw AWError(
        ErrorCode.named(broken.failure.code), "Not verified: \(broken.link.title): \(broken.failure.message)",
        next: broken.failure.next)
    }
    try await change(instance.id) { $0.state = .active }
    return try JSONValue(encoding: report)
  }

  private func call(_ call: RuntimeCall, on instance: Instance, deadline: Duration) async throws -> RunState {
    guard case .state(let state) = try await gateway.session(of: instance.host).call(call, deadline: deadline) else {
      throw AWError(.runtimeFailed, "The Host answered something else than a state.", next: "Update its Connector.")
    }
    return state
  }

  private func change(_ id: InstanceID, _ edit: @escaping @Sendable (inout Instance) -> Void) async throws {
    try await store.write { tx in
      guard var instance = try FleetRecords.instance(id, in: tx) else { return }
      edit(&instance)
      try FleetRecords.save(instance, in: tx)
    }
  }
}

/// Writes what an operation does into the evidence, in the step's own transaction.
public enum OperationJournal {
  public static func record(
    _ operation: WorkOperation, _ event: WorkEngine.WorkEvent, evidence: EvidenceLog, in tx: Transaction
  ) throws {
    let (kind, data) = entry(for: operation, event)
    try evidence.append(
      EvidenceEntry(
        kind: kind, at: operation.updatedAt, actor: operation.actor,
        subject: EvidenceSubject(type: "operation", id: operation.id.text), act: operation.id.text,
        data: .object(data)),
      in: tx)
  }

  /// What the evidence says of an event: a pure translation.
  static func entry(
    for operation: WorkOperation, _ event: WorkEngine.WorkEvent
  ) -> (kind: EvidenceKind, data: [String: JSONValue]) {
    var data: [String: JSONValue] = ["operation": .string(operation.kind), "on": .string(operation.subject)]
    switch event {
    case .stepDone(let step, let detail):
      data.merge(["step": .string(step), "outcome": "done", "detail": detail]) { $1 }
      return (.operationStep, data)
    case .stepFailed(let step, let error):
      data.merge(
        ["step": .string(step), "outcome": "failed", "code": .string(error.code.id), "message": .string(error.message)]
      ) { $1 }
      return (.operationStep, data)
    case .stepUndone(let step):
      data.merge(["step": .string(step), "outcome": "undone"]) { $1 }
      return (.operationStep, data)
    case .succeeded:
      data["outcome"] = "succeeded"
      return (.operationEnded, data)
    case .failed:
      data["outcome"] = "failed"
      return (.operationEnded, data)
    }
  }
}
