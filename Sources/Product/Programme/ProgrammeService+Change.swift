import Access
import Basics
import Evidence
import Store

/// How the programme stands after an act.
public struct ProgrammeAnswer: Codable, Sendable, Equatable {
  public let sequence: Slug
  /// What happened.
  public let change: String
  public let state: SequenceState
  public let packet: PacketDigest
  /// How this sequence stands, as the board's header would say it of this one.
  public let header: String
  public let next: NextAct?
  /// The number of the checkpoint that was recorded, or the id of the warning.
  public let checkpoint: Int?
  public let warning: WarningID?
  /// What an amendment changed.
  public let diff: PacketDiff?
}

extension ProgrammeService {
  /// Whether an act needs somebody in particular who answers for it.
  enum Asker {
    case anybody
    case person
  }

  /// One act: asks the rules, appends what follows, and leaves evidence of it.
  func change(
    _ kind: EvidenceKind, _ sequence: Slug?, _ asker: Asker, as actor: Actor, _ dryRun: Bool,
    _ decide: @escaping @Sendable (ProgrammeRules, Author, Timestamp) throws -> (Slug, ProgrammeEntry.Change)
  ) async throws -> ProgrammeAnswer {
    let subject = sequence.map { EvidenceSubject(type: "sequence", id: $0.text, slug: $0.text) }
    let act = Act(.programmeManage, kind: kind, subject: subject)
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let author = try Self.author(actor, asker, in: tx)
      var entries = try entries(in: tx)
      let change: (sequence: Slug, ProgrammeEntry.Change)
      do {
        change = try decide(ProgrammeRules(Programme(entries), trust, at: context.at), author, context.at)
      } catch let error as AWError where error.code.exitCode == 4 {
        throw Acts.Refusal(error)
      }
      try keepBuiltin(change.sequence, in: tx)
      let entry = ProgrammeEntry(
        id: .make(at: context.at), sequence: change.sequence, at: context.at, by: author, change.1)
      try ProgrammeRecords.append(entry, in: tx)
      entries.append(entry)
      context.subject = EvidenceSubject(type: "sequence", id: change.sequence.text, slug: change.sequence.text)
      for (name, value) in Self.details(of: entry, in: Programme(entries)) { context.record(name, value) }
      context.afterCommit(changed)
      return try answer(entry, entries, at: context.at)
    }
  }

  /// Every entry, with the packets that come with the program for the sequences that nobody touched.
  func entries(in tx: Transaction) throws -> [ProgrammeEntry] { try Self.entries(builtin, founded, in: tx) }

  static func entries(
    _ builtin: BuiltinProgramme, _ founded: Timestamp, in tx: Transaction
  ) throws -> [ProgrammeEntry] {
    let recorded = try ProgrammeRecords.entries(in: tx)
    let touched = Set(recorded.map(\.sequence))
    return builtin.entries(at: founded).filter { !touched.contains($0.sequence) } + recorded
  }

  /// The first act on a sequence keeps the packet that it had: another release may come with another one.
  private func keepBuiltin(_ sequence: Slug, in tx: Transaction) throws {
    guard let packet = builtin.packets.first(where: { $0.sequence == sequence }),
      !(try ProgrammeRecords.entries(in: tx).contains { $0.sequence == sequence })
    else { return }
    try ProgrammeRecords.append(BuiltinProgramme.entry(packet, at: founded), in: tx)
  }

  static func authors(_ authors: [Author], _ author: Author) -> [Author] {
    Set(authors + [author]).sorted { ($0.account, $0.agent?.id ?? "") < ($1.account, $1.agent?.id ?? "") }
  }

  /// - Throws: `programmeNoAuthor`.
  static func author(_ actor: Actor, _ asker: Asker, in tx: Transaction) throws -> Author {
    if let person = try AccessRecords.person(behind: actor, in: tx) { return Author(account: person.text) }
    guard asker == .anybody else {
      throw Acts.Refusal(
        AWError(
          .programmeNoAuthor, "This needs a person who answers for it, and there is nobody in particular here.",
          next: "Use an API token of your own (a context file with 'tokenFile'), not the control plane's socket."))
    }
    return Author(account: actor.text)
  }

  private func answer(
    _ entry: ProgrammeEntry, _ entries: [ProgrammeEntry], at now: Timestamp
  ) throws -> ProgrammeAnswer {
    let rules = ProgrammeRules(Programme(entries), trust, at: now)
    let story = SequenceStory(try rules.sequence(entry.sequence), rules)
    let line = story.line(builtin.plain)
    var (checkpoint, warning, diff): (Int?, WarningID?, PacketDiff?)
    switch entry.change {
    case .checkpoint(let made): checkpoint = made.number
    case .warning(let made): warning = made.id
    case .packet: diff = line.packet.amendment?.diff
    default: break
    }
    return ProgrammeAnswer(
      sequence: line.id, change: ChangeLine(entry).words, state: line.state, packet: line.packet.digest,
      header: story.header, next: story.next, checkpoint: checkpoint, warning: warning, diff: diff)
  }

  /// What evidence says of an entry.
  private static func details(of entry: ProgrammeEntry, in programme: Programme) -> [String: JSONValue] {
    var details: [String: JSONValue] = [
      "entry": .string(entry.id.text), "sequence": .string(entry.sequence.text), "account": .string(entry.by.account),
    ]
    if let packet = programme.sequences[entry.sequence]?.digest { details["packet"] = .string(packet.text) }
    switch entry.change {
    case .packet(_, let reason):
      if let reason { details["reason"] = .string(reason) }
      let former = programme.sequences[entry.sequence]?.revisions.dropLast().last?.value.digest
      if let former { details["former"] = .string(former.text) }
    case .proposal: break
    case .decision(let decision):
      details["decision"] = .string(decision.id)
      details["keys"] = .array(decision.envelope.signatures.map { .string($0.keyid) })
      if let said = decision.said {
        details["gate"] = .string(said.claim.gate.rawValue)
        details["result"] = .string(said.claim.verificationResult.rawValue)
      }
    case .execution(let execution): details["decisions"] = .array(execution.decisions.map { .string($0) })
    case .checkpoint(let checkpoint):
      details["checkpoint"] = .integer(Int64(checkpoint.number))
      details["digest"] = .string(checkpoint.digest.text)
    case .warning(let warning): details["warning"] = .string(warning.id.text)
    case .resolution(let resolution):
      details["warning"] = .string(resolution.warning.text)
      details["decision"] = .string(resolution.decision)
    case .waiver(let waiver):
      details["warning"] = .string(waiver.warning.text)
      details["until"] = .string(waiver.expires.description)
      details["reason"] = .string(waiver.reason)
    case .superseded(let successor, let reason):
      details["by"] = .string(successor.text)
      details["reason"] = .string(reason)
    }
    return details
  }
}
