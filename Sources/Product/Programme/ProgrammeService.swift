import Access
import Basics
import Evidence
import Store

extension EvidenceKind {
  public static let programmePacketRecorded = EvidenceKind("programme.packet-recorded")
  public static let programmePacketAmended = EvidenceKind("programme.packet-amended")
  public static let programmePacketProposed = EvidenceKind("programme.packet-proposed")
  public static let programmeDecided = EvidenceKind("programme.decided")
  public static let programmeBegun = EvidenceKind("programme.begun")
  public static let programmeFinished = EvidenceKind("programme.finished")
  public static let programmeCheckpointRecorded = EvidenceKind("programme.checkpoint-recorded")
  public static let programmeWarned = EvidenceKind("programme.warned")
  public static let programmeWarningResolved = EvidenceKind("programme.warning-resolved")
  public static let programmeWarningWaived = EvidenceKind("programme.warning-waived")
  public static let programmeSuperseded = EvidenceKind("programme.superseded")
}

/// The acts of the programme. Whether one may happen, `ProgrammeRules` says; what it means, `ProgrammeBoard` shows.
public struct ProgrammeService: Sendable {
  let acts: Acts
  let store: Store
  let evidence: EvidenceLog
  let trust: ProgrammeTrust
  let builtin: BuiltinProgramme
  /// When the deployment was made: the packets that come with the program are there since then.
  let founded: Timestamp
  let proofs: [String: ProofCheck]
  /// What the checks of evidence found last; nil when they never ran.
  let hygiene: @Sendable (Transaction) throws -> HygieneSummary?
  /// The newest evidence that reached a scope.
  let scoped: @Sendable (Transaction) throws -> [ScopedEvidence]
  /// What waits for a person beside the gates.
  let tasks: @Sendable (Transaction) throws -> [ReviewTask]
  let clock: WallClock
  let changed: @Sendable () -> Void

  public init(
    acts: Acts, store: Store, evidence: EvidenceLog, trust: ProgrammeTrust, builtin: BuiltinProgramme,
    founded: Timestamp, proofs: [String: ProofCheck] = [:],
    hygiene: @escaping @Sendable (Transaction) throws -> HygieneSummary? = { _ in nil },
    scoped: @escaping @Sendable (Transaction) throws -> [ScopedEvidence] = { _ in [] },
    tasks: @escaping @Sendable (Transaction) throws -> [ReviewTask] = { _ in [] }, clock: WallClock,
    changed: @escaping @Sendable () -> Void
  ) {
    (self.acts, self.store, self.evidence, self.trust, self.builtin) = (acts, store, evidence, trust, builtin)
    (self.founded, self.proofs, self.hygiene, self.clock) = (founded, proofs, hygiene, clock)
    (self.scoped, self.tasks, self.changed) = (scoped, tasks, changed)
  }

  // MARK: - Looking

  /// The one record from which the programme is shown.
  ///
  /// - Parameter since: from when on changes are told.
  public func board(since: Timestamp? = nil) async throws -> ProgrammeBoard {
    let now = clock.now
    return try await store.read { tx in
      let (size, _) = try evidence.head(in: tx)
      let summary = EvidenceSummary(entries: size, hygiene: try hygiene(tx))
      return ProgrammeBoard(
        .init(
          try entries(in: tx), trust, plain: builtin.plain, evidence: summary, tasks: try tasks(tx),
          scoped: try scoped(tx)), at: now,
        since: since)
    }
  }

  /// The packet of a sequence and the packets before it, oldest first.
  ///
  /// - Throws: `programmeSequenceUnknown`.
  public func packets(of sequence: Slug) async throws -> [Packet] {
    let now = clock.now
    return try await store.read { tx in
      let rules = ProgrammeRules(Programme(try entries(in: tx)), trust, at: now)
      return try rules.sequence(sequence).revisions.map(\.value.packet)
    }
  }

  /// What closes the scopes of an act, for `Acts`. It costs nothing for the acts that reach nothing.
  public static func guardrail(_ trust: ProgrammeTrust, _ builtin: BuiltinProgramme, founded: Timestamp) -> Guardrail {
    { act, now, tx in
      guard !act.scopes.isEmpty else { return nil }
      let programme = Programme(try entries(builtin, founded, in: tx))
      let scopes = ScopeGuard(programme, trust, at: now)
      for scope in act.scopes.sorted() {
        guard let closed = scopes.line(closing: scope) else { continue }
        // The line itself says that a separate approval is enough; the act's body holds the gate against it.
        if closed.line.unlessApproved, act.namesGate { continue }
        return closed.error(scope)
      }
      return nil
    }
  }

  // MARK: - Packets

  /// - Throws: `programmePacketInvalid`, `programmeNoAuthor`.
  public func record(_ packet: Packet, as actor: Actor, dryRun: Bool = false) async throws -> ProgrammeAnswer {
    try await change(.programmePacketRecorded, packet.sequence, .person, as: actor, dryRun) { rules, author, _ in
      var packet = packet
      packet.authors = Self.authors(packet.authors, author)
      return (packet.sequence, try rules.packet(packet, amending: nil, because: nil, by: author))
    }
  }

  /// Takes another packet for a sequence: every approval of the former one is void from now on.
  ///
  /// - Parameter former: the digest that the amendment starts from.
  /// - Throws: `programmeSequenceUnknown`, `programmePacketStale`, `programmePacketInvalid`, `programmeNoAuthor`.
  public func amend(
    _ packet: Packet, former: PacketDigest, reason: String, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmePacketAmended, packet.sequence, .person, as: actor, dryRun) { rules, author, _ in
      var packet = packet
      packet.authors = Self.authors(packet.authors, author)
      return (packet.sequence, try rules.packet(packet, amending: former, because: reason, by: author))
    }
  }

  /// - Throws: `programmeSequenceUnknown`, `programmePacketStale`, `conflict`.
  public func propose(
    _ sequence: Slug, _ digest: PacketDigest, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmePacketProposed, sequence, .anybody, as: actor, dryRun) { rules, _, _ in
      (sequence, try rules.proposal(of: digest, in: sequence))
    }
  }

  // MARK: - Decisions

  /// Takes a decision that somebody signed. Who hands it in does not matter: what counts is the envelope.
  ///
  /// - Throws: what `ProgrammeRules.decision` throws; refusals are recorded.
  public func decide(
    _ envelope: Envelope, _ sequence: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeDecided, sequence, .anybody, as: actor, dryRun) { rules, author, _ in
      (sequence, try rules.decision(Decision(envelope: envelope), in: sequence, by: author))
    }
  }

  /// Uses the approvals of a packet up: work begins, or the sequence is done.
  ///
  /// - Throws: what `ProgrammeRules.execution` throws, recorded; `programmeNoAuthor`.
  public func execute(
    _ act: Execution.Act, _ sequence: Slug, _ digest: PacketDigest, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    let kind: EvidenceKind = act == .begin ? .programmeBegun : .programmeFinished
    return try await change(kind, sequence, .person, as: actor, dryRun) { rules, author, _ in
      (sequence, try rules.execution(act, of: digest, in: sequence, by: author))
    }
  }

  // MARK: - Checkpoints and warnings

  /// What a person says of a checkpoint. Nothing that comes in by this is called machine-checked.
  public struct CheckpointRequest: Codable, Sendable {
    public struct Said: Codable, Sendable {
      public var text: String
      public var holds: Bool?
      public var milestone: Slug?

      public init(text: String, holds: Bool? = nil, milestone: Slug? = nil) {
        (self.text, self.holds, self.milestone) = (text, holds, milestone)
      }
    }

    public var title: String
    public var number: Int?
    public var claims: [Said]
    public var evidence: [EvidenceReference]?

    public init(title: String, number: Int? = nil, claims: [Said], evidence: [EvidenceReference]? = nil) {
      (self.title, self.number, self.claims, self.evidence) = (title, number, claims, evidence)
    }
  }

  /// - Throws: `programmeCheckpointTaken`, `programmePacketInvalid`, `programmeNoAuthor`.
  public func checkpoint(
    _ request: CheckpointRequest, _ sequence: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeCheckpointRecorded, sequence, .person, as: actor, dryRun) { rules, author, _ in
      let evidence = (request.evidence ?? []).map {
        EvidenceReference(uri: $0.uri, digest: $0.digest, at: $0.at, author: author)
      }
      let claims = request.claims.map {
        Claim(
          $0.text, .attested, holds: $0.holds ?? true, milestone: $0.milestone, evidence: Array(evidence.indices))
      }
      let checkpoint = Checkpoint(
        number: try request.number ?? rules.nextCheckpoint(of: sequence), title: request.title,
        packet: try rules.sequence(sequence).digest, claims: claims, evidence: evidence)
      return (sequence, try rules.checkpoint(checkpoint, in: sequence))
    }
  }

  public struct WarningRequest: Codable, Sendable {
    public var assumption: String
    public var threatens: String
    public var resolvedBy: GateKind
    public var blocks: [GateKind]

    public init(assumption: String, threatens: String, resolvedBy: GateKind, blocks: [GateKind]) {
      (self.assumption, self.threatens) = (assumption, threatens)
      (self.resolvedBy, self.blocks) = (resolvedBy, blocks)
    }
  }

  /// - Throws: `programmeSequenceUnknown`, `programmePacketInvalid`, `programmeNoAuthor`.
  public func warn(
    _ request: WarningRequest, _ sequence: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeWarned, sequence, .person, as: actor, dryRun) { rules, author, now in
      let warning = ArchitectureWarning(
        id: .make(at: now), assumption: request.assumption, threatens: request.threatens, raisedBy: author,
        resolvedBy: request.resolvedBy, blocks: request.blocks)
      return (sequence, try rules.warning(warning, in: sequence))
    }
  }

  /// - Throws: `programmeWarningUnknown`, `programmeGateOrder`, `conflict`.
  public func resolve(
    _ warning: WarningID, note: String, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeWarningResolved, nil, .anybody, as: actor, dryRun) { rules, _, _ in
      try rules.resolution(of: warning, note: note)
    }
  }

  /// - Throws: `programmeWarningUnknown`, `programmeSelfGiven`, `usage`, `programmeNoAuthor`.
  public func waive(
    _ warning: WarningID, reason: String, until: Timestamp, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeWarningWaived, nil, .person, as: actor, dryRun) { rules, author, now in
      try rules.waiver(.make(at: now), of: warning, reason: reason, until: until, by: author)
    }
  }

  /// - Throws: `programmeSequenceUnknown`, `conflict`, `programmeNoAuthor`.
  public func supersede(
    _ sequence: Slug, by successor: Slug, reason: String, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProgrammeAnswer {
    try await change(.programmeSuperseded, sequence, .person, as: actor, dryRun) { rules, _, _ in
      (sequence, try rules.supersede(sequence, by: successor, because: reason))
    }
  }
}
