import Access
import Basics
import Evidence
import Fleet
import Store
import Work

/// Starts the Instances of an Org anew. The rooms that can do it are not known here: Deployment hands it over.
public struct FirstRuns: Sendable {
  /// Begins a restart, with its first run, of every Instance of the Org that runs, unless one was begun since a time.
  /// With a second time: only of those that were restarted since that.
  let begin: @Sendable (Slug, Timestamp, Timestamp?) async throws -> Void
  /// The newest operation of each of those Instances that was begun since a time.
  let look: @Sendable (Slug, Timestamp) async throws -> [WorkOperation]

  public init(
    begin: @escaping @Sendable (Slug, Timestamp, Timestamp?) async throws -> Void,
    look: @escaping @Sendable (Slug, Timestamp) async throws -> [WorkOperation]
  ) {
    (self.begin, self.look) = (begin, look)
  }
}

/// Carries out a rotation, step by step: see `RotationStep`.
///
/// Which version counts is one row, changed in one transaction, so that an Org has the old one or the new one whole.
public struct RotationSteps: Sendable {
  public static let kind = "credential.rotate"

  let credentials: CredentialsService
  let runs: FirstRuns

  public init(credentials: CredentialsService, runs: FirstRuns) { (self.credentials, self.runs) = (credentials, runs) }

  var store: Store { credentials.store }
  var clock: WallClock { credentials.clock }

  public var plan: OperationPlan {
    OperationPlan(kind: Self.kind, steps: RotationStep.allCases.map { step($0) })
  }

  private func step(_ step: RotationStep) -> OperationPlan.Step {
    switch step {
    case .gate: .init(step.rawValue, deadline: .seconds(10), run: gate, undo: forgetPending)
    case .collect: .init(step.rawValue, deadline: .seconds(30), retries: Self.waits, run: collect, undo: forgetPending)
    case .shadowValidate: .init(step.rawValue, deadline: .seconds(60), run: shadowValidate)
    case .switch:
      .init(step.rawValue, deadline: .seconds(120), retries: Self.waits, run: switchOver, undo: switchBack)
    case .confirm: .init(step.rawValue, deadline: .seconds(600), retries: Self.waits, run: confirm)
    case .retire: .init(step.rawValue, deadline: .seconds(60), run: retire)
    }
  }

  /// What waiting can mend.
  static func waits(_ error: AWError) -> Bool {
    [.operationRunning, .hostOffline, .linkLost, .vaultUnreachable].contains(error.code)
  }

  /// What an operation is about.
  struct Subject: Sendable {
    let org: OrgID
    let slug: Slug
    let surface: CredentialSurface
    let (new, old): (Int, Int)
    let otherAccount: Bool

    init(_ operation: WorkOperation) throws {
      let input = operation.input
      guard let org = input["org"]?.stringValue.flatMap({ OrgID($0) }), let slug = input["slug"]?.stringValue,
        let surface = input["surface"]?.stringValue, let new = input["version"]?.intValue,
        let old = input["replaces"]?.intValue
      else {
        throw AWError(
          .internalFailure, "A rotation does not say what it is about.", next: "This is a defect in AW: report it.")
      }
      self.org = org
      self.slug = try Slug(slug)
      self.surface = try CredentialSurface(named: surface)
      (self.new, self.old) = (Int(new), Int(old))
      otherAccount = input["otherAccount"]?.boolValue ?? false
    }
  }

  // MARK: - Steps

  private func gate(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let (trust, now) = (credentials.trust, clock.now)
    let gate = try await store.read { tx in
      try CredentialsService.openGate(of: try Self.version(subject.new, subject, in: tx), trust, at: now, in: tx)
    }
    return ["gate": gate.map { .string($0.id.text) } ?? "none is needed"]
  }

  private func collect(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let new = try await store.read { try Self.version(subject.new, subject, in: $0) }
    let value = try await credentials.vaults.source(new.place.vault).read(new.place.key)
    guard credentials.fingerprinter.fingerprint(of: value) == new.fingerprint else {
      throw AWError(
        .vaultRefused, "The vault \(new.place.vault.quoted) holds another value than the one that was recorded.",
        next: "Rotate again with the value that is meant.")
    }
    return ["version": .integer(Int64(new.version)), "fingerprint": .string(new.fingerprint)]
  }

  private func shadowValidate(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let (credentials, now) = (credentials, clock.now)
    let (new, gate) = try await store.read { tx in
      let new = try Self.version(subject.new, subject, in: tx)
      return (new, try CredentialsService.openGate(of: new, credentials.trust, at: now, in: tx))
    }
    let found = try await credentials.ask(about: new, allowedBy: gate, at: now)
    guard found.outcome == .valid else {
      throw AWError(
        found.outcome == .invalid ? .credentialRefused : .credentialUnvalidated,
        "The new \(subject.surface.title) of '\(subject.slug)' was not let in: \(found.reason).",
        next: found.outcome == .invalid ? "Rotate again with a value that is good." : "Wait, then rotate again.")
    }
    try await store.write { tx in
      guard var spare = try SpareRecords.find(subject.surface, subject.org, version: subject.new, in: tx) else {
        return
      }
      spare.credential.lastValidated = found
      spare.credential.lastResolved = .init(at: now, by: "validation")
      try SpareRecords.save(spare, in: tx)
      if let counts = try CredentialsRecords.find(subject.surface, of: subject.org, in: tx),
        let refusal = RotationIdentity.refusal(old: counts, new: found, mayChange: subject.otherAccount)
      {
        throw refusal
      }
      guard try CredentialsRecords.sharing(spare.credential, in: tx).isEmpty else {
        throw AWError(
          .credentialShared, "The new \(subject.surface.title) belongs to an account that another Org has.",
          next: "Give the Org a credential of its own.")
      }
    }
    return ["identity": found.identity.map { .string($0) } ?? .null, "reason": .string(found.reason)]
  }

  private func switchOver(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let since = try await swap(to: subject.new, from: subject.old, .retiring, subject, operation)
    try await runs.begin(subject.slug, since, nil)
    return ["counts": .integer(Int64(subject.new)), "since": .string(since.description)]
  }

  private func confirm(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let (trust, now) = (credentials.trust, clock.now)
    let (standing, since) = try await store.read { tx in
      let old = try SpareRecords.find(subject.surface, subject.org, version: subject.old, in: tx)
      guard let counts = try CredentialsRecords.find(subject.surface, of: subject.org, in: tx), let old,
        counts.version == subject.new
      else { throw Self.gone(subject.new, subject) }
      return (try CredentialsService.standing(of: counts, trust, at: now, in: tx), old.since)
    }
    let begun = try await runs.look(subject.slug, since)
    if let failed = begun.first(where: { $0.progress.state == .failed })?.progress.failure { throw failed.error }
    guard begun.allSatisfy(\.isFinished) else {
      throw AWError(
        .operationRunning, "The first runs with version \(subject.new) are not done yet.", next: "Wait for them.")
    }
    guard standing.status == .valid else {
      throw AWError(
        standing.status == .shared ? .credentialShared : .credentialUnvalidated,
        "The new \(subject.surface.title) is \(standing.status.rawValue) by now.",
        next: "Look at it, then rotate again.")
    }
    return [
      "firstRuns": .array(begun.map { .string($0.id.text) }),
      "identity": standing.credential.identity.map { .string($0) } ?? .null,
    ]
  }

  private func retire(_ operation: WorkOperation) async throws -> JSONValue {
    let subject = try Subject(operation)
    let (found, counts) = try await store.read { tx in
      (
        try SpareRecords.find(subject.surface, subject.org, version: subject.old, in: tx),
        try CredentialsRecords.find(subject.surface, of: subject.org, in: tx)
      )
    }
    guard var old = found, let counts else { return ["old": "forgotten before"] }
    var detail: [String: JSONValue] = [:]
    if old.phase == .retiring {
      if old.credential.reference.kind != counts.reference.kind {
        // A fixture opens nothing: what matters is that nothing of it is left.
        detail["marksLeft"] = .integer(Int64(try await FixtureScan(credentials).scan(besides: old.credential, counts)))
      } else {
        let death = try await credentials.death(of: old.credential)
        detail["old"] = .string(death.words)
        if case .dead = death {
        } else {
          detail["next"] = .string(death.refusal(of: old.credential, subject.slug)?.next ?? "")
          return .object(detail)
        }
      }
      (old.phase, old.since) = (.removing, clock.now)
      let removing = old
      try await store.write { try SpareRecords.save(removing, in: $0) }
    }
    do {
      try await credentials.forget(old.credential)
    } catch {
      // The new one counts, and there is no way back from here: the value is removed later.
      let problem = AWError.wrapping(error, doing: "Removing the old value")
      detail["notRemoved"] = .string(problem.message)
      detail["next"] = .string("aw credential retire \(subject.slug) \(subject.surface.rawValue)")
    }
    return .object(detail)
  }

  // MARK: - Inverses

  private func forgetPending(_ operation: WorkOperation) async throws {
    let subject = try Subject(operation)
    let spare = try await store.read {
      try SpareRecords.find(subject.surface, subject.org, version: subject.new, in: $0)
    }
    guard let spare, spare.phase == .pending else { return }
    try await credentials.forget(spare.credential)
  }

  private func switchBack(_ operation: WorkOperation) async throws {
    let subject = try Subject(operation)
    let counts = try await store.read { try CredentialsRecords.find(subject.surface, of: subject.org, in: $0)?.version }
    if counts == subject.new {
      _ = try await swap(to: subject.old, from: subject.new, .pending, subject, operation)
    }
    let spare = try await store.read {
      try SpareRecords.find(subject.surface, subject.org, version: subject.new, in: $0)
    }
    guard let spare, let used = spare.wasUsedSince else { return }
    try await runs.begin(subject.slug, spare.since, used)
    guard try await runs.look(subject.slug, spare.since).allSatisfy(\.isFinished) else {
      throw AWError(.operationRunning, "The Instances start anew with the old version.", next: "Wait for them.")
    }
  }

  // MARK: - Parts

  /// Lets another version count, in one transaction. It may be called again.
  ///
  /// - Returns: since when it counts.
  private func swap(
    to version: Int, from other: Int, _ phase: SpareCredential.Phase, _ subject: Subject, _ operation: WorkOperation
  ) async throws -> Timestamp {
    let now = clock.now
    return try await store.write { [settled = credentials.settled] tx in
      guard let counts = try CredentialsRecords.find(subject.surface, of: subject.org, in: tx) else {
        throw Self.gone(version, subject)
      }
      if counts.version == version {
        let since = try SpareRecords.find(subject.surface, subject.org, version: other, in: tx)?.since
        return since ?? now
      }
      guard let spare = try SpareRecords.find(subject.surface, subject.org, version: version, in: tx),
        counts.version == other
      else { throw Self.gone(version, subject) }
      try SpareRecords.delete(spare.credential, in: tx)
      let used = phase == .pending ? spare.since : nil
      try SpareRecords.save(.init(credential: counts, phase: phase, since: now, wasUsedSince: used), in: tx)
      try CredentialsRecords.save(spare.credential, in: tx)
      if let act = ActID(operation.id.text) {
        try settled(subject.org, .system("rotation"), (act, .credentialRotated), now, tx)
      }
      return now
    }
  }

  private static func version(_ version: Int, _ subject: Subject, in tx: Transaction) throws -> Credential {
    if let spare = try SpareRecords.find(subject.surface, subject.org, version: version, in: tx) {
      return spare.credential
    }
    throw gone(version, subject)
  }

  private static func gone(_ version: Int, _ subject: Subject) -> AWError {
    AWError(
      .conflict, "Version \(version) of the \(subject.surface.title) of '\(subject.slug)' is not there any more.",
      next: "Look at it with 'aw credential show \(subject.slug) \(subject.surface.rawValue)'.")
  }
}
