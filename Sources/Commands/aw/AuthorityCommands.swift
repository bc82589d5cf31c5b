import ArgumentParser
import Basics
import Client
import Fleet
import Web

struct AuthorityCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ca", abstract: "The authority that signs the links' certificates.",
    subcommands: [Show.self, Rotate.self, Abandon.self])

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show the authorities, how far a rotation has come, and whom it waits for.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/authority", as: AuthorityView.self)
      if output.json { return try Console.json(view) }
      AuthorityCommands.show(view)
    }
  }

  struct Rotate: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Take the next step of letting a new authority take over.",
      discussion: """
        Four steps, each asked for by itself: prepare, dual-trust, switch, retire. 'switch' waits until every Host
        trusts the new authority, 'retire' until every Host has a certificate of it. docs/links.md has the rest.
        """)

    @Option(help: "Go on without this Host, which must then enrol again; may be repeated.") var without: [Slug] = []
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = AuthorityRoutes.Body(without: without)
      guard let answer = try await act.send(.post, "/authority/rotate", body: body) else { return }
      if output.json { return try Console.json(answer) }
      AuthorityCommands.show(try answer.decode(AuthorityView.self))
    }
  }

  struct Abandon: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Give up a rotation, as long as the new authority does not sign ('prepare' and 'dual-trust').")

    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      guard let answer = try await act.send(.post, "/authority/abandon") else { return }
      if output.json { return try Console.json(answer) }
      AuthorityCommands.show(try answer.decode(AuthorityView.self))
    }
  }

  private static func show(_ view: AuthorityView) {
    Console.line("Phase: \(view.phase.rawValue), since \(Console.age(view.since))")
    for one in view.authorities {
      let part = one.signs ? "signs" : one.trusted ? "is trusted" : "is not trusted yet"
      Console.line("  \(one.fingerprint)  \(part), until \(one.notAfter)")
    }
    if !view.without.isEmpty {
      Console.line("Without: \(view.without.map(\.text).joined(separator: ", "))")
    }
    Console.line("Next step: \(view.nextStep.rawValue)")
    guard !view.waitsFor.isEmpty else { return }
    Console.line("It waits for \(view.waitsFor.count) of \(view.hosts) Hosts:")
    Console.table(
      ["HOST", "CONNECTED", "WHY"],
      view.waitsFor.map { [$0.host.text, $0.connected ? "yes" : "no", $0.why.words] })
  }
}
