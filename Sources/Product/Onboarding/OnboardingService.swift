import Access
import Basics
import Evidence
import Fleet
import Foundation
import Link
import Store
import Work

extension EvidenceKind {
  public static let onboardingSaved = EvidenceKind("onboarding.saved")
  public static let onboardingHeld = EvidenceKind("onboarding.held")
  public static let onboardingReleased = EvidenceKind("onboarding.released")
}

/// The acts on onboardings. None of them sets a state: each changes what it follows from, and the ledger records what
/// came of it in the same transaction.
public struct OnboardingService: Sendable {
  let acts: Acts
  let fleet: FleetService
  let ledger: OnboardingLedger
  /// The surfaces that a credential can be set for.
  let surfaces: [String]

  var store: Store { ledger.store }

  public init(acts: Acts, fleet: FleetService, ledger: OnboardingLedger, surfaces: [String]) {
    self.acts = acts
    self.fleet = fleet
    self.ledger = ledger
    self.surfaces = surfaces
  }

  /// What an operator writes down. What is nil stays as it is.
  public struct SaveRequest: Codable, Sendable {
    public var contact: OnboardingRecord.Contact?
    public var instance: OnboardingRecord.Placement?
    public var surfaces: [String]?
    /// `strict`, `aw-baseline/strict@1`.
    public var baseline: String?
    /// What is to be stricter than the baseline, by key; it replaces what was there.
    public var overlay: [String: JSONValue]?
    /// The version that the changes were made on, 0 before it was begun; nil changes whatever is there.
    public var version: Int?

    public init(
      contact: OnboardingRecord.Contact? = nil, instance: OnboardingRecord.Placement? = nil,
      surfaces: [String]? = nil, baseline: String? = nil, overlay: [String: JSONValue]? = nil, version: Int? = nil
    ) {
      self.contact = contact
      self.instance = instance
      self.surfaces = surfaces
      self.baseline = baseline
      self.overlay = overlay
      self.version = version
    }
  }

  /// Begins the onboarding of an Org, or changes it.
  ///
  /// - Throws: `orgUnknown`, `surfaceUnknown`, `usage`, and `conflict` when somebody else changed it meanwhile.
  @discardableResult
  public func save(
    _ request: SaveRequest, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> OnboardingView {
    let wanted = try checked(request)
    return try await act(.onboardingSaved, slug, actor, dryRun) { record, context in
      if let version = wanted.version, version != record.version {
        throw AWError(
          .conflict, "The changes were made on version \(version), but this is version \(record.version) now.",
          next: "Look at it with 'aw org onboard \(slug)', then make them again.")
      }
      if let contact = wanted.contact {
        record.contact = contact
        context.redactable = [
          Redactable("contactName", .string(contact.name)), Redactable("contactEmail", .string(contact.email)),
        ]
      }
      if let instance = wanted.instance {
        record.placement = instance
        context.record("instance", .string(instance.slug.text))
      }
      if let surfaces = wanted.surfaces {
        record.surfaces = surfaces
        context.record("surfaces", .array(surfaces.map { .string($0) }))
      }
      try Self.choose(wanted, for: slug, in: &record, &context)
    }
  }

  /// Keeps an onboarding from going on until somebody releases it. What runs is not stopped.
  public func hold(_ reason: String, org slug: Slug, as actor: Actor, dryRun: Bool = false) async throws
    -> OnboardingView
  {
    let reason = try Self.plain(reason, "reason")
    return try await act(.onboardingHeld, slug, actor, dryRun, mustExist: true) { record, context in
      record.hold = .init(reason: reason, by: actor.text, at: context.at)
      context.record("reason", .string(reason))
    }
  }

  public func release(org slug: Slug, as actor: Actor, dryRun: Bool = false) async throws -> OnboardingView {
    try await act(.onboardingReleased, slug, actor, dryRun, mustExist: true) { record, _ in
      guard record.hold != nil else {
        throw AWError(.conflict, "The onboarding of '\(slug)' is not held.", next: "See 'aw org onboard \(slug)'.")
      }
      record.hold = nil
    }
  }

  /// Provisions the Instance of an onboarding that is ready, by the fleet's own operation, whose last step is the first
  /// run. Of an Instance that is there already, the first run is made anew, after a restart.
  ///
  /// - Throws: `onboardingUnknown`, `onboardingNotReady` with what is missing, and what the fleet refuses.
  public func provision(
    org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> (view: OnboardingView, operation: WorkOperation) {
    let now = ledger.clock.now
    let (place, present) = try await store.read { tx in
      let found = try find(slug, at: now, in: tx)
      let place = try Self.ready(found)
      let instance = try FleetRecords.instance(place.slug, in: tx)
      return (place, instance.flatMap { $0.org == found.org.id && $0.state != .failed ? $0 : nil })
    }
    let also: FleetService.Also = { [ledger] tx, instance, operation, context in
      let found = try find(slug, at: context.at, in: tx)
      // Between the look above and this transaction anything may have happened.
      guard try Self.ready(found) == place, instance.org == found.org.id else {
        throw AWError(
          .conflict, "The onboarding of '\(slug)' was changed at the same moment.",
          next: "Look at it with 'aw org onboard \(slug)', then try again.")
      }
      var record = found.record
      record.provisioning = .init(operation: operation.id.text, digest: found.facts.digest)
      try OnboardingRecords.save(record, in: tx)
      context.record("digest", .string(found.facts.digest))
      try ledger.settle(
        found.org.id, by: actor.text, act: context.id.text, at: context.at, cause: operation.kind, in: tx)
    }
    let operation =
      if present != nil {
        try await fleet.operate(.restart, on: place.slug, as: actor, dryRun: dryRun, also: also).operation
      } else {
        try await fleet.createInstance(
          .init(org: slug, placement: place), as: actor, dryRun: dryRun, also: also
        ).operation
      }
    return (try await view(org: slug), operation)
  }

  /// - Throws: `orgUnknown`, `onboardingUnknown`.
  public func view(org slug: Slug) async throws -> OnboardingView {
    let now = ledger.clock.now
    return try await store.read { tx in OnboardingView(try find(slug, at: now, in: tx)) }
  }

  // MARK: - Parts

  func act(
    _ kind: EvidenceKind, _ slug: Slug, _ actor: Actor, _ dryRun: Bool, mustExist: Bool = false,
    _ change: @escaping @Sendable (inout OnboardingRecord, inout ActContext) throws -> Void
  ) async throws -> OnboardingView {
    try await act(kind, slug, actor, dryRun, mustExist: mustExist) { _, record, context in
      try change(&record, &context)
    }
  }

  func act(
    _ kind: EvidenceKind, _ slug: Slug, _ actor: Actor, _ dryRun: Bool, mustExist: Bool = false,
    _ change: @escaping @Sendable (Transaction, inout OnboardingRecord, inout ActContext) throws -> Void
  ) async throws -> OnboardingView {
    let act = Act(.orgOnboard, kind: kind, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [ledger] tx, context in
      let org = try Self.org(slug, in: tx)
      let known = try OnboardingRecords.find(org.id, in: tx)
      if mustExist, known == nil { throw Self.unknown(slug) }
      var record = known ?? OnboardingRecord(org: org.id, begunBy: actor.text, begunAt: context.at)
      try change(tx, &record, &context)
      record.version += 1
      record.changed = .init(by: actor.text, at: context.at)
      try OnboardingRecords.save(record, in: tx)
      context.subject = OnboardingLedger.subject(org)
      context.org = org.id.text
      context.record("version", .integer(Int64(record.version)))
      try ledger.settle(org.id, by: actor.text, act: context.id.text, at: context.at, cause: kind.id, in: tx)
      context.afterCommit(ledger.changed)
      return OnboardingView(try find(slug, at: context.at, in: tx))
    }
  }

  func find(_ slug: Slug, at now: Timestamp, in tx: Transaction) throws -> OnboardingLedger.Case {
    guard let found = try ledger.look(try Self.org(slug, in: tx), at: now, in: tx) else { throw Self.unknown(slug) }
    return found
  }

  private static func ready(_ found: OnboardingLedger.Case) throws -> OnboardingRecord.Placement {
    guard OnboardingStanding.mayProvision(found.facts), let place = found.record.placement else {
      let standing = found.standing
      let missing = found.facts.requirements.first { !$0.status.isMet }
      let (why, next) =
        standing.block.map { ($0.message, $0.next) }
        ?? missing.map { ("\($0.title) is \($0.status.rawValue).", $0.problem?.next ?? "") }
        ?? ("There is nothing to provision.", "See 'aw org onboard \(found.org.slug)'.")
      throw AWError(
        .onboardingNotReady, "The onboarding of '\(found.org.slug)' is '\(standing.state.rawValue)'. \(why)", next: next
      )
    }
    return place
  }

  private func checked(_ request: SaveRequest) throws -> SaveRequest {
    var request = request
    if let contact = request.contact {
      request.contact = .init(
        name: try Self.plain(contact.name, "name of the contact"),
        email: try Self.plain(contact.email, "address of the contact"))
      guard contact.email.wholeMatch(of: /[^@\s]+@[^@\s]+/) != nil else {
        throw AWError(.usage, "That is no e-mail address of a contact.", next: "Write it like ada@example.com.")
      }
    }
    if let wanted = request.surfaces {
      if let unknown = wanted.first(where: { !surfaces.contains($0) }) {
        throw AWError(
          .surfaceUnknown, "There is no credential surface \(unknown.quoted).",
          next: "Use one of: \(surfaces.joined(separator: ", ")).")
      }
      guard Set(wanted).count == wanted.count else {
        throw AWError(.usage, "A surface is named twice.", next: "Name each surface once.")
      }
    }
    return request
  }

  static let textCharactersMax = 200

  static func plain(_ text: String, _ what: String) throws -> String {
    let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
    let isPlain = !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard !text.isEmpty, text.count <= textCharactersMax, isPlain else {
      throw AWError(
        .usage, "The \(what) has 1 to \(textCharactersMax) characters, none of them a control character.",
        next: "Give a shorter one.")
    }
    return text
  }

  static func org(_ slug: Slug, in tx: Transaction) throws -> Org {
    guard let org = try FleetRecords.org(slug, in: tx) else {
      throw AWError(
        .orgUnknown, "There is no Org named '\(slug)'.", next: "Create it: 'aw org create \(slug)'.")
    }
    return org
  }

  private static func unknown(_ slug: Slug) -> AWError {
    AWError(
      .onboardingUnknown, "Nobody has begun to onboard the Org '\(slug)'.",
      next: "Begin: 'aw org onboard \(slug) --surface SURFACE'.")
  }
}
