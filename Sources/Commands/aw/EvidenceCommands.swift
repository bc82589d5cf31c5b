import ArgumentParser
import Basics
import Client
import Evidence
import Web

struct EvidenceCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evidence", abstract: "The append-only record of what was done and seen.",
    subcommands: [Verify.self, List.self])

  struct Verify: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Check a copy of the evidence log from its files alone. No server is asked.",
      discussion: "Exit code 1 when anything is wrong; every problem is named with its entry.")

    @Argument(help: "The folder; without it the one of the control plane on this machine.", completion: .directory)
    var directory: String?
    @Option(help: "The verifier key that you noted before; without it the one in the folder is believed.")
    var key: String?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let folder = try directory ?? known()
      let pinned = try key.map { text in
        guard let key = EvidenceVerifierKey(text) else {
          throw AWError(.usage, "That is no verifier key.", next: "Copy it whole, as the Evidence page shows it.")
        }
        return key
      }
      let report = try EvidenceVerifier.verify(directory: folder, key: pinned)
      if output.json { try Console.json(report) } else { show(report, folder) }
      if !report.isIntact { throw ExitCode.failure }
    }

    private func known() throws -> String {
      guard let evidence = try ContextFile.load(from: context.path).evidence else {
        throw AWError(.usage, "The context file names no evidence folder.", next: "Name the folder to check.")
      }
      return evidence
    }

    private func show(_ report: EvidenceReport, _ folder: String) {
      for problem in report.problems {
        let entry = problem.entry.map { "entry \($0): " } ?? ""
        Console.line("✗ \(entry)\(problem.what) (\(problem.file))")
      }
      for leftover in report.leftovers { Console.line("· \(leftover) is not part of the signed log") }
      if report.isIntact {
        let believed = key == nil ? " The key in the folder was believed: pass --key with the one you noted." : ""
        let count = report.size == 1 ? "1 entry in \(folder) verifies" : "\(report.size) entries in \(folder) verify"
        Console.line("✓ \(count). Root \(report.root).\(believed)")
      } else {
        Console.line("The log in \(folder) is not intact: \(Console.count(report.problems.count, "problem")).")
      }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List entries, newest first.")

    @Option(help: "Only of this kind, such as org.created.") var kind: String?
    @Option(help: "Only about what has this id.") var subject: String?
    @Option(help: "Only of this act or operation, by id.") var act: String?
    @Option(help: "How many.") var limit = 50
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let entries = try await context.client.all(
        "/evidence", query: [("kind", kind), ("subject", subject), ("act", act)], as: EvidenceView.self, max: limit)
      if output.json { return try Console.json(entries) }
      if entries.isEmpty { return Console.line("No entry matches.") }
      Console.table(
        ["ENTRY", "WHEN", "KIND", "ABOUT", "WHO"],
        entries.map { entry in
          [
            String(entry.index), entry.at.description, entry.kind,
            entry.subject.map { "\($0.type) \($0.slug ?? $0.id)" } ?? "-", entry.actor,
          ]
        })
    }
  }
}
