import Access
import Basics
import Evidence
import Link
import Paths
import Store
import Vault
import Work

extension EvidenceKind {
  public static let instancePathSwitched = EvidenceKind("instance.path-switched")
}

/// The act of switching an Instance's control path, and the look at it.
extension FleetService {
  /// A path that an operator asks for, with its secrets.
  public enum PathRequest: Sendable {
    case gateway
    case ssh(SSHServer, key: Secret)
    /// With the credentials of a tunnel, the Host's Connector runs cloudflared for it.
    case cloudflared(PublicHostname, clientID: Secret, clientSecret: Secret, tunnel: Secret?)

    /// The path as it will be recorded, and the secrets of its references in their order.
    ///
    /// - Parameter mark: tells these secrets apart from those of the path before, which stay until the switch is done.
    func path(for id: InstanceID, mark: String) -> (path: ControlPath, secrets: [Secret]) {
      func reference(_ name: String) -> String { InstanceSecrets.path(of: id, mark: mark, name) }
      switch self {
      case .gateway: return (.gateway, [])
      case .ssh(let server, let key): return (.ssh(server, key: reference("key")), [key])
      case .cloudflared(let hostname, let clientID, let clientSecret, let tunnel):
        let client = AccessReferences(id: reference("client-id"), secret: reference("client-secret"))
        return (
          .cloudflared(hostname, client: client, tunnel: tunnel.map { _ in reference("tunnel") }),
          [clientID, clientSecret] + (tunnel.map { [$0] } ?? [])
        )
      }
    }
  }

  /// A switch that was made, or would be.
  public struct PathSwitch: Sendable {
    public let instance: Instance
    public let from: ControlPath
    /// What the new path showed before anything was changed.
    public let report: ChainReport
  }

  /// Switches an Instance to another control path: the new one is walked first, up to the health report, and only then
  /// recorded. The path before stays until then, and a while longer for what is under way on it.
  ///
  /// - Throws: `instanceUnknown`; `conflict` when it does not run; `operationRunning`; what the new path lacks.
  ///   Then nothing has changed.
  public func switchPath(
    of slug: Slug, to request: PathRequest, as actor: Actor, dryRun: Bool = false
  ) async throws -> PathSwitch {
    let old = try await switchable(slug, as: actor)
    let (path, secrets) = request.path(for: old.id, mark: Hex.encode([UInt8].random(count: 4)))
    var wanted = old
    wanted.path = path
    let kept = try await paths.make(wanted, secrets)
    do {
      if case .cloudflared(let hostname, _, _, let credentials?) = request, let way = kept.way as? TunnelledWay {
        try await way.tunnel.serve(hostname.name, credentials: credentials, timer: ContinuousClock())
      }
      let report = await walk.walk(wanted, ChainLink.deep, by: kept.way)
      try Self.verify(report, wanted)
      let instance = try await withSecrets(secrets, at: path.references, dryRun: dryRun) {
        try await record(path, on: old, report, as: actor, dryRun: dryRun)
      }
      if dryRun {
        await paths.drop(kept)
      } else {
        await paths.adopt(kept)
        // What is under way on the old path has them in memory.
        for reference in old.path.references { try await vault.delete(SecretReference(reference)) }
      }
      return PathSwitch(instance: instance, from: old.path, report: report)
    } catch {
      await paths.drop(kept)
      throw error
    }
  }

  /// Walks along the chain of an Instance over its path, and records nothing.
  public func checkPath(of slug: Slug) async throws -> (instance: Instance, report: ChainReport) {
    guard let instance = try await store.read({ try FleetRecords.instance(slug, in: $0) }) else {
      throw Self.unknown(slug)
    }
    return (instance, await walk.walk(instance, ChainLink.deep))
  }

  private func switchable(_ slug: Slug, as actor: Actor) async throws -> Instance {
    let acts = acts
    return try await store.read { tx in
      try acts.authorise(.instanceControl, as: actor, in: tx)
      guard let instance = try FleetRecords.instance(slug, in: tx) else { throw Self.unknown(slug) }
      try Self.checkState(instance, in: tx)
      return instance
    }
  }

  private static func checkState(_ instance: Instance, in tx: Transaction) throws {
    guard try !WorkRecords.isBusy(instance.id.text, in: tx) else { throw WorkRecords.busy }
    guard instance.state == .active else {
      throw AWError(
        .conflict, "The Instance '\(instance.slug)' is \(instance.state.words), so no path to it can be verified.",
        next: "Switch the path while it runs.")
    }
  }

  /// Whether everything up to the health report answered. What is merely not as it should be on the Instance does not
  /// speak against the path.
  static func verify(_ report: ChainReport, _ instance: Instance) throws(AWError) {
    for result in report.results {
      guard case .failed(let failure) = result.outcome else { continue }
      throw AWError(
        ErrorCode.named(failure.code),
        "Not switched: over \(instance.path.kind.rawValue), '\(result.link.title)' failed: \(failure.message)",
        next: failure.next)
    }
  }

  private func record(
    _ path: ControlPath, on old: Instance, _ report: ChainReport, as actor: Actor, dryRun: Bool
  ) async throws -> Instance {
    let checks = report.results.map { result -> JSONValue in
      [
        "link": .string(result.link.rawValue), "outcome": .string(result.outcome.word.rawValue),
        "milliseconds": .integer(result.durationMilliseconds),
      ]
    }
    let act = Act(
      .instanceControl, kind: .instancePathSwitched, subject: old.subject, org: old.org.text,
      details: [
        "slug": .string(old.slug.text), "from": .string(old.path.kind.rawValue), "to": .string(path.kind.rawValue),
        "target": path.target.map { .string($0) } ?? .null,
        "references": .array(path.references.map { .string($0) }), "checks": .array(checks),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [changed] tx, context in
      guard var instance = try FleetRecords.instance(old.id, in: tx) else { throw Self.unknown(old.slug) }
      try Self.checkState(instance, in: tx)
      guard instance.path == old.path, instance.port == old.port else {
        throw AWError(
          .conflict, "The control path of '\(old.slug)' was changed by somebody else meanwhile.",
          next: "Look at it with 'aw path show \(old.slug)', then try again.")
      }
      instance.path = path
      try FleetRecords.save(instance, in: tx)
      context.afterCommit { changed(.path(old.id)) }
      return instance
    }
  }

  /// Puts secrets into the vault for an act, and leaves them there when it was carried out.
  private func withSecrets<Value>(
    _ secrets: [Secret], at references: [String], dryRun: Bool, _ body: () async throws -> Value
  ) async throws -> Value {
    if dryRun { return try await body() }
    do {
      for (secret, reference) in zip(secrets, references) {
        try await vault.put(secret, at: SecretReference(reference))
      }
      return try await body()
    } catch {
      for reference in references { try await vault.delete(SecretReference(reference)) }
      throw error
    }
  }

  /// Forgets secrets of paths that are not recorded: what a crash around a switch leaves.
  ///
  /// Call it before anybody can switch one.
  public func forgetOrphanedPathSecrets() async throws {
    for reference in try await vault.references() {
      guard let id = InstanceSecrets.path(of: reference.text) else { continue }
      let known = try await store.read { try FleetRecords.instance(id, in: $0)?.path.references } ?? []
      if !known.contains(reference.text) { try await vault.delete(reference) }
    }
  }
}
