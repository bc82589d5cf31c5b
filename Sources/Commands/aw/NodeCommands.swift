import ArgumentParser
import Basics
import Client
import Fleet

struct NodeCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "The control planes that share the database.", subcommands: [List.self])

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "List the control planes, and how much of the fleet each one watches.",
      discussion:
        "The one that answers is marked with an asterisk. HOSTS are those that it watches and works on; LINKS "
        + "are those that dialled it.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let nodes = try await context.client.all("/nodes", as: NodeView.self)
      if output.json { return try Console.json(nodes) }
      Console.table(
        ["NODE", "STATE", "HOSTS", "LINKS", "FLEET", "AW GATEWAY", "SEEN"],
        nodes.map { node in
          [
            node.name + (node.isThis ? "*" : ""), node.state, String(node.hosts), String(node.links),
            node.hasFleet ? "yes" : "", node.gateway, node.seenAt.description,
          ]
        })
    }
  }
}
