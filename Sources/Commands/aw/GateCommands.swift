import ArgumentParser
import Basics
import Client
import Credentials
import Evidence
import Foundation
import Web

struct GateCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gate", abstract: "Signed decisions that let an Org hold credentials which are no fixtures.",
    discussion: """
      One person asks ('request'), another one signs ('sign', which needs no control plane), anybody hands it in \
      ('submit'). A control plane accepts the signatures of the keys that 'aw serve --approvers FILE' names, and none \
      without.
      """,
    subcommands: [Request.self, Sign.self, Submit.self, List.self, Show.self, Revoke.self, KeygenCommand.self])

  struct Request: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Ask for a gate, and write what an approver is to sign.",
      discussion: "A person asks: by an API token, not over the control plane's own socket.")

    @Argument(help: "The Org.") var org: Slug
    @Option(name: .customLong("class"), help: "controlled-non-production, or real.") var kind: String
    @Option(name: .customLong("surface"), help: "A surface that it opens; once for each.") var surfaces: [String] = []
    @Option(help: "When it ends, such as 2026-12-24T00:00:00Z.") var until: String
    @Option(help: "Why the Org needs it.") var reason: String
    @Option(help: "Where to write what is to be signed; else it is printed.", completion: .file()) var out: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let wish = CredentialsService.GateWish(
        org: org, surfaces: surfaces, class: kind, until: try Typed.time(until), reason: reason)
      guard let answer = try await act.send(.post, "/gates", body: wish) else { return }
      let view = try answer.decode(GateView.self)
      let document = try JSONValue(encoding: view.request).canonical
      if let out { try SignedFile.make(document + "\n", at: out) }
      if output.json { return try Console.json(answer) }
      guard let out else { return Console.line(document) }
      Console.line("Gate \(view.id) was asked for. Whoever approves it: aw gate sign \(out) --key FILE")
    }
  }

  struct Sign: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Sign a request with an approver's key. It needs no control plane.",
      discussion: "Read what it prints before you hand the envelope on: that is what you approve.")

    @Argument(help: "The request's file.", completion: .file()) var request: String
    @Option(help: "The file of your private key, or /dev/fd/N.", completion: .file()) var key: String
    @Option(help: "Where to write the envelope; else it is printed.", completion: .file()) var out: String?
    @OptionGroup var rehearsal: RehearsalOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let request = try SignedFile.read(request, GateRequest.self, "request of a gate")
      let key = try ApproverKey(try SecretFile.read(key))
      let said = [
        "\(request.class.rawValue) credentials of the Org '\(request.slug)'",
        "  surfaces    \(request.surfaces.map(\.rawValue).joined(separator: ", "))",
        "  until       \(request.until)", "  because     \(request.reason)", "  asked by    \(request.requester)",
        "  deployment  \(request.deployment)", "  digest      sha256:\(try request.digest)",
      ]
      if rehearsal.dryRun {
        let plan = Plan(act: "gate sign", subject: "gate \(request.id)", steps: said + ["Sign it as \(key.name)."])
        return try Console.show(plan, json: output.json)
      }
      let envelope = try Envelope(signing: try request.statement.bytes, by: [key])
      let text = try JSONValue(encoding: envelope).canonical
      guard let out else { return Console.line(text) }
      try SignedFile.make(text + "\n", at: out)
      if output.json { return try Console.json(["gate": request.id.text, "signedBy": key.name, "envelope": out]) }
      for line in said { Console.line(line) }
      Console.line("Signed as \(key.name). Hand it in: aw gate submit \(request.id) \(out)")
    }
  }

  struct Submit: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Hand in what an approver signed: the gate opens.")

    @Argument(help: "The gate's id.") var gate: String
    @Argument(help: "The envelope's file.", completion: .file()) var envelope: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let envelope = try SignedFile.read(envelope, Envelope.self, "signed envelope")
      try await act.tell(.post, "/gates/\(gate)/envelope", body: envelope) { answer in
        let view = try answer.decode(GateView.self)
        return "Gate \(view.id) is \(view.state.rawValue) until \(view.request.until)."
      }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the newest gates.")

    @Option(help: "Only those of this Org.") var org: Slug?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/gates", query: [("org", org?.text)], as: Items<GateView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty { return Console.line("No gate: every Org holds fixtures alone.") }
      Console.table(
        ["GATE", "ORG", "CLASS", "STATE", "UNTIL", "SURFACES"],
        answer.items.map {
          [
            $0.id.text, $0.org.text, $0.request.class.rawValue, $0.state.rawValue, $0.request.until.description,
            $0.request.surfaces.map(\.rawValue).joined(separator: ","),
          ]
        })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show a gate.")

    @Argument(help: "The gate's id.") var gate: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/gates/\(gate)", as: GateView.self)
      if output.json { return try Console.json(view) }
      Console.line("Gate \(view.id): \(view.state.rawValue)")
      Console.line("  opens      \(view.request.class.rawValue) credentials of '\(view.org)'")
      Console.line("  surfaces   \(view.request.surfaces.map(\.rawValue).joined(separator: ", "))")
      Console.line("  until      \(view.request.until)")
      Console.line("  because    \(view.request.reason)")
      Console.line("  asked      \(view.request.requestedAt) by \(view.request.requester)")
      if let keys = view.signedBy { Console.line("  signed     \(keys.joined(separator: ", "))") }
      if let end = view.revocation { Console.line("  revoked    \(end.at) by \(end.by): \(end.reason)") }
      Console.line("  digest     \(view.digest)")
    }
  }

  struct Revoke: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Close a gate for good; credentials that were set under it are used no more.")

    @Argument(help: "The gate's id.") var gate: String
    @Option(help: "Why.") var reason: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, "/gates/\(gate)/revoke", body: ["reason": reason]) { _ in "The gate is revoked." }
    }
  }
}

extension ApproverKey {
  fileprivate var name: String { verifierKey.name }
}
