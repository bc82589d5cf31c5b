import Access
import Basics
import Evidence
import Fleet
import Store

extension EvidenceKind {
  public static let handoffExported = EvidenceKind("handoff.exported")
  public static let handoffCompleted = EvidenceKind("handoff.completed")
}

/// What AW keeps of a handoff: which document was made for which desired state, and whether both signed it.
public struct HandoffMark: Codable, Sendable, Equatable {
  /// SHA-256 of the document.
  public let document: String
  /// Of the desired state that it speaks of.
  public let desired: String
  public let exportedBy: String
  public let exportedAt: Timestamp
  public var completedBy: String?
  public var completedAt: Timestamp?
}

/// The acts on the handoff of an Org.
extension OnboardingService {
  /// What people answer, and who will sign.
  public struct HandoffRequest: Codable, Sendable {
    /// By question, what the one who has to says.
    public var attested: [String: String]?
    /// By question, why it does not apply.
    public var notApplicable: [String: String]?
    /// Who signs for the operator.
    public var operatorName: String
    /// Verifier keys, as `aw handoff keygen` prints them.
    public var operatorKey: String
    public var contactKey: String

    public init(
      attested: [String: String]? = nil, notApplicable: [String: String]? = nil, operatorName: String,
      operatorKey: String, contactKey: String
    ) {
      (self.attested, self.notApplicable) = (attested, notApplicable)
      (self.operatorName, self.operatorKey, self.contactKey) = (operatorName, operatorKey, contactKey)
    }
  }

  /// The checklist as it stands, with what nobody has answered yet.
  ///
  /// - Throws: `orgUnknown`, `onboardingUnknown`.
  public func handoff(org slug: Slug) async throws -> HandoffView {
    let now = ledger.clock.now
    return try await store.read { tx in
      let found = try find(slug, at: now, in: tx)
      return HandoffView(
        mark: found.record.handoff, desired: found.facts.digest, lines: lines(found, nil),
        duties: try duties(found, in: tx))
    }
  }

  /// Makes the document that both sign. It binds to the desired state as it was verified.
  ///
  /// - Throws: `onboardingUnknown`, `handoffNotReady` unless the onboarding is verified, `handoffOpen` with the lines
  ///   that nobody answered, `usage` for a key that is none.
  public func exportHandoff(
    _ request: HandoffRequest, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> Envelope {
    let name = try Self.plain(request.operatorName, "name of who signs")
    let checked = try Self.checked(request)
    let act = Act(.orgOnboard, kind: .handoffExported, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let found = try find(slug, at: context.at, in: tx)
      let handoff = try document(found, checked, name, at: context.at, in: tx)
      let envelope = try Envelope(signing: try handoff.statement.bytes, by: [])
      let report = try HandoffVerification.report(envelope)
      var record = found.record
      record.handoff = HandoffMark(
        document: report.document, desired: handoff.desired, exportedBy: actor.text, exportedAt: context.at)
      try OnboardingRecords.save(record, in: tx)
      context.subject = OnboardingLedger.subject(found.org)
      context.org = found.org.id.text
      context.record("document", .string(report.document))
      context.record("desired", .string(handoff.desired))
      context.record("keys", .array(handoff.signers.map { .string($0.key) }))
      context.afterCommit(ledger.changed)
      return envelope
    }
  }

  /// Takes the document back when both have signed it.
  ///
  /// - Throws: `onboardingUnknown`, `handoffRefused`; `handoffStale` when it is not the newest, or the desired state is
  ///   another one by now.
  public func completeHandoff(
    _ envelope: Envelope, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> HandoffView {
    let report = try HandoffVerification.report(envelope)
    guard report.isComplete else {
      let missing = HandoffRole.allCases.filter { !report.signed.contains($0) }.map(\.rawValue)
      throw AWError(
        .handoffRefused, "The handoff is not signed by: \(missing.joined(separator: ", ")).",
        next: "Let them sign it: 'aw handoff sign FILE --key FILE'.")
    }
    let act = Act(.orgOnboard, kind: .handoffCompleted, details: ["slug": .string(slug.text)])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let found = try find(slug, at: context.at, in: tx)
      var record = found.record
      guard var mark = record.handoff, mark.document == report.document, mark.desired == found.facts.digest else {
        throw AWError(
          .handoffStale, "That is not the newest handoff of '\(slug)', or its desired state is another one by now.",
          next: "Export it anew: 'aw handoff export \(slug)'.")
      }
      guard mark.completedAt == nil else {
        throw AWError(.conflict, "The handoff of '\(slug)' is complete already.", next: "There is nothing to do.")
      }
      (mark.completedBy, mark.completedAt) = (actor.text, context.at)
      record.handoff = mark
      try OnboardingRecords.save(record, in: tx)
      context.subject = OnboardingLedger.subject(found.org)
      context.org = found.org.id.text
      context.record("document", .string(mark.document))
      context.record("signatures", .array(envelope.signatures.map { .string("\($0.keyid) \($0.sig)") }))
      context.afterCommit(ledger.changed)
      return HandoffView(
        mark: mark, desired: found.facts.digest, lines: report.handoff.lines, duties: report.handoff.duties)
    }
  }

  // MARK: - Parts

  private static func checked(_ request: HandoffRequest) throws -> HandoffRequest {
    var request = request
    for (what, key) in [("operator", request.operatorKey), ("contact", request.contactKey)] {
      guard EvidenceVerifierKey(key) != nil else {
        throw AWError(
          .usage, "The key of the \(what) is no verifier key.",
          next: "Give the line that 'aw handoff keygen' prints, name+id+key; never the private one.")
      }
    }
    for id in [request.attested, request.notApplicable].flatMap({ $0?.keys.sorted() ?? [] })
    where HandoffQuestion(rawValue: id) == nil {
      throw AWError(
        .usage, "Nobody is asked for \(id.quoted) in a handoff.",
        next: "Use one of: \(HandoffQuestion.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    request.attested = try request.attested?.mapValues { try plain($0, "statement") }
    request.notApplicable = try request.notApplicable?.mapValues { try plain($0, "reason") }
    return request
  }

  private func document(
    _ found: OnboardingLedger.Case, _ request: HandoffRequest, _ name: String, at now: Timestamp, in tx: Transaction
  ) throws -> Handoff {
    let (slug, record) = (found.org.slug, found.record)
    guard found.standing.state == .verified, let contact = record.contact, let place = record.placement else {
      throw AWError(
        .handoffNotReady, "The onboarding of '\(slug)' is '\(found.standing.state.rawValue)', not verified.",
        next: "See what is missing: 'aw org onboard \(slug)'.")
    }
    let lines = lines(found, request)
    let open = lines.filter { $0.answer == .open }.map(\.id)
    guard open.isEmpty else {
      throw AWError(
        .handoffOpen, "Nobody has answered: \(open.joined(separator: ", ")).",
        next: "Say for each what is attested, --attest LINE=TEXT, or why it does not apply, --not-applicable LINE=WHY.")
    }
    let head = try ledger.evidence.head(in: tx)
    return Handoff(
      org: slug, contactName: contact.name, contactEmail: contact.email, instance: place.slug,
      desired: found.facts.digest, baseline: record.hardening.reference, at: now,
      log: .init(size: head.size, root: "\(head.root)"), lines: lines, duties: try duties(found, in: tx),
      operatorSees: Handoff.operatorSees,
      signers: [
        .init(role: .operator, name: name, key: request.operatorKey),
        .init(role: .contact, name: contact.name, key: request.contactKey),
      ])
  }

  private func lines(_ found: OnboardingLedger.Case, _ request: HandoffRequest?) -> [HandoffLine] {
    var lines = found.facts.requirements.filter { $0.status.isMet }.map {
      HandoffLine.checked(
        "requirement:\($0.id)", $0.title, ["kind": .string($0.kind.rawValue), "status": .string($0.status.rawValue)])
    }
    if case .succeeded(let report) = found.facts.job, report.passed, report.digest == found.facts.digest,
      let seen = try? JSONValue(encoding: report)
    {
      lines.append(.checked("first-run", "The whole chain, a model turn included, passed", seen))
    }
    let settings = found.record.hardening.settings(at: found.at) ?? [:]
    lines.append(.checked("settings", "OpenClaw's settings, as the baseline and its exceptions say", .object(settings)))
    return lines
      + HandoffQuestion.allCases.map { $0.line(request?.attested ?? [:], request?.notApplicable ?? [:]) }
  }

  private func duties(_ found: OnboardingLedger.Case, in tx: Transaction) throws -> [HandoffDuty] {
    let credentials = try ledger.credentials(found.org.id, found.at, tx)
      .filter { found.record.surfaces.contains($0.surface) }
    return Handoff.duties(credentials, found.record.hardening, at: found.at)
  }
}
