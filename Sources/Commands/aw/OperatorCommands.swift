import Access
import ArgumentParser
import Basics
import Client
import Web

struct OperatorCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "operator", abstract: "The people who work with this deployment.",
    subcommands: [Invite.self, List.self, SignInLink.self, Suspend.self])

  struct Invite: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Invite somebody: prints a one-time link, good for 24 hours.",
      discussion: "Needs the control plane's own machine, or the console: an API token cannot make operators.")

    @Argument(help: "The login name.") var name: String
    @Option(help: "viewer (looks) or owner (does everything).") var role: OperatorRole = .viewer
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = ["name": try Slug(name).text, "role": role.rawValue]
      guard let answer = try await act.send(.post, "/operators", body: body) else { return }
      try Self.show(answer, output)
    }

    /// A link alone on standard output, so that it can be piped.
    static func show(_ answer: JSONValue, _ output: OutputOptions) throws {
      if output.json { return try Console.json(answer) }
      let link = try answer.decode(LinkView.self)
      Console.complain("For \(link.operator.name), until \(link.expiresAt). It works once, and is not shown again.")
      Console.line(link.url)
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the operators.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let people = try await context.client.all("/operators", as: OperatorView.self)
      if output.json { return try Console.json(people) }
      if people.isEmpty { return Console.line("No operator yet. The first one: aw operator sign-in-link NAME") }
      Console.table(
        ["OPERATOR", "ROLE", "STATE", "SINCE"],
        people.map { [$0.name.text, $0.role.rawValue, $0.state.rawValue, Console.age($0.createdAt)] })
    }
  }

  struct SignInLink: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "sign-in-link",
      abstract: "Print a one-time link that signs an owner in, good for 15 minutes.",
      discussion: """
        For the first owner, who is made by it, and for one who lost the password. Only on the control plane's own \
        machine.
        """)

    @Argument(help: "The owner's login name.") var name: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let path = "/operators/\(try Slug(name))/sign-in-link"
      guard let answer = try await act.send(.post, path) else { return }
      try Invite.show(answer, output)
    }
  }

  struct Suspend: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "End an operator's access for good: sessions, tokens and links with it.")

    @Argument(help: "The login name.") var name: String
    @Option(help: "The name again, instead of typing it.") var confirm: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let slug = try Slug(name)
      if !act.isRehearsal { try Console.confirm(slug.text, given: confirm, "The access of '\(slug)' ends for good.") }
      guard try await act.send(.post, "/operators/\(slug)/suspend") != nil else { return }
      if output.json { return try Console.json(JSONValue.object(["suspended": .string(slug.text)])) }
      Console.line("'\(slug)' has no access any more.")
    }
  }
}

extension OperatorRole: ExpressibleByArgument {}
