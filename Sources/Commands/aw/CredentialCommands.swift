import ArgumentParser
import Basics
import Client
import Credentials
import Foundation
import Web

struct CredentialCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "credential", abstract: "The credentials of Orgs: set, looked at, and never read.",
    subcommands: [
      Set.self, Request.self, Links.self, Unfreeze.self, Validate.self, Rotate.self, Retire.self, List.self, Show.self,
      Remove.self, Orphans.self, Fixture.self,
    ])

  /// Which credential.
  struct Place: ParsableArguments {
    @Argument(help: "The Org.") var org: Slug
    @Argument(help: "What it is for: models.providers.openai.apiKey, channels.telegram.botToken, …")
    var surface: String

    var path: String { "/orgs/\(org)/credentials" }
  }

  /// What belongs to a value and is no secret.
  struct Beside: ParsableArguments {
    @Option(
      name: .customLong("with"),
      help: ArgumentHelp(
        "What belongs to the value and is no secret, such as accountSid=AC… of Twilio; may be repeated.",
        valueName: "name=value"))
    var texts: [String] = []

    var settings: [String: String] { get throws { try Typed.pairs(texts, like: "accountSid=AC…") } }
  }

  struct Set: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Set a credential.",
      discussion: """
        The value is read from standard input, or from a file or descriptor with --value-file; never from the command
        line. With --key nothing is read: the value is in a vault already, and stays there. What is no fixture needs a
        gate: see 'aw gate'.
        """)

    @OptionGroup var place: Place
    @Option(help: "A file that holds the value, or /dev/fd/N, or - for standard input.") var valueFile = "-"
    @Option(name: .customLong("class"), help: "fixture; controlled-non-production and real need a gate that is open.")
    var kind = CredentialClass.fixture.rawValue
    @Option(help: "The vault to put it into, or that holds it; without it the one that the control plane writes to.")
    var vault: String?
    @Option(help: "The name of the value in that vault.") var key: String?
    @OptionGroup var beside: Beside
    @Option(help: "The version that is to be replaced, 0 for none; another one there is a conflict.")
    var replacing: Int?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private struct Body: Encodable, Sendable {
      let surface: String
      let `class`: String
      let value: String?
      let vault: String?
      let key: String?
      let settings: [String: String]
      let replacing: Int?
    }

    func run() async throws {
      let value = key == nil ? try CredentialCommands.read(valueFile) : nil
      let body = Body(
        surface: place.surface, class: kind, value: value?.withText { $0 }, vault: vault, key: key,
        settings: try beside.settings, replacing: replacing)
      guard let answer = try await act.send(.post, place.path, body: body) else { return }
      if output.json { return try Console.json(answer) }
      let view = try answer.decode(CredentialView.self)
      Console.line("The \(view.title) of '\(view.org)' is kept in the vault '\(view.vault)', version \(view.version).")
      Console.line("  \(view.fingerprint)")
    }
  }

  /// A value, from wherever it is not seen.
  static func read(_ valueFile: String) throws -> Secret {
    guard valueFile != "-" || isatty(0) == 0 else {
      throw AWError(
        .usage, "The value would be shown on this terminal while it is typed.",
        next: "Pipe it in, or name a file or descriptor with --value-file.")
    }
    return try SecretFile.read(valueFile)
  }

  struct Validate: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Ask the vendor whether a credential works, and whether a corrupted copy does not.",
      discussion: "Exit code 0: valid. 1: anything else.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      guard let answer = try await act.send(.post, place.path + "/\(place.surface)/validate") else { return }
      let view = try answer.decode(CredentialView.self)
      if output.json {
        try Console.json(answer)
      } else {
        Console.line("\(view.status.rawValue): \(view.lastValidated?.reason ?? "not validated").")
        if !view.sharedWith.isEmpty {
          Console.line(
            "The same identity is at \(view.sharedWith.map(\.text).joined(separator: ", ")): both are blocked.")
        }
      }
      if view.status != .valid { throw ExitCode(1) }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List what is known of an Org's credentials.")

    @Argument(help: "The Org.") var org: Slug
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/orgs/\(org)/credentials", as: Items<CredentialView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty {
        return Console.line("No credential yet. Set one: aw credential set \(org) SURFACE")
      }
      Console.table(
        ["SURFACE", "STATUS", "CLASS", "VERSION", "VAULT", "SET", "BY", "FINGERPRINT"],
        answer.items.map {
          [
            $0.surface.rawValue, $0.status.rawValue, $0.class.rawValue, String($0.version), $0.vault,
            Console.age($0.setAt), $0.setBy,
            $0.fingerprint,
          ]
        })
    }
  }

  struct Orphans: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "List values in the vaults that no record names; by name, never a value.",
      discussion: "What is being set at this moment can be among them: look twice before you remove anything there.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/credentials/orphans", as: Items<OrphanView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty { return Console.line("Every value in the vaults belongs to a record.") }
      Console.table(["VAULT", "KEY"], answer.items.map { [$0.vault, $0.key] })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show what is known of a credential; never its value.")

    @OptionGroup var place: Place
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, place.path + "/\(place.surface)", as: CredentialView.self)
      if output.json { return try Console.json(view) }
      Console.line("\(view.title) of '\(view.org)', \(view.class.rawValue), version \(view.version)")
      Console.line("  reference      \(view.reference)")
      Console.line("  vault          \(view.vault), at \(view.key)")
      for (name, value) in view.settings.sorted(by: { $0.key < $1.key }) {
        Console.line("  \(name.column(14)) \(value)")
      }
      Console.line("  fingerprint    \(view.fingerprint)")
      Console.line("  set            \(view.setAt) by \(view.setBy)")
      Console.line("  status         \(view.status.rawValue)")
      if let validated = view.lastValidated {
        Console.line("  validated      \(validated.at), version \(validated.version): \(validated.reason)")
        if let identity = validated.identity { Console.line("  identity       \(identity)") }
      }
      if !view.sharedWith.isEmpty {
        let orgs = view.sharedWith.map(\.text).joined(separator: ", ")
        Console.line("  shared with    \(orgs): each Org needs a credential of its own")
      }
      Console.line("  last resolved  \(view.lastResolved.map { "\($0.at) for \($0.by)" } ?? "never")")
    }
  }

  struct Remove: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Forget a credential, and its value if AW put it into its vault.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.delete, place.path + "/\(place.surface)") { _ in "The credential is forgotten." }
    }
  }

  struct Fixture: ParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Print a fixture: a value that looks like the vendor's and can never authenticate there.",
      discussion: "It is no secret. Fixtures of one NAME are one account at the simulated vendors.")

    @Argument(help: "What it is for: models.providers.openai.apiKey, …") var surface: String
    @Argument(help: "1 to 15 of a-z and 0-9.") var name: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      let value = try FixtureValue.make(try CredentialSurface(named: surface), name: name)
      if output.json { return try Console.json(["surface": surface, "fixture": value]) }
      Console.line(value)
    }
  }
}
