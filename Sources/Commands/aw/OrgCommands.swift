import ArgumentParser
import Basics
import Client
import Fleet
import Web

struct OrgCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "org", abstract: "Customer organisations.", subcommands: [Create.self, List.self, Onboard.self])

  struct Create: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Create an Org.")

    @Argument(help: ArgumentHelp("Its name in commands and addresses.", valueName: "name")) var slug: String
    @Option(help: "Its name for people.") var name: String?
    @Option(help: "Only 'synthetic' is allowed: real ones need a signed gate.") var sort = "synthetic"
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = FleetService.OrgRequest(slug: try Slug(slug), name: name, sort: sort)
      try await act.tell(.post, "/orgs", body: body) { _ in "The \(sort) Org '\(slug)' is recorded." }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the Orgs.")

    @Option(name: .customLong("name"), help: "Only those whose name begins so.") var prefix: String?
    @OptionGroup var page: PageOptions
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let (orgs, next) = try await context.client.some(
        "/orgs", query: [("name", prefix)], as: OrgView.self, max: try page.max, after: page.after)
      if output.json { return try Console.json(orgs) }
      if orgs.isEmpty {
        return Console.line(prefix == nil ? "No Org yet. Create one: aw org create NAME" : "No Org matches.")
      }
      Console.table(
        ["ORG", "NAME", "SORT", "INSTANCES", "SINCE"],
        orgs.map { [$0.slug.text, $0.name, $0.sort.rawValue, String($0.instances), Console.age($0.createdAt)] })
      PageOptions.tell(next)
    }
  }
}
