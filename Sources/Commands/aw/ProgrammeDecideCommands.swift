import ArgumentParser
import Basics
import Client
import Evidence
import Foundation
import Programme
import Web

struct ProgrammeDecideCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decide", abstract: "Decide a gate: ask for what is to be signed, sign it offline, hand it in.",
    subcommands: [Request.self, Sign.self, Submit.self])

  /// What a reviewer is handed: the packet whole, so that its digest can be checked where it is signed.
  struct Paper: Codable {
    let deployment: String
    let packet: Packet
    let gate: GateKind
    let evidence: [DecisionClaim.Input]
  }

  struct Request: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Write what somebody is to decide: the packet, the gate, and the evidence to look at.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Argument(help: "The gate: \(GateKind.allCases.map(\.rawValue).joined(separator: ", ")).") var gate: GateKind
    @Option(name: .customLong("checkpoint"), help: "A checkpoint that the decision rests on; once for each.")
    var checkpoints: [Int] = []
    @Option(help: "Where to write it; else it is printed.", completion: .file()) var out: String?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let client = try context.client
      let view = try await client.send(.get, "/programme/\(sequence)/packet", as: PacketsView.self)
      let board = try await client.send(.get, "/programme", as: ProgrammeBoard.self)
      let known = board.sequences.first { $0.id == sequence }?.checkpoints ?? []
      let evidence = try checkpoints.map { number in
        guard let found = known.first(where: { $0.number == number }) else {
          throw AWError(
            .usage, "The sequence '\(sequence)' has no checkpoint \(number).",
            next: "See 'aw programme show \(sequence)'.")
        }
        return DecisionClaim.Input(uri: found.name, sha256: found.digest.hex)
      }
      let paper = Paper(deployment: view.deployment, packet: view.packet, gate: gate, evidence: evidence)
      let text = try JSONValue(encoding: paper).canonical
      if let out { try SignedFile.make(text + "\n", at: out) }
      guard let out, !output.json else { return Console.line(text) }
      Console.line("Whoever is \(gate.role.rawValue): aw programme decide sign \(out) --key FILE --result PASSED")
    }
  }

  struct Sign: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Sign a decision with your key. It needs no control plane.",
      discussion: """
        Read what it prints before you hand the envelope on: that is what you decide. When more people have to sign, \
        each signs the envelope of the one before with --add.
        """)

    @Argument(help: "The file that 'decide request' wrote, or an envelope with --add.", completion: .file())
    var paper: String
    @Option(help: "The file of your private key, or /dev/fd/N.", completion: .file()) var key: String
    @Option(help: "PASSED or FAILED.") var result: String?
    @Option(help: "How many days it counts, at most 30.") var days = 7
    @Option(help: "What you looked at, in one line.") var note = "-"
    @Option(help: "The run of an agent that judged for you: its id.") var agent: String?
    @Option(help: "The agent's model.") var agentModel = "unknown"
    @Option(help: "SHA-256 of what the agent was told.") var agentPrompt = "unknown"
    @Flag(help: "Add your signature to an envelope.") var add = false
    @Option(help: "Where to write the envelope; else it is printed.", completion: .file()) var out: String?
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let key = try ApproverKey(try SecretFile.read(key))
      let (envelope, said) = add ? try added(key) : try fresh(key)
      if rehearsal.dryRun {
        let plan = Plan(act: "programme decide sign", subject: said[0], steps: said + ["Sign it."])
        return try Console.show(plan, json: output.json)
      }
      let text = try JSONValue(encoding: envelope).canonical
      guard let out else { return Console.line(text) }
      try SignedFile.make(text + "\n", at: out)
      if output.json { return try Console.json(["envelope": out, "signedBy": key.verifierKey.hint]) }
      for line in said { Console.line(line) }
      Console.line("Hand it in: aw programme decide submit \(out)")
    }

    private func fresh(_ key: ApproverKey) throws -> (Envelope, [String]) {
      let paper = try SignedFile.read(paper, Paper.self, "request of a decision")
      guard let result = result.flatMap({ DecisionClaim.Result(rawValue: $0) }) else {
        throw AWError(.usage, "A decision is PASSED or FAILED.", next: "Say which: --result PASSED.")
      }
      let run = agent.map { AgentRun(id: $0, model: agentModel, prompt: agentPrompt) }
      let now = Timestamp(Date())
      let claim = DecisionClaim(
        on: paper.packet, gate: paper.gate, deployment: paper.deployment, result: result,
        by: Author(account: key.verifierKey.name, agent: run), evidence: paper.evidence, note: note, at: now,
        expires: now.advanced(by: .seconds(Int64(days) * 86_400)))
      let statement = try claim.statement(on: paper.packet.digest, of: paper.packet.sequence)
      return (try Envelope(signing: try statement.bytes, by: [key]), Self.words(claim, paper.packet))
    }

    private func added(_ key: ApproverKey) throws -> (Envelope, [String]) {
      let envelope = try SignedFile.read(paper, Envelope.self, "signed envelope")
      guard let bytes = envelope.document, let statement = try? JSONValue(parsing: bytes) else {
        throw AWError(.usage, "The file holds no decision.", next: "Give the envelope that the first signer wrote.")
      }
      let mine = try Envelope(signing: bytes, type: envelope.payloadType, by: [key])
      let said = ["a decision that was signed before", "  statement  \(statement.canonical)"]
      return (Envelope(envelope, signatures: envelope.signatures + mine.signatures), said)
    }

    private static func words(_ claim: DecisionClaim, _ packet: Packet) -> [String] {
      [
        "\(claim.gate.rawValue) of '\(packet.sequence)' (\(packet.title)): \(claim.verificationResult.rawValue)",
        "  packet      \(packet.digest)", "  as          \(claim.author.account), \(claim.role.rawValue)",
        "  until       \(claim.expires)", "  deployment  \(claim.deployment)",
      ] + claim.inputAttestations.map { "  evidence    \($0.uri) sha256:\($0.digest["sha256"] ?? "")" }
    }
  }

  struct Submit: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Hand in what somebody signed.")

    @Argument(help: "The envelope's file.", completion: .file()) var envelope: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let envelope = try SignedFile.read(envelope, Envelope.self, "signed envelope")
      guard let sequence = Decision(envelope: envelope).sequence else {
        throw AWError(
          .programmeDecisionRefused, "The file holds no decision of the programme.",
          next: "Give the envelope that 'aw programme decide sign' wrote.")
      }
      try await ProgrammeCommands.post("\(sequence)/decisions", envelope, act)
    }
  }
}
