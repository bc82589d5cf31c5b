import ArgumentParser
import Basics
import Client
import Evidence
import Foundation
import Hygiene
import Web

extension EvidenceCommands {
  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show an entry, and its fields that can be erased.")

    @Argument(help: "The entry's index.") var index: Int64
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    private struct Answer: Encodable {
      let entry: EvidenceView
      let fields: EvidenceFieldsView
    }

    func run() async throws {
      let client = try context.client
      let entry = try await client.send(.get, "/evidence/\(index)", as: EvidenceView.self)
      let fields = try await client.send(.get, "/evidence/\(index)/fields", as: EvidenceFieldsView.self)
      if output.json { return try Console.json(Answer(entry: entry, fields: fields)) }
      Console.line("Entry \(entry.index): \(entry.kind) at \(entry.at) by \(entry.actor)")
      Console.line(entry.data.indented)
      for field in fields.fields { Console.line("  \(field.name): \(field.value.canonical) (can be erased)") }
      for field in fields.quarantined {
        Console.line("  \(field.field): in quarantine, because it has the form of a secret (\(field.rule))")
      }
      if fields.erased > 0 { Console.line("  \(Console.count(fields.erased, "field")) erased") }
    }
  }

  struct Scan: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Look at the whole log with the checks of hygiene, and record the verdict.",
      discussion: """
        Known secrets in any form, texts that look like secrets, personal data and unknown fields, and identities that \
        are not synthetic. Exit code 1 when a check failed; 3 when something waits for a review.
        """)

    @Flag(help: "Only show the newest verdict.") var last = false
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let answer: JSONValue
      if last {
        answer = try await act.context.client.send(.get, "/evidence-hygiene")
      } else {
        guard let made = try await act.send(.post, "/evidence-hygiene") else { return }
        answer = made
      }
      let view = try answer.decode(HygieneView.self)
      if output.json { try Console.json(answer) } else { show(view) }
      switch view.outcome {
      case .passed: return
      case .review: throw ExitCode(3)
      case .failed: throw ExitCode.failure
      }
    }

    private func show(_ view: HygieneView) {
      Console.table(
        ["CHECK", "OUTCOME", "ENTRIES", "FOUND"],
        view.verdict.checks.map { [$0.title, $0.outcome.rawValue, "\($0.items)", "\($0.found)"] })
      for finding in view.verdict.findings {
        let field = finding.field.isEmpty ? "" : " \(finding.field)"
        Console.line("\(finding.layer.blocks ? "✗" : "?") entry \(finding.entry)\(field): \(finding.says)")
      }
      for reference in view.verdict.tooPlain {
        Console.line("· \(reference) is too short or too plain to be looked for")
      }
      let stale = view.isStale ? " Stale: \(view.added) added since." : ""
      let (outcome, verdict) = (view.outcome.rawValue, view.verdict)
      Console.line("\(outcome) over \(verdict.items) entries at \(verdict.at), entry \(view.entry).\(stale)")
    }
  }

  struct Review: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Let what a scan found in an entry stay, and show what was in quarantine.",
      discussion: """
        A field that looks like a secret is put aside when the entry is written, and nobody is shown it. Afterwards it \
        is shown and goes into bundles. What is not to be seen by anybody: 'aw evidence erase'.
        """)

    @Argument(help: "The entry's index.") var index: Int64
    @Option(help: "Why it may stay.") var reason: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, "/evidence/\(index)/review", body: ["reason": reason]) { _ in
        "What was found in entry \(index) may stay. The next scan counts it no more."
      }
    }
  }

  struct Erase: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Erase a field of an entry for good. The log still verifies.",
      discussion: "What the same person told AW elsewhere, such as a contact, stays there until it is changed there.")

    @Argument(help: "The entry's index.") var index: Int64
    @Argument(help: "The field, as 'aw evidence show' names it.") var field: String
    @Option(help: "Why.") var reason: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, "/evidence/\(index)/erase", body: ["field": field, "reason": reason]) { _ in
        "\(field) of entry \(index) is erased. The log still verifies."
      }
    }
  }

  struct Export: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Write entries with the proofs that they are in the log into one file.",
      discussion: """
        Of an Org, or of an incident: what it is about, its act, or a time. The file is verified offline: \
        'aw evidence verify FILE'. Entries that wait for a review go out as their hashes alone.
        """)

    @Option(help: "Of this Org.") var org: Slug?
    @Option(help: "About what has this id.") var subject: String?
    @Option(name: .customLong("act"), help: "Of this act or operation, by id.") var actID: String?
    @Option(help: "From this time on, RFC 3339.") var since: String?
    @Option(help: "Up to this time, RFC 3339.") var until: String?
    @Option(help: "The file to write; it must not be there yet.", completion: .file()) var out: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard org != nil || subject != nil || actID != nil || since != nil else {
        throw ValidationError("Say of what: --org, --subject, --act or --since.")
      }
    }

    func run() async throws {
      let client = try context.client
      var id: String?
      if let org { id = try await client.send(.get, "/orgs/\(org)")["id"]?.stringValue }
      let answer = try await client.send(
        .get, "/evidence-bundle",
        query: [("org", id), ("subject", subject), ("act", actID), ("since", since), ("until", until)])
      let bundle = try answer.decode(EvidenceBundle.self)
      let text = answer.indented + "\n"
      // What does not verify here would verify nowhere.
      guard try EvidenceBundle.verify(Array(text.utf8)).isIntact else {
        throw AWError(.evidenceBroken, "The bundle does not verify.", next: "Run: aw evidence verify")
      }
      let count = bundle.entries.count == 1 ? "1 entry" : "\(bundle.entries.count) entries"
      if rehearsal.dryRun {
        let plan = Plan(act: "export", subject: out, steps: ["Write \(count) with proofs to \(out)."])
        return try Console.show(plan, json: output.json)
      }
      try SignedFile.make(text, at: out)
      let withheld = bundle.entries.count { $0.withheld != nil }
      if output.json {
        return try Console.json([
          "file": JSONValue.string(out), "entries": .integer(Int64(bundle.entries.count)),
          "withheld": .integer(Int64(withheld)), "log": .string(bundle.log),
        ])
      }
      let rest = withheld > 0 ? " \(withheld) of them as hashes, because they wait for a review." : ""
      Console.line("\(count) in \(out).\(rest) Verify: aw evidence verify \(out) --key '\(bundle.log)'")
    }
  }

  struct Witness: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Look at a copy of a log and cosign it, if it goes on from what was cosigned before.",
      discussion: """
        A program for somebody else: it needs no control plane, only a copy of the log's folder and a folder of its \
        own, where the control plane's operators cannot write. Run it as often as you like. Exit code 4 when the log \
        was truncated or forked.
        """)

    @Argument(help: "The folder of the log, or of a copy.", completion: .directory) var log: String
    @Option(help: "The witness's own folder.", completion: .directory) var folder: String
    @Option(help: "The name of a new witness, without spaces, such as a host name.") var name: String?
    @Option(help: "The log's verifier key; needed once, else the one in the log is believed.") var key: String?
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let pinned = try key.map { text in
        guard let key = EvidenceVerifierKey(text) else {
          throw AWError(.usage, "That is no verifier key.", next: "Copy it whole, as the Evidence page shows it.")
        }
        return key
      }
      if rehearsal.dryRun, name != nil, !EvidenceWitness.exists(in: folder) {
        let steps = ["Make a witness with a key of its own in \(folder).", "Cosign the checkpoint of \(log)."]
        return try Console.show(Plan(act: "witness", subject: log, steps: steps), json: output.json)
      }
      let witness = try EvidenceWitness(folder: folder, name: name)
      let done = try witness.cosign(log: log, key: pinned, at: Timestamp(Date()), dryRun: rehearsal.dryRun)
      if rehearsal.dryRun {
        let plan = Plan(act: "witness", subject: log, steps: ["Cosign the checkpoint of \(done.size) entries."])
        return try Console.show(plan, json: output.json)
      }
      if output.json { return try Console.json(done) }
      let before = done.before.map { "It goes on from the \($0) that were cosigned before." } ?? "It is the first."
      let believed =
        done.believedKey ? " The log's key was believed: compare it with the one on its Evidence page." : ""
      Console.line("✓ Cosigned \(done.size) entries. \(before)\(believed)")
      Console.line("  Verify with: --witness '\(done.witness)' --cosigned \(folder)/checkpoint")
    }
  }
}
