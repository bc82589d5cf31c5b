import Access
import Basics
import Crypto
import Events
import Evidence
import Foundation
import Gateway
import Link
import Store
import Vault
import Work

extension EvidenceKind {
  public static let orgCreated = EvidenceKind("org.created")
  public static let hostInvited = EvidenceKind("host.invited")
  public static let hostEnrolled = EvidenceKind("host.enrolled")
  public static let hostDrained = EvidenceKind("host.drained")
  public static let hostRemoved = EvidenceKind("host.removed")
  public static let hostConnected = EvidenceKind("host.connected")
  public static let hostDisconnected = EvidenceKind("host.disconnected")
  public static let hostPathDegraded = EvidenceKind("host.path-degraded")
  public static let hostPathMended = EvidenceKind("host.path-mended")
  public static let lossReclassified = EvidenceKind("loss.reclassified")
  public static let hostReopened = EvidenceKind("host.reopened")
  public static let instanceRequested = EvidenceKind("instance.requested")
  public static let instanceStartRequested = EvidenceKind("instance.start-requested")
  public static let instanceStopRequested = EvidenceKind("instance.stop-requested")
  public static let instanceRestartRequested = EvidenceKind("instance.restart-requested")
  public static let instanceRemovalRequested = EvidenceKind("instance.removal-requested")
  public static let operationStep = EvidenceKind("operation.step")
  public static let operationEnded = EvidenceKind("operation.ended")
}

/// The acts on Orgs, Hosts and Instances. Each is one transaction with its evidence.
public struct FleetService: Sendable {
  public static let enrolmentLifetime = Duration.seconds(15 * 60)

  let acts: Acts
  let store: Store
  let gateway: AWGateway
  let engine: WorkEngine
  let vault: Vault
  let walk: ChainWalk
  let outbox: EventOutbox
  let model: FixtureModel?
  let share: FleetShare
  var paths: ControlPaths { walk.paths }
  /// Told after every act that changed something, for live pages.
  let changed: @Sendable (FleetChange) -> Void

  /// - Parameter model: the endpoint of synthetic Orgs; without one no Instance is created.
  public init(
    acts: Acts, store: Store, walk: ChainWalk, outbox: EventOutbox, engine: WorkEngine, share: FleetShare,
    model: FixtureModel?, changed: @escaping @Sendable (FleetChange) -> Void = { _ in }
  ) {
    self.acts = acts
    self.store = store
    vault = walk.vault
    self.walk = walk
    self.outbox = outbox
    gateway = walk.gateway
    self.engine = engine
    self.share = share
    self.model = model
    self.changed = changed
  }

  /// What an operator asks for when creating an Org. The sort is text here, so that a wrong one is refused by name.
  public struct OrgRequest: Codable, Sendable {
    public var slug: Slug
    /// Nil takes the slug.
    public var name: String?
    /// Nil is synthetic.
    public var sort: String?

    public init(slug: Slug, name: String? = nil, sort: String? = nil) {
      self.slug = slug
      self.name = name
      self.sort = sort
    }
  }

  /// - Throws: `orgNotSynthetic`, `slugTaken`, and what `Acts` throws.
  public func createOrg(_ request: OrgRequest, as actor: Actor, dryRun: Bool = false) async throws -> Org {
    let name = try Self.name(request)
    let asked = request.sort ?? Org.Sort.synthetic.rawValue
    let act = Act(
      .orgCreate, kind: .orgCreated, details: ["slug": .string(request.slug.text), "sort": .string(asked)],
      scopes: Org.Sort(rawValue: asked) == .synthetic ? [] : [.realOrg])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      // The guardrail refuses every other sort before this runs; without it nothing may slip through either.
      guard let sort = Org.Sort(rawValue: asked) else { throw Guardrails.notSynthetic(asked) }
      guard try FleetRecords.org(request.slug, in: tx) == nil else { throw Self.taken("an Org", request.slug) }
      let org = Org(
        id: .make(at: context.at), slug: request.slug, name: name, sort: sort, createdAt: context.at)
      try FleetRecords.insert(org, in: tx)
      context.subject = EvidenceSubject(type: "org", id: org.id.text, slug: org.slug.text)
      context.org = org.id.text
      context.afterCommit { changed(.orgs) }
      return org
    }
  }

  static let nameCharactersMax = 120

  /// Whether a Host has a link, here or at another control plane.
  func isLinked(_ host: HostID) -> Bool { gateway.isConnected(host) || share.elsewhere(host) > 0 }

  private static func name(_ request: OrgRequest) throws -> String {
    let name = (request.name ?? request.slug.text).trimmingCharacters(in: .whitespacesAndNewlines)
    let isPlain = !name.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard !name.isEmpty, name.count <= nameCharactersMax, isPlain else {
      throw AWError(
        .usage, "The name of an Org has 1 to \(nameCharactersMax) characters, none of them a control character.",
        next: "Give a shorter name, or none: then it is the slug.")
    }
    return name
  }

  /// A Host to be, and the one-time token that makes a machine it.
  public struct Invitation: Sendable {
    public let host: Host
    /// The Host was enrolled before: its machine has an identity to give up, or is another one.
    public let replaces: Bool
    public let token: Secret
    public let expiresAt: Timestamp
  }

  /// Invites a machine, or lets a Host whose identity is lost or has expired enrol again: it keeps its name and its
  /// Instances. Only the token's hash is kept.
  ///
  /// - Throws: `slugTaken` for a Host that has a link now.
  public func inviteHost(_ slug: Slug, as actor: Actor, dryRun: Bool = false) async throws -> Invitation {
    let token = Secret.randomHex(byteCount: 32)
    let hash = token.withBytes { SHA256.hex($0) }
    let act = Act(.hostEnrol, kind: .hostInvited, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let known = try FleetRecords.host(slug, in: tx)
      // A second invitation of a machine that never came replaces nothing and adds a token.
      if let known, isLinked(known.id) { throw Self.taken("a Host", slug) }
      let host = known ?? Host(id: .make(at: context.at), slug: slug, state: .invited, createdAt: context.at)
      let expiresAt = context.at.advanced(by: Self.enrolmentLifetime)
      try FleetRecords.save(host, in: tx)
      try FleetRecords.insertEnrolment(hash: hash, host: host.id, expiresAt: expiresAt, in: tx)
      context.subject = host.subject
      context.afterCommit { changed(.hosts) }
      context.record("again", .bool(known?.state != .invited && known != nil))
      return Invitation(
        host: host, replaces: known != nil && known?.state != .invited, token: token, expiresAt: expiresAt)
    }
  }

  /// Closes a Host for new Instances, or opens it again. What runs there goes on.
  ///
  /// - Throws: `hostUnknown`; `conflict` for a Host that has not enrolled.
  public func drainHost(_ slug: Slug, _ draining: Bool, as actor: Actor, dryRun: Bool = false) async throws -> Host {
    let act = Act(.hostDrain, kind: draining ? .hostDrained : .hostReopened, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      var host = try Self.host(slug, in: tx)
      guard host.state != .invited else {
        throw AWError(
          .conflict, "The Host '\(slug)' has not enrolled yet, so there is nothing to drain.",
          next: "Remove it instead: 'aw host rm \(slug)'.")
      }
      host.state = draining ? .draining : .active
      try FleetRecords.save(host, in: tx)
      context.subject = host.subject
      context.afterCommit { changed(.hosts) }
      return host
    }
  }

  /// What removing a Host would leave behind, or left.
  public struct HostRemoval: Sendable {
    public let host: Host
    /// The Instances that AW forgets with it. Whatever of them is on the machine stays there.
    public let abandoned: [Slug]
    /// All that were forgotten, those that were never made too.
    let forgotten: [InstanceID]
  }

  /// Forgets a Host: its links end, and its certificate is not let in any more.
  ///
  /// - Parameter force: also when it has Instances, as for a machine that is gone for good. They are forgotten too.
  /// - Throws: `hostUnknown`, `hostInUse`, `operationRunning`.
  public func removeHost(
    _ slug: Slug, force: Bool, as actor: Actor, dryRun: Bool = false
  ) async throws -> HostRemoval {
    let act = Act(.hostRemove, kind: .hostRemoved, details: ["slug": .string(slug.text), "force": .bool(force)])
    let removal = try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let host = try Self.host(slug, in: tx)
      let instances = try FleetRecords.instances(on: host.id, in: tx)
      // What failed left nothing on the Host but AW's own record.
      let present = instances.filter { $0.state != .failed }
      guard present.isEmpty || force else {
        let names = present.prefix(3).map(\.slug.text).joined(separator: ", ") + (present.count > 3 ? ", …" : "")
        throw AWError(
          .hostInUse, "Instances are still on the Host '\(slug)': \(names).",
          next: "Remove them first. If the machine is gone for good: 'aw host rm \(slug) --force'.")
      }
      for instance in instances {
        guard try !WorkRecords.isBusy(instance.id.text, in: tx) else { throw WorkRecords.busy }
        try outbox.appendRemoval(of: instance, at: context.at, in: tx)
        try FleetRecords.deleteInstance(instance.id, in: tx)
      }
      try outbox.append(FleetEvents.connectionRestored(host, why: "was removed", at: context.at), in: tx)
      try FleetRecords.deleteHost(host.id, in: tx)
      context.subject = host.subject
      context.record("abandoned", .array(present.map { .string($0.slug.text) }))
      context.afterCommit {
        gateway.disconnect(host.id, reason: "the Host was removed")
        changed(.hosts)
        changed(.instances(nil))
      }
      return HostRemoval(host: host, abandoned: present.map(\.slug), forgotten: instances.map(\.id))
    }
    if !dryRun {
      for id in removal.forgotten { await paths.close(id) }
      try await forgetOrphanedSecrets()
    }
    return removal
  }

  /// Deletes the secrets of Instances that are not recorded any more: a reconciler, for the start and after a removal.
  public func forgetOrphanedSecrets() async throws {
    for reference in try await vault.references() {
      guard let id = InstanceSecrets.instance(of: reference.text) else { continue }
      guard try await store.read({ try FleetRecords.instance(id, in: $0) }) == nil else { continue }
      try await vault.delete(reference)
    }
  }

  private static func host(_ slug: Slug, in tx: Transaction) throws -> Host {
    guard let host = try FleetRecords.host(slug, in: tx) else { throw unknownHost(slug) }
    return host
  }

  static func unknownHost(_ slug: Slug) -> AWError {
    AWError(.hostUnknown, "There is no Host named '\(slug)'.", next: "See 'aw host list'.")
  }

  static func taken(_ what: String, _ slug: Slug) -> AWError {
    AWError(.slugTaken, "There is already \(what) named '\(slug)'.", next: "Choose another name.")
  }
}

/// What the customer's "won't do" list forbids. `Acts` asks each of them where the act is authorised, and records what
/// they refuse.
public enum Guardrails {
  public static let all: [Guardrail] = [syntheticOrgsOnly]

  static let syntheticOrgsOnly: Guardrail = { act, _, _ in
    guard act.kind == .orgCreated, let sort = act.details["sort"]?.stringValue, Org.Sort(rawValue: sort) == nil else {
      return nil
    }
    return notSynthetic(sort)
  }

  static func notSynthetic(_ sort: String) -> AWError {
    AWError(
      .orgNotSynthetic,
      "An Org of the sort \(sort.quoted) is refused: this deployment holds no real customers' data.",
      next: "Create a synthetic Org. Real ones need a signed gate, which this release cannot open.")
  }
}

/// What changed, for whoever shows it.
public enum FleetChange: Sendable, Hashable {
  case orgs
  case hosts
  /// Of one Instance; nil when several may be concerned.
  case instances(InstanceID?)
  /// How one Instance is reached.
  case path(InstanceID)
}

extension Host {
  var subject: EvidenceSubject { EvidenceSubject(type: "host", id: id.text, slug: slug.text) }
}

extension Instance {
  var subject: EvidenceSubject { EvidenceSubject(type: "instance", id: id.text, slug: slug.text) }
}
