import Basics

extension ProgrammeBoard {
  /// Where two things that the board says cannot both be true. Always empty: it is what the tests hold the board to.
  public var contradictions: [String] {
    var found: [String] = []
    func expect(_ holds: Bool, _ what: String) { if !holds { found.append(what) } }
    for warning in warnings {
      let counting = warning.waivers.filter { $0.struckWords == nil }
      // A waiver of a warning that is settled has an end, and no effect.
      expect(!warning.isOpen || counting.map(\.expires) == [warning.waivedUntil].compactMap(\.self), "two waivers")
    }
    for line in sequences { found += line.contradictions.map { "\(line.id): \($0)" } }
    let active = sequences.filter { $0.state == .active }
    expect(active.count <= 1, "two sequences are active")
    let line = sequences.first { $0.id == current }
    expect((current == nil) == (line == nil), "the current sequence is not among the sequences")
    expect(active.isEmpty || active.first?.id == current, "the active sequence is not the current one")
    expect((current == nil) == (runtimeWork == nil), "runtime work of no sequence")
    expect(next == line?.next, "the next act is another one than the current sequence waits for")
    expect(next.map { $0.since <= at } ?? true, "the next act is waited for since a time to come")
    expect(changes.allSatisfy { change in since.map { change.at > $0 } ?? false }, "a change from before")
    guard let line else {
      expect(next == nil && latestReview == nil, "an act with no sequence")
      return found
    }
    expect(line.state != .done && line.state != .superseded, "the current sequence is over")
    expect(next != nil, "a sequence that is not over, and nothing to do")
    let approved = line.gates.allSatisfy { $0.kind == .runtimeProof || $0.state == .passed }
    if runtimeWork?.isAllowed == true { expect(approved, "work is allowed and a gate is not passed") }
    if next?.kind == .decide { expect(next?.gate == line.currentGate, "the next act decides another gate") }
    if next?.kind == .begin { expect(approved && runtimeWork?.isAllowed == false, "work begins twice") }
    if next?.kind == .finish { expect(line.currentGate == nil, "it is finished with a gate ahead") }
    expect((line.state == .draft) == (next?.kind == .propose), "a draft that is not proposed next")
    for word in ["Independent review passed", "ser approval given", "untime proof passed"] where header.contains(word) {
      let kind: GateKind =
        word.hasPrefix("Ind") ? .independentReview : word.hasPrefix("ser") ? .userApproval : .runtimeProof
      expect(line.gates.first { $0.kind == kind }?.state == .passed, "the header says that \(kind.rawValue) passed")
    }
    let milestones = line.gates.flatMap(\.milestones)
    let told = [milestones.last(where: \.isReached), milestones.first { !$0.isReached }].compactMap { $0?.words }
    expect(header.hasSuffix(told.joined(separator: "; ")), "the header tells of milestones that stand otherwise")
    if let review = latestReview, review.struck == nil, review.packet != line.packet.digest {
      found.append("the latest review is of another packet and not struck")
    }
    return found
  }
}

extension SequenceLine {
  var contradictions: [String] {
    var found: [String] = []
    func expect(_ holds: Bool, _ what: String) { if !holds { found.append(what) } }
    expect(currentGate == gates.first { $0.state != .passed }?.kind, "the current gate is not the first one open")
    var isOpen = false
    for gate in gates {
      expect(!isOpen || gate.state == .notYet, "\(gate.kind.rawValue) is ahead of the gate before it")
      isOpen = isOpen || gate.state != .passed
      let live = gate.decisions.filter { $0.struck == nil }
      expect(live.count <= 1, "\(gate.kind.rawValue) has two decisions")
      expect(live.allSatisfy { $0.packet == packet.digest }, "\(gate.kind.rawValue) rests on a former packet")
      expect(gate.decisions.allSatisfy { ($0.struck == nil) == ($0.struckWords == nil) }, "struck without a reason")
      if gate.state == .passed { expect(live.first?.result == .passed, "\(gate.kind.rawValue) passed by nothing") }
      if gate.state == .failed { expect(live.first?.result == .failed, "\(gate.kind.rawValue) failed by nothing") }
      if gate.state == .waiting { expect(live.isEmpty, "\(gate.kind.rawValue) waits for what it has") }
      if gate.state == .passed { expect(gate.milestones.allSatisfy(\.isReached), "\(gate.kind.rawValue) not shown") }
    }
    let isApproved = gates.allSatisfy { $0.kind == .runtimeProof || $0.state == .passed }
    if state == .done { expect(currentGate == nil, "done with a gate ahead") }
    if state == .approved { expect(isApproved, "approved with a gate ahead") }
    if state == .draft { expect(gates.first?.state != .passed, "a draft that passed a gate") }
    let isStopped = gates.contains { $0.state == .failed || $0.state == .blocked }
    if state == .blocked { expect(isStopped && !blockedBy.isEmpty, "blocked by nothing") }
    if [.approved, .active, .draft, .inReview].contains(state) { expect(!isStopped, "stopped and \(state.rawValue)") }
    expect((state == .superseded) == (supersededBy != nil), "superseded by nothing")
    let numbers = Set(checkpoints.map(\.number))
    expect(numbers.count == checkpoints.count, "a checkpoint counted twice")
    expect(gaps.allSatisfy { !numbers.contains($0) }, "a gap that is none")
    expect(numbers.isEmpty || numbers.count + gaps.count == (numbers.max() ?? 0) + 1, "a gap that is not flagged")
    expect(packet.amendments.count == packet.revision - 1, "an amendment of nothing")
    expect((next == nil) == (state == .done || state == .superseded), "over, and something to do")
    expect(next == nil || next?.sequence == id, "it waits for an act on another sequence")
    return found
  }
}
