import Access
import Basics
import Crypto

/// Who wrote something: the account that it came by, and the run of an agent, if one did it for a person.
public struct Author: Codable, Sendable, Hashable {
  /// A login name, or the name of a key. Which person that is, `ProgrammeTrust` knows.
  public let account: String
  public let agent: AgentRun?

  public init(account: String, agent: AgentRun? = nil) { (self.account, self.agent) = (account, agent) }
}

/// One run of a model that wrote or judged something.
public struct AgentRun: Codable, Sendable, Hashable {
  public let id: String
  public let model: String
  /// SHA-256 of what it was told, in lower-case hexadecimal.
  public let prompt: String

  public init(id: String, model: String, prompt: String) { (self.id, self.model, self.prompt) = (id, model, prompt) }
}

/// What somebody may be in the programme. A key has one role or more; see `ProgrammeTrust`.
public enum ProgrammeRole: String, Codable, Sendable, CaseIterable {
  case reviewer
  case committer
  /// The user for whom it is built, who approves.
  case owner
  /// Judges what was proven at run time.
  case prover
}

/// The gates of a packet, in the only order in which they pass.
public enum GateKind: String, Codable, Sendable, CaseIterable, Comparable {
  case independentReview = "independent-review"
  case commit
  case userApproval = "user-approval"
  case runtimeProof = "runtime-proof"

  public var role: ProgrammeRole {
    switch self {
    case .independentReview: .reviewer
    case .commit: .committer
    case .userApproval: .owner
    case .runtimeProof: .prover
    }
  }

  var order: Int { GateKind.allCases.firstIndex(of: self) ?? 0 }

  public static func < (left: GateKind, right: GateKind) -> Bool { left.order < right.order }
}

/// Something that a checkpoint can show to be reached, with both ways of saying how it stands.
public struct Milestone: Codable, Sendable, Equatable {
  public let id: Slug
  /// `Docker engine installed`.
  public let done: String
  /// `container runtime not started`.
  public let open: String

  public init(_ id: Slug, done: String, open: String) { (self.id, self.done, self.open) = (id, done, open) }
}

/// A gate that a packet has to pass.
public struct RequiredGate: Codable, Sendable, Equatable {
  public let kind: GateKind
  /// The technical phrase.
  public let title: String
  /// How many people have to sign the same decision.
  public let signatures: Int
  /// What has to be shown, in the order in which it comes.
  public let milestones: [Milestone]

  public init(_ kind: GateKind, title: String, signatures: Int = 1, milestones: [Milestone] = []) {
    (self.kind, self.title, self.signatures, self.milestones) = (kind, title, signatures, milestones)
  }
}

/// Something that a packet delivers, in its technical phrase.
public struct Deliverable: Codable, Sendable, Equatable {
  public let phrase: String
  /// The name of the proof that can be run for it; nil when nothing of it is built.
  public let proof: String?

  public init(_ phrase: String, proof: String? = nil) { (self.phrase, self.proof) = (phrase, proof) }
}

/// Something that a packet will not do, in its technical phrase, and what it closes.
public struct WontDo: Codable, Sendable, Equatable {
  public let phrase: String
  /// In alphabetical order. Empty for a line that is about no act.
  public let scopes: [ActScope]
  /// True when the line itself says that a separate approval opens it: then a signed gate for the thing is enough.
  public let unlessApproved: Bool

  public init(_ phrase: String, _ scopes: [ActScope], unlessApproved: Bool = false) {
    (self.phrase, self.scopes, self.unlessApproved) = (phrase, scopes.sorted(), unlessApproved)
  }
}

/// The document that scopes the work of one sequence. It is known by its content: to change it is to amend it.
public struct Packet: Codable, Sendable, Equatable {
  public var sequence: Slug
  public var number: Int
  public var title: String
  public var summary: String
  public var objective: String
  public var delivers: [Deliverable]
  public var wontDo: [WontDo]
  /// What this packet opens that others close, in alphabetical order. It counts when the packet passed its gates.
  public var opens: [ActScope]
  public var gates: [RequiredGate]
  /// What it works on: no real system is among them.
  public var fixtures: [String]
  /// Everybody who wrote on it, in alphabetical order; an amendment adds, and takes nobody away.
  public var authors: [Author]

  public init(
    sequence: Slug, number: Int, title: String, summary: String, objective: String, delivers: [Deliverable],
    wontDo: [WontDo], opens: [ActScope] = [], gates: [RequiredGate], fixtures: [String], authors: [Author]
  ) {
    (self.sequence, self.number, self.title, self.summary) = (sequence, number, title, summary)
    (self.objective, self.delivers, self.wontDo, self.opens) = (objective, delivers, wontDo, opens.sorted())
    (self.gates, self.fixtures, self.authors) = (gates, fixtures, authors)
  }

  /// SHA-256 over the canonical JSON (RFC 8785), `sha256:` and lower-case hexadecimal.
  public var digest: PacketDigest { PacketDigest(of: self) }

  public func gate(_ kind: GateKind) -> RequiredGate? { gates.first { $0.kind == kind } }

  /// The gates before the proof: with them passed, work may begin.
  var approvals: [RequiredGate] { gates.filter { $0.kind < .runtimeProof } }

  /// What is wrong with it, as the end of a sentence; nil when nothing is.
  public var problem: String? {
    let texts =
      [title, summary, objective] + delivers.map(\.phrase) + wontDo.map(\.phrase) + gates.map(\.title) + fixtures
      + gates.flatMap(\.milestones).flatMap { [$0.done, $0.open] }
    let isPlain = texts.allSatisfy { text in
      (1...ProgrammeLimits.phraseCharactersMax).contains(text.count)
        && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }
    guard isPlain else {
      return "a phrase is empty, longer than \(ProgrammeLimits.phraseCharactersMax) characters, or has control ones"
    }
    guard texts.count <= ProgrammeLimits.phrasesMax else { return "it has too many phrases" }
    let kinds = gates.map(\.kind)
    guard kinds == Set(kinds).sorted() else { return "its gates are not in order, or one is there twice" }
    guard kinds.contains(.independentReview), kinds.contains(.userApproval) else {
      return "it lacks the independent review or the user approval"
    }
    guard gates.allSatisfy({ (1...Self.signaturesMax).contains($0.signatures) }) else {
      return "a gate needs 1 to \(Self.signaturesMax) signatures"
    }
    guard wontDo.allSatisfy({ $0.scopes == Set($0.scopes).sorted() }), opens == Set(opens).sorted() else {
      return "scopes are in alphabetical order, none twice"
    }
    guard !wontDo.contains(where: { line in line.scopes.contains { opens.contains($0) } }) else {
      return "it opens what one of its own lines closes"
    }
    let milestones = gates.flatMap(\.milestones).map(\.id)
    guard Set(milestones).count == milestones.count else { return "a milestone is there twice" }
    guard !authors.isEmpty else { return "nobody wrote it" }
    return nil
  }

  private static let signaturesMax = 8
}

/// The digest of a packet: `sha256:` and 64 hexadecimal digits.
public struct PacketDigest: Hashable, Sendable, Codable, CustomStringConvertible {
  public let text: String
  public var description: String { text }

  /// The 64 digits.
  public var hex: String { String(text.dropFirst(Self.prefix.count)) }

  /// The first digits, for people who compare two by eye.
  public var short: String { String(text.prefix(Self.prefix.count + 12)) }

  /// Nil when the text is no such digest.
  public init?(_ text: String) {
    guard text.hasPrefix(Self.prefix), text.count == Self.prefix.count + 64,
      let bytes = Hex.decode(String(text.dropFirst(Self.prefix.count))), Self.prefix + Hex.encode(bytes) == text
    else { return nil }
    self.text = text
  }

  init(of value: some Encodable) {
    // Values of this room hold text, whole numbers and lists: they always encode.
    text = Self.prefix + SHA256.hex(Array(((try? JSONValue(encoding: value)) ?? .null).canonical.utf8))
  }

  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let digest = PacketDigest(text) else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no digest"))
    }
    self = digest
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  private static let prefix = "sha256:"
}

/// The numbers that bound the programme. All are decisions of this project.
public enum ProgrammeLimits {
  /// Characters of a phrase, a reason or a claim.
  public static let phraseCharactersMax = 1_000
  /// Phrases of one packet.
  public static let phrasesMax = 200
  /// From a decision to its end: an approval that nobody used in a month is asked for anew.
  public static let decisionFor = Duration.seconds(30 * 86_400)
  /// A signer's clock may be ahead of AW's by so much.
  public static let clockAhead = Duration.seconds(5 * 60)
  public static let waiverFor = Duration.seconds(14 * 86_400)
  /// Claims, and references to evidence, of one checkpoint.
  public static let claimsMax = 50
  public static let checkpointNumberMax = 9_999
  /// Entries of the programme that are read at once.
  public static let entriesMax = 10_000
  /// How far back changes are told to somebody who never marked the board as read.
  public static let changesAtFirst = Duration.seconds(7 * 86_400)
  /// Keys that a deployment trusts in the programme.
  public static let signersMax = 64
}
