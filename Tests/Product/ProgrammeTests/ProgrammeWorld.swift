import Access
import Basics
import Evidence

@testable import Programme

/// People, keys and the entries that they make: everything a programme is made of, without a database.
struct ProgrammeWorld {
  private(set) var entries: [ProgrammeEntry] = []
  private(set) var programme = Programme()
  var now = Timestamp(millisecondsSince1970: 1_780_000_000_000)
  let trust: ProgrammeTrust

  static let deployment = "test"
  /// `eve` has a second account, `eve-bot`; the key `una-phone` is una's, too.
  static let people: [(key: String, person: String, roles: Set<ProgrammeRole>)] = [
    ("ada", "ada", [.committer]), ("eve", "eve", [.reviewer]), ("eva", "eva", [.reviewer, .owner]),
    ("una", "una", [.owner]), ("una-phone", "una", [.owner, .prover]), ("pat", "pat", [.prover, .committer]),
  ]
  private static let keys = Result {
    try Dictionary(uniqueKeysWithValues: (people.map(\.key) + ["mallory"]).map { ($0, try ApproverKey.make(name: $0)) })
  }

  static func key(_ name: String) throws -> ApproverKey {
    guard let key = try keys.get()[name] else { throw AWError(.usage, "no key \(name)", next: "") }
    return key
  }

  init() throws {
    let signers = try Self.people.map {
      ProgrammeTrust.Signer(key: try Self.key($0.key).verifierKey, person: try Slug($0.person), roles: $0.roles)
    }
    trust = ProgrammeTrust(
      deployment: Self.deployment, signers: signers, accounts: ["eve-bot": try Slug("eve")])
  }

  static func packet(_ number: Int = 1, objective: String = "Reach Instances steadily") throws -> Packet {
    Packet(
      sequence: try Slug("build-sequence-\(number)"), number: number, title: "Stable Control Path And Fleet Watchdog",
      summary: "Durable control path and fleet health model.", objective: objective,
      delivers: [Deliverable("Recurring Watchdog checks", proof: "watchdog-reports")],
      wontDo: [
        WontDo("No Spawn ingestion", [.spawnIngestion]), WontDo("No real customer systems", [.realOrg]),
        WontDo("No billing", [.billing]),
      ],
      gates: [
        RequiredGate(.independentReview, title: "Packet amendment review"),
        RequiredGate(.commit, title: "Amended packet committed"),
        RequiredGate(.userApproval, title: "Renewed user approval"),
        RequiredGate(
          .runtimeProof, title: "Docker / containerised runtime proof",
          milestones: [
            Milestone(
              try Slug("docker-engine"), done: "Docker engine installed", open: "Docker engine not installed"),
            Milestone(
              try Slug("container-runtime"), done: "container runtime started", open: "container runtime not started"),
          ]),
      ], fixtures: ["one synthetic Org"], authors: [Author(account: "ada")])
  }

  var rules: ProgrammeRules { ProgrammeRules(programme, trust, at: now) }

  func board(since: Timestamp? = nil, _ evidence: EvidenceSummary = EvidenceSummary(entries: 0)) -> ProgrammeBoard {
    ProgrammeBoard(.init(entries, trust, evidence: evidence), at: now, since: since)
  }

  mutating func append(_ more: [ProgrammeEntry]) {
    for entry in more {
      entries.append(entry)
      programme.add(entry)
    }
  }

  mutating func pass(_ seconds: Int64 = 60) { now = now.advanced(by: .seconds(seconds)) }

  mutating func add(_ change: ProgrammeEntry.Change, to sequence: Slug, by account: String = "ada") {
    pass(1)
    append([ProgrammeEntry(id: .make(at: now), sequence: sequence, at: now, by: Author(account: account), change)])
  }

  // MARK: - Acts, as the service does them

  mutating func first(_ packet: Packet) throws {
    add(
      try rules.packet(packet, amending: nil, because: nil, by: Author(account: "ada")), to: packet.sequence)
  }

  mutating func amend(_ sequence: Slug, by account: String = "ada", _ change: (inout Packet) -> Void) throws {
    let record = try rules.sequence(sequence)
    var packet = record.packet
    change(&packet)
    let author = Author(account: account)
    if !packet.authors.contains(author) { packet.authors.append(author) }
    add(
      try rules.packet(packet, amending: record.digest, because: "the review asked for it", by: author),
      to: sequence, by: account)
  }

  func signed(
    _ gate: GateKind, _ sequence: Slug, by names: [String], _ result: DecisionClaim.Result = .passed,
    evidence: [DecisionClaim.Input] = [], for duration: Duration = .seconds(86_400), agent: AgentRun? = nil
  ) throws -> Decision {
    let record = try rules.sequence(sequence)
    let claim = DecisionClaim(
      on: record.packet, gate: gate, deployment: Self.deployment, result: result,
      by: Author(account: names[0], agent: agent), evidence: evidence, note: "read whole", at: now,
      expires: now.advanced(by: duration))
    return Decision(
      envelope: try Envelope(
        signing: try claim.statement(on: record.digest, of: sequence).bytes, by: try names.map { try Self.key($0) }))
  }

  mutating func decide(
    _ gate: GateKind, _ sequence: Slug, by names: String..., result: DecisionClaim.Result = .passed,
    evidence: [DecisionClaim.Input] = [], for duration: Duration = .seconds(86_400)
  ) throws {
    let decision = try signed(gate, sequence, by: names, result, evidence: evidence, for: duration)
    try submit(decision, to: sequence)
  }

  mutating func submit(_ decision: Decision, to sequence: Slug) throws {
    add(try rules.decision(decision, in: sequence, by: Author(account: "ada")), to: sequence)
  }

  mutating func execute(_ act: Execution.Act, _ sequence: Slug, by account: String = "ada") throws {
    let digest = try rules.sequence(sequence).digest
    add(try rules.execution(act, of: digest, in: sequence, by: Author(account: account)), to: sequence, by: account)
  }

  @discardableResult
  mutating func checkpoint(
    _ sequence: Slug, _ title: String, number: Int? = nil, milestone: String? = nil, holds: Bool = true
  ) throws -> Checkpoint {
    let evidence = EvidenceReference(
      uri: "evidence/\(entries.count)", digest: PacketDigest(of: "\(title) \(entries.count)"), at: now)
    let checkpoint = Checkpoint(
      number: try number ?? rules.nextCheckpoint(of: sequence), title: title,
      packet: try rules.sequence(sequence).digest,
      claims: [
        Claim(title, .machineChecked, holds: holds, milestone: try milestone.map { try Slug($0) }, evidence: [0])
      ], evidence: [evidence])
    add(try rules.checkpoint(checkpoint, in: sequence), to: sequence)
    return checkpoint
  }
}
