import Access
import Basics

/// What is shown of one sequence, on the board and on its own page.
extension BoardPage {
  func sequence(_ line: SequenceLine) -> JSONValue {
    let packet = line.packet
    return [
      "id": .string(line.id.text), "anchor": .string(Self.anchor(line.id)), "link": .string(link(line.id)),
      "number": .integer(Int64(line.number)), "title": .string(line.title), "state": .string(line.state.rawValue),
      "look": .string(Self.look(line.state.rawValue)), "isCurrent": .bool(line.id == board.current),
      "summary": phrase(line.summary), "objective": phrase(line.objective),
      "blockedBy": .array(line.blockedBy.map { ["words": .string($0)] }),
      "supersededBy": line.supersededBy.map { ["id": .string($0.text), "link": .string(link($0))] } ?? .null,
      "next": next(line.next), "packet": digestValue(packet.digest), "revision": .integer(Int64(packet.revision)),
      "made": moment(packet.at), "authors": .string(packet.authors.joined(separator: ", ")),
      "reason": .string(packet.amendment?.reason ?? ""),
      "delivers": .array(line.delivers.map { phrase($0, isDelivered: true) }),
      "wontDo": .array(line.wontDo.map { phrase($0) }),
      "opens": .string(line.opens.map(\.rawValue).joined(separator: ", ")),
      "fixtures": .string(line.fixtures.joined(separator: "; ")),
      "gate": line.gates.first { $0.kind == line.currentGate }.map {
        [
          "title": .string($0.title), "state": .string($0.state.rawValue),
          "look": .string(Self.look($0.state.rawValue)),
        ]
      } ?? .null,
      "gates": .array(line.gates.map { gate($0, of: line) }),
      "recorded": .string(Self.recorded(line)), "gaps": gaps(line),
      "checkpoints": .array(line.checkpoints.map { checkpoint($0, of: line) }),
      "hasCheckpoints": .bool(!line.checkpoints.isEmpty), "versions": versions(packet),
      "hasVersions": .bool(!packet.amendments.isEmpty), "isExport": .bool(isExport),
    ]
  }

  /// The technical words, and the plain ones if they were reviewed.
  private func phrase(_ line: PhraseLine, isDelivered: Bool = false) -> JSONValue {
    [
      "text": .string(line.text), "plain": .string(line.plain ?? ""), "reviewer": .string(line.plainReviewedBy ?? ""),
      "closes": .string(line.scopes.map(\.rawValue).joined(separator: ", ")), "proof": .string(line.proof ?? ""),
      "isUnbuilt": .bool(isDelivered && line.proof == nil),
    ]
  }

  // MARK: - Gates

  private func gate(_ gate: GateLine, of line: SequenceLine) -> JSONValue {
    let signers = gate.signatures == 1 ? "1 signature" : "\(gate.signatures) signatures"
    return [
      "kind": .string(gate.kind.rawValue), "title": .string(gate.title), "state": .string(gate.state.rawValue),
      "look": .string(Self.look(gate.state.rawValue)), "asks": .string("\(signers) as \(gate.role.rawValue)"),
      "waits": waits(gate, line), "decisions": .array(gate.decisions.map { decision($0) }),
      "milestones": .array(
        gate.milestones.map { milestone in
          [
            "words": .string(milestone.words.capitalisedFirst), "isReached": .bool(milestone.isReached),
            "checkpoint": milestone.checkpoint.map {
              ["name": .string(Checkpoint.name($0)), "link": .string(link(line.id, checkpoint: $0))]
            } ?? .null,
          ]
        }), "hasMilestones": .bool(!gate.milestones.isEmpty),
    ]
  }

  /// Who waits on whom: for a gate that is not passed, what has to happen first.
  private func waits(_ gate: GateLine, _ line: SequenceLine) -> JSONValue {
    let since = line.next.map { moment($0.since) } ?? .null
    switch gate.state {
    case .passed, .failed: return .null
    case .waiting, .blocked:
      guard let next = line.next else { return .null }
      let act = next.gate == gate.kind && next.kind == .decide ? "" : "this: \(next.words), by "
      return ["words": .string("Waits for \(act)\(next.who)"), "since": since]
    case .notYet:
      guard let before = line.gates.first(where: { $0.kind == line.currentGate }) else { return .null }
      return ["words": .string("Waits for the gate before it: \(before.title)"), "since": .null]
    }
  }

  // MARK: - Checkpoints

  private func checkpoint(_ checkpoint: CheckpointLine, of line: SequenceLine) -> JSONValue {
    let checked = checkpoint.claims.filter { $0.basis == .machineChecked }.count
    let failed = checkpoint.claims.filter { !$0.holds }.count
    return [
      "name": .string(checkpoint.name), "title": .string(checkpoint.title),
      "anchor": .string(Self.anchor(line.id, checkpoint: checkpoint.number)),
      "link": .string(link(line.id, checkpoint: checkpoint.number)), "digest": digestValue(checkpoint.digest),
      "packet": digestValue(checkpoint.packet), "isFormer": .bool(!checkpoint.isOfCurrentPacket),
      "made": moment(checkpoint.at), "by": .string(checkpoint.by),
      "counts": .string("\(checked) machine-checked, \(checkpoint.claims.count - checked) attested"),
      "failed": .string(failed == 0 ? "" : failed == 1 ? "1 does not hold" : "\(failed) do not hold"),
      "claims": .array(checkpoint.claims.map { claim($0, in: checkpoint) }),
    ]
  }

  /// A claim and what it rests on: each piece of evidence with its digest and age; without one, the checkpoint's own.
  private func claim(_ claim: Claim, in checkpoint: CheckpointLine) -> JSONValue {
    let evidence = claim.evidence.filter(checkpoint.evidence.indices.contains).map { checkpoint.evidence[$0] }
    return [
      "text": .string(claim.text), "basis": .string(claim.basis.rawValue),
      "look": .string(claim.basis == .machineChecked ? "machine" : "attested"), "isFalse": .bool(!claim.holds),
      "milestone": .string(claim.milestone?.text ?? ""), "proof": .string(claim.proof ?? ""),
      "evidence": .array(
        evidence.map {
          [
            "uri": .string($0.uri), "link": .string(link(evidence: $0.uri)), "digest": digestValue($0.digest),
            "made": moment($0.at), "by": .string($0.author?.account ?? ""),
          ]
        }), "isBare": .bool(evidence.isEmpty), "word": .string(checkpoint.by), "said": moment(checkpoint.at),
      "within": digestValue(checkpoint.digest),
    ]
  }

  // MARK: - Versions

  /// Each amendment with its diff, the newest first.
  private func versions(_ packet: PacketLine) -> JSONValue {
    .array(
      packet.amendments.enumerated().reversed().map { index, amendment in
        [
          "revision": .integer(Int64(index + 2)), "from": digestValue(amendment.from), "to": digestValue(amendment.to),
          "made": moment(amendment.at), "by": .string(amendment.by), "reason": .string(amendment.reason),
          "widened": .string(amendment.diff.widened.map(\.rawValue).joined(separator: ", ")),
          "lines": .array(
            amendment.diff.lines.map {
              [
                "part": .string($0.part), "text": .string($0.text), "change": .string($0.change.rawValue),
                "isAdded": .bool($0.change == .added),
              ]
            }),
        ]
      })
  }
}
