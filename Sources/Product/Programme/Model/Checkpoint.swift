import Basics

/// Where evidence is, and what it was when somebody referred to it.
public struct EvidenceReference: Codable, Sendable, Equatable {
  /// `evidence/123` for an entry of the log, or the path of a document.
  public let uri: String
  /// `sha256:` and lower-case hexadecimal.
  public let digest: PacketDigest
  public let at: Timestamp
  /// Who made it; nil for what a machine observed.
  public let author: Author?

  public init(uri: String, digest: PacketDigest, at: Timestamp, author: Author? = nil) {
    (self.uri, self.digest, self.at, self.author) = (uri, digest, at, author)
  }
}

/// Something that a checkpoint says.
public struct Claim: Codable, Sendable, Equatable {
  public enum Basis: String, Codable, Sendable, CaseIterable {
    /// A program looked, and this is what it saw.
    case machineChecked = "machine-checked"
    /// A person says so.
    case attested
  }

  public let text: String
  public let basis: Basis
  /// False for a claim that did not hold.
  public let holds: Bool
  /// What it shows to be reached.
  public let milestone: Slug?
  /// The proof that made it.
  public let proof: String?
  /// Which of the checkpoint's evidence it rests on, by position.
  public let evidence: [Int]

  public init(
    _ text: String, _ basis: Basis, holds: Bool = true, milestone: Slug? = nil, proof: String? = nil,
    evidence: [Int] = []
  ) {
    (self.text, self.basis, self.holds, self.milestone) = (text, basis, holds, milestone)
    (self.proof, self.evidence) = (proof, evidence)
  }
}

/// A numbered proof of a sequence. It is never changed.
public struct Checkpoint: Codable, Sendable, Equatable {
  /// From 0 on.
  public let number: Int
  public let title: String
  /// The packet under which it was made.
  public let packet: PacketDigest
  public let claims: [Claim]
  public let evidence: [EvidenceReference]

  public init(number: Int, title: String, packet: PacketDigest, claims: [Claim], evidence: [EvidenceReference]) {
    (self.number, self.title, self.packet) = (number, title, packet)
    (self.claims, self.evidence) = (claims, evidence)
  }

  public var digest: PacketDigest { PacketDigest(of: self) }

  /// `checkpoint-009`.
  public var name: String { Self.name(number) }

  static func name(_ number: Int) -> String {
    let digits = String(number)
    return "checkpoint-" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
  }

  /// What is wrong with it, as the end of a sentence; nil when nothing is.
  public var problem: String? {
    guard (0...ProgrammeLimits.checkpointNumberMax).contains(number) else { return "its number is out of range" }
    guard (1...ProgrammeLimits.claimsMax).contains(claims.count), evidence.count <= ProgrammeLimits.claimsMax else {
      return "it needs 1 to \(ProgrammeLimits.claimsMax) claims, and no more pieces of evidence than that"
    }
    let texts = [title] + claims.map(\.text) + evidence.map(\.uri)
    guard texts.allSatisfy({ (1...ProgrammeLimits.phraseCharactersMax).contains($0.count) }) else {
      return "a text of it is empty or longer than \(ProgrammeLimits.phraseCharactersMax) characters"
    }
    guard claims.allSatisfy({ $0.evidence.allSatisfy(evidence.indices.contains) }) else {
      return "a claim names evidence that is not there"
    }
    let unproven = claims.contains { $0.basis == .machineChecked && $0.holds && $0.evidence.isEmpty }
    return unproven ? "a claim is called machine-checked, holds, and names no evidence" : nil
  }
}

public enum ArchitectureWarningTag {}
public typealias WarningID = ID<ArchitectureWarningTag>

/// An assumption that may be wrong, and what hangs on it. While it is open it blocks the gates that it names.
public struct ArchitectureWarning: Codable, Sendable, Equatable {
  public let id: WarningID
  public let assumption: String
  /// The decision that it threatens.
  public let threatens: String
  public let raisedBy: Author
  /// The gate whose decision settles it.
  public let resolvedBy: GateKind
  public let blocks: [GateKind]

  public init(
    id: WarningID, assumption: String, threatens: String, raisedBy: Author, resolvedBy: GateKind, blocks: [GateKind]
  ) {
    (self.id, self.assumption, self.threatens, self.raisedBy) = (id, assumption, threatens, raisedBy)
    (self.resolvedBy, self.blocks) = (resolvedBy, Set(blocks).sorted())
  }
}

public enum WaiverTag {}
public typealias WaiverID = ID<WaiverTag>

/// Lets the gates that a warning blocks be decided for a while. It counts for one packet. No gate itself can be waived.
public struct Waiver: Codable, Sendable, Equatable {
  public let id: WaiverID
  public let warning: WarningID
  public let packet: PacketDigest
  public let reason: String
  public let expires: Timestamp
  public let by: Author

  public init(
    id: WaiverID, warning: WarningID, packet: PacketDigest, reason: String, expires: Timestamp, by: Author
  ) {
    (self.id, self.warning, self.packet) = (id, warning, packet)
    (self.reason, self.expires, self.by) = (reason, expires, by)
  }
}
