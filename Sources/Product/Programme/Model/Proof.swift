import Basics

/// What a proof looks at: a synthetic Org, and one of its Instances.
public struct ProofSubject: Codable, Sendable, Equatable {
  public var org: Slug
  public var instance: Slug?

  public init(org: Slug, instance: Slug? = nil) { (self.org, self.instance) = (org, instance) }
}

/// What a proof saw.
public struct ProofFinding: Sendable, Equatable {
  public let text: String
  public let holds: Bool
  public let evidence: [EvidenceReference]
  /// What it shows to be reached, by the milestones' ids.
  public let milestones: [String]

  /// A proof that saw nothing in the evidence has not held.
  public init(_ text: String, holds: Bool, evidence: [EvidenceReference], milestones: [String] = []) {
    (self.text, self.holds) = (text, holds && !evidence.isEmpty)
    (self.evidence, self.milestones) = (evidence, milestones)
  }
}

/// A proof that can be run: the control plane itself looks, and nobody tells it what it saw.
public typealias ProofCheck = @Sendable (ProofSubject) async throws -> ProofFinding

/// What came of the proofs of a sequence.
public struct ProofReport: Codable, Sendable, Equatable {
  public let sequence: Slug
  public let subject: ProofSubject
  /// The number of the checkpoint.
  public let checkpoint: Int
  public let claims: [Claim]
  /// The phrases of which nothing is built, so that nothing can be run.
  public let unbuilt: [String]

  public var holds: Bool { claims.allSatisfy(\.holds) }
}

extension Packet {
  /// The proofs that it names, in their order, with the phrase of each.
  var proofs: [(phrase: String, name: String)] {
    delivers.compactMap { deliverable in deliverable.proof.map { (deliverable.phrase, $0) } }
  }

  /// Makes claims of what was found: one for each proof, and one for each further milestone that it reached.
  func claims(of findings: [(name: String, finding: ProofFinding)]) -> ([Claim], [EvidenceReference]) {
    let known = Set(gates.flatMap(\.milestones).map(\.id.text))
    var (claims, evidence): ([Claim], [EvidenceReference]) = ([], [])
    for (name, finding) in findings {
      var places: [Int] = []
      for reference in finding.evidence {
        if let place = evidence.firstIndex(where: { $0.digest == reference.digest }) {
          places.append(place)
        } else {
          evidence.append(reference)
          places.append(evidence.count - 1)
        }
      }
      let milestones = finding.holds ? finding.milestones.filter(known.contains).compactMap { try? Slug($0) } : []
      for milestone in milestones.isEmpty ? [nil] : milestones.map(Optional.some) {
        claims.append(
          Claim(
            finding.text, .machineChecked, holds: finding.holds, milestone: milestone, proof: name, evidence: places))
      }
    }
    return (claims, evidence)
  }
}
