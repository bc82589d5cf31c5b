import Access
import Basics

extension ProgrammeBoard {
  /// What the board is made from, beside the time.
  public struct Facts: Sendable {
    public let programme: Programme
    public let entries: [ProgrammeEntry]
    public let trust: ProgrammeTrust
    public let plain: PlainTexts
    public let evidence: EvidenceSummary
    public let tasks: [ReviewTask]
    public let scoped: [ScopedEvidence]

    /// - Parameters:
    ///   - entries: everything that happened, in its order.
    ///   - scoped: the evidence that reached a scope, newest first.
    public init(
      _ entries: [ProgrammeEntry], _ trust: ProgrammeTrust, plain: PlainTexts = PlainTexts(),
      evidence: EvidenceSummary, tasks: [ReviewTask] = [], scoped: [ScopedEvidence] = []
    ) {
      programme = Programme(entries)
      (self.entries, self.trust, self.plain, self.evidence, self.tasks) = (entries, trust, plain, evidence, tasks)
      self.scoped = scoped
    }
  }

  /// - Parameter since: from when on changes are told; nil tells of none.
  public init(_ facts: Facts, at now: Timestamp, since: Timestamp? = nil) {
    let rules = ProgrammeRules(facts.programme, facts.trust, at: now)
    let stories = facts.programme.ordered.map { SequenceStory($0, rules) }
    // What is worked on; else what waits for somebody; else what nobody has proposed yet.
    let current =
      stories.first { $0.isActive } ?? stories.first { [.blocked, .approved, .inReview].contains($0.state) }
      ?? stories.first { $0.state == .draft }
    deployment = facts.trust.deployment
    at = now
    header = current?.header ?? (stories.isEmpty ? "No sequence yet" : "Every sequence is done")
    self.current = current?.sequence.id
    next = current?.next
    runtimeWork = current?.runtimeWork
    latestReview = current.flatMap { story in
      story.sequence.decisions.indices.last.flatMap { story.decisionLine($0) }
    }
    sequences = stories.map { $0.line(facts.plain) }
    let lines = stories.flatMap(\.warnings)
    warnings = lines.filter(\.isOpen) + lines.filter { !$0.isOpen }
    evidence = facts.evidence
    let scopes = ScopeGuard(facts.programme, facts.trust, at: now)
    violations = facts.scoped.compactMap { item in
      scopes.line(against: item).map { closed in
        ViolationLine(
          evidence: item.reference, kind: item.kind, scope: item.scope, sequence: closed.sequence,
          packet: closed.packet, line: closed.line.phrase)
      }
    }
    tasks = facts.tasks
    self.since = since
    changes = since.map { since in facts.entries.filter { $0.at > since }.map { ChangeLine($0) } } ?? []
  }
}

extension ChangeLine {
  init(_ entry: ProgrammeEntry) {
    let words =
      switch entry.change {
      case .packet(let packet, nil): "packet \(packet.digest.short) is there"
      case .packet(let packet, let reason?): "packet amended to \(packet.digest.short): \(reason)"
      case .proposal(let digest): "packet \(digest.short) proposed for review"
      case .decision(let decision):
        decision.said.map { "\($0.claim.gate.rawValue) \($0.claim.verificationResult.rawValue)" } ?? "a decision"
      case .execution(let execution):
        execution.act == .begin ? "work began, and used its approvals up" : "the sequence was finished"
      case .checkpoint(let checkpoint): "\(checkpoint.name): \(checkpoint.title)"
      case .warning(let warning): "architecture warning: \(warning.assumption)"
      case .resolution(let resolution): "architecture warning settled: \(resolution.note)"
      case .waiver(let waiver): "architecture warning waived until \(waiver.expires.toTheMinute): \(waiver.reason)"
      case .superseded(let successor, let reason): "superseded by \(successor): \(reason)"
      }
    self.init(at: entry.at, sequence: entry.sequence, by: entry.by.account, words: words)
  }
}

/// One sequence as it stands: everything that is said of it comes from here.
struct SequenceStory {
  let sequence: SequenceRecord
  let rules: ProgrammeRules
  let check: DecisionCheck
  let state: SequenceState

  init(_ sequence: SequenceRecord, _ rules: ProgrammeRules) {
    (self.sequence, self.rules) = (sequence, rules)
    let check = DecisionCheck(sequence, rules.trust, at: rules.now)
    self.check = check
    let isCounting = check.standings.contains { $0 == .counts || $0 == .used }
    let isStopped = check.next.map { $0.state == .blocked || $0.state == .failed } ?? false
    state =
      if sequence.successor != nil {
        .superseded
      } else if rules.isDone(sequence, check) {
        .done
      } else if isStopped {
        .blocked
      } else if sequence.isUnderWay {
        .active
      } else if check.isApproved {
        .approved
      } else if sequence.proposals.contains(where: { $0.value == sequence.digest }) || isCounting {
        .inReview
      } else {
        .draft
      }
  }

  /// True when it is the one that is worked on, blocked or not.
  var isActive: Bool { sequence.isUnderWay }

  /// Whether work began on the packet that is current, and its approvals still stand.
  var mayWork: Bool {
    sequence.isUnderWay && sequence.execution(.begin, of: sequence.digest) != nil && check.isApproved
  }

  var runtimeWork: RuntimeWork {
    if mayWork { return RuntimeWork(isAllowed: true, words: "Approved to proceed under \(sequence.digest.short)") }
    return RuntimeWork(isAllowed: false, words: "Not approved: \(GateWords(self).ahead)")
  }

  // MARK: - The words

  var header: String {
    let words = GateWords(self)
    var parts = [words.behind, words.ahead].compactMap(\.self)
    if state != .superseded { parts += words.milestones }
    return parts.joined(separator: "; ").capitalisedFirst
  }

  var next: NextAct? { GateWords(self).next }

  // MARK: - The lines

  func line(_ plain: PlainTexts) -> SequenceLine {
    let packet = sequence.packet
    func phrase(_ text: String, scopes: [ActScope] = [], proof: String? = nil) -> PhraseLine {
      let reviewed = plain.reviewed(text)
      return PhraseLine(
        text: text, plain: reviewed?.text, plainReviewedBy: reviewed?.by, scopes: scopes, proof: proof)
    }
    let numbers = sequence.checkpoints.map(\.value.number)
    return SequenceLine(
      id: sequence.id, number: packet.number, title: packet.title, summary: phrase(packet.summary), state: state,
      blockedBy: state == .blocked ? GateWords(self).blockedBy : [], packet: packetLine,
      objective: phrase(packet.objective), delivers: packet.delivers.map { phrase($0.phrase, proof: $0.proof) },
      wontDo: packet.wontDo.map { phrase($0.phrase, scopes: $0.scopes) }, opens: packet.opens,
      fixtures: packet.fixtures, gates: check.verdicts.map { gateLine($0) }, currentGate: check.next?.gate.kind,
      next: next, checkpoints: sequence.checkpoints.map { checkpointLine($0) }.sorted { $0.number < $1.number },
      gaps: (0...(numbers.max() ?? 0)).filter { !numbers.isEmpty && !numbers.contains($0) },
      supersededBy: sequence.successor?.value)
  }

  private var packetLine: PacketLine {
    let revisions = sequence.revisions
    let amendments = zip(revisions, revisions.dropFirst()).map { former, new in
      PacketLine.AmendmentLine(
        from: former.value.digest, to: new.value.digest, at: new.at, by: new.by.account,
        reason: new.value.reason ?? "", diff: PacketDiff(from: former.value.packet, to: new.value.packet))
    }
    return PacketLine(
      digest: sequence.digest, revision: revisions.count, at: sequence.current.at,
      authors: sequence.packet.authors.map { rules.trust.person(of: $0.account) }, amendments: amendments)
  }

  private func gateLine(_ verdict: GateVerdict) -> GateLine {
    let gate = verdict.gate
    let decisions = sequence.decisions.indices.compactMap { decisionLine($0) }
    return GateLine(
      kind: gate.kind, title: gate.title, role: gate.kind.role, signatures: gate.signatures, state: verdict.state,
      people: verdict.people, decisions: decisions.filter { $0.gate == gate.kind },
      milestones: gate.milestones.map { milestone in
        let isReached = sequence.isReached(milestone)
        return MilestoneLine(
          id: milestone.id, words: isReached ? milestone.done : milestone.open, isReached: isReached,
          checkpoint: sequence.claim(on: milestone.id)?.checkpoint.value.number)
      })
  }

  /// Nil for what is no decision at all.
  func decisionLine(_ index: Int) -> DecisionLine? {
    let recorded = sequence.decisions[index]
    guard let (claim, digest, _) = recorded.value.said else { return nil }
    let struck: StrikeReason? = if case .struck(let reason) = check.standings[index] { reason } else { nil }
    return DecisionLine(
      id: recorded.value.id, gate: claim.gate, result: claim.verificationResult, account: claim.author.account,
      person: rules.trust.person(of: claim.author.account), agent: claim.author.agent, packet: digest,
      at: claim.timeVerified, expires: claim.expires, isUsed: check.standings[index] == .used, struck: struck,
      struckWords: struck?.words, evidence: claim.inputAttestations, note: claim.note)
  }

  private func checkpointLine(_ recorded: Recorded<Checkpoint>) -> CheckpointLine {
    let checkpoint = recorded.value
    return CheckpointLine(
      number: checkpoint.number, name: checkpoint.name, title: checkpoint.title, digest: checkpoint.digest,
      packet: checkpoint.packet, isOfCurrentPacket: checkpoint.packet == sequence.digest, at: recorded.at,
      by: recorded.by.account, claims: checkpoint.claims, evidence: checkpoint.evidence)
  }

  var warnings: [WarningLine] {
    sequence.warnings.map { recorded in
      let (warning, resolution) = (recorded.value, sequence.resolution(of: recorded.value.id))
      return WarningLine(
        id: warning.id, sequence: sequence.id, assumption: warning.assumption, threatens: warning.threatens,
        raisedBy: warning.raisedBy.account, at: recorded.at, resolvedBy: warning.resolvedBy, blocks: warning.blocks,
        isOpen: resolution == nil, resolution: resolution?.value.note, resolvedAt: resolution?.at,
        waivedUntil: sequence.waiver(of: warning.id, at: rules.now)?.value.expires,
        waivers: sequence.waivers.filter { $0.value.warning == warning.id }.map { waiverLine($0, of: warning) })
    }
  }

  private func waiverLine(_ recorded: Recorded<Waiver>, of warning: ArchitectureWarning) -> WaiverLine {
    let waiver = recorded.value
    let struck: String? =
      if !sequence.isOpen(warning) {
        "the warning is settled"
      } else if waiver.packet != sequence.digest {
        StrikeReason.superseded.words
      } else if waiver.expires <= rules.now {
        StrikeReason.expired.words
      } else if sequence.waiver(of: warning.id, at: rules.now)?.order != recorded.order {
        "a later waiver took its place"
      } else {
        nil
      }
    return WaiverLine(
      id: waiver.id, reason: waiver.reason, by: waiver.by.account, at: recorded.at, expires: waiver.expires,
      struckWords: struck)
  }
}
