import Access
import Basics
import Evidence
import Hygiene
import Gateway
import Link
import Store
import Work

/// The acts on Instances. Each starts a durable operation, which its answer names.
extension FleetService {
  public struct InstanceRequest: Codable, Sendable {
    public var org: Slug
    public var placement: PlacementChoice
    public var port: Int?

    public struct PlacementChoice: Codable, Sendable, Equatable {
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

  /// What another room adds to an act on an Instance, in its transaction.
  public typealias Also = @Sendable (Transaction, Instance, WorkOperation, inout ActContext) throws -> Void

  /// Asks for an Instance. It is provisioned by a durable operation, which the answer names.
  ///
  /// - Throws: `orgUnknown`, `slugTaken`, what `Placement` refuses, and what `Acts` throws.
  public func createInstance(
    _ request: InstanceRequest, as actor: Actor, dryRun: Bool = false, also: Also? = nil
  ) async throws -> (instance: Instance, operation: WorkOperation) {
    let choice = request.placement
    guard model != nil else { throw FixtureModel.missing }
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
        guard old.state == .failed else { throw Self.taken("an Instance", choice.slug) }
        try FleetRecords.deleteInstance(old.id, in: tx)
      }
      let host = try Placement.choose(wanted, among: try candidates(in: tx))
      let instance = Instance(
        id: .make(at: context.at), slug: choice.slug, org: org.id, host: host.id, runtime: choice.runtime,
        image: choice.image, requestedPort: request.port, state: .provisioning, createdAt: context.at)
      try FleetRecords.save(instance, in: tx)
      let operation = try begin(.provision, instance, actor, in: tx, &context)
      try also?(tx, instance, operation, &context)
      return (instance, operation)
    }
  }

  /// Asks for an operation on an Instance that is there. What it was asked to be is changed with it at once.
  ///
  /// - Parameter purge: of a removal: the data goes too.
  /// - Throws: `instanceUnknown`, `conflict` when its state does not allow it, `hostOffline`, `operationRunning`.
  public func operate(
    _ plan: InstancePlan, on slug: Slug, purge: Bool = false, as actor: Actor, dryRun: Bool = false,
    also: Also? = nil
  ) async throws -> (instance: Instance, operation: WorkOperation) {
    var details: [String: JSONValue] = ["slug": .string(slug.text)]
    if plan == .remove { details["purge"] = .bool(purge) }
    let act = Act(plan.permission, kind: plan.evidenceKind, details: .object(details))
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard var instance = try FleetRecords.instance(slug, in: tx) else { throw Self.unknown(slug) }
      if let refusal = plan.refusal(of: instance.state, slug: slug.text) {
        throw try WorkRecords.isBusy(instance.id.text, in: tx)
          ? WorkRecords.busy : AWError(.conflict, refusal.what, next: refusal.next)
      }
      // What failed has nothing left on its Host, so nobody needs the link to forget it.
      if instance.state != .failed, !isLinked(instance.host) {
        let host = try FleetRecords.host(instance.host, in: tx)?.slug.text ?? instance.host.text
        throw AWError(
          .hostOffline, "The Host '\(host)' has no link now, so nothing was changed on it.",
          next: "Check its Connector; it dials again by itself. Then try again.")
      }
      instance.state = plan.asked(of: instance.state)
      try FleetRecords.save(instance, in: tx)
      let operation = try begin(plan, instance, actor, purge: purge, in: tx, &context)
      try also?(tx, instance, operation, &context)
      return (instance, operation)
    }
  }

  private func begin(
    _ plan: InstancePlan, _ instance: Instance, _ actor: Actor, purge: Bool = false, in tx: Transaction,
    _ context: inout ActContext
  ) throws -> WorkOperation {
    // The slug goes along, because the record may be gone before the operation has ended.
    let input: JSONValue = [
      "purge": .bool(purge), "slug": .string(instance.slug.text), "org": .string(instance.org.text),
      "host": .string(instance.host.text),
    ]
    let operation = try engine.enqueue(
      plan.rawValue, subject: instance.id.text, actor: actor.text, input: input, in: tx)
    context.subject = instance.subject
    context.org = instance.org.text
    context.record("operation", .string(operation.id.text))
    context.afterCommit { [changed] in changed(.instances(instance.id)) }
    return operation
  }

  /// The last lines that an Instance printed, oldest first, without its secrets. Needs `instance.logs`.
  ///
  /// - Throws: `instanceUnknown`, `hostOffline`, and what the Host's runtime says.
  public func logs(of slug: Slug, lines: Int, as actor: Actor) async throws -> [String] {
    let acts = acts
    let instance = try await store.read { tx in
      try acts.authorise(.instanceLogs, as: actor, in: tx)
      return try FleetRecords.instance(slug, in: tx)
    }
    guard let instance else { throw Self.unknown(slug) }
    let reply = try await gateway.call(
      .logs(instance.runtime, instance.id, lines: lines), on: instance.host, deadline: .seconds(20))
    guard case .lines(let printed) = reply else {
      throw AWError(.runtimeFailed, "The Host answered something else than lines.", next: "Update its Connector.")
    }
    // OpenClaw masks what it takes for secrets, but leaves ten characters of each.
    return printed.map { masks.remasked($0) }
  }

  static func unknown(_ slug: Slug) -> AWError {
    AWError(.instanceUnknown, "There is no Instance named '\(slug)'.", next: "See 'aw instance list'.")
  }

  private func candidates(in tx: Transaction) throws -> [Placement.Candidate] {
    try FleetRecords.hosts(after: nil, limit: 10_000, in: tx).map { host in
      .init(
        host: host, isConnected: isLinked(host.id),
        instances: try FleetRecords.instances(on: host.id, in: tx).count)
    }
  }
}

extension InstancePlan {
  var evidenceKind: EvidenceKind {
    switch self {
    case .provision: .instanceRequested
    case .start: .instanceStartRequested
    case .stop: .instanceStopRequested
    case .restart: .instanceRestartRequested
    case .remove: .instanceRemovalRequested
    }
  }

  var permission: Permission {
    switch self {
    case .provision: .instanceCreate
    case .start, .stop, .restart: .instanceControl
    case .remove: .instanceRemove
    }
  }

  /// What the Instance is asked to be from now on.
  func asked(of state: Instance.State) -> Instance.State {
    switch self {
    case .provision: .provisioning
    case .start, .restart: .active
    case .stop: .stopped
    // A record of what failed stays one until it is forgotten.
    case .remove: state == .failed ? .failed : .removing
    }
  }
}
