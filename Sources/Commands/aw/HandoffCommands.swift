import ArgumentParser
import Basics
import Client
import Evidence
import Foundation
import Onboarding
import Web

struct HandoffCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "handoff", abstract: "What an Org is handed: a checklist that the operator and its contact sign.",
    discussion: """
      'export' makes the document of a verified onboarding, each of both signs the file with a key of their own
      ('sign', which needs no control plane), 'complete' takes it back, and 'verify' checks it anywhere.
      """,
    subcommands: [Show.self, Export.self, Sign.self, Verify.self, Complete.self, KeygenCommand.self])

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show the checklist as it stands, and what stays to do.")

    @Argument(help: "The Org.") var org: Slug
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/orgs/\(org)/handoff", as: HandoffView.self)
      if output.json { return try Console.json(view) }
      HandoffCommands.show(view.lines, view.duties)
      guard let mark = view.mark else { return Console.line("No document was made yet.") }
      let words = mark.desired == view.desired ? "" : ", of an earlier desired state"
      Console.line("\(mark.document)\(words): exported \(mark.exportedAt)")
      if let at = mark.completedAt { Console.line("  signed by both, taken back \(at)") }
    }
  }

  struct Export: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Make the document of a verified onboarding, for both to sign.",
      discussion: "Lines: \(HandoffQuestion.allCases.map(\.rawValue).joined(separator: ", ")).")

    @Argument(help: "The Org.") var org: Slug
    @Option(name: .customLong("attest"), help: ArgumentHelp("What is said of a line.", valueName: "line=text"))
    var attested: [String] = []
    @Option(help: ArgumentHelp("Why a line does not apply.", valueName: "line=reason")) var notApplicable: [String] = []
    @Option(help: "Who signs for the operator.") var operatorName: String
    @Option(help: "The operator's public key, as 'aw handoff keygen' prints it.") var operatorKey: String
    @Option(help: "The public key of the Org's contact.") var contactKey: String
    @Option(help: "Where to write the file; nothing there is replaced.", completion: .file()) var out: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private static let answer = "contacts=\"…\""

    func run() async throws {
      let body = OnboardingService.HandoffRequest(
        attested: try Typed.pairs(attested, like: Self.answer),
        notApplicable: try Typed.pairs(notApplicable, like: Self.answer), operatorName: operatorName,
        operatorKey: operatorKey, contactKey: contactKey)
      guard let answer = try await act.send(.post, "/orgs/\(org)/handoff", body: body) else { return }
      let envelope = try answer.decode(Envelope.self)
      try SignedFile.make(try HandoffVerification.text(envelope), at: out)
      let report = try HandoffVerification.report(envelope)
      if output.json { return try Console.json(report) }
      HandoffCommands.show(report.handoff.lines, report.handoff.duties)
      Console.line("Written to \(out), \(report.document). Each of both signs it: aw handoff sign \(out) --key FILE")
    }
  }

  struct Sign: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Sign the file of a handoff with your key. It needs no control plane.",
      discussion: "Read what it shows: that is what you sign. What was signed before stays.")

    @Argument(help: "The file.", completion: .file()) var file: String
    @Option(help: "The file of your private key, or /dev/fd/N.", completion: .file()) var key: String
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let key = try ApproverKey(try SecretFile.read(key))
      let (text, report) = try HandoffVerification.sign(try SignedFile.bytes(file), with: key)
      if !output.json { HandoffCommands.show(report.handoff) }
      if rehearsal.dryRun {
        let step = "Add the signature of \(key.verifierKey.hint)."
        return try Console.show(Plan(act: "handoff sign", subject: file, steps: [step]), json: output.json)
      }
      try SignedFile.replace(file, with: text)
      if output.json { return try Console.json(report) }
      Console.line("Signed as \(key.verifierKey.hint). Signed so far: \(HandoffCommands.words(report.signed)).")
    }
  }

  struct Verify: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Check the file of a handoff from its bytes alone. It needs no control plane.",
      discussion: "Exit code 1 unless both have signed exactly what it says.")

    @Argument(help: "The file.", completion: .file()) var file: String
    @Option(help: "The operator's public key that you noted; without it the one in the file is believed.")
    var operatorKey: String?
    @Option(help: "The contact's public key that you noted; without it the one in the file is believed.")
    var contactKey: String?
    @OptionGroup var output: OutputOptions

    func run() throws {
      let (_, report) = try HandoffVerification.read(
        try SignedFile.bytes(file),
        pinned: [HandoffRole.operator: operatorKey, .contact: contactKey].compactMapValues { $0 })
      if output.json { try Console.json(report) } else { HandoffCommands.show(report.handoff) }
      guard report.isComplete else {
        if !output.json { Console.line("✗ Signed so far: \(HandoffCommands.words(report.signed)).") }
        throw ExitCode.failure
      }
      if output.json { return }
      for signer in report.handoff.signers { Console.line("✓ \(signer.role.rawValue): \(signer.name), \(signer.key)") }
      if operatorKey == nil || contactKey == nil {
        Console.line("  Keys in the file were believed: pass --operator-key and --contact-key with those you noted.")
      }
    }
  }

  struct Complete: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Hand in the file that both have signed.")

    @Argument(help: "The Org.") var org: Slug
    @Argument(help: "The file.", completion: .file()) var file: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let (envelope, _) = try HandoffVerification.read(try SignedFile.bytes(file))
      try await act.tell(.post, "/orgs/\(org)/handoff/complete", body: envelope) { _ in
        "The handoff of '\(org)' is complete, and its signatures are in the evidence."
      }
    }
  }

  private static func words(_ roles: [HandoffRole]) -> String {
    roles.isEmpty ? "nobody" : roles.map(\.rawValue).joined(separator: ", ")
  }

  private static func show(_ handoff: Handoff) {
    Console.line("The handoff of '\(handoff.org)' with the Instance '\(handoff.instance)', made \(handoff.at)")
    Console.line("  desired state \(handoff.desired), baseline \(handoff.baseline)")
    Console.line("  contact: \(handoff.contactName) <\(handoff.contactEmail)>")
    show(handoff.lines, handoff.duties)
    Console.line("  The operator still sees:")
    for what in handoff.operatorSees { Console.line("    \(what)") }
  }

  private static func show(_ lines: [HandoffLine], _ duties: [HandoffDuty]) {
    for line in lines {
      let mark = line.answer == .open ? "·" : "✓"
      let said = line.statement ?? line.reason ?? line.evidence ?? ""
      let by = line.by.map { " by the \($0.rawValue)" } ?? ""
      Console.line("  \(mark) \(line.id): \(line.title)")
      Console.line("      \(line.answer.rawValue)\(by)\(said.isEmpty ? "" : ": \(said)")")
    }
    Console.line("  What stays to be done:")
    for duty in duties {
      Console.line("    \(duty.who.rawValue): \(duty.what)\(duty.due.map { ", until \($0)" } ?? "")")
    }
  }
}
