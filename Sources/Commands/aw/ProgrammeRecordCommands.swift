import ArgumentParser
import Basics
import Client
import Crypto
import Foundation
import Programme
import Web

extension GateKind: ExpressibleByArgument {}

struct ProgrammePacketCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "packet", abstract: "The documents that scope the sequences.", subcommands: [Show.self, Add.self])

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show the packet of a sequence with its digest, or write it to a file to amend it.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Option(help: "Where to write the packet.", completion: .file()) var out: String?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/programme/\(sequence)/packet", as: PacketsView.self)
      if let out { try SignedFile.make(try JSONValue(encoding: view.packet).indented + "\n", at: out) }
      if output.json { return try Console.json(view) }
      Console.line("\(view.packet.title): \(view.digest)")
      for former in view.former { Console.line("  before that: \(former.digest)") }
      if let out { return Console.line("Written to \(out). Change it, then: aw programme amend \(sequence) \(out)") }
      Console.line(try JSONValue(encoding: view.packet).indented)
    }
  }

  struct Add: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Add a sequence, with its first packet.")

    @Argument(help: "The packet's file.", completion: .file()) var packet: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let packet = try SignedFile.read(packet, Packet.self, "packet")
      try await ProgrammeCommands.post("packets", packet, act)
    }
  }
}

extension ProgrammeCommands {
  struct CheckpointCommand: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "checkpoint", abstract: "Record a checkpoint that you attest.",
      discussion: "What machines check comes by 'aw prove'. A document that it rests on is named with its digest.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Option(help: "What it is about.") var title: String
    @Option(name: .customLong("claim"), help: "What holds; once for each.") var claims: [String] = []
    @Option(
      name: .customLong("milestone"), help: ArgumentHelp("What is reached, with its claim.", valueName: "id=text"))
    var milestones: [String] = []
    @Option(name: .customLong("evidence"), help: "A document that it rests on; once for each.", completion: .file())
    var files: [String] = []
    @Option(help: "Its number; else the next one.") var number: Int?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let now = Timestamp(Date())
      let evidence = try files.map { path in
        let digest = PacketDigest("sha256:" + SHA256.hex(try SignedFile.bytes(path)))
        guard let digest else { throw AWError(.usage, "\(path.quoted) has no digest.", next: "Name a file.") }
        return EvidenceReference(uri: path, digest: digest, at: now)
      }
      let reached = try milestones.map { text in
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
          throw AWError(.usage, "\(text.quoted) names no milestone.", next: "Write it like docker-engine=\"…\".")
        }
        return ProgrammeService.CheckpointRequest.Said(text: parts[1], milestone: try Slug(parts[0]))
      }
      let body = ProgrammeService.CheckpointRequest(
        title: title, number: number, claims: claims.map { .init(text: $0) } + reached, evidence: evidence)
      try await ProgrammeCommands.post("\(sequence)/checkpoints", body, act)
    }
  }

  struct Warn: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Raise an architecture warning: an assumption that may be wrong blocks gates until it is settled.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Option(help: "What may be wrong.") var assumption: String
    @Option(help: "The decision that hangs on it.") var threatens: String
    @Option(help: "The gate whose decision settles it.") var resolvedBy: GateKind
    @Option(name: .customLong("blocks"), help: "A later gate that it blocks; once for each.") var blocks: [GateKind]
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = ProgrammeService.WarningRequest(
        assumption: assumption, threatens: threatens, resolvedBy: resolvedBy, blocks: blocks)
      try await ProgrammeCommands.post("\(sequence)/warnings", body, act)
    }
  }

  struct Resolve: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Settle an architecture warning that its gate has decided on since.")

    @Argument(help: "The warning's id.") var warning: String
    @Option(help: "What came out.") var note: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await ProgrammeCommands.post("warnings/\(warning)/resolve", ["note": note], act)
    }
  }

  struct Waive: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Let the gates that a warning blocks be decided for a while. A gate itself cannot be waived.")

    @Argument(help: "The warning's id.") var warning: String
    @Option(help: "Why.") var reason: String
    @Option(help: "When it ends, such as 2026-12-24T00:00:00Z.") var until: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await ProgrammeCommands.post("warnings/\(warning)/waive", ["reason": reason, "until": until], act)
    }
  }

  struct Supersede: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "End a sequence whose place another one takes.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Option(name: .customLong("by"), help: "The sequence that takes its place.") var successor: Slug
    @Option(help: "Why.") var reason: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await ProgrammeCommands.post("\(sequence)/supersede", ["by": successor.text, "reason": reason], act)
    }
  }
}
