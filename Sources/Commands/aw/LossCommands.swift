import ArgumentParser
import Basics
import Client
import Fleet
import Link

struct LossCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "loss", abstract: "The losses of Hosts' links, each with its class and what was seen.",
    subcommands: [List.self, Show.self])

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List losses, newest first.")

    @Option(help: "Only of this Host.") var host: String?
    @Option(name: .customLong("class"), help: "Only of this class, such as network_blackhole.") var lossClass: String?
    @Option(help: "How many.") var limit = 50
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let losses = try await context.client.all(
        "/losses", query: [("host", host), ("class", lossClass)], as: LossView.self, max: limit)
      if output.json { return try Console.json(losses) }
      if losses.isEmpty { return Console.line("No loss.") }
      Console.table(
        ["WHEN", "HOST", "CLASS", "SIDE", "WITHOUT A LINK", "ID"],
        losses.map { loss in
          [
            loss.at.description, loss.host.text, loss.lossClass.rawValue, loss.side.rawValue,
            LossCommands.outage(loss), loss.id.text,
          ]
        })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show one loss with what both ends saw.")

    @Argument(help: "Its id.") var id: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      guard let id = LossID(id) else {
        throw AWError(.usage, "\(id.quoted) is no id of a loss.", next: "Copy one from 'aw loss list'.")
      }
      let loss = try await context.client.send(.get, "/losses/\(id)", as: LossView.self)
      if output.json { return try Console.json(loss) }
      Console.line(
        "\(loss.lossClass.rawValue) on '\(loss.host)', \(Console.age(loss.at)), decided by \(loss.rule.rawValue)")
      Console.line("  \(loss.explanation)")
      Console.line("  Outage: \(LossCommands.outage(loss))")
      if let first = loss.calledFirst { Console.line("  First called \(first.rawValue), before the Connector told.") }
      Console.line("  Seen by the AW Gateway:")
      Console.line(try JSONValue(encoding: loss.seen).indented)
      guard let account = loss.account else { return Console.line("  The Connector has not told yet.") }
      Console.line("  Told by the Connector:")
      Console.line(try JSONValue(encoding: account).indented)
    }
  }

  private static func outage(_ loss: LossView) -> String {
    guard loss.lossClass != .pathDegraded else {
      return loss.outageMilliseconds.map { "degraded for \(Double($0) / 1_000) s" } ?? "still degraded"
    }
    return loss.outageMilliseconds.map { "\(Double($0) / 1_000) s" } ?? "no link yet"
  }
}
