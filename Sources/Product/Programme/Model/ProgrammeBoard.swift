import Access
import Basics

/// The state of a sequence. No other word is used for it.
public enum SequenceState: String, Codable, Sendable, CaseIterable {
  case draft = "Draft"
  case inReview = "In review"
  case approved = "Approved"
  case active = "Active"
  case blocked = "Blocked"
  case superseded = "Superseded"
  case done = "Done"
}

/// The one record from which everything about the programme is shown: a pure function of the programme's entries, of
/// what the evidence says, and of the time. Nothing else is asked for a tile, so no two tiles can disagree.
public struct ProgrammeBoard: Codable, Sendable, Equatable {
  public let deployment: String
  public let at: Timestamp
  /// How the current sequence stands, in one sentence.
  public let header: String
  /// The sequence that the header speaks of: the active one, else the first that waits for somebody, else the first
  /// draft.
  public let current: Slug?
  /// The one thing to do next; nil when everything is over.
  public let next: NextAct?
  /// Whether work on the current packet may go on.
  public let runtimeWork: RuntimeWork?
  /// The newest decision about the current sequence, and what it is worth.
  public let latestReview: DecisionLine?
  /// In the order of their numbers.
  public let sequences: [SequenceLine]
  /// Of all sequences, the open ones first.
  public let warnings: [WarningLine]
  public let evidence: EvidenceSummary
  /// Evidence that stands against a line of a packet, newest first: shown red.
  public let violations: [ViolationLine]
  /// Emergencies that nobody has looked at since, and whatever else waits for a person beside the gates.
  public let tasks: [ReviewTask]
  /// What `changes` counts from.
  public let since: Timestamp?
  /// What happened after `since`, oldest first.
  public let changes: [ChangeLine]
}

/// The one next act.
public struct NextAct: Codable, Sendable, Equatable {
  public enum Kind: String, Codable, Sendable, CaseIterable {
    case propose
    case decide
    case begin
    case prove
    case finish
    case resolveWarning = "resolve-warning"
    case amend
  }

  public let kind: Kind
  public let sequence: Slug
  /// The gate that is decided by it, if one is.
  public let gate: GateKind?
  /// `Renewed user approval`.
  public let words: String
  /// Who must do it, for people: `owner (ada, una)`.
  public let who: String
  /// By name, where the programme knows them.
  public let people: [Slug]
  /// Since when it is waited for.
  public let since: Timestamp
  /// How it is done.
  public let command: String
}

/// Whether work may go on.
public struct RuntimeWork: Codable, Sendable, Equatable {
  public let isAllowed: Bool
  public let words: String
}

/// A phrase of a packet. The technical words are the text; plain ones come second, if somebody reviewed them.
public struct PhraseLine: Codable, Sendable, Equatable {
  public let text: String
  /// Nil unless a reviewed text is bound to exactly this phrase.
  public let plain: String?
  public let plainReviewedBy: String?
  /// What a "won't do" line closes, or the proof of a deliverable.
  public let scopes: [ActScope]
  public let proof: String?
}

/// One sequence of the board.
public struct SequenceLine: Codable, Sendable, Equatable {
  public let id: Slug
  public let number: Int
  public let title: String
  public let summary: PhraseLine
  public let state: SequenceState
  /// Why it is blocked, each a sentence.
  public let blockedBy: [String]
  public let packet: PacketLine
  public let objective: PhraseLine
  public let delivers: [PhraseLine]
  public let wontDo: [PhraseLine]
  public let opens: [ActScope]
  public let fixtures: [String]
  public let gates: [GateLine]
  /// The first gate that is not passed.
  public let currentGate: GateKind?
  /// What it waits for; nil when it is over.
  public let next: NextAct?
  /// By number: as many as are counted anywhere.
  public let checkpoints: [CheckpointLine]
  /// Numbers below the highest one that no checkpoint has.
  public let gaps: [Int]
  public let supersededBy: Slug?
}

/// The packet of a sequence.
public struct PacketLine: Codable, Sendable, Equatable {
  public let digest: PacketDigest
  /// 1 for the first one; more when it was amended.
  public let revision: Int
  public let at: Timestamp
  public let authors: [String]
  /// From the first packet to this one, oldest first: as many as there are revisions after the first.
  public let amendments: [AmendmentLine]
  /// The last of them.
  public var amendment: AmendmentLine? { amendments.last }

  public struct AmendmentLine: Codable, Sendable, Equatable {
    public let from: PacketDigest
    public let to: PacketDigest
    public let at: Timestamp
    public let by: String
    public let reason: String
    public let diff: PacketDiff
  }
}

/// A gate and every decision about it.
public struct GateLine: Codable, Sendable, Equatable {
  public let kind: GateKind
  public let title: String
  public let role: ProgrammeRole
  public let signatures: Int
  public let state: GateVerdict.State
  /// Who passed or failed it.
  public let people: [Slug]
  /// The newest decision last. Those that count for nothing are struck.
  public let decisions: [DecisionLine]
  /// What has to be shown, and whether it is.
  public let milestones: [MilestoneLine]
}

public struct MilestoneLine: Codable, Sendable, Equatable {
  public let id: Slug
  public let words: String
  public let isReached: Bool
  /// The checkpoint that says so.
  public let checkpoint: Int?
}

/// A decision, as it is worth something now.
public struct DecisionLine: Codable, Sendable, Equatable {
  public let id: String
  public let gate: GateKind
  public let result: DecisionClaim.Result
  public let account: String
  public let person: String
  public let agent: AgentRun?
  public let packet: PacketDigest
  public let at: Timestamp
  public let expires: Timestamp
  public let isUsed: Bool
  /// Why it counts for nothing: shown struck through. Nil when it counts.
  public let struck: StrikeReason?
  public let struckWords: String?
  public let evidence: [DecisionClaim.Input]
  public let note: String
}

/// A checkpoint with its claims.
public struct CheckpointLine: Codable, Sendable, Equatable {
  public let number: Int
  /// `checkpoint-009`: also the end of its link.
  public let name: String
  public let title: String
  public let digest: PacketDigest
  public let packet: PacketDigest
  /// False when it was made under a packet that was amended since.
  public let isOfCurrentPacket: Bool
  public let at: Timestamp
  public let by: String
  public let claims: [Claim]
  public let evidence: [EvidenceReference]
}

/// An architecture warning.
public struct WarningLine: Codable, Sendable, Equatable {
  public let id: WarningID
  public let sequence: Slug
  public let assumption: String
  public let threatens: String
  public let raisedBy: String
  public let at: Timestamp
  public let resolvedBy: GateKind
  public let blocks: [GateKind]
  public let isOpen: Bool
  public let resolution: String?
  public let resolvedAt: Timestamp?
  /// The end of the waiver under which it blocks nothing now.
  public let waivedUntil: Timestamp?
  /// Every waiver of it, oldest first. Those that count for nothing are struck.
  public let waivers: [WaiverLine]
}

/// A waiver, as it is worth something now.
public struct WaiverLine: Codable, Sendable, Equatable {
  public let id: WaiverID
  public let reason: String
  public let by: String
  public let at: Timestamp
  public let expires: Timestamp
  /// Why it counts for nothing; nil when it counts.
  public let struckWords: String?
}

/// An entry of the evidence log that is out of the scope of the programme.
public struct ViolationLine: Codable, Sendable, Equatable {
  public let evidence: EvidenceReference
  public let kind: String
  public let scope: ActScope
  public let sequence: Slug
  public let packet: PacketDigest
  /// The phrase that closes it.
  public let line: String
}

/// What waits for a person beside the gates.
public struct ReviewTask: Codable, Sendable, Equatable {
  public let id: String
  public let words: String
  public let since: Timestamp
  public let people: [Slug]

  public init(id: String, words: String, since: Timestamp, people: [Slug]) {
    (self.id, self.words, self.since, self.people) = (id, words, since, people)
  }
}

public struct ChangeLine: Codable, Sendable, Equatable {
  public let at: Timestamp
  public let sequence: Slug
  public let by: String
  public let words: String
}

/// What the evidence says, as values: the board asks nobody.
public struct EvidenceSummary: Codable, Sendable, Equatable {
  /// Entries of the log.
  public let entries: Int64
  /// Nil when the checks never ran, and then the board says so.
  public let hygiene: HygieneVerdict?

  public init(entries: Int64, hygiene: HygieneVerdict? = nil) {
    (self.entries, self.hygiene) = (entries, hygiene)
  }

  /// True when entries were added after the checks ran.
  public var isStale: Bool { hygiene.map { $0.items < entries } ?? false }

  /// In one line.
  public var words: String {
    guard let hygiene else { return "Evidence hygiene: the checks never ran." }
    let checks = hygiene.checks.map(\.id).joined(separator: ", ")
    let findings = hygiene.checks.reduce(0) { $0 + $1.findings }
    let verdict = hygiene.isClean ? "clean" : findings == 1 ? "1 finding" : "\(findings) findings"
    return "Evidence hygiene: \(verdict) by \(checks) over \(hygiene.items) items at \(hygiene.at.toTheMinute)"
      + (isStale ? "; stale: \(entries - hygiene.items) items were added since." : ".")
  }
}

/// What the checks of evidence found: which ran, over how many items, and when.
public struct HygieneVerdict: Codable, Sendable, Equatable {
  public struct Check: Codable, Sendable, Equatable {
    /// `L1`, `L2`, …
    public let id: String
    public let title: String
    public let findings: Int64

    public init(id: String, title: String, findings: Int64) {
      (self.id, self.title, self.findings) = (id, title, findings)
    }
  }

  public let checks: [Check]
  public let items: Int64
  public let at: Timestamp

  public init(checks: [Check], items: Int64, at: Timestamp) {
    (self.checks, self.items, self.at) = (checks, items, at)
  }

  public var isClean: Bool { !checks.isEmpty && checks.allSatisfy { $0.findings == 0 } }
}
