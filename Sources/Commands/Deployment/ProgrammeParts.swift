import Access
import Basics
import Credentials
import Evidence
import Fleet
import Hygiene
import Link
import Onboarding
import Paths
import Programme
import Store
import Vault

/// The proofs of the build sequences: what each looks at in the live system. The programme knows them by name alone.
///
/// A proof is of a synthetic Org, holds only when the evidence log shows it, and says what it saw either way.
struct ProgrammeParts: Sendable {
  let reader: FleetReader
  let onboarding: OnboardingService
  let store: Store
  let evidence: EvidenceLog
  let hygiene: EvidenceHygiene
  let watch: SecretWatch
  /// The steps of a rotation, in order.
  let rotationSteps: [String]
  let clock: WallClock

  var proofs: [String: ProofCheck] {
    [
      // Sequence 0.
      "instance-provisioned": { try await provisioned($0) }, "container-runtime": { try await container($0) },
      // Sequence 1.
      "reverse-connector": { try await connector($0) }, "gateway-websocket": { try await hello($0) },
      "status-current": { try await current($0) }, "watchdog-recurs": { try await watchdog($0) },
      "loss-classified": { try await losses($0) }, "status-events": { try await events($0) },
      // Sequence 2.
      "onboarding-record": { try await onboardingRecord($0) }, "onboarding-states": { try await states($0) },
      "secret-references-only": { try await referencesOnly($0) },
      "credential-transition": { try await transition($0) },
      "handoff-checklist": { try await handoff($0) }, "baseline-selection": { try await baseline($0) },
    ]
  }

  /// The newest evidence that reached a scope, by what its own room wrote into it.
  @Sendable func scoped(_ tx: Transaction) throws -> [ScopedEvidence] {
    let filter = EvidenceFilter(kinds: [.orgCreated, .credentialSet, .credentialRotated])
    return try evidence.list(limit: Self.scopedMax, filter: filter, in: tx).compactMap { record in
      guard let scope = Self.scope(of: record.entry), let reference = Self.reference(record) else { return nil }
      return ScopedEvidence(
        reference, kind: record.entry.kind.id, scope: scope, namesGate: record.entry.data["gate"] != nil)
    }
  }

  /// Of so many entries the scopes are looked at.
  private static let scopedMax = 200

  /// A pure translation.
  static func scope(of entry: EvidenceEntry) -> ActScope? {
    switch (entry.data["sort"]?.stringValue, entry.data["class"]?.stringValue) {
    case (let sort?, nil): Org.Sort(rawValue: sort) == .synthetic ? nil : .realOrg
    case (nil, CredentialClass.real.rawValue?): .realCredential
    case (nil, CredentialClass.controlledNonProduction.rawValue?): .nonProductionCredential
    default: nil
    }
  }

  // MARK: - Sequence 0

  private func provisioned(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let seen = try await entries(.operationEnded, subject: view.id.text).filter {
      $0.entry.data["operation"] == "instance.provision" && $0.entry.data["outcome"] == "succeeded"
    }
    return ProofFinding(
      "One OpenClaw Instance, '\(view.slug)', was provisioned for one synthetic Org, '\(subject.org)'; its status is "
        + "\(view.status.status.rawValue)", holds: view.status.status == .current, evidence: references(seen))
  }

  private func container(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let isContained = view.runtime == .docker
    let runs = passed(.runtime, view)
    return ProofFinding(
      isContained
        ? "'\(view.slug)' runs in a container of a Docker engine" : "'\(view.slug)' runs as a process, in no container",
      holds: isContained && runs, evidence: references(try await entries(.instanceChecked, subject: view.id.text)),
      milestones: ["docker-engine", "container-runtime"])
  }

  // MARK: - Sequence 1

  private func connector(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let host = try await reader.host(view.host)
    let isReversed = view.path.kind != .ssh
    let seen = try await entries(.hostConnected, subject: host.id.text)
    return ProofFinding(
      "'\(view.slug)' is reached by \(view.path.words); its Host '\(host.slug)' dialled in and is "
        + (host.connected ? "linked" : "not linked"), holds: isReversed && host.connected, evidence: references(seen))
  }

  private func hello(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    return ProofFinding(
      "The Gateway WebSocket of '\(view.slug)' answered hello-ok over \(view.path.kind.rawValue)",
      holds: passed(.hello, view) && view.path.kind != .ssh,
      evidence: references(try await entries(.instanceChecked, subject: view.id.text)))
  }

  private func current(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let words = Status.allCases.map(\.rawValue).joined(separator: ", ")
    return ProofFinding(
      "The status of '\(view.slug)' is \(view.status.status.rawValue), one of \(words)",
      holds: view.status.status == .current,
      evidence: references(try await entries(.instanceStatusChanged, subject: view.id.text)))
  }

  private func watchdog(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    // What provisioning saw is older than what was seen since by itself.
    let seen = try await entries(.operationEnded, subject: view.id.text)
    let asked = seen.first?.entry.at ?? view.createdAt
    let checks = view.chain.filter { $0.at > asked && $0.outcome == "passed" }
    return ProofFinding(
      "The Watchdog looked at \(checks.count) links of '\(view.slug)' since its last operation ended, unasked",
      holds: !checks.isEmpty, evidence: references(seen))
  }

  private func losses(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let host = try await reader.host(view.host)
    let seen = try await entries(.hostDisconnected, subject: host.id.text)
    let classified = seen.filter { $0.entry.data["class"] != nil }
    return ProofFinding(
      seen.isEmpty
        ? "The Host '\(host.slug)' has lost no link yet, so none was classified"
        : "Of the last \(seen.count) losses of the link of '\(host.slug)', \(classified.count) have a class",
      holds: !seen.isEmpty && classified.count == seen.count, evidence: references(seen))
  }

  private func events(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await instance(of: subject)
    let seen = try await entries(.instanceStatusChanged, subject: view.id.text)
    return ProofFinding(
      "Each change of the status of '\(view.slug)' is recorded with its event: \(seen.count) of them",
      holds: !seen.isEmpty, evidence: references(seen))
  }

  // MARK: - Sequence 2

  private func onboardingRecord(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await onboarding.view(org: try await org(subject).slug)
    return ProofFinding(
      "The Org '\(subject.org)' has an onboarding record, in its version \(view.version)", holds: view.version > 0,
      evidence: references(try await entries(.onboardingSaved, org: subject)))
  }

  private func states(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await onboarding.view(org: try await org(subject).slug)
    return ProofFinding(
      "The onboarding of '\(subject.org)' is \(view.state.rawValue), as it follows from what is there",
      holds: true, evidence: references(try await entries(.onboardingStateChanged, org: subject)))
  }

  private func referencesOnly(_ subject: ProofSubject) async throws -> ProofFinding {
    let org = try await org(subject)
    let (rows, credentials) = try await store.read { tx in
      (try CredentialsRecords.texts(of: org.id, in: tx), try CredentialsRecords.all(of: org.id, in: tx))
    }
    let scanner = try watch.current()
    let withValue = rows.filter { !scanner.scan(Array($0.utf8)).findings.isEmpty }.count
    let verdict = try await hygiene.verdict(at: clock.now)
    let found = verdict.checks.first { $0.layer == .exactValues }?.found
    let plain = Set(verdict.tooPlain)
    let unseen = credentials.filter { plain.contains($0.place.key) }.count
    let seen = try await entries([.credentialSet, .credentialRotated], org: org)
    return ProofFinding(
      "Of the \(verdict.values) values that are known, in any form, \(found ?? 0) of the \(verdict.items) entries of "
        + "the log and \(withValue) of \(rows.count) rows of credentials of '\(org.slug)' hold one; \(unseen) of its "
        + "\(credentials.count) credentials are too plain to be looked for",
      holds: found == 0 && withValue == 0 && unseen == 0 && !credentials.isEmpty, evidence: references(seen))
  }

  private func transition(_ subject: ProofSubject) async throws -> ProofFinding {
    let org = try await org(subject)
    let ended = try await entries([.operationEnded], org: org, limit: Self.operationsMax)
      .filter { $0.entry.data["operation"]?.stringValue == RotationSteps.kind }
    guard let newest = ended.first(where: { $0.entry.data["outcome"] == "succeeded" }) ?? ended.first else {
      return ProofFinding(
        "No rotation of a credential of '\(org.slug)' has ended, and a plan shows nothing; it is: "
          + rotationSteps.joined(separator: ", "), holds: false, evidence: [])
    }
    let asked = try await entries([.credentialRotated], org: org, limit: Self.operationsMax)
      .filter { $0.entry.data["operation"]?.stringValue == newest.entry.act }
    let outcome = newest.entry.data["outcome"]?.stringValue ?? "nothing"
    let kind = asked.last?.entry.data["class"]?.stringValue ?? "unknown"
    return ProofFinding(
      "A rotation of \(newest.entry.subject?.id ?? "a credential") to a value of the class \(kind) ended: \(outcome); "
        + "its steps are " + rotationSteps.joined(separator: ", "),
      holds: outcome == "succeeded", evidence: references([newest] + asked))
  }

  private func handoff(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await onboarding.handoff(org: try await org(subject).slug)
    return ProofFinding(
      "The handoff of '\(subject.org)' has \(view.lines.count) lines, and was "
        + (view.mark == nil ? "not exported yet" : "exported"), holds: view.mark != nil,
      evidence: references(try await entries(.handoffExported, org: subject)))
  }

  private func baseline(_ subject: ProofSubject) async throws -> ProofFinding {
    let view = try await onboarding.view(org: try await org(subject).slug)
    return ProofFinding(
      "The Org '\(subject.org)' has the baseline \(view.baseline.reference), \(view.baseline.digest)",
      holds: !view.baseline.settings.isEmpty, evidence: references(try await entries(.onboardingSaved, org: subject)))
  }

  // MARK: - Parts

  /// - Throws: `orgUnknown`; `orgNotSynthetic`: proofs look at nobody's real Org.
  private func org(_ subject: ProofSubject) async throws -> OrgView {
    let org = try await reader.org(subject.org)
    guard org.sort == .synthetic else {
      throw AWError(
        .orgNotSynthetic, "The Org '\(org.slug)' is not synthetic, and proofs use fixtures alone.",
        next: "Name a synthetic Org.")
    }
    return org
  }

  /// - Throws: `usage` when no Instance of the Org is named.
  private func instance(of subject: ProofSubject) async throws -> InstanceView {
    let org = try await org(subject)
    guard let slug = subject.instance else {
      throw AWError(.usage, "This proof needs an Instance.", next: "Name one of the Org: --instance NAME.")
    }
    let view = try await reader.instance(slug)
    guard view.org == org.slug else {
      throw AWError(
        .usage, "The Instance '\(slug)' serves '\(view.org)', not '\(org.slug)'.",
        next: "Name an Instance of the Org, or the Org of the Instance.")
    }
    return view
  }

  private func passed(_ link: ChainLink, _ view: InstanceView) -> Bool {
    view.chain.contains { $0.link == link && $0.outcome == "passed" && !$0.behindFailure }
  }

  private static let entriesMax = 5
  /// Of so many operations of an Org a rotation is looked for.
  private static let operationsMax = 200

  private func entries(_ kind: EvidenceKind, subject: String) async throws -> [EvidenceRecord] {
    let filter = EvidenceFilter(kind: kind, subjectID: subject)
    return try await store.read { tx in try evidence.list(limit: Self.entriesMax, filter: filter, in: tx) }
  }

  private func entries(_ kind: EvidenceKind, org subject: ProofSubject) async throws -> [EvidenceRecord] {
    try await entries([kind], org: try await org(subject))
  }

  private func entries(
    _ kinds: [EvidenceKind], org: OrgView, limit: Int = Self.entriesMax
  ) async throws -> [EvidenceRecord] {
    let filter = EvidenceFilter(kinds: kinds, org: org.id.text)
    return try await store.read { tx in try evidence.list(limit: limit, filter: filter, in: tx) }
  }

  private func references(_ records: [EvidenceRecord]) -> [EvidenceReference] {
    records.compactMap { Self.reference($0) }
  }

  private static func reference(_ record: EvidenceRecord) -> EvidenceReference? {
    PacketDigest("sha256:" + Hex.encode(record.hash.bytes)).map {
      EvidenceReference(uri: "evidence/\(record.index)", digest: $0, at: record.entry.at)
    }
  }
}

extension HygieneSummary {
  /// What the board says of a verdict.
  init(_ reading: HygieneReading) {
    self.init(
      checks: reading.verdict.checks.map {
        .init(id: $0.layer.rawValue, title: $0.title, findings: Int64($0.found))
      }, items: reading.verdict.items, at: reading.verdict.at, added: reading.added)
  }
}
