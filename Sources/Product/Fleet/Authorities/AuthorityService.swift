import Access
import Basics
import Evidence
import Gateway
import Link
import Logging
import ServiceLifecycle
import Store
import Vault

extension EvidenceKind {
  public static let authorityRotated = EvidenceKind("authority.rotated")
  public static let authorityAbandoned = EvidenceKind("authority.rotation-abandoned")
}

/// The act of letting one authority of the links take over from another, step by step; and what puts the step that was
/// taken to use, also after a crash between the two.
public struct AuthorityService: Service {
  /// How often what is in use is compared with what is recorded.
  static let every = Duration.seconds(15)

  let acts: Acts
  let keeper: AuthorityKeeper
  let gateway: AWGateway
  let clock: WallClock
  let logger: Logger
  private var store: Store { keeper.store }
  private var vault: Vault { keeper.vault }

  public init(acts: Acts, keeper: AuthorityKeeper, gateway: AWGateway, clock: WallClock, logger: Logger) {
    self.acts = acts
    self.keeper = keeper
    self.gateway = gateway
    self.clock = clock
    self.logger = logger
  }

  /// A rotation with its Hosts.
  public struct Standing: Sendable {
    public let rotation: AuthorityRotation
    public let hosts: [HostTrust]
    /// The step that was just taken, or would be; nil when it was only looked at.
    public var taken: AuthorityRotation.Step?

    public var laggards: [Laggard] { rotation.laggards(of: hosts) }
    public var accepted: [Slug] { hosts.filter { rotation.without.contains($0.id) }.map(\.slug) }
  }

  public func standing() async throws -> Standing {
    try await store.read { try standing(in: $0) }
  }

  private func standing(in tx: Transaction) throws -> Standing {
    guard let rotation = try AuthorityRecords.rotation(in: tx) else {
      throw AWError(
        .storeFailed, "The database does not say which authority signs the links' certificates.",
        next: "Start the control plane again: it records the one that the vault holds.")
    }
    let connected = gateway.connectedHosts
    let others = rotation.next.map { gateway.hosts(notShowing: $0.fingerprint) } ?? []
    let hosts = try AuthorityRecords.hosts(in: tx).map { row in
      HostTrust(
        id: row.id, slug: row.slug, report: row.report, isConnected: connected.contains(row.id),
        showsOther: others.contains(row.id))
    }
    return Standing(rotation: rotation, hosts: hosts)
  }

  /// Takes the next step of the rotation.
  ///
  /// - Parameter without: Hosts that it does not wait for. They must enrol again once the old authority is retired.
  /// - Throws: `authorityLaggards`, `usage`, `conflict` when somebody else took the step meanwhile.
  public func rotate(without: [Slug], as actor: Actor, dryRun: Bool = false) async throws -> Standing {
    let before = try await standing().rotation
    let fresh = before.step == .prepare ? try AuthorityKeeper.fresh(at: clock.now) : nil
    // The key is there before anything says so: a crash leaves one too many, which the next start deletes.
    if let fresh, !dryRun { try await vault.put(fresh.secret, at: fresh.kept.reference) }
    do {
      let standing = try await record(before, without, fresh?.kept, as: actor, dryRun: dryRun)
      if !dryRun { try await reconcile() }
      if !dryRun, standing.taken == .retire { try await vault.delete(before.present.reference) }
      return standing
    } catch {
      if let fresh, try await !isKept(fresh.kept) { try await vault.delete(fresh.kept.reference) }
      throw error
    }
  }

  /// Gives up a rotation whose next authority does not sign yet.
  ///
  /// - Throws: `conflict` when there is none, when it is too late, or when somebody took a step meanwhile.
  public func abandon(as actor: Actor, dryRun: Bool = false) async throws -> Standing {
    let act = Act(.authorityRotate, kind: .authorityAbandoned)
    let (after, dropped) = try await acts.perform(act, as: actor, dryRun: dryRun) {
      tx, context -> (Standing, KeptAuthority) in
      let before = try standing(in: tx)
      var rotation = before.rotation
      let dropped = try rotation.abandon(at: context.at)
      try AuthorityRecords.save(rotation, in: tx)
      context.subject = EvidenceSubject(type: "authority", id: dropped.fingerprint)
      context.record("trusted", .array(rotation.inUse.map { .string($0.fingerprint) }))
      return (Standing(rotation: rotation, hosts: before.hosts), dropped)
    }
    guard !dryRun else { return after }
    try await reconcile()
    // A crash before this leaves a key that the next start deletes.
    try await vault.delete(dropped.reference)
    return after
  }

  private func isKept(_ authority: KeptAuthority) async throws -> Bool {
    try await store.read { try AuthorityRecords.rotation(in: $0)?.kept.contains(authority) ?? false }
  }

  private func record(
    _ before: AuthorityRotation, _ without: [Slug], _ fresh: KeptAuthority?, as actor: Actor, dryRun: Bool
  ) async throws -> Standing {
    let act = Act(
      .authorityRotate, kind: .authorityRotated,
      details: [
        "step": .string(before.step.rawValue), "without": .array(without.map { .string($0.text) }),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let standing = try standing(in: tx)
      guard standing.rotation == before else {
        throw AWError(
          .conflict, "Somebody else took the step '\(before.step.rawValue)' meanwhile.", next: "See 'aw ca show'.")
      }
      var rotation = before
      let step = try rotation.advance(with: standing.hosts, without: without, fresh: fresh, at: context.at)
      try AuthorityRecords.save(rotation, in: tx)
      let signer = rotation.inUse[0].fingerprint
      context.subject = EvidenceSubject(type: "authority", id: signer)
      context.record("phase", .string(rotation.phase.rawValue))
      context.record("trusted", .array(rotation.inUse.map { .string($0.fingerprint) }))
      return Standing(rotation: rotation, hosts: standing.hosts, taken: step)
    }
  }

  /// Puts to use what is recorded; nothing happens when it is in use.
  public func reconcile() async throws {
    let rotation = try await standing().rotation
    let wanted = rotation.inUse.map(\.fingerprint)
    let present = gateway.authorities
    guard present.fingerprint != wanted[0] || present.fingerprints != Set(wanted) else { return }
    try gateway.present(try await keeper.authorities(of: rotation))
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      repeat {
        do {
          try await reconcile()
        } catch {
          logger.error("the links' authorities could not be put to use", metadata: ["error": "\(error)"])
        }
      } while (try? await Task.sleep(for: Self.every)) != nil
    }
  }
}
