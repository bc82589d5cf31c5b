import Access
import Basics
import Evidence
import Fleet
import OpenClaw
import Store
import Work

extension EvidenceKind {
  public static let credentialRotated = EvidenceKind("credential.rotated")
  public static let credentialRetired = EvidenceKind("credential.retired")
}

/// The acts by which another version takes the place of the one that counts, and the old one goes.
public struct RotationService: Sendable {
  let credentials: CredentialsService
  let engine: WorkEngine

  public init(credentials: CredentialsService, engine: WorkEngine) {
    (self.credentials, self.engine) = (credentials, engine)
  }

  /// What an operator asks for. The value comes beside it.
  public struct Request: Codable, Sendable {
    public var surface: String
    /// Nil is the class of the version that counts.
    public var `class`: String?
    /// As for `CredentialsService.SetRequest`.
    public var vault: String?
    public var key: String?
    public var settings: [String: String]?
    /// The new value may belong to another account at the vendor.
    public var otherAccount: Bool?

    public init(
      surface: String, class: String? = nil, vault: String? = nil, key: String? = nil,
      settings: [String: String]? = nil, otherAccount: Bool? = nil
    ) {
      (self.surface, self.class, self.vault, self.key) = (surface, `class`, vault, key)
      self.settings = settings
      self.otherAccount = otherAccount
    }
  }

  /// Puts a new value beside the one that counts, and begins the operation that lets it count.
  ///
  /// - Throws: `credentialUnknown` when there is nothing to rotate, `credentialUncheckable`, `operationRunning`,
  ///   `conflict` when a pending value is there, and what `CredentialsService.set` throws for a class or a value.
  public func rotate(
    _ request: Request, value: Secret?, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> (operation: WorkOperation, radius: BlastRadius) {
    let surface = try CredentialSurface(named: request.surface)
    let standing = try await credentials.standing(surface, org: slug)
    // Without anybody to ask, no step could show anything.
    _ = try surface.asked()
    let old = standing.credential
    let kind = try request.class.map { try CredentialClass(named: $0) } ?? old.reference.kind
    // A way back from a value of a customer's to one that opens nothing is no rotation: there is 'set' for that.
    guard kind != .fixture || old.reference.kind == .fixture else {
      throw AWError(
        .usage, "A fixture does not take the place of a value of the class \(old.reference.kind.rawValue) so.",
        next: "Set it: 'aw credential set \(slug) \(surface.rawValue)'.")
    }
    let (org, version) = try await credentials.standing(slug, surface)
    let (act, taken, vault) = try await credentials.intake(
      .init(surface: request.surface, vault: request.vault, key: request.key), value, kind, surface, org,
      .credentialRotated, as: actor, dryRun: dryRun)
    let settings = try CredentialSetting.settle(
      request.settings ?? [:], for: surface,
      fixture: kind == .fixture ? CredentialsService.fixture(taken, surface) : nil,
      before: old)
    let ref = try Credential.ref(org: slug, surface, version: version + 1)
    let fingerprint = credentials.fingerprinter.fingerprint(of: taken)
    guard fingerprint != old.fingerprint else {
      throw AWError(
        .credentialShape, "The new value is the one that counts already.", next: "Make another one at the vendor.")
    }
    let mayChange = request.otherAccount == true || kind != old.reference.kind
    return try await credentials.placing(
      taken, key: request.key, in: vault, org: slug, surface, version + 1, dryRun: dryRun
    ) { place in
      try await credentials.acts.perform(act, as: actor, dryRun: dryRun) { [credentials, engine] tx, context in
        guard try CredentialsRecords.find(surface, of: org.id, in: tx)?.version == old.version,
          try CredentialsRecords.version(surface, of: org.id, in: tx) == version,
          try SpareRecords.of(surface, org.id, in: tx).allSatisfy({ $0.phase != .pending })
        else {
          throw AWError(
            .conflict, "Another version was set at the same moment, or is being rotated in.",
            next: "Look at it with 'aw credential show \(slug) \(surface.rawValue)', then decide again.")
        }
        let new = Credential(
          org: org.id, surface: surface,
          reference: try CredentialsService.reference(
            ref, kind, surface, of: org, credentials.trust, at: context.at, in: tx), version: version + 1,
          place: place, settings: settings, fingerprint: fingerprint, setBy: actor.text, setAt: context.at,
          lastResolved: place.isOwn ? nil : .init(at: context.at, by: "intake"))
        try SpareRecords.save(.init(credential: new, phase: .pending, since: context.at), in: tx)
        let input: JSONValue = [
          "org": .string(org.id.text), "slug": .string(slug.text), "surface": .string(surface.rawValue),
          "version": .integer(Int64(new.version)), "replaces": .integer(Int64(old.version)),
          "otherAccount": .bool(mayChange),
        ]
        let operation = try engine.enqueue(
          RotationSteps.kind, subject: "\(slug)/\(surface.rawValue)", actor: actor.text, input: input, in: tx)
        CredentialsService.record(new, in: &context)
        context.record("operation", .string(operation.id.text))
        context.record("replaces", .integer(Int64(old.version)))
        context.afterCommit(credentials.changed)
        let instances = try FleetRecords.instances(of: org.id, in: tx)
        let radius = BlastRadius(
          surface: surface, from: old, to: kind,
          running: instances.filter { $0.state == .active }.map(\.slug),
          resting: instances.filter { $0.state == .stopped }.map(\.slug))
        return (operation, radius)
      }
    }
  }

  /// Forgets the versions that were in use before, once the vendor refuses them.
  ///
  /// - Throws: `credentialUnknown` when there is none, `credentialStillAlive`, `credentialUnvalidated` when nothing is
  ///   proven, and what the vault says.
  public func retire(
    _ surface: CredentialSurface, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> [Int] {
    let credentials = credentials
    let org = try await credentials.standing(slug, surface).org
    let act = Act(
      .credentialManage, kind: .credentialRetired, subject: CredentialsService.subject(slug, surface), org: org.id.text,
      details: ["surface": .string(surface.rawValue)])
    let spares = try await credentials.store.read { tx in
      try credentials.acts.authorise(.credentialManage, as: actor, in: tx)
      return try SpareRecords.of(surface, org.id, in: tx).filter { $0.phase != .pending }
    }
    guard !spares.isEmpty else {
      throw AWError(
        .credentialUnknown, "The \(surface.title) of '\(slug)' has no earlier version that is still kept.",
        next: "See 'aw credential show \(slug) \(surface.rawValue)'.")
    }
    if dryRun { return spares.map(\.credential.version) }
    for spare in spares where spare.phase == .retiring {
      let death = try await credentials.death(of: spare.credential)
      if let refusal = death.refusal(of: spare.credential, slug) { throw refusal }
    }
    try await credentials.acts.perform(act, as: actor) { tx, context in
      context.record("versions", .array(spares.map { .integer(Int64($0.credential.version)) }))
      for var spare in spares {
        (spare.phase, spare.since) = (.removing, context.at)
        try SpareRecords.save(spare, in: tx)
      }
    }
    for spare in spares { try await credentials.forget(spare.credential) }
    return spares.map(\.credential.version)
  }
}

/// Whether an old value is dead: what the vendor says to it.
enum CredentialDeath: Sendable, Equatable {
  /// The vendor's own word.
  case dead(String)
  case alive
  case unproven(String)

  static func of(_ reading: VendorCheck.Reading) -> CredentialDeath {
    switch reading {
    case .refused(let word): .dead(word)
    case .accepted: .alive
    case .unclear(let why): .unproven(why)
    }
  }

  var words: String {
    switch self {
    case .dead(let word): "the vendor refuses it: \(word)"
    case .alive: "the vendor still lets it in"
    case .unproven(let why): "nothing is proven: \(why)"
    }
  }

  func refusal(of credential: Credential, _ org: Slug) -> AWError? {
    let what =
      "Version \(credential.version) of the \(credential.surface.title) of '\(org)' is not forgotten: \(words)."
    let again = "then 'aw credential retire \(org) \(credential.surface.rawValue)'."
    return switch self {
    case .dead: nil
    case .alive: AWError(.credentialStillAlive, what, next: "Revoke it at the vendor, \(again)")
    case .unproven: AWError(.credentialUnvalidated, what, next: "Wait until the vendor can be asked, \(again)")
    }
  }
}

extension CredentialsService {
  /// Asks the vendor about an old value, which is to be refused.
  func death(of credential: Credential) async throws -> CredentialDeath {
    let (trust, now) = (trust, clock.now)
    let gate = try await store.read { try Self.openGate(of: credential, trust, at: now, in: $0) }
    let value = try await vaults.source(credential.place.vault).read(credential.place.key)
    guard fingerprinter.fingerprint(of: value) == credential.fingerprint else {
      return .unproven("the vault holds another value than the one that was recorded")
    }
    let check = try VendorCheck(credential.surface, credential.settings)
    switch (credential.reference, gate) {
    case (.fixture(let fixture), _): return .of(try await courier.reading(of: value, fixture, check))
    case (_, let gate?): return .of(try await courier.reading(of: value, allowedBy: gate, check))
    case (_, nil): throw CredentialGuardrails.refusal(credential.reference.kind)
    }
  }

  /// Removes the value of a version that nothing needs; its number stays taken. It may be called again.
  func forget(_ credential: Credential) async throws {
    if credential.place.isOwn { try await vaults.keeper(credential.place.vault).destroy(credential.place.key) }
    let now = clock.now
    try await store.write { tx in
      try SpareRecords.save(.init(credential: credential, phase: .forgotten, since: now), in: tx)
    }
  }
}
