import Basics
import Foundation
import Link
import OpenClaw
import Store
import Vault
import Work

/// What an Instance is prepared with: its configuration, its policy, and the references of its secrets.
extension InstanceSteps {
  func prepare(_ operation: WorkOperation) async throws -> JSONValue {
    let instance = try await instance(of: operation)
    guard let model else { throw FixtureModel.missing }
    let now = clock.now
    let found = try await store.read { tx in
      (org: try FleetRecords.org(instance.org, in: tx)?.slug, hardening: try self.hardening(instance.org, now, tx))
    }
    guard let org = found.org else {
      throw AWError(.orgUnknown, "The Instance's Org is gone.", next: "Create the Org again, then the Instance.")
    }
    let release = try await version(for: instance)
    let settings = try await settings(of: instance, model, GovernedKey.known(found.hardening, to: release), release)
    let configuration = InstanceConfiguration.make(settings, for: release)
    let spec = InstanceSpec(
      instance: instance.id, slug: instance.slug, org: org, runtime: instance.runtime,
      port: instance.requestedPort, image: instance.image, configuration: configuration.canonical,
      pinned: settings.hardening.merging(InstanceConfiguration.held(configuration)) { $1 },
      policy: found.hardening.isEmpty ? nil : PolicyFile.make(found.hardening).indented + "\n")
    var environment: [String: Secret] = [:]
    if settings.gatewayToken == nil {
      environment[InstanceConfiguration.tokenVariable] = try await vault.get(
        SecretReference(InstanceSecrets(instance.id).gatewayToken))
    }
    // One that has a model provider of its Org has no use for it.
    if !settings.hasOwnModel { environment[FixtureModel.keyVariable] = model.key }
    let state = try await call(.prepare(spec, InstanceEnvironment(environment)), on: instance, deadline: .seconds(60))
    try await change(instance.id) {
      $0.port = state.port
      $0.dataDirectory = state.dataDirectory
    }
    try await store.write { try FleetRecords.save(prepared: found.hardening, of: instance.id, in: $0) }
    let channels = settings.resolvesSecrets ? ChannelDecision.decide(settings.secrets) : []
    return try JSONValue(encoding: state).setting(try JSONValue(encoding: channels), at: Self.channelsMember)
  }

  /// The member of what the step found that tells of each channel whether it is switched on, and why not.
  public static let channelsMember = "channels"

  private func settings(
    of instance: Instance, _ model: FixtureModel, _ hardening: [String: JSONValue], _ release: GatewayVersion?
  ) async throws -> InstanceConfiguration.Settings {
    let (credentials, isResolved) = try await secrets(of: instance)
    var settings = InstanceConfiguration.Settings(
      port: Self.containerPort, bind: instance.runtime == .docker ? .lan : .loopback,
      model: .init(
        provider: "fixture", baseURL: model.baseURL(for: instance.runtime), id: FixtureModel.id,
        keyVariable: FixtureModel.keyVariable), hardening: hardening)
    settings.resolvesSecrets = isResolved
    settings.secrets = credentials.map { secret in
      .init(
        path: secret.path, ref: secret.ref,
        completions: secret.completions.map { FixtureModel.address($0, for: instance.runtime) },
        settings: secret.settings, model: secret.isFixture ? FixtureModel.id : nil, hindrance: secret.hindrance)
    }
    if isResolved, InstanceConfiguration.resolvesGatewayToken(release) {
      settings.gatewayToken = try SecretRef(
        source: .exec, provider: InstanceConfiguration.secretProvider,
        id: InstanceSecretID.gatewayToken(of: instance.id))
    }
    return settings
  }

  /// The credentials that an Instance is to have, and whether its Host can resolve any.
  private func secrets(of instance: Instance) async throws -> ([CollectedSecret], Bool) {
    let (credentials, host) = try await store.read { tx in
      (try collected(instance.org, tx), try FleetRecords.host(instance.host, in: tx))
    }
    let isResolved = host?.runtimes.first { $0.kind == instance.runtime }?.resolvesSecrets ?? false
    guard isResolved || credentials.isEmpty else {
      throw AWError(
        .secretsUnresolvable,
        "The Org has credentials, and the Host '\(host?.slug.text ?? "")' cannot resolve any for its Instances.",
        next: "Install aw-secret-exec beside aw on that Host, both of this release, and restart its Connector.")
    }
    return (credentials, isResolved)
  }

  /// The release that will read the configuration, as far as it is known before it runs: what the Host's own program
  /// says, or what the tag of an image says.
  private func version(for instance: Instance) async throws -> GatewayVersion? {
    switch instance.runtime {
    case .docker: return instance.image?.split(separator: ":").last.flatMap { GatewayVersion(String($0)) }
    case .process:
      let host = try await store.read { try FleetRecords.host(instance.host, in: $0) }
      return host?.runtimes.first { $0.kind == .process }?.openClaw.flatMap { GatewayVersion($0) }
    }
  }

  /// Where an Instance was prepared with less than its Org's baseline asks for now; nil when nowhere.
  func departure(of instance: Instance) async throws -> AWError? {
    let now = clock.now
    let (prepared, wanted) = try await store.read { tx in
      (try FleetRecords.prepared(of: instance.id, in: tx), try self.hardening(instance.org, now, tx))
    }
    return prepared.flatMap { PreparedSettings.departure($0, from: wanted, of: instance.slug) }
  }
}
