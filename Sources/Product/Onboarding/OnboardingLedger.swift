import Access
import Basics
import Evidence
import Fleet
import Link
import Store
import Work

extension EvidenceKind {
  public static let onboardingStateChanged = EvidenceKind("onboarding.state-changed")
}

/// Gathers what an onboarding's state follows from, and records each change of it with whatever caused it.
public struct OnboardingLedger: Sendable {
  /// How an Org's credentials stand at a time.
  public typealias Credentials = @Sendable (OrgID, Timestamp, Transaction) throws -> [CredentialFact]

  let store: Store
  let evidence: EvidenceLog
  let credentials: Credentials
  let clock: WallClock
  /// What people call each surface.
  let titles: [String: String]
  /// Told after every change of a state, for live pages.
  let changed: @Sendable () -> Void

  public init(
    store: Store, evidence: EvidenceLog, clock: WallClock, titles: [String: String] = [:],
    credentials: @escaping Credentials,
    changed: @escaping @Sendable () -> Void = {}
  ) {
    self.store = store
    self.evidence = evidence
    self.clock = clock
    self.titles = titles
    self.credentials = credentials
    self.changed = changed
  }

  /// An onboarding with everything that it follows from.
  struct Case: Sendable {
    let record: OnboardingRecord
    let org: Org
    let facts: OnboardingFacts
    /// When it was looked at.
    let at: Timestamp
    var standing: OnboardingStanding { .of(facts) }
  }

  func look(_ org: Org, at now: Timestamp, in tx: Transaction) throws -> Case? {
    guard let record = try OnboardingRecords.find(org.id, in: tx) else { return nil }
    let credentials = try credentials(org.id, now, tx)
    let facts = OnboardingFacts(
      requirements: record.requirements(org: org.slug, credentials, titles, at: now),
      job: try job(record, org, in: tx),
      hold: record.hold, digest: record.digest(org: org.slug, credentials, at: now), org: org.slug.text)
    return Case(record: record, org: org, facts: facts, at: now)
  }

  private func job(_ record: OnboardingRecord, _ org: Org, in tx: Transaction) throws -> OnboardingFacts.Job {
    guard let asked = record.provisioning, let id = OperationID(asked.operation),
      let operation = try WorkRecords.find(id, in: tx)
    else { return .none }
    let instance = try InstanceID(operation.subject).flatMap { try FleetRecords.instance($0, in: tx) }
    return OnboardingJob.of(
      operation.progress, digest: asked.digest, operation: id, instance: instance?.state, org.slug)
  }

  /// The OpenClaw settings that the Instances of an Org have at least, by dotted path; empty when nobody onboards it.
  ///
  /// - Throws: `baselineUnknown` when this release does not have the baseline that was chosen.
  public static func hardening(of org: OrgID, at now: Timestamp, in tx: Transaction) throws -> [String: JSONValue] {
    guard let record = try OnboardingRecords.find(org, in: tx) else { return [:] }
    guard let settings = record.hardening.settings(at: now) else {
      throw AWError(
        .baselineUnknown, "This release has no baseline \(record.hardening.reference) with the content chosen.",
        next: "Choose one that it has: 'aw baseline list'.")
    }
    return settings
  }

  /// Records the state if it is another one than was recorded last. Call it in the transaction of whatever may have
  /// changed it.
  ///
  /// - Parameter cause: what happened, by its evidence kind.
  public func settle(
    _ org: OrgID, by actor: String, act: String?, at now: Timestamp, cause: String, in tx: Transaction
  ) throws {
    guard let org = try FleetRecords.org(org, in: tx), let found = try look(org, at: now, in: tx) else { return }
    let before = try OnboardingRecords.recorded(org.id, in: tx)
    let standing = found.standing
    guard let transition = OnboardingTransition.between(before, standing) else { return }
    var data = try JSONValue(encoding: transition).objectValue ?? [:]
    data["cause"] = .string(cause)
    try evidence.append(
      EvidenceEntry(
        kind: .onboardingStateChanged, at: now, actor: actor, subject: Self.subject(org), org: org.id.text, act: act,
        data: .object(data)), in: tx)
    try OnboardingRecords.record(standing, of: org.id, in: tx)
    tx.afterCommit(changed)
  }

  /// What an operation did to an Instance may have changed the state of its Org's onboarding.
  public func operationChanged(_ operation: WorkOperation, in tx: Transaction) throws {
    guard let org = operation.input["org"]?.stringValue.flatMap({ OrgID($0) }) else { return }
    try settle(
      org, by: operation.actor, act: operation.id.text, at: operation.updatedAt, cause: operation.kind, in: tx)
    // Whoever watches sees each step of it.
    tx.afterCommit(changed)
  }

  /// Time alone changes states too: validations expire. Call it now and then.
  public func settleAll() async throws {
    let now = clock.now
    let orgs = try await store.read { try OnboardingRecords.orgs(in: $0) }
    for org in orgs {
      try await store.write { tx in
        try settle(org, by: "system/onboarding", act: nil, at: now, cause: "time", in: tx)
      }
    }
  }

  static func subject(_ org: Org) -> EvidenceSubject {
    EvidenceSubject(type: "onboarding", id: org.id.text, slug: org.slug.text)
  }
}
