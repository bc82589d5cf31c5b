import ArgumentParser
import Basics
import Client
import Foundation
import Programme
import Web

struct ProgrammeCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "programme", abstract: "The build sequences: packets, gates, decisions, checkpoints, and their board.",
    discussion: """
      A packet scopes a sequence. It passes its gates in one order, each by somebody who is independent of it: the \
      decision is asked for ('decide request'), signed offline ('decide sign', with a key of 'aw gate keygen') and \
      handed in ('decide submit'). To amend a packet makes every approval of it void.
      """,
    subcommands: [
      Show.self, Board.self, ProgrammePacketCommands.self, Amend.self, Propose.self, ProgrammeDecideCommands.self,
      Begin.self, Finish.self, CheckpointCommand.self, Warn.self, Resolve.self, Waive.self, Supersede.self,
    ])

  /// Asks for an act, and shows how the programme stands by it.
  static func post(_ path: String, _ body: any Encodable & Sendable, _ act: ActOptions) async throws {
    guard let answer = try await act.send(.post, "/programme/" + path, body: body) else { return }
    if act.output.json { return try Console.json(answer) }
    show(try answer.decode(ProgrammeAnswer.self))
  }

  private static func show(_ answer: ProgrammeAnswer) {
    Console.line("\(answer.sequence): \(answer.change).")
    if let warning = answer.warning { Console.line("  warning    \(warning)") }
    Console.line("  state      \(answer.state.rawValue)")
    Console.line("  packet     \(answer.packet)")
    Console.line("\(answer.header).")
    if let next = answer.next { Console.line("Next: \(next.words), by \(next.who): \(next.command)") }
  }

  /// The digest that is current, so that an act is about what was read just now.
  static func digest(of sequence: Slug, _ client: APIClient) async throws -> PacketDigest {
    try await client.send(.get, "/programme/\(sequence)/packet", as: PacketsView.self).digest
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show the sequences with their technical phrases, or one of them with its gates.")

    @Argument(help: "The sequence, such as build-sequence-1; else all of them.") var sequence: Slug?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let board = try await context.client.send(.get, "/programme", as: ProgrammeBoard.self)
      let lines = board.sequences.filter { sequence == nil || $0.id == sequence }
      if let sequence, lines.isEmpty {
        throw AWError(
          .programmeSequenceUnknown, "There is no sequence '\(sequence)'.", next: "See 'aw programme show'.")
      }
      if output.json { return try sequence == nil ? Console.json(lines) : Console.json(lines[0]) }
      for line in lines { BoardText.sequence(line, isWhole: sequence != nil).forEach { Console.line($0) } }
    }
  }

  struct Board: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show how the programme stands: one sentence, the one next act, and who must do it.")

    @Option(help: "Tell what changed after this time, such as 2026-12-24T00:00:00Z.") var since: String?
    @Option(
      help: ArgumentHelp(
        "Write it as one HTML file that stands for itself; nothing there is replaced.", valueName: "file"),
      completion: .file(extensions: ["html"]))
    var html: String?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      if let html { return try await export(to: html) }
      let board = try await context.client.send(
        .get, "/programme", query: [("since", since)], as: ProgrammeBoard.self)
      if output.json { return try Console.json(board) }
      BoardText.board(board).forEach { Console.line($0) }
    }

    private func export(to file: String) async throws {
      let export = try await context.client.send(
        .get, "/programme/export", query: [("since", since)], as: BoardExport.self)
      try SignedFile.make(export.html, at: file)
      if output.json { return try Console.json(["file": file, "digest": export.digest.text]) }
      Console.line("\(file): the record \(export.digest), as of \(export.at.toTheMinute)")
    }
  }

  struct Amend: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Put another packet in the place of the one that is there: its approvals are void from then on.")

    @Argument(help: "The sequence.") var sequence: Slug
    @Argument(help: "The new packet's file, made from 'aw programme packet show --out'.", completion: .file())
    var packet: String
    @Option(help: "Why.") var reason: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let packet = try SignedFile.read(packet, Packet.self, "packet")
      let former = try await ProgrammeCommands.digest(of: sequence, act.context.client)
      let body: JSONValue = [
        "packet": try JSONValue(encoding: packet), "former": .string(former.text), "reason": .string(reason),
      ]
      try await ProgrammeCommands.post("\(sequence)/amend", body, act)
    }
  }

  struct Propose: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Ask for the review of a packet.")

    @Argument(help: "The sequence.") var sequence: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws { try await ProgrammeCommands.act("propose", sequence, act) }
  }

  struct Begin: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Begin work on an approved packet. Its approvals are used up by that.")

    @Argument(help: "The sequence.") var sequence: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws { try await ProgrammeCommands.act("begin", sequence, act) }
  }

  struct Finish: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "End a sequence whose proof was judged.")

    @Argument(help: "The sequence.") var sequence: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws { try await ProgrammeCommands.act("finish", sequence, act) }
  }

  private static func act(_ verb: String, _ sequence: Slug, _ act: ActOptions) async throws {
    let digest = try await digest(of: sequence, act.context.client)
    try await post("\(sequence)/\(verb)", ["packet": digest.text], act)
  }
}
