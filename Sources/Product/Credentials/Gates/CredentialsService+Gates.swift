import Access
import Basics
import Evidence
import Fleet
import Store

extension EvidenceKind {
  public static let gateRequested = EvidenceKind("gate.requested")
  public static let gateSubmitted = EvidenceKind("gate.submitted")
  public static let gateRevoked = EvidenceKind("gate.revoked")
}

/// A gate with what it opens now: nil when it is open, else why not.
public struct GateStanding: Sendable, Equatable {
  public let record: GateRecord
  let refusal: GateRefusal?
}

extension CredentialsService {
  /// What an operator asks an approver to sign.
  public struct GateWish: Codable, Sendable {
    public var org: Slug
    public var surfaces: [String]
    public var `class`: String
    public var until: Timestamp
    public var reason: String

    public init(org: Slug, surfaces: [String], class: String, until: Timestamp, reason: String) {
      (self.org, self.surfaces, self.class) = (org, surfaces, `class`)
      (self.until, self.reason) = (until, reason)
    }
  }

  /// Asks for a gate. Nothing is open by that: somebody else has to sign it.
  ///
  /// - Throws: `orgUnknown`, `surfaceUnknown`, `usage`, `gateNoRequester` when there is no person who asks.
  public func requestGate(_ wish: GateWish, as actor: Actor, dryRun: Bool = false) async throws -> GateStanding {
    let act = Act(.gateManage, kind: .gateRequested, details: ["slug": .string(wish.org.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [trust, changed] tx, context in
      let (surfaces, kind, reason) = try GateRequest.checked(
        surfaces: wish.surfaces, class: wish.class, until: wish.until, reason: wish.reason, at: context.at)
      let org = try Self.org(wish.org, in: tx)
      guard let requester = try AccessRecords.person(behind: actor, in: tx) else {
        throw Acts.Refusal(
          AWError(
            .gateNoRequester,
            "A gate needs two people, and there is nobody in particular who asks for this one.",
            next: "Ask in the console, or with an API token of your own (a context file with 'tokenFile')."))
      }
      let request = GateRequest(
        id: .make(at: context.at), deployment: trust.deployment, org: org.id, slug: org.slug, surfaces: surfaces,
        class: kind, until: wish.until, reason: reason, requester: requester, requestedBy: actor.text,
        requestedAt: context.at)
      let record = GateRecord(request: request)
      try GatesRecords.save(record, in: tx)
      try Self.record(record, in: &context)
      context.afterCommit(changed)
      return GateStanding(record: record, refusal: .unsigned)
    }
  }

  /// Takes what an approver signed. From now on the gate is open, if everything about it is right.
  ///
  /// - Throws: `gateUnknown`, `conflict` when it was revoked or has an envelope, `gateAltered`, `gateUntrusted`,
  ///   `gateSelfSigned`, `gateExpired`: those are recorded.
  public func submitGate(
    _ envelope: Envelope, of id: GateID, as actor: Actor, dryRun: Bool = false
  ) async throws -> GateStanding {
    try await changeGate(id, .gateSubmitted, as: actor, dryRun: dryRun) { [trust] record, _, context in
      guard record.submission == nil, record.revocation == nil else {
        throw AWError(
          .conflict, "The gate was \(record.revocation == nil ? "signed" : "revoked") before.",
          next: "See 'aw gate show \(id)'. Ask for another one if that is not enough.")
      }
      let request = record.request
      let refusal = GateCheck.refusal(of: envelope, for: request, trust)
      if let refusal = refusal ?? (context.at < request.until ? nil : .expired) {
        throw Acts.Refusal(refusal.error(request.class.credentialClass, request.surfaces[0], request.slug))
      }
      record.submission = .init(envelope: envelope, by: actor.text, at: context.at)
      let signers = envelope.signers(among: trust.approvers).map(\.hint).sorted()
      context.record("signedBy", .array(signers.map { .string($0) }))
    }
  }

  /// Closes a gate for good. Credentials that were set under it are no longer used.
  ///
  /// - Throws: `gateUnknown`, `conflict` when it was revoked before, `usage` for a reason that is none.
  public func revokeGate(
    _ id: GateID, reason: String, as actor: Actor, dryRun: Bool = false
  ) async throws -> GateStanding {
    guard (1...GateLimits.reasonCharactersMax).contains(reason.count) else {
      throw AWError(
        .usage, "A reason has 1 to \(GateLimits.reasonCharactersMax) characters.", next: "Say why in one line.")
    }
    return try await changeGate(id, .gateRevoked, as: actor, dryRun: dryRun) { record, _, context in
      guard record.revocation == nil else {
        throw AWError(.conflict, "The gate was revoked before.", next: "See 'aw gate show \(id)'.")
      }
      record.revocation = .init(by: actor.text, at: context.at, reason: reason)
      context.record("reason", .string(reason))
    }
  }

  public func gates(of slug: Slug?) async throws -> [GateStanding] {
    let (now, trust) = (clock.now, trust)
    return try await store.read { tx in
      let records =
        try slug.map { try GatesRecords.of(try Self.org($0, in: tx).id, in: tx) } ?? GatesRecords.newest(in: tx)
      return records.map { Self.standing(of: $0, trust, at: now) }
    }
  }

  /// - Throws: `gateUnknown`.
  public func gate(_ id: GateID) async throws -> GateStanding {
    let (now, trust) = (clock.now, trust)
    return try await store.read { tx in Self.standing(of: try Self.gate(id, in: tx), trust, at: now) }
  }

  /// The gate that lets a credential be set or used now, checked whole.
  ///
  /// - Throws: what refuses it.
  static func openGate(
    for use: GateUse, org slug: Slug, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> CredentialGate {
    do {
      return try GateCheck.choose(try GatesRecords.of(use.org, in: tx), for: use, trust, at: now).get()
    } catch let refusal as GateRefusal {
      throw refusal.error(use.class.credentialClass, use.surface, slug)
    }
  }

  /// The gate under which a credential's value may be read and sent to its vendor now; nil for a fixture, which needs
  /// none. Whatever uses a value asks here first.
  ///
  /// - Throws: what refuses it.
  static func openGate(
    of credential: Credential, _ trust: GateTrust, at now: Timestamp, in tx: Transaction
  ) throws -> CredentialGate? {
    guard let kind = credential.reference.kind.gated else { return nil }
    guard let slug = try FleetRecords.org(credential.org, in: tx)?.slug else {
      throw AWError(.orgUnknown, "The credential's Org is gone.", next: "See 'aw org list'.")
    }
    let use = GateUse(org: credential.org, surface: credential.surface, class: kind)
    return try openGate(for: use, org: slug, trust, at: now, in: tx)
  }

  // MARK: - Parts

  private func changeGate(
    _ id: GateID, _ kind: EvidenceKind, as actor: Actor, dryRun: Bool,
    _ change: @escaping @Sendable (inout GateRecord, Transaction, inout ActContext) throws -> Void
  ) async throws -> GateStanding {
    let act = Act(.gateManage, kind: kind, subject: EvidenceSubject(type: "gate", id: id.text))
    return try await acts.perform(act, as: actor, dryRun: dryRun) { [trust, changed, settled] tx, context in
      var record = try Self.gate(id, in: tx)
      try change(&record, tx, &context)
      try GatesRecords.save(record, in: tx)
      try Self.record(record, in: &context)
      // A gate that opens or closes changes how the Org's credentials stand.
      try settled(record.request.org, actor, (context.id, kind), context.at, tx)
      context.afterCommit(changed)
      return Self.standing(of: record, trust, at: context.at)
    }
  }

  private static func gate(_ id: GateID, in tx: Transaction) throws -> GateRecord {
    guard let record = try GatesRecords.find(id, in: tx) else {
      throw AWError(.gateUnknown, "There is no gate \(id).", next: "See 'aw gate list'.")
    }
    return record
  }

  private static func standing(of record: GateRecord, _ trust: GateTrust, at now: Timestamp) -> GateStanding {
    let request = record.request
    // Each of its surfaces is decided alike.
    let use = GateUse(org: request.org, surface: request.surfaces[0], class: request.class)
    if case .failure(let refusal) = GateCheck.open(record, for: use, trust, at: now) {
      return GateStanding(record: record, refusal: refusal)
    }
    return GateStanding(record: record, refusal: nil)
  }

  private static func record(_ record: GateRecord, in context: inout ActContext) throws {
    let request = record.request
    context.subject = EvidenceSubject(type: "gate", id: request.id.text)
    context.org = request.org.text
    context.record("digest", .string("sha256:" + (try request.digest)))
    context.record("class", .string(request.class.rawValue))
    context.record("surfaces", .array(request.surfaces.map { .string($0.rawValue) }))
    context.record("until", .string(request.until.description))
    context.record("requester", .string(request.requester.text))
  }
}
