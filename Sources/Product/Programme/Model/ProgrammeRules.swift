import Basics
import Evidence

/// What may happen next in the programme: pure decisions. Whatever changes the programme asks here first.
public struct ProgrammeRules: Sendable {
  let programme: Programme
  let trust: ProgrammeTrust
  let now: Timestamp

  public init(_ programme: Programme, _ trust: ProgrammeTrust, at now: Timestamp) {
    (self.programme, self.trust, self.now) = (programme, trust, now)
  }

  /// - Throws: `programmeSequenceUnknown`.
  public func sequence(_ id: Slug) throws(AWError) -> SequenceRecord {
    guard let sequence = programme.sequences[id] else {
      throw AWError(
        .programmeSequenceUnknown, "There is no sequence '\(id)' in the programme.", next: "See 'aw programme show'.")
    }
    return sequence
  }

  /// A packet that takes the place of the one that is there; or the first one of a new sequence.
  ///
  /// - Throws: `programmePacketInvalid`, `programmePacketStale` when somebody else amended it meanwhile, `usage`.
  public func packet(
    _ packet: Packet, amending former: PacketDigest?, because reason: String?, by author: Author
  ) throws(AWError) -> ProgrammeEntry.Change {
    if let problem = packet.problem { throw Self.invalid("the packet", problem) }
    guard packet.authors.contains(where: { trust.isSame($0, author) }) else {
      throw Self.invalid("the packet", "it does not name whoever hands it in among its authors")
    }
    // To amend what is not there says so.
    if former != nil { _ = try sequence(packet.sequence) }
    guard let sequence = programme.sequences[packet.sequence] else {
      let numbers = programme.sequences.values.map(\.packet.number)
      guard !numbers.contains(packet.number) else { throw Self.invalid("the packet", "its number is taken") }
      return .packet(packet, reason: nil)
    }
    guard let former else {
      throw Self.invalid("the packet", "its sequence has one already: amend that")
    }
    try isCurrent(former, sequence)
    guard packet.digest != sequence.digest else { throw Self.invalid("the amendment", "it changes nothing") }
    guard packet.number == sequence.packet.number else {
      throw Self.invalid("the amendment", "a sequence keeps its number")
    }
    guard sequence.packet.authors.allSatisfy(packet.authors.contains) else {
      throw Self.invalid("the amendment", "it leaves out somebody who wrote on the packet")
    }
    guard let reason else { throw Self.invalid("the amendment", "it has no reason") }
    return .packet(packet, reason: try Self.plain(reason, "reason"))
  }

  /// - Throws: `programmePacketStale`, `conflict` when it was asked before.
  public func proposal(of digest: PacketDigest, in id: Slug) throws(AWError) -> ProgrammeEntry.Change {
    let sequence = try sequence(id)
    try isCurrent(digest, sequence)
    guard !sequence.proposals.contains(where: { $0.value == digest }) else {
      throw AWError(
        .conflict, "The packet was proposed for review before.", next: "See 'aw programme show \(id)'.")
    }
    return .proposal(digest)
  }

  /// A decision as it was signed. It is taken only if it would count.
  ///
  /// - Throws: `programmeDecisionRefused`, `programmePacketStale`, `programmeGateOrder`, `programmeGateBlocked`,
  ///   `conflict`.
  public func decision(_ decision: Decision, in id: Slug, by author: Author) throws(AWError) -> ProgrammeEntry.Change {
    let sequence = try sequence(id)
    guard let said = decision.said else { throw Self.refused(.altered) }
    guard !sequence.decisions.contains(where: { $0.value.id == decision.id }) else {
      throw AWError(.conflict, "This decision was handed in before.", next: "See 'aw programme show \(id)'.")
    }
    try isCurrent(said.digest, sequence)
    if let warning = sequence.blocking(said.claim.gate, at: now).first?.value {
      throw AWError(
        .programmeGateBlocked,
        "The gate \(said.claim.gate.rawValue) of '\(id)' is blocked by an architecture warning: "
          + "\(warning.assumption.quoted) may be wrong, which threatens \(warning.threatens.quoted).",
        next: "The gate \(warning.resolvedBy.rawValue) settles it; then 'aw programme resolve \(warning.id)'. Or waive "
          + "it for a while: 'aw programme waive'.")
    }
    if let reason = DecisionCheck.refusal(of: decision, in: sequence, trust, by: author, at: now) {
      throw Self.refused(reason)
    }
    return .decision(decision)
  }

  /// Uses up what was decided: all of it has to count now, and none may have been used before.
  ///
  /// - Throws: `programmePacketStale`, `programmeGateOrder` with the gate that is missing, `programmeDecisionUsed`,
  ///   `programmeSelfGiven` when an approver carries it out, `conflict` when another sequence is active.
  public func execution(
    _ act: Execution.Act, of digest: PacketDigest, in id: Slug, by author: Author
  ) throws(AWError) -> ProgrammeEntry.Change {
    let sequence = try sequence(id)
    try isCurrent(digest, sequence)
    guard sequence.successor == nil else {
      throw AWError(.conflict, "The sequence '\(id)' is superseded.", next: "See 'aw programme show'.")
    }
    let check = DecisionCheck(sequence, trust, at: now)
    let needed = check.verdicts.filter { act == .finish || $0.gate.kind < .runtimeProof }
    if let missing = needed.first(where: { !$0.isPassed }) { throw Self.outOfOrder(missing, id) }
    guard sequence.execution(act, of: digest) == nil else { throw Self.used }
    if act == .finish, sequence.execution(.begin, of: digest) == nil {
      throw AWError(
        .programmeGateOrder, "Work on this packet of '\(id)' never began, so it cannot be finished.",
        next: "Begin it: 'aw programme begin \(id)'.")
    }
    let fresh = needed.filter { act == .begin || $0.gate.kind == .runtimeProof }
    guard !fresh.contains(where: \.isUsed) else { throw Self.used }
    let person = trust.person(of: author.account)
    if let own = fresh.first(where: { $0.gate.kind != .commit && $0.people.contains { $0.text == person } }) {
      throw AWError(
        .programmeSelfGiven,
        "Whoever decided the gate \(own.gate.kind.rawValue) of '\(id)' cannot be the one who acts on it.",
        next: "Let somebody else do it.")
    }
    if act == .begin, let other = programme.ordered.first(where: { $0.id != id && $0.isUnderWay }) {
      throw AWError(
        .conflict, "The sequence '\(other.id)' is active, and one is at a time.",
        next: "Finish it, or supersede it: 'aw programme finish \(other.id)'.")
    }
    return .execution(Execution(act, packet: digest, decisions: fresh.compactMap { $0.deciding?.value.id }))
  }

  /// - Throws: `programmeCheckpointTaken`, `programmePacketInvalid`, `programmePacketStale`.
  public func checkpoint(_ checkpoint: Checkpoint, in id: Slug) throws(AWError) -> ProgrammeEntry.Change {
    let sequence = try sequence(id)
    try isCurrent(checkpoint.packet, sequence)
    if let problem = checkpoint.problem { throw Self.invalid("the checkpoint", problem) }
    guard !sequence.checkpoints.contains(where: { $0.value.number == checkpoint.number }) else {
      throw AWError(
        .programmeCheckpointTaken, "The sequence '\(id)' has a \(checkpoint.name) already.",
        next: "A checkpoint is never changed: take another number, or leave the number to AW.")
    }
    return .checkpoint(checkpoint)
  }

  /// The number after the highest one.
  public func nextCheckpoint(of id: Slug) throws(AWError) -> Int {
    (try sequence(id).checkpoints.map(\.value.number).max() ?? -1) + 1
  }

  /// - Throws: `programmePacketInvalid` for gates that it cannot block.
  public func warning(_ warning: ArchitectureWarning, in id: Slug) throws(AWError) -> ProgrammeEntry.Change {
    let sequence = try sequence(id)
    for text in [warning.assumption, warning.threatens] { _ = try Self.plain(text, "warning") }
    guard !warning.blocks.isEmpty, warning.blocks.allSatisfy({ $0 > warning.resolvedBy }),
      ([warning.resolvedBy] + warning.blocks).allSatisfy({ sequence.packet.gate($0) != nil })
    else {
      throw Self.invalid("the warning", "it has to name gates of the packet, each after the gate that settles it")
    }
    return .warning(warning)
  }

  /// - Throws: `programmeWarningUnknown`, `conflict` when it is settled, `programmeGateOrder` while the gate that
  ///   settles it has not passed since.
  public func resolution(of warning: WarningID, note: String) throws(AWError) -> (Slug, ProgrammeEntry.Change) {
    let (sequence, found) = try open(warning)
    let verdict = DecisionCheck(sequence, trust, at: now).verdict(found.value.resolvedBy)
    guard let verdict, verdict.isPassed, let deciding = verdict.deciding, deciding.order > found.order else {
      throw AWError(
        .programmeGateOrder,
        "The gate \(found.value.resolvedBy.rawValue) of '\(sequence.id)' has not been passed since the warning was "
          + "raised, and nothing else settles it.",
        next: "Ask for the decision: 'aw programme decide request \(sequence.id) \(found.value.resolvedBy.rawValue)'.")
    }
    let resolution = Resolution(
      warning: warning, decision: deciding.value.id, note: try Self.plain(note, "note"))
    return (sequence.id, .resolution(resolution))
  }

  /// - Throws: `programmeWarningUnknown`, `conflict`, `programmeSelfGiven` for an author of the packet, `usage` for an
  ///   end that is too far away.
  public func waiver(
    _ id: WaiverID, of warning: WarningID, reason: String, until expires: Timestamp, by author: Author
  ) throws(AWError) -> (Slug, ProgrammeEntry.Change) {
    let (sequence, _) = try open(warning)
    guard !sequence.packet.authors.contains(where: { trust.isSame($0, author) }) else {
      throw AWError(
        .programmeSelfGiven, "An author of the packet of '\(sequence.id)' cannot waive a warning about it.",
        next: "Let somebody decide who did not write on it.")
    }
    guard now < expires, expires.since(now) <= ProgrammeLimits.waiverFor else {
      throw AWError(
        .usage, "A waiver ends within \(ProgrammeLimits.waiverFor.words), and not in the past.",
        next: "Choose an earlier end.")
    }
    let waiver = Waiver(
      id: id, warning: warning, packet: sequence.digest, reason: try Self.plain(reason, "reason"), expires: expires,
      by: author)
    return (sequence.id, .waiver(waiver))
  }

  /// - Throws: `programmeSequenceUnknown`, `conflict`.
  public func supersede(_ id: Slug, by successor: Slug, because reason: String) throws(AWError) -> ProgrammeEntry.Change
  {
    guard try sequence(id).successor == nil, try sequence(successor).successor == nil, id != successor else {
      throw AWError(
        .conflict, "One of the two sequences is superseded already, or they are one.", next: "See 'aw programme show'.")
    }
    return .superseded(by: successor, reason: try Self.plain(reason, "reason"))
  }

  // MARK: - Parts

  func isDone(_ sequence: SequenceRecord, _ check: DecisionCheck) -> Bool {
    check.isPassed && sequence.execution(.finish, of: sequence.digest) != nil
  }

  private func open(_ id: WarningID) throws(AWError) -> (SequenceRecord, Recorded<ArchitectureWarning>) {
    for sequence in programme.ordered {
      guard let found = sequence.warnings.first(where: { $0.value.id == id }) else { continue }
      guard sequence.isOpen(found.value) else {
        throw AWError(.conflict, "The warning is settled.", next: "See 'aw programme show \(sequence.id)'.")
      }
      return (sequence, found)
    }
    throw AWError(.programmeWarningUnknown, "There is no warning \(id).", next: "See 'aw programme board'.")
  }

  private func isCurrent(_ digest: PacketDigest, _ sequence: SequenceRecord) throws(AWError) {
    guard digest == sequence.digest else {
      throw AWError(
        .programmePacketStale,
        "The packet \(digest.short) is not the current one of '\(sequence.id)': that is \(sequence.digest.short).",
        next: "Read the current one: 'aw programme packet show \(sequence.id)'. What was decided on another is void.")
    }
  }

  /// - Throws: `usage` for an empty text, a long one, and one with control characters.
  static func plain(_ text: String, _ what: String) throws(AWError) -> String {
    let isPlain = !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard (1...ProgrammeLimits.phraseCharactersMax).contains(text.count), isPlain else {
      throw AWError(
        .usage, "A \(what) has 1 to \(ProgrammeLimits.phraseCharactersMax) characters, none of them a control one.",
        next: "Say it in one line.")
    }
    return text
  }

  private static func invalid(_ what: String, _ why: String) -> AWError {
    AWError(.programmePacketInvalid, "\(what.capitalisedFirst) cannot be taken: \(why).", next: "Correct it.")
  }

  private static func outOfOrder(_ missing: GateVerdict, _ id: Slug) -> AWError {
    AWError(
      .programmeGateOrder,
      "The gate \(missing.gate.kind.rawValue) of '\(id)' is not passed: \(missing.state.rawValue).",
      next: "Ask for its decision: 'aw programme decide request \(id) \(missing.gate.kind.rawValue)'.")
  }

  private static var used: AWError {
    AWError(
      .programmeDecisionUsed, "This approval was used before, and an approval is used once.",
      next: "Amend the packet and ask for a new one, if more is to be done.")
  }

  private static func refused(_ reason: StrikeReason) -> AWError {
    let code: ErrorCode =
      switch reason {
      case .selfGiven: .programmeSelfGiven
      case .outOfOrder: .programmeGateOrder
      case .superseded: .programmePacketStale
      default: .programmeDecisionRefused
      }
    return AWError(
      code, "The decision counts for nothing: \(reason.words).",
      next: "Ask for one anew: 'aw programme decide request'. Who may sign it, 'aw programme show' says.")
  }
}

extension String {
  /// With its first letter in upper case.
  var capitalisedFirst: String { prefix(1).uppercased() + dropFirst() }
}
