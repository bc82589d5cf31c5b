import Access
import Basics
import Programme

/// The board of the programme as lines of text.
enum BoardText {
  static func board(_ board: ProgrammeBoard) -> [String] {
    var lines = ["\(board.header)."]
    if let current = board.current { lines.append("  sequence   \(current)") }
    if let next = board.next {
      lines.append("  next       \(next.words), by \(next.who)")
      lines.append("  since      \(next.since.toTheMinute)")
      lines.append("  do it      \(next.command)")
    }
    if let work = board.runtimeWork { lines.append("  work       \(work.words)") }
    if let review = board.latestReview { lines.append("  latest     \(decision(review))") }
    lines.append("")
    for line in board.sequences { lines += sequence(line, isWhole: false) }
    for warning in board.warnings {
      lines.append(
        "\(warning.isOpen ? "Warning" : "Settled")  \(warning.id)  \(warning.assumption) threatens "
          + "\(warning.threatens); \(warning.resolvedBy.rawValue) settles it")
    }
    lines += board.violations.map {
      "OUT OF SCOPE  \($0.evidence.uri)  \($0.kind) (\($0.scope.rawValue)): '\($0.sequence)' says \($0.line.quoted)"
    }
    lines += board.tasks.map { "Task     \($0.words), since \($0.since.toTheMinute)" }
    lines.append(board.evidence.words)
    if let since = board.since { lines.append("Since \(since.toTheMinute):") }
    lines += board.changes.map { "  \($0.at.toTheMinute)  \($0.sequence)  \($0.words), by \($0.by)" }
    return lines
  }

  static func sequence(_ line: SequenceLine, isWhole: Bool) -> [String] {
    var lines = ["\(line.id)  \(line.state.rawValue)  \(line.title)"]
    lines += phrase(line.summary, "  ")
    lines += line.blockedBy.map { "  blocked    \($0)" }
    let count = line.checkpoints.count
    lines.append("  packet     \(line.packet.digest.short), revision \(line.packet.revision)")
    lines.append("  gate       \(line.currentGate?.rawValue ?? "every gate passed")")
    lines.append("  recorded   \(count) \(count == 1 ? "checkpoint" : "checkpoints")\(gaps(line))")
    guard isWhole else { return lines + [""] }
    lines += ["Objective"] + phrase(line.objective, "  ")
    lines += ["Delivers"] + line.delivers.flatMap { phrase($0, "  ") }
    lines += ["Won't do"] + line.wontDo.flatMap { phrase($0, "  ") }
    if let amendment = line.packet.amendment {
      lines.append("Amended from \(amendment.from.short): \(amendment.reason)")
      lines += amendment.diff.lines.map { "  \($0.change == .added ? "+" : "-") \($0.part): \($0.text)" }
    }
    lines.append("Gates")
    for gate in line.gates {
      lines.append("  \(gate.kind.rawValue)  \(gate.state.rawValue)  \(gate.title)")
      lines += gate.milestones.map { "    \($0.words)" }
      lines += gate.decisions.map { "    \(decision($0))" }
    }
    lines.append("Checkpoints")
    for checkpoint in line.checkpoints {
      lines.append(
        "  \(checkpoint.name)  \(checkpoint.at.toTheMinute)  \(checkpoint.digest.short)  \(checkpoint.title)")
      for claim in checkpoint.claims {
        lines.append("    \(claim.holds ? "" : "NOT ")\(claim.basis.rawValue): \(claim.text)")
        lines += claim.evidence.map { checkpoint.evidence[$0] }.map { "      \($0.uri)  \($0.digest.short)" }
      }
    }
    return lines + [""]
  }

  private static func phrase(_ phrase: PhraseLine, _ indent: String) -> [String] {
    let proof = phrase.proof.map { "  [proof: \($0)]" } ?? ""
    let closes = phrase.scopes.isEmpty ? "" : "  [closes: \(phrase.scopes.map(\.rawValue).joined(separator: ", "))]"
    return [indent + phrase.text + proof + closes]
      + (phrase.plain.map { ["\(indent)  in other words: \($0)"] } ?? [])
  }

  private static func decision(_ line: DecisionLine) -> String {
    let words =
      "\(line.gate.rawValue) \(line.result.rawValue) by \(line.person) on \(line.packet.short), "
      + "\(line.at.toTheMinute)"
    if let struck = line.struckWords { return "~~\(words)~~ void: \(struck)" }
    return words + (line.isUsed ? ", used" : ", until \(line.expires.toTheMinute)")
  }

  private static func gaps(_ line: SequenceLine) -> String {
    if line.gaps.isEmpty { return "" }
    return "; missing: \(line.gaps.map { String($0) }.joined(separator: ", "))"
  }
}
