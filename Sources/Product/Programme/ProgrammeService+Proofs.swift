import Access
import Basics
import Evidence
import Store

extension ProgrammeService {
  /// Runs the proofs that a sequence's packet names, and records what they saw as a checkpoint, held or not.
  ///
  /// - Throws: `programmeNotBuilt` for a sequence of which nothing is built; what `checkpoint` throws.
  public func prove(
    _ sequence: Slug, _ subject: ProofSubject, as actor: Actor, dryRun: Bool = false
  ) async throws -> ProofReport {
    let packet = try await packet(of: sequence)
    let runnable = packet.proofs.compactMap { proof in proofs[proof.name].map { (proof, $0) } }
    guard !runnable.isEmpty else { throw Self.notBuilt(packet) }
    var findings: [(name: String, finding: ProofFinding)] = []
    for (proof, check) in runnable { findings.append((proof.name, try await check(subject))) }
    let (claims, evidence) = packet.claims(of: findings)
    let built = Set(runnable.map(\.0.name))
    let unbuilt = packet.delivers.filter { $0.proof.map { !built.contains($0) } ?? true }.map(\.phrase)
    let held = findings.filter(\.finding.holds).count
    let title = "\(held) of \(findings.count) proofs held, for the Org '\(subject.org)'"
    let digest = packet.digest
    let answer = try await change(.programmeCheckpointRecorded, sequence, .anybody, as: actor, dryRun) { rules, _, _ in
      let checkpoint = Checkpoint(
        number: try rules.nextCheckpoint(of: sequence), title: title, packet: digest, claims: claims,
        evidence: evidence)
      return (sequence, try rules.checkpoint(checkpoint, in: sequence))
    }
    return ProofReport(
      sequence: sequence, subject: subject, checkpoint: answer.checkpoint ?? 0, claims: claims, unbuilt: unbuilt)
  }

  /// What a rehearsal of the proofs would run.
  ///
  /// - Throws: `programmeSequenceUnknown`, `programmeNotBuilt`.
  func proofSteps(of sequence: Slug) async throws -> [String] {
    let packet = try await packet(of: sequence)
    let steps = packet.delivers.map { deliverable in
      let isBuilt = deliverable.proof.map { proofs[$0] != nil } ?? false
      return isBuilt
        ? "Run \(deliverable.proof ?? ""): \(deliverable.phrase)."
        : "Leave out, because it is not built: "
          + "\(deliverable.phrase)."
    }
    guard steps.contains(where: { $0.hasPrefix("Run") }) else { throw Self.notBuilt(packet) }
    return steps + ["Record what they saw as the next checkpoint."]
  }

  private func packet(of sequence: Slug) async throws -> Packet {
    guard let packet = try await packets(of: sequence).last else { throw Self.notBuilt(sequence.text, "it") }
    return packet
  }

  private static func notBuilt(_ packet: Packet) -> AWError { notBuilt(packet.sequence.text, packet.title) }

  private static func notBuilt(_ sequence: String, _ title: String) -> AWError {
    AWError(
      .programmeNotBuilt, "Nothing of '\(sequence)' (\(title)) is built in this release, so there is nothing to run.",
      next: "See what is: 'aw programme show'.")
  }
}
