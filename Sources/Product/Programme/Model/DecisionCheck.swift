import Basics
import Evidence

/// Why a decision counts for nothing: it is shown struck through.
public enum StrikeReason: String, Codable, Sendable, CaseIterable {
  /// The packet was amended: approvals of a former digest are void.
  case superseded
  case expired
  /// It is no decision of this deployment about this packet and its rules.
  case altered
  /// No key that this deployment trusts signed it.
  case untrusted
  /// Whoever signed it has another role.
  case wrongRole = "wrong-role"
  /// Whoever signed it decided about their own work, or has decided another gate that must be somebody else's.
  case selfGiven = "self-given"
  /// More people have to sign it.
  case tooFew = "too-few"
  /// A gate before it was not passed by then.
  case outOfOrder = "out-of-order"
  /// The evidence that it names is not recorded, or what has to be shown is not.
  case unproven
  /// A later decision took its place.
  case replaced

  public var words: String {
    switch self {
    case .superseded: "the packet was amended"
    case .expired: "it has expired"
    case .altered: "it is not what was recorded"
    case .untrusted: "no trusted key signed it"
    case .wrongRole: "whoever signed it has another role"
    case .selfGiven: "whoever signed it is not independent"
    case .tooFew: "more people have to sign it"
    case .outOfOrder: "a gate before it was not passed"
    case .unproven: "its evidence is not recorded"
    case .replaced: "a later decision took its place"
    }
  }
}

/// What a recorded decision is worth at a moment.
public enum DecisionStanding: Sendable, Equatable {
  case counts
  /// It was used, and cannot be used again; the gate stays passed.
  case used
  case struck(StrikeReason)
}

/// How one gate of the current packet stands.
public struct GateVerdict: Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case passed
    case failed
    /// It is the next one.
    case waiting
    /// One before it is not passed.
    case notYet = "not yet"
    /// An architecture warning keeps it shut.
    case blocked
  }

  public let gate: RequiredGate
  public let state: State
  /// The decision that made it so.
  public let deciding: Recorded<Decision>?
  public let isUsed: Bool
  /// Who signed the deciding one, in the gate's role.
  public let people: [Slug]

  var isPassed: Bool { state == .passed }
}

/// What the decisions of one sequence are worth now: pure, and proven anew each time from what was signed.
public struct DecisionCheck: Sendable {
  public let verdicts: [GateVerdict]
  /// By position among the sequence's decisions.
  public let standings: [DecisionStanding]
  /// Who may not decide a gate, whatever evidence is used: the packet's authors, or its reviewers.
  let barred: [GateKind: Set<String>]

  public init(_ sequence: SequenceRecord, _ trust: ProgrammeTrust, at now: Timestamp) {
    var check = Walk(sequence: sequence, trust: trust, now: now)
    check.walk()
    (verdicts, standings) = (check.verdicts, check.standings)
    barred = Dictionary(uniqueKeysWithValues: GateKind.allCases.map { ($0, check.barred($0, [])) })
  }

  public func verdict(_ gate: GateKind) -> GateVerdict? { verdicts.first { $0.gate.kind == gate } }

  /// The first gate that is not passed.
  public var next: GateVerdict? { verdicts.first { !$0.isPassed } }

  /// True when every gate before the proof is passed.
  public var isApproved: Bool { verdicts.allSatisfy { $0.gate.kind == .runtimeProof || $0.isPassed } }
  public var isPassed: Bool { verdicts.allSatisfy(\.isPassed) }

  /// Why a decision that is about to be recorded would count for nothing; nil when it would count.
  public static func refusal(
    of decision: Decision, in sequence: SequenceRecord, _ trust: ProgrammeTrust, by author: Author, at now: Timestamp
  ) -> StrikeReason? {
    var sequence = sequence
    let order = (sequence.decisions.last?.order ?? 0) + Int(Int32.max)
    sequence.decisions.append(Recorded(value: decision, at: now, by: author, order: order))
    guard case .struck(let reason) = DecisionCheck(sequence, trust, at: now).standings.last else { return nil }
    return reason
  }
}

/// Goes through the gates in their order: what one decides changes who may decide the next.
private struct Walk {
  let sequence: SequenceRecord
  let trust: ProgrammeTrust
  let now: Timestamp
  var verdicts: [GateVerdict] = []
  var standings: [DecisionStanding] = []
  /// The same for all: a digest of the rules is not made anew for each decision.
  private let policy: DecisionClaim.Policy
  private var used: Set<String> = []
  private(set) var reviewers: Set<String> = []
  /// The place of the decision that passed the gate before; nil when it is not passed.
  private var floor: Int? = 0

  init(sequence: SequenceRecord, trust: ProgrammeTrust, now: Timestamp) {
    (self.sequence, self.trust, self.now) = (sequence, trust, now)
    policy = sequence.packet.policy
  }

  mutating func walk() {
    let digest = sequence.digest
    used = Set(sequence.executions.filter { $0.value.packet == digest }.flatMap(\.value.decisions))
    let said = sequence.decisions.map(\.value.said)
    standings = said.map { said in
      guard let said, said.sequence == sequence.id, said.claim.deployment == trust.deployment else {
        return .struck(.altered)
      }
      return .struck(said.digest == digest ? .altered : .superseded)
    }
    for gate in sequence.packet.gates {
      let indices = said.indices.filter { index in
        guard let said = said[index] else { return false }
        return said.claim.gate == gate.kind && said.digest == digest && said.sequence == sequence.id
          && said.claim.deployment == trust.deployment
      }
      decide(gate, indices, said.map { $0?.claim })
    }
  }

  private mutating func decide(_ gate: RequiredGate, _ indices: [Int], _ claims: [DecisionClaim?]) {
    var deciding: (index: Int, claim: DecisionClaim, people: Set<String>)?
    for index in indices {
      guard let claim = claims[index] else { continue }
      let (reason, people) = judge(sequence.decisions[index], claim, gate)
      if let reason {
        standings[index] = .struck(reason)
      } else {
        if let before = deciding { standings[before.index] = .struck(.replaced) }
        standings[index] = used.contains(sequence.decisions[index].value.id) ? .used : .counts
        deciding = (index, claim, people)
      }
    }
    if gate.kind == .independentReview { reviewers = deciding?.people ?? [] }
    let passed = deciding?.claim.verificationResult == .passed
    let state: GateVerdict.State =
      switch deciding?.claim.verificationResult {
      case _ where floor == nil: .notYet
      case _ where !sequence.blocking(gate.kind, at: now).isEmpty: .blocked
      case .passed: .passed
      case .failed: .failed
      case nil: .waiting
      }
    verdicts.append(
      GateVerdict(
        gate: gate, state: state, deciding: deciding.map { sequence.decisions[$0.index] },
        isUsed: deciding.map { standings[$0.index] == .used } ?? false,
        people: (deciding?.people ?? []).compactMap { try? Slug($0) }.sorted()))
    floor = state == .passed && passed ? deciding.map { sequence.decisions[$0.index].order } : nil
  }

  /// Why one decision counts for nothing, and who signed it if it counts.
  private func judge(
    _ recorded: Recorded<Decision>, _ claim: DecisionClaim, _ gate: RequiredGate
  ) -> (StrikeReason?, Set<String>) {
    guard claim.role == gate.kind.role, claim.policy == policy,
      claim.resourceUri == DecisionClaim.uri(sequence.id),
      claim.timeVerified <= recorded.at.advanced(by: ProgrammeLimits.clockAhead),
      claim.timeVerified < claim.expires,
      claim.expires.since(claim.timeVerified) <= ProgrammeLimits.decisionFor
    else { return (.altered, []) }
    let fit = signers(of: recorded.value.envelope) { $0.roles.contains(claim.role) }
    guard fit.contains(where: { $0.key.name == claim.author.account }) else {
      let own = signers(of: recorded.value.envelope) { $0.key.name == claim.author.account }
      return (own.isEmpty ? .untrusted : .wrongRole, [])
    }
    guard let evidenceAuthors = evidenceAuthors(of: claim) else { return (.unproven, []) }
    let barred = barred(gate.kind, evidenceAuthors)
    let agents = gate.kind == .commit ? [] : sequence.packet.authors + evidenceAuthors
    let isSameRun = claim.author.agent.map { run in agents.contains { $0.agent?.id == run.id } } ?? false
    let people = Set(fit.map(\.person.text)).subtracting(barred)
    let isOwn = !people.contains(trust.person(of: claim.author.account))
    if isSameRun || isOwn { return (.selfGiven, []) }
    if people.count < gate.signatures { return (.tooFew, []) }
    // What was decided before the gate in front of it was passed, was decided on something else.
    guard let floor, recorded.order > floor else { return (.outOfOrder, []) }
    if gate.kind == .runtimeProof {
      // What runs is judged when it may run.
      guard let begun = sequence.execution(.begin, of: sequence.digest), recorded.order > begun.order else {
        return (.outOfOrder, [])
      }
    }
    if gate.kind == .runtimeProof, claim.verificationResult == .passed {
      let isShown = gate.milestones.allSatisfy { sequence.isReached($0) }
      if !isShown || claim.inputAttestations.isEmpty { return (.unproven, []) }
    }
    let isUsed = used.contains(recorded.value.id)
    return now < claim.expires || isUsed ? (nil, people) : (.expired, [])
  }

  /// Whose signature is right, of those who are asked for: each costs a check.
  private func signers(
    of envelope: Envelope, _ isAsked: (ProgrammeTrust.Signer) -> Bool
  ) -> [ProgrammeTrust.Signer] {
    let asked = trust.signers.filter(isAsked)
    let keys = envelope.signers(among: asked.map(\.key))
    return asked.filter { keys.contains($0.key) }
  }

  /// Who may not decide a gate of this packet.
  func barred(_ gate: GateKind, _ evidenceAuthors: [Author]) -> Set<String> {
    let authors = Set(sequence.packet.authors.map { trust.person(of: $0.account) })
    let makers = Set(evidenceAuthors.map { trust.person(of: $0.account) })
    return switch gate {
    case .independentReview: authors.union(makers)
    case .userApproval: authors.union(makers).union(reviewers)
    // Whoever wrote a packet may commit it, and whoever committed it may judge the proof.
    case .commit, .runtimeProof: makers.union(reviewers)
    }
  }

  /// Who made the evidence that a decision used, as it is recorded; nil when some of it is not.
  private func evidenceAuthors(of claim: DecisionClaim) -> [Author]? {
    var authors: [Author] = []
    for input in claim.inputAttestations {
      guard let digest = PacketDigest("sha256:" + (input.digest["sha256"] ?? "")) else { return nil }
      let checkpoints = sequence.checkpoints.filter { checkpoint in
        checkpoint.value.digest == digest || checkpoint.value.evidence.contains { $0.digest == digest }
      }
      if checkpoints.isEmpty { return nil }
      for checkpoint in checkpoints {
        authors += [checkpoint.by]
        authors += checkpoint.value.evidence.compactMap { $0.digest == digest ? $0.author : nil }
        if checkpoint.value.digest == digest { authors += checkpoint.value.evidence.compactMap(\.author) }
      }
    }
    return authors
  }
}
