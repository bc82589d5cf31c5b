import Basics
import Foundation

/// Entries of a log with the proofs that they are in it, in one file that is verified without the log.
///
/// A JSON document. `checkpoint` is the signed note; each entry has its bytes as text and a `proof` in the form of C2SP
/// tlog-proof, which is a whole file of its own. Of an entry that is withheld there is its hash instead of its bytes.
public struct EvidenceBundle: Codable, Sendable, Equatable {
  public struct Item: Codable, Sendable, Equatable {
    public let index: Int
    /// The canonical JSON that is hashed; nil when it is withheld.
    public let entry: String?
    /// The leaf hash, lower-case hexadecimal, when the entry is withheld.
    public let hash: String?
    /// Why it is withheld.
    public let withheld: String?
    public let proof: String
    /// What was not erased of its redactable fields, as RFC 9901 writes disclosures.
    public let disclosures: [String]
  }

  /// What was asked for; all that is given holds for each entry.
  public struct Scope: Codable, Sendable, Equatable {
    /// The Org, by id.
    public var org: String?
    /// What the entries are about, by id.
    public var subject: String?
    /// The act or operation, by id.
    public var act: String?
    /// The earliest and the latest time, both included.
    public var since: Timestamp?
    public var until: Timestamp?

    public init(
      org: String? = nil, subject: String? = nil, act: String? = nil, since: Timestamp? = nil, until: Timestamp? = nil
    ) {
      (self.org, self.subject, self.act, self.since, self.until) = (org, subject, act, since, until)
    }

    public func holds(_ entry: EvidenceEntry) -> Bool {
      org.map { $0 == entry.org } ?? true && subject.map { $0 == entry.subject?.id } ?? true
        && act.map { $0 == entry.act } ?? true && since.map { entry.at >= $0 } ?? true
        && until.map { entry.at <= $0 } ?? true
    }
  }

  public static let format = "aw-evidence-bundle/1"
  /// The most entries of one bundle.
  public static let entriesMax = 10_000

  public let bundle: String
  public let made: Timestamp
  public let scope: Scope
  /// The log's verifier key.
  public let log: String
  public let checkpoint: String
  public let entries: [Item]
  /// What the checks of hygiene found in exactly these entries when it was made.
  public let hygiene: JSONValue
  /// What holds of every bundle.
  public let completeness: String

  init(
    made: Timestamp, scope: Scope, log: EvidenceVerifierKey, checkpoint: String, entries: [Item], hygiene: JSONValue
  ) {
    bundle = Self.format
    (self.made, self.scope, self.log, self.checkpoint) = (made, scope, log.text, checkpoint)
    (self.entries, self.hygiene, completeness) = (entries, hygiene, EvidenceCompleteness.always)
  }
}

/// A proof in the form of C2SP tlog-proof.
struct InclusionProofText {
  static let header = "c2sp.org/tlog-proof@v1"

  let index: Int
  let hashes: [MerkleHash]
  let checkpoint: String

  var text: String {
    let lines = hashes.map { Data($0.bytes).base64EncodedString() + "\n" }.joined()
    return "\(Self.header)\nindex \(index)\n\(lines)\n\(checkpoint)"
  }

  init(index: Int, hashes: [MerkleHash], checkpoint: String) {
    (self.index, self.hashes, self.checkpoint) = (index, hashes, checkpoint)
  }

  /// Nil when the text is not exactly the form that `text` gives.
  init?(_ text: String) {
    guard let gap = text.range(of: "\n\n", options: .literal) else { return nil }
    let lines = text[..<gap.lowerBound].split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count >= 2, lines[0] == Self.header, lines[1].hasPrefix("index "),
      let index = Int(lines[1].dropFirst("index ".count))
    else { return nil }
    let hashes = lines.dropFirst(2).compactMap { Data(base64Encoded: String($0)).flatMap { MerkleHash($0) } }
    guard hashes.count == lines.count - 2 else { return nil }
    self.init(index: index, hashes: hashes, checkpoint: String(text[gap.upperBound...]))
    guard Array(self.text.utf8) == Array(text.utf8) else { return nil }
  }
}

// MARK: - Verifying

extension EvidenceBundle {
  static let file = "bundle"

  /// Checks a bundle from its bytes alone.
  ///
  /// - Parameters:
  ///   - key: the log's key; nil believes the one in the bundle.
  ///   - cosigned: what a witness saw of the log. A bundle can show that it is shorter, and of a checkpoint of the same
  ///     size whether it is another one; more only the log itself can show.
  /// - Throws: `evidenceBroken` for a file that is no bundle.
  public static func verify(
    _ bytes: [UInt8], key given: EvidenceVerifierKey? = nil, cosigned: CosignedCheckpoint? = nil
  ) throws -> EvidenceReport {
    guard let bundle = try? JSONDecoder().decode(EvidenceBundle.self, from: Data(bytes)), bundle.bundle == format
    else {
      throw AWError(
        .evidenceBroken, "The file is no evidence bundle, or was damaged.",
        next: "Give a file that 'aw evidence export' wrote, or the folder of a log.")
    }
    return bundle.verify(given, cosigned)
  }

  /// The key that a bundle names; nil for a file that is none.
  public static func key(in bytes: [UInt8]) -> EvidenceVerifierKey? {
    (try? JSONValue(parsing: bytes))?["log"]?.stringValue.flatMap { EvidenceVerifierKey($0) }
  }

  private func verify(_ given: EvidenceVerifierKey?, _ cosigned: CosignedCheckpoint?) -> EvidenceReport {
    var report = EvidenceReport()
    report.entries = entries.count
    func problem(_ entry: Int?, _ what: String) {
      report.problems.append(EvidenceProblem(file: Self.file, entry: entry, what: what))
    }
    let own = EvidenceVerifierKey(log)
    if own == nil { problem(nil, "the log's key in it is none") }
    if let given, let own, given != own { problem(nil, "the log's key in it is not the one that was given") }
    guard let key = given ?? own else { return report }
    let signed: EvidenceCheckpoint
    do {
      signed = try EvidenceCheckpoint(note: Array(checkpoint.utf8), key: key)
    } catch {
      problem(nil, (error as? EvidenceCheckpoint.Refusal)?.what ?? "its checkpoint cannot be read")
      return report
    }
    (report.size, report.root) = (signed.size, Hex.encode(signed.root.bytes))
    if let cosigned {
      if signed.size < cosigned.checkpoint.size {
        report.completeness = .compare(cosigned, size: signed.size, root: nil)
      } else if signed.size == cosigned.checkpoint.size {
        report.completeness = .compare(cosigned, size: signed.size, root: signed.root)
      } else {
        report.completeness = .undecided(cosigned)
      }
    }
    var last = -1
    for item in entries {
      if item.index <= last { problem(item.index, "it is not in order") }
      last = item.index
      if let what = self.problem(item, signed) {
        problem(item.index, what)
      } else if let text = item.entry,
        let at = try? EvidenceEntry(parsing: Array(text.utf8), index: Int64(item.index)).at
      {
        report.newest = at.description
      }
    }
    return report
  }

  /// What is wrong with one entry; nil for nothing.
  private func problem(_ item: Item, _ signed: EvidenceCheckpoint) -> String? {
    guard let proof = InclusionProofText(item.proof), proof.index == item.index else { return "its proof is malformed" }
    guard Array(proof.checkpoint.utf8) == Array(checkpoint.utf8) else { return "its proof has another checkpoint" }
    let leaf: MerkleHash
    var commitments: Set<String> = []
    if let text = item.entry {
      leaf = Merkle.leaf(Array(text.utf8))
      do throws(EvidenceEntry.Unreadable) {
        let entry = try EvidenceEntry(parsing: Array(text.utf8), index: Int64(item.index))
        guard scope.holds(entry) else { return "it is not of what the bundle is about" }
        commitments = Set((entry.data["_sd"]?.arrayValue ?? []).compactMap(\.stringValue))
      } catch {
        return error.what
      }
    } else {
      guard let hash = item.hash.flatMap({ Hex.decode($0) }).flatMap({ MerkleHash($0) }) else {
        return "it has neither an entry nor a hash"
      }
      leaf = hash
    }
    guard
      Merkle.verifyInclusion(leaf, index: item.index, size: signed.size, proof: proof.hashes, root: signed.root)
    else { return "the entry was changed, or is not in the log" }
    guard item.disclosures.allSatisfy({ commitments.contains(Redactable.digest(ofDisclosure: $0)) }) else {
      return "a value beside it is not the one that the entry commits to"
    }
    return nil
  }
}
