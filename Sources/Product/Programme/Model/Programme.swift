import Basics

public enum ProgrammeEntryTag {}
public typealias ProgrammeEntryID = ID<ProgrammeEntryTag>

/// One thing that happened in the programme. The programme is what follows from all of them, in their order.
public struct ProgrammeEntry: Codable, Sendable, Equatable {
  public enum Change: Codable, Sendable, Equatable {
    /// A sequence's first packet, or an amendment; an amendment has a reason.
    case packet(Packet, reason: String?)
    /// A packet is asked to be reviewed.
    case proposal(PacketDigest)
    case decision(Decision)
    case execution(Execution)
    case checkpoint(Checkpoint)
    case warning(ArchitectureWarning)
    case resolution(Resolution)
    case waiver(Waiver)
    case superseded(by: Slug, reason: String)
  }

  public let id: ProgrammeEntryID
  public let sequence: Slug
  public let at: Timestamp
  /// Who did it, as evidence names them.
  public let by: Author
  public let change: Change

  public init(id: ProgrammeEntryID, sequence: Slug, at: Timestamp, by: Author, _ change: Change) {
    (self.id, self.sequence, self.at, self.by, self.change) = (id, sequence, at, by, change)
  }
}

/// The use of decisions, which uses them up.
public struct Execution: Codable, Sendable, Equatable {
  public enum Act: String, Codable, Sendable, CaseIterable {
    /// Work on the packet begins.
    case begin
    /// The sequence is done.
    case finish
  }

  public let act: Act
  public let packet: PacketDigest
  /// The decisions, by id.
  public let decisions: [String]

  public init(_ act: Act, packet: PacketDigest, decisions: [String]) {
    (self.act, self.packet, self.decisions) = (act, packet, decisions)
  }
}

/// The end of an architecture warning.
public struct Resolution: Codable, Sendable, Equatable {
  public let warning: WarningID
  /// The decision that settled it, by id.
  public let decision: String
  public let note: String

  public init(warning: WarningID, decision: String, note: String) {
    (self.warning, self.decision, self.note) = (warning, decision, note)
  }
}

/// Something of a sequence, and when and by whom it came.
public struct Recorded<Value: Sendable & Equatable>: Sendable, Equatable {
  public let value: Value
  public let at: Timestamp
  public let by: Author
  /// Its place among all entries: which of two came later.
  public let order: Int
}

/// One sequence, with everything that happened to it.
public struct SequenceRecord: Sendable, Equatable {
  /// A packet of it, and why it came.
  public struct Revision: Sendable, Equatable {
    public let packet: Packet
    public let digest: PacketDigest
    public let reason: String?
  }

  public let id: Slug
  /// The first packet and its amendments: never empty.
  public internal(set) var revisions: [Recorded<Revision>]
  public internal(set) var proposals: [Recorded<PacketDigest>] = []
  public internal(set) var decisions: [Recorded<Decision>] = []
  public internal(set) var executions: [Recorded<Execution>] = []
  public internal(set) var checkpoints: [Recorded<Checkpoint>] = []
  public internal(set) var warnings: [Recorded<ArchitectureWarning>] = []
  public internal(set) var resolutions: [Recorded<Resolution>] = []
  public internal(set) var waivers: [Recorded<Waiver>] = []
  public internal(set) var successor: Recorded<Slug>?

  init(id: Slug, first: Recorded<Revision>) { (self.id, revisions) = (id, [first]) }

  public var current: Recorded<Revision> { revisions[revisions.count - 1] }
  public var packet: Packet { current.value.packet }
  public var digest: PacketDigest { current.value.digest }
  var isAmended: Bool { revisions.count > 1 }

  /// The newest use of that kind for a packet.
  func execution(_ act: Execution.Act, of packet: PacketDigest) -> Recorded<Execution>? {
    executions.last { $0.value.act == act && $0.value.packet == packet }
  }

  /// The newest packet on which work began.
  var begun: Recorded<Revision>? {
    guard let last = executions.last(where: { $0.value.act == .begin }) else { return nil }
    return revisions.last { $0.value.digest == last.value.packet }
  }

  /// Whether work began, on whatever packet, and was not finished.
  var isUnderWay: Bool {
    guard let begun, successor == nil else { return false }
    return execution(.finish, of: begun.value.digest) == nil
  }

  func resolution(of warning: WarningID) -> Recorded<Resolution>? {
    resolutions.last { $0.value.warning == warning }
  }

  func isOpen(_ warning: ArchitectureWarning) -> Bool { resolution(of: warning.id) == nil }

  /// The waiver under which a warning blocks nothing now.
  func waiver(of warning: WarningID, at now: Timestamp) -> Recorded<Waiver>? {
    waivers.last { $0.value.warning == warning && $0.value.packet == digest && now < $0.value.expires }
  }

  /// The warnings that block a gate now.
  func blocking(_ gate: GateKind, at now: Timestamp) -> [Recorded<ArchitectureWarning>] {
    warnings.filter { $0.value.blocks.contains(gate) && isOpen($0.value) && waiver(of: $0.value.id, at: now) == nil }
  }

  /// The newest claim about a milestone, with its checkpoint.
  func claim(on milestone: Slug) -> (claim: Claim, checkpoint: Recorded<Checkpoint>)? {
    for checkpoint in checkpoints.reversed() {
      if let claim = checkpoint.value.claims.last(where: { $0.milestone == milestone }) { return (claim, checkpoint) }
    }
    return nil
  }

  func isReached(_ milestone: Milestone) -> Bool { claim(on: milestone.id)?.claim.holds == true }
}

/// The programme: a pure function of its entries.
public struct Programme: Sendable, Equatable {
  public private(set) var sequences: [Slug: SequenceRecord] = [:]
  private var count = 0

  public init() {}

  /// - Parameter entries: in their order. Entries of a sequence that has no packet are left out.
  public init(_ entries: some Swift.Sequence<ProgrammeEntry>) { entries.forEach { add($0) } }

  /// The sequences in the order of their numbers.
  public var ordered: [SequenceRecord] {
    sequences.values.sorted { ($0.packet.number, $0.id) < ($1.packet.number, $1.id) }
  }

  public mutating func add(_ entry: ProgrammeEntry) {
    count += 1
    func recorded<Value>(_ value: Value) -> Recorded<Value> {
      Recorded(value: value, at: entry.at, by: entry.by, order: count)
    }
    if case .packet(let packet, let reason) = entry.change {
      let revision = recorded(SequenceRecord.Revision(packet: packet, digest: packet.digest, reason: reason))
      if sequences[entry.sequence] == nil {
        sequences[entry.sequence] = SequenceRecord(id: entry.sequence, first: revision)
      } else {
        sequences[entry.sequence]?.revisions.append(revision)
      }
      return
    }
    guard var sequence = sequences[entry.sequence] else { return }
    switch entry.change {
    case .packet: return
    case .proposal(let digest): sequence.proposals.append(recorded(digest))
    case .decision(let decision): sequence.decisions.append(recorded(decision))
    case .execution(let execution): sequence.executions.append(recorded(execution))
    case .checkpoint(let checkpoint): sequence.checkpoints.append(recorded(checkpoint))
    case .warning(let warning): sequence.warnings.append(recorded(warning))
    case .resolution(let resolution): sequence.resolutions.append(recorded(resolution))
    case .waiver(let waiver): sequence.waivers.append(recorded(waiver))
    case .superseded(let successor, _): sequence.successor = recorded(successor)
    }
    sequences[entry.sequence] = sequence
  }
}
