import Basics

/// The words for where a sequence stands: what is behind it, what is ahead, and who has to do it.
struct GateWords {
  let story: SequenceStory

  init(_ story: SequenceStory) { self.story = story }

  private var sequence: SequenceRecord { story.sequence }
  private var check: DecisionCheck { story.check }
  private var id: Slug { sequence.id }

  // MARK: - The header

  /// The last judgement that stands: `independent review passed`.
  var behind: String? {
    if sequence.successor != nil { return nil }
    let passed = check.verdicts.last { $0.isPassed && $0.gate.kind != .commit }
    return passed.map { verdict in
      let verb = verdict.gate.kind == .userApproval ? "given" : "passed"
      return "\(noun(verdict.gate.kind)) \(verb)"
    }
  }

  /// What is waited for, or what stops it.
  var ahead: String {
    if let successor = sequence.successor?.value { return "superseded by \(successor)" }
    if story.state == .done { return "\(id) is done" }
    if let verdict = check.next, let sentence = stopped(verdict) { return sentence }
    if story.state == .draft { return "the \(packet) is a draft that nobody proposed for review" }
    if check.isApproved, !hasBegun { return "waiting for work to begin" }
    guard let verdict = check.next else { return "waiting for the sequence to be finished" }
    return "waiting for \(noun(verdict.gate.kind))"
  }

  /// The last milestone that was reached, and the first that was not.
  var milestones: [String] {
    let all = sequence.packet.gates.flatMap(\.milestones)
    let reached = all.last { sequence.isReached($0) }
    let open = all.first { !sequence.isReached($0) }
    return [reached?.done, open?.open].compactMap(\.self)
  }

  /// Why it is blocked, each a sentence.
  var blockedBy: [String] {
    guard let verdict = check.next else { return [] }
    if verdict.state == .failed {
      let people = verdict.people.map(\.text).joined(separator: ", ")
      return ["\(noun(verdict.gate.kind).capitalisedFirst) failed, says \(people)."]
    }
    return sequence.blocking(verdict.gate.kind, at: story.rules.now).map {
      "It may be wrong that \($0.value.assumption.quoted), which threatens \($0.value.threatens.quoted)."
    }
  }

  private func stopped(_ verdict: GateVerdict) -> String? {
    switch verdict.state {
    case .failed: "\(noun(verdict.gate.kind)) failed"
    case .blocked: "\(noun(verdict.gate.kind)) blocked by an architecture warning"
    case .passed, .waiting, .notYet: nil
    }
  }

  private var hasBegun: Bool { sequence.execution(.begin, of: sequence.digest) != nil }
  private var packet: String { sequence.isAmended ? "amended packet" : "packet" }

  private func noun(_ gate: GateKind) -> String {
    switch gate {
    case .independentReview: return "independent review"
    case .commit: return "commit of the \(packet)"
    case .userApproval:
      let isRenewed = sequence.decisions.contains { decision in
        decision.value.said.map { $0.claim.gate == .userApproval && $0.digest != sequence.digest } ?? false
      }
      return isRenewed ? "renewed user approval" : "user approval"
    case .runtimeProof: return "runtime proof"
    }
  }

  // MARK: - The next act

  var next: NextAct? {
    switch story.state {
    case .done, .superseded: return nil
    case .draft: return act(.propose, "Propose the \(packet) for review", "any operator", [], "propose \(id)")
    case .inReview, .approved, .active, .blocked: break
    }
    if let verdict = check.next, verdict.state == .failed {
      return act(.amend, "Amend the packet", "its authors", authors, "amend \(id) FILE --reason …")
    }
    if let verdict = check.next, verdict.state == .blocked { return resolving(verdict) }
    if check.isApproved, !hasBegun {
      return act(
        .begin, "Begin work on the \(packet)", "any operator who approved nothing of it", [], "begin \(id)")
    }
    guard let verdict = check.next else {
      return act(.finish, "Finish the sequence", "any operator who did not judge its proof", [], "finish \(id)")
    }
    if verdict.gate.kind == .runtimeProof, needsProof(verdict.gate) {
      return act(.prove, verdict.gate.title, "any operator", [], nil, gate: .runtimeProof)
    }
    return deciding(verdict.gate)
  }

  private func needsProof(_ gate: RequiredGate) -> Bool {
    !gate.milestones.allSatisfy { sequence.isReached($0) }
      || !sequence.checkpoints.contains { $0.value.packet == sequence.digest }
  }

  private func deciding(_ gate: RequiredGate) -> NextAct {
    let barred = check.barred[gate.kind] ?? []
    let people = story.rules.trust.people(gate.kind.role).filter { !barred.contains($0.text) }
    return act(
      .decide, noun(gate.kind).capitalisedFirst, gate.kind.role.rawValue, people,
      "decide request \(id) \(gate.kind.rawValue)", gate: gate.kind)
  }

  private func resolving(_ verdict: GateVerdict) -> NextAct? {
    guard let warning = sequence.blocking(verdict.gate.kind, at: story.rules.now).first else { return nil }
    let resolver = check.verdict(warning.value.resolvedBy)
    let isSettled = resolver?.isPassed == true && (resolver?.deciding?.order ?? 0) > warning.order
    let people = isSettled ? [] : story.rules.trust.people(warning.value.resolvedBy.role)
    return act(
      .resolveWarning, "Settle the architecture warning: \(warning.value.assumption)",
      isSettled ? "any operator" : warning.value.resolvedBy.role.rawValue, people,
      isSettled
        ? "resolve \(warning.value.id)" : "decide request \(id) \(warning.value.resolvedBy.rawValue)",
      gate: verdict.gate.kind)
  }

  private func act(
    _ kind: NextAct.Kind, _ words: String, _ who: String, _ people: [Slug], _ command: String?,
    gate: GateKind? = nil
  ) -> NextAct {
    let names = people.map(\.text).joined(separator: ", ")
    let nobody = kind == .decide && people.isEmpty ? " (no key of this role is trusted yet)" : ""
    return NextAct(
      kind: kind, sequence: id, gate: gate, words: words, who: names.isEmpty ? who + nobody : "\(who) (\(names))",
      people: people, since: since, command: command.map { "aw programme \($0)" } ?? "aw prove \(id)")
  }

  private var authors: [Slug] {
    Set(sequence.packet.authors.compactMap { try? Slug(story.rules.trust.person(of: $0.account)) }).sorted()
  }

  /// Since when it stands as it does: the newest of what brought it there.
  private var since: Timestamp {
    let now = story.rules.now
    var times = [sequence.current.at]
    times += check.verdicts.compactMap { $0.isPassed || $0.state == .failed ? $0.deciding?.at : nil }
    times += sequence.proposals.filter { $0.value == sequence.digest }.map(\.at)
    times += sequence.executions.filter { $0.value.packet == sequence.digest }.map(\.at)
    if let verdict = check.next {
      times += sequence.blocking(verdict.gate.kind, at: now).map(\.at)
      // What expired was enough until then.
      for (index, standing) in check.standings.enumerated() where standing == .struck(.expired) {
        if let claim = sequence.decisions[index].value.said?.claim, claim.gate == verdict.gate.kind {
          times.append(claim.expires)
        }
      }
    }
    return times.filter { $0 <= now }.max() ?? sequence.current.at
  }
}
