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
  /// - Throws: `credentialUnknown`, `validatorMissing`, `conflict` when another version was set meanwhile, and what the
  ///   vault says.
  public func validate(
    _ surface: CredentialSurface, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> CredentialStanding {
    let acts = acts
    let credential = try await store.read { tx in
      try acts.authorise(.credentialManage, as: actor, in: tx)
      let org = try Self.org(slug, in: tx)
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw Self.unknown(surface, slug)
      }
      return credential
    }
    let now = clock.now
    let found: Validation
    if dryRun {
      guard vendors != nil else { throw FixtureVendors.missing }
      found = Validation(
        version: credential.version, outcome: .indeterminate, reason: "not asked: a rehearsal", identity: nil, at: now)
    } else {
      found = try await ask(about: credential, at: now)
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
      let standing = try Self.standing(of: current, at: now, in: tx)
      context.record("status", .string(standing.status.rawValue))
      // The others are blocked by it as well.
      for org in try [current.org] + CredentialsRecords.sharing(current, in: tx) {
        try settled(org, actor, (context.id, act.kind), context.at, tx)
      }
      context.afterCommit(changed)
      return standing
    }
  }

  private func ask(about credential: Credential, at now: Timestamp) async throws -> Validation {
    guard let vendors else { throw FixtureVendors.missing }
    let value = try await vaults.source(credential.place.vault).read(credential.place.key)
    // What somebody else keeps can change behind AW's back.
    guard fingerprinter.fingerprint(of: value) == credential.fingerprint else {
      return Validation(
        version: credential.version, outcome: .invalid,
        reason: "the vault holds another value than the one that was recorded", identity: nil, at: now)
    }
    switch credential.reference {
    case .fixture(let fixture):
      let (outcome, reason, identity) = await VendorCourier(vendors: vendors)
        .validate(value, of: fixture, credential.surface)
      return Validation(
        version: credential.version, outcome: outcome, reason: reason,
        identity: outcome == .valid ? identity ?? "key/\(credential.fingerprint)" : nil, at: now)
    // Neither can be: each holds a gate, and there is none.
    case .controlledNonProduction(let controlled): switch controlled.gate {}
    case .real(let real): switch real.gate {}
    }
  }

  // MARK: - Standing

  public func standings(org slug: Slug) async throws -> [CredentialStanding] {
    let now = clock.now
    return try await store.read { tx in
      try Self.standings(of: try Self.org(slug, in: tx).id, at: now, in: tx)
    }
  }

  public func standing(_ surface: CredentialSurface, org slug: Slug) async throws -> CredentialStanding {
    let now = clock.now
    return try await store.read { tx in
      let org = try Self.org(slug, in: tx)
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw Self.unknown(surface, slug)
      }
      return try Self.standing(of: credential, at: now, in: tx)
    }
  }

  /// How the credentials of an Org stand, by surface.
  public static func standings(
    of org: OrgID, at now: Timestamp, in tx: Transaction
  ) throws -> [CredentialStanding] {
    try CredentialsRecords.all(of: org, in: tx).map { try standing(of: $0, at: now, in: tx) }
  }

  static func standing(of credential: Credential, at now: Timestamp, in tx: Transaction) throws -> CredentialStanding {
    let others = try CredentialsRecords.sharing(credential, in: tx)
    return CredentialStanding(
      credential: credential, status: .of(credential, isShared: !others.isEmpty, at: now),
      sharedWith: try others.compactMap { try FleetRecords.org($0, in: tx)?.slug }.sorted())
  }
}
