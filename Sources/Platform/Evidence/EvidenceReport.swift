import Basics

/// One thing that is wrong with a published log or a bundle.
public struct EvidenceProblem: Sendable, Hashable, Codable {
  /// The file, by its path in the folder of the log; `bundle` for a bundle.
  public let file: String
  /// The first entry that is concerned; nil when the problem is not one of entries.
  public let entry: Int?
  public let what: String
}

/// The verdict on a published log or a bundle: two verdicts, always apart. `problems` are those of integrity, which is
/// proven. `completeness` is what is known of entries that are not there.
public struct EvidenceReport: Sendable, Codable {
  /// How many entries the checkpoint signs; 0 when the checkpoint cannot be trusted.
  public var size = 0
  /// The signed root hash, lower-case hexadecimal; empty when the checkpoint cannot be trusted.
  public var root = ""
  /// The time in the last entry, RFC 3339.
  public var newest: String?
  /// By file and entry. Empty for a log that is intact.
  public var problems: [EvidenceProblem] = []
  /// Files that say nothing about the signed log: left by an interrupted run, or written after the checkpoint.
  public var leftovers: [String] = []
  /// Of a bundle: how many entries it has.
  public var entries: Int?
  public var completeness = EvidenceCompleteness.unknown

  public var isIntact: Bool { problems.isEmpty }
  /// Intact, and nothing contradicts a witness.
  public var isFine: Bool { isIntact && !completeness.isContradicted }
}

/// What is known of entries that are not there. Never a proof that nothing is missing.
public struct EvidenceCompleteness: Sendable, Codable, Equatable {
  public enum Verdict: String, Sendable, Codable {
    /// Nobody who saw the log before was asked.
    case unknown
    /// Everything that a witness saw is there; of what came afterwards nothing is known.
    case witnessed
    /// A witness saw more entries than there are.
    case truncated
    /// A witness saw other entries.
    case forked
  }

  public let verdict: Verdict
  public let witness: String?
  /// How many entries the witness saw, and when.
  public let size: Int?
  public let at: Timestamp?
  public let says: String
  /// How many control planes wrote heartbeats; nil, as `gaps`, for a bundle and for a log that is not intact.
  public internal(set) var sources: Int?
  /// Where their heartbeats are missing. That contradicts nobody: `isContradicted` is of witnesses alone.
  public internal(set) var gaps: [EvidenceGap]?

  public var isContradicted: Bool { verdict == .truncated || verdict == .forked }

  /// What holds whatever the verdict is.
  public static let always = "The absence of an entry proves nothing for best-effort sources."

  static let unknown = EvidenceCompleteness(
    .unknown, nil, "no witness was asked, so entries may be missing at the end, or all may be others than before")

  /// A bundle of a longer log does not have what the comparison takes.
  static func undecided(_ cosigned: CosignedCheckpoint) -> EvidenceCompleteness {
    let seen = cosigned.checkpoint.size
    return EvidenceCompleteness(
      .unknown, cosigned, "a witness saw \(seen) entries; whether the log went on from them, only the log can show")
  }

  init(_ verdict: Verdict, _ cosigned: CosignedCheckpoint?, _ says: String) {
    (self.verdict, self.says) = (verdict, says)
    (witness, size, at) = (cosigned?.witness, cosigned?.checkpoint.size, cosigned?.at)
  }

  /// - Parameters:
  ///   - size: of the log that is looked at; its first entries hash to `root` up to the witness's size.
  ///   - root: nil when the log is shorter.
  static func compare(_ cosigned: CosignedCheckpoint, size: Int, root: MerkleHash?) -> EvidenceCompleteness {
    let seen = cosigned.checkpoint.size
    let who = "the witness \(cosigned.witness.quoted) saw \(seen) entries at \(cosigned.at)"
    guard let root else { return EvidenceCompleteness(.truncated, cosigned, "\(who), and here are \(size)") }
    guard root == cosigned.checkpoint.root else {
      return EvidenceCompleteness(.forked, cosigned, "\(who), and the first \(seen) entries here are others")
    }
    return EvidenceCompleteness(.witnessed, cosigned, "\(who), and they are all here; of later ones nothing is known")
  }
}
