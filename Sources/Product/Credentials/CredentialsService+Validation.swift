import Access
import Basics
import Evidence
import Fleet
import Store

extension EvidenceKind {
  public static let credentialValidated = EvidenceKind("credential.validated")
}

/// A credential with how it stands, and who else has its identity.
public struct CredentialStanding: Sendable, Equatable {
  public let credential: Credential
  public let status: CredentialStatus
  /// The other Orgs that have a credential of the same identity.
  public let sharedWith: [Slug]
}

extension CredentialsService {
  /// Validates a credential at its vendor: a real call, and one with a corrupted copy.
  ///
  /// An outcome is recorded whatever it is; only what keeps the question from being asked is thrown.
  ///
  /// - Throws: `credentialUnknown`, `credentialUncheckable`, `validatorMissing`, `conflict` when another version was
  ///   set meanwhile, and what the vault says.
  public func validate(
    _ surface: CredentialSurface, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> CredentialStanding {
    let (acts, trust, now) = (acts, trust, clock.now)
    let (credential, gate) = try await store.read { tx in
      try acts.authorise(.credentialManage, as: actor, in: tx)
      let org = try Self.org(slug, in: tx)
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw Self.unknown(surface, slug)
      }
      _ = try surface.asked()
      return (credential, try Self.openGate(of: credential, trust, at: now, in: tx))
    }
    let found: Validation
    if dryRun {
      guard gate != nil || courier.vendors != nil else { throw FixtureVendors.missing }
      found = Validation(
        version: credential.version, outcome: .indeterminate, reason: "not asked: a rehearsal", identity: nil, at: now)
    } else {
      found = try await ask(about: credential, allowedBy: gate, at: now)
    }
    let act = Act(
      .credentialManage, kind: .credentialValidated, subject: Self.subject(slug, surface), org: credential.org.text,
      details: [
        "surface": .string(surface.rawValue), "version": .integer(Int64(credential.version)),
        "outcome": .string(found.outcome.rawValue), "reason": .string(found.reason),
        "identity": found.identity.map { .string($0) } ?? .null,
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard var current = try CredentialsRecords.find(surface, of: credential.org, in: tx),
        current.version == credential.version
      else {
        throw AWError(
          .conflict, "Another value was set while this one was validated.", next: "Validate the credential again.")
      }
      current.lastValidated = found
      current.lastResolved = .init(at: now, by: "validation")
      try CredentialsRecords.save(current, in: tx)
      let standing = try Self.standing(of: current, trust, at: now, in: tx)
      context.record("status", .string(standing.status.rawValue))
      // The others are blocked by it as well.
      for org in try [current.org] + CredentialsRecords.sharing(current, in: tx) {
        try settled(org, actor, (context.id, act.kind), context.at, tx)
      }
      context.afterCommit(changed)
      return standing
    }
  }

  /// - Parameter gate: what `openGate` found; nil for a fixture alone.
  func ask(
    about credential: Credential, allowedBy gate: CredentialGate?, at now: Timestamp
  ) async throws -> Validation {
    let value = try await vaults.source(credential.place.vault).read(credential.place.key)
    func found(_ outcome: Validation.Outcome, _ reason: String, _ identity: String?) -> Validation {
      Validation(version: credential.version, outcome: outcome, reason: reason, identity: identity, at: now)
    }
    // What somebody else keeps can change behind AW's back.
    guard fingerprinter.fingerprint(of: value) == credential.fingerprint else {
      return found(.invalid, "the vault holds another value than the one that was recorded", nil)
    }
    let check = try VendorCheck(credential.surface, credential.settings)
    let (outcome, reason, identity) =
      switch (credential.reference, gate) {
      case (.fixture(let fixture), _): try await courier.validate(value, of: fixture, check)
      case (.controlledNonProduction, let gate?), (.real, let gate?):
        try await courier.validate(value, allowedBy: gate, check)
      case (.controlledNonProduction, nil), (.real, nil): throw CredentialGuardrails.refusal(credential.reference.kind)
      }
    return found(outcome, reason, outcome == .valid ? identity ?? "key/\(credential.fingerprint)" : nil)
  }

  // MARK: - Standing

  public func standings(org slug: Slug) async throws -> [CredentialStanding] {
    let (now, trust) = (clock.now, trust)
    return try await store.read { tx in
      try Self.standings(of: try Self.org(slug, in: tx).id, trust, at: now, in: tx)
    }
  }

  public func standing(_ surface: CredentialSurface, org slug: Slug) async throws -> CredentialStanding {
    let (now, trust) = (clock.now, trust)
    return try await store.read { tx in
      let org = try Self.org(slug, in: tx)
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw Self.unknown(surface, slug)
      }
      return try Self.standing(of: credential, trust, at: now, in: tx)
    }
  }

  /// How the credentials of an Org stand, by surface.
  public static func standings(
    of org: OrgID, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> [CredentialStanding] {
    try CredentialsRecords.all(of: org, in: tx).map { try standing(of: $0, trust, at: now, in: tx) }
  }

  static func standing(
    of credential: Credential, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> CredentialStanding {
    let others = try CredentialsRecords.sharing(credential, in: tx)
    return CredentialStanding(
      credential: credential,
      status: .of(
        credential, isShared: !others.isEmpty, isOpen: try isOpen(credential, trust, at: now, in: tx),
        isFrozen: try IntakeRecords.freeze(of: credential.surface, credential.org, in: tx)?.version
          == credential.version, at: now),
      sharedWith: try others.compactMap { try FleetRecords.org($0, in: tx)?.slug }.sorted())
  }

  /// Whether the value may be used now: a fixture always, another class while a gate is open.
  static func isOpen(
    _ credential: Credential, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> Bool {
    guard let kind = credential.reference.kind.gated else { return true }
    let use = GateUse(org: credential.org, surface: credential.surface, class: kind)
    guard case .success = GateCheck.choose(try GatesRecords.of(credential.org, in: tx), for: use, trust, at: now)
    else { return false }
    return true
  }
}
