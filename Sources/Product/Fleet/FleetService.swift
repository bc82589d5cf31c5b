import Access
import Basics
import Crypto
import Evidence
import Foundation
import Gateway
import Link
import Store
import Work

extension EvidenceKind {
  public static let orgCreated = EvidenceKind("org.created")
  public static let hostInvited = EvidenceKind("host.invited")
  public static let hostEnrolled = EvidenceKind("host.enrolled")
  public static let hostDrained = EvidenceKind("host.drained")
  public static let hostRemoved = EvidenceKind("host.removed")
  public static let hostConnected = EvidenceKind("host.connected")
  public static let hostDisconnected = EvidenceKind("host.disconnected")
  public static let instanceRequested = EvidenceKind("instance.requested")
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

  public init(acts: Acts, store: Store, gateway: AWGateway, engine: WorkEngine) {
    self.acts = acts
    self.store = store
    self.gateway = gateway
    self.engine = engine
  }

  /// What an operator asks for when creating an Org. The sort is text here, so that a wrong one is refused by name.
  public struct OrgRequest: Codable, Sendable {
    public var slug: Slug
    public var name: String
    public var sort: String

    public init(slug: Slug, name: String, sort: String = Org.Sort.synthetic.rawValue) {
      self.slug = slug
      self.name = name
      self.sort = sort
    }
  }

  /// - Throws: `orgNotSynthetic`, `slugTaken`, and what `Acts` throws.
  public func createOrg(_ request: OrgRequest, as actor: Actor, dryRun: Bool = false) async throws -> Org {
    let sort = try Guardrails.sort(request.sort)
    let act = Act(
      .orgCreate, kind: .orgCreated, details: ["slug": .string(request.slug.text), "sort": .string(sort.rawValue)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard try FleetRecords.org(request.slug, in: tx) == nil else { throw Self.taken("Org", request.slug) }
      let org = Org(
        id: .make(at: context.at), slug: request.slug, name: request.name, sort: sort, createdAt: context.at)
      try FleetRecords.insert(org, in: tx)
      context.subject = EvidenceSubject(type: "org", id: org.id.text, slug: org.slug.text)
      context.org = org.id.text
      return org
    }
  }

  /// A Host to be, and the one-time token that makes a machine it.
  public struct Invitation: Sendable {
    public let host: Host
    public let token: Secret
    public let expiresAt: Timestamp
  }

  /// Invites a machine. Only the token's hash is kept.
  public func inviteHost(_ slug: Slug, as actor: Actor, dryRun: Bool = false) async throws -> Invitation {
    let token = Secret.randomHex(byteCount: 32)
    let hash = token.withBytes { SHA256.hex($0) }
    let act = Act(.hostEnrol, kind: .hostInvited, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let known = try FleetRecords.host(slug, in: tx)
      // A second invitation of a machine that never came replaces nothing and adds a token.
      guard known == nil || known?.state == .invited else { throw Self.taken("Host", slug) }
      let host = known ?? Host(id: .make(at: context.at), slug: slug, state: .invited, createdAt: context.at)
      let expiresAt = context.at.advanced(by: Self.enrolmentLifetime)
      try FleetRecords.save(host, in: tx)
      try FleetRecords.insertEnrolment(hash: hash, host: host.id, expiresAt: expiresAt, in: tx)
      context.subject = EvidenceSubject(type: "host", id: host.id.text, slug: slug.text)
      return Invitation(host: host, token: token, expiresAt: expiresAt)
    }
  }

  public struct InstanceRequest: Codable, Sendable {
    public var org: Slug
    public var placement: PlacementChoice
    public var port: Int?

    public struct PlacementChoice: Codable, Sendable {
      public var slug: Slug
      public var runtime: RuntimeKind
      public var image: String?
      public var host: Slug?

      public init(slug: Slug, runtime: RuntimeKind, image: String? = nil, host: Slug? = nil) {
        self.slug = slug
        self.runtime = runtime
        self.image = image
        self.host = host
      }
    }

    public init(org: Slug, placement: PlacementChoice, port: Int? = nil) {
      self.org = org
      self.placement = placement
      self.port = port
    }
  }

  /// Asks for an Instance. It is provisioned by a durable operation, which the answer names.
  ///
  /// - Throws: `orgUnknown`, `slugTaken`, what `Placement` refuses, and what `Acts` throws.
  public func createInstance(
    _ request: InstanceRequest, as actor: Actor, dryRun: Bool = false
  ) async throws -> (instance: Instance, operation: WorkOperation) {
    let choice = request.placement
    let wanted = Placement.Request(
      slug: choice.slug, runtime: choice.runtime, image: choice.image, host: choice.host)
    let act = Act(
      .instanceCreate, kind: .instanceRequested,
      details: [
        "slug": .string(choice.slug.text), "org": .string(request.org.text),
        "runtime": .string(choice.runtime.rawValue),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard let org = try FleetRecords.org(request.org, in: tx) else {
        throw AWError(
          .orgUnknown, "There is no Org named '\(request.org)'.", next: "Create it: 'aw org create \(request.org)'.")
      }
      if let old = try FleetRecords.instance(choice.slug, in: tx) {
        // What failed left nothing behind but its record, so its name is free again.
        guard old.state == .failed else { throw Self.taken("Instance", choice.slug) }
        try FleetRecords.deleteInstance(old.id, in: tx)
      }
      let host = try Placement.choose(wanted, among: try candidates(in: tx))
      let instance = Instance(
        id: .make(at: context.at), slug: choice.slug, org: org.id, host: host.id, runtime: choice.runtime,
        image: choice.image, requestedPort: request.port, state: .provisioning, createdAt: context.at)
      try FleetRecords.save(instance, in: tx)
      let operation = try engine.enqueue(
        Provisioning.kind, subject: instance.id.text, actor: actor.text, input: .null, in: tx)
      context.subject = EvidenceSubject(type: "instance", id: instance.id.text, slug: instance.slug.text)
      context.org = org.id.text
      return (instance, operation)
    }
  }

  private func candidates(in tx: Transaction) throws -> [Placement.Candidate] {
    try FleetRecords.hosts(after: nil, limit: 10_000, in: tx).map { host in
      .init(
        host: host, isConnected: gateway.isConnected(host.id),
        instances: try FleetRecords.instances(on: host.id, in: tx).count)
    }
  }

  private static func taken(_ what: String, _ slug: Slug) -> AWError {
    AWError(.slugTaken, "There is already an \(what) named '\(slug)'.", next: "Choose another name.")
  }
}

/// What the customer's "won't do" list forbids, where the act is authorised.
public enum Guardrails {
  /// - Throws: `orgNotSynthetic` for every sort that no gate has opened.
  public static func sort(_ text: String) throws(AWError) -> Org.Sort {
    guard let sort = Org.Sort(rawValue: text) else {
      throw AWError(
        .orgNotSynthetic,
        "An Org of the sort \(text.quoted) is refused: this deployment holds no real customers' data.",
        next: "Create a synthetic Org. Real ones need a signed gate, which this release cannot open.")
    }
    return sort
  }
}
