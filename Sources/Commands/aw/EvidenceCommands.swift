import ArgumentParser
import Basics
import Client
import Evidence
import Foundation
import Web

struct EvidenceCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evidence", abstract: "The append-only record of what was done and seen.",
    subcommands: [
      Verify.self, List.self, Show.self, Scan.self, Review.self, Erase.self, Export.self, Witness.self,
    ])

  struct Verify: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Check a copy of the evidence log, or a bundle, from its files alone. No server is asked.",
      discussion: """
        Two verdicts, always apart: whether what is there is what was signed, and what is known of what is not there. \
        Exit code 1 when anything is wrong, or a witness saw something else; every problem is named with its entry.
        """)

    @Argument(
      help: "The folder of a log, or the file of a bundle; without it the log of the control plane on this machine.",
      completion: .file())
    var path: String?
    @Option(help: "The verifier key that you noted before; without it the one in the folder is believed.")
    var key: String?
    @Option(help: "A witness's verifier key.") var witness: String?
    @Option(help: "The checkpoint that the witness cosigned last.", completion: .file()) var cosigned: String?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard (witness == nil) == (cosigned == nil) else {
        throw ValidationError("--witness and --cosigned belong together.")
      }
    }

    func run() async throws {
      let path = try path ?? known()
      let pinned = try key.map { text in
        guard let key = EvidenceVerifierKey(text) else {
          throw AWError(.usage, "That is no verifier key.", next: "Copy it whole, as the Evidence page shows it.")
        }
        return key
      }
      let isFolder = (try? URL(filePath: path).resourceValues(forKeys: [.isDirectoryKey]).isDirectory) ?? true
      let report: EvidenceReport
      if isFolder {
        report = try EvidenceVerifier.verify(
          directory: path, key: pinned, cosigned: try seen(pinned ?? Self.key(in: path + "/log.vkey")))
      } else {
        let bytes = try SignedFile.bytes(path)
        report = try EvidenceBundle.verify(
          bytes, key: pinned, cosigned: try seen(pinned ?? EvidenceBundle.key(in: bytes)))
      }
      if output.json { try Console.json(report) } else { show(report, path) }
      if !report.isFine { throw ExitCode.failure }
    }

    /// What the witness saw; nil when none was named.
    private func seen(_ log: EvidenceVerifierKey?) throws -> CosignedCheckpoint? {
      guard let witness, let cosigned else { return nil }
      guard let key = WitnessKey(witness) else {
        throw AWError(.usage, "That is no witness's key.", next: "Copy it whole from the witness's witness.vkey.")
      }
      guard let log else {
        throw AWError(.usage, "The log has no key of its own.", next: "Give the one that you noted with --key.")
      }
      do {
        return try CosignedCheckpoint(note: try SignedFile.bytes(cosigned), log: log, witness: key)
      } catch let refusal as EvidenceCheckpoint.Refusal {
        throw AWError(
          .witnessRefused, "\(cosigned) is not a checkpoint of this log that the witness cosigned: \(refusal.what).",
          next: "Take the file 'checkpoint' from the witness's own folder.")
      }
    }

    private static func key(in file: String) -> EvidenceVerifierKey? {
      FileManager.default.contents(atPath: file).flatMap {
        EvidenceVerifierKey(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .newlines))
      }
    }

    private func known() throws -> String {
      guard let evidence = try ContextFile.load(from: context.path).evidence else {
        throw AWError(.usage, "The context file names no evidence folder.", next: "Name the folder to check.")
      }
      return evidence
    }

    private func show(_ report: EvidenceReport, _ path: String) {
      for problem in report.problems {
        let entry = problem.entry.map { "entry \($0): " } ?? ""
        Console.line("✗ \(entry)\(problem.what) (\(problem.file))")
      }
      for leftover in report.leftovers { Console.line("· \(leftover) is not part of the signed log") }
      let thing = report.entries == nil ? "log" : "bundle"
      if report.isIntact {
        let believed = key == nil ? " The key in it was believed: pass --key with the one you noted." : ""
        let number = report.entries ?? report.size
        let count = number == 1 ? "1 entry in \(path) verifies" : "\(number) entries in \(path) verify"
        Console.line("✓ Integrity: \(count). Root \(report.root).\(believed)")
      } else {
        let problems = Console.count(report.problems.count, "problem")
        Console.line("✗ Integrity: the \(thing) in \(path) is not intact: \(problems).")
      }
      let mark = report.completeness.isContradicted ? "✗" : "·"
      Console.line("\(mark) Completeness: \(report.completeness.says). \(EvidenceCompleteness.always)")
      for line in report.completeness.heartbeats { Console.line("· Completeness: \(line)") }
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
