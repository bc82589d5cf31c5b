import ArgumentParser
import Basics
import Client
import Fleet
import Link
import Web

struct HostCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "host", abstract: "The machines that run Instances.",
    subcommands: [Enroll.self, List.self, Show.self, Drain.self, Remove.self])

  struct Enroll: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Print the line that makes a machine a Host.",
      discussion: "Paste it into a shell on that machine within 15 minutes. It works once, and is not shown again.")

    @Argument(help: ArgumentHelp("The Host's name.", valueName: "host")) var slug: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = ["slug": try Slug(slug)]
      guard let answer = try await act.send(.post, "/hosts", body: body) else { return }
      if output.json { return try Console.json(answer) }
      // The line alone on standard output, so that it can be piped to the machine.
      Console.complain("Paste this on the machine that is to be '\(slug)', within 15 minutes. It works once.")
      Console.line(try answer.decode(InvitationView.self).line)
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the Hosts.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let hosts = try await context.client.all("/hosts", as: HostView.self)
      if output.json { return try Console.json(hosts) }
      if hosts.isEmpty { return Console.line("No Host yet. Add one: aw host enroll NAME") }
      Console.table(
        ["HOST", "LINK", "STATE", "INSTANCES", "RUNTIMES"],
        hosts.map { host in
          [
            host.slug.text, link(host), host.state.rawValue,
            String(host.instances), host.offers,
          ]
        })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show one Host.")

    @Argument(help: ArgumentHelp("The Host's name.", valueName: "host")) var slug: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let host = try await context.client.send(.get, "/hosts/\(try Slug(slug))", as: HostView.self)
      if output.json { return try Console.json(host) }
      Console.line("\(host.slug)  \(HostCommands.link(host))")
      Console.line("  state      \(host.state.rawValue), \(Console.count(host.instances, "Instance"))")
      Console.line("  machine    \(host.machine ?? "not enrolled yet")\(host.program.map { ", \($0)" } ?? "")")
      if let loss = host.lastLoss { Console.line("  last link  ended by \(loss)") }
      for runtime in host.runtimes {
        let says =
          (runtime.available ? "available" : "not available") + (host.connected ? "" : " when it was last linked")
        Console.line("  \(runtime.kind.rawValue.column(9))  \(says): \(runtime.detail)")
      }
    }
  }

  /// `linked, since 3 min, over 2 connections`; since when there is none.
  static func link(_ host: HostView) -> String {
    if host.connected {
      return "linked, since \(Console.age(host.connectedAt)), over \(Console.count(host.connections, "connection"))"
    }
    return host.disconnectedAt.map { "no link, since \(Console.age($0))" } ?? "never linked"
  }

  struct Drain: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Place no new Instances on a Host. What runs there goes on.")

    @Argument(help: ArgumentHelp("The Host's name.", valueName: "host")) var slug: String
    @Flag(help: "Place Instances on it again.") var undo = false
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let path = "/hosts/\(try Slug(slug))/drain"
      try await act.tell(.post, path, body: ["draining": !undo]) { _ in
        undo ? "'\(slug)' takes Instances again." : "'\(slug)' takes no new Instances."
      }
    }
  }

  struct Remove: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "rm", abstract: "Forget a Host: its links end, and its certificate is refused.")

    @Argument(help: ArgumentHelp("The Host's name.", valueName: "host")) var slug: String
    @Flag(help: "Also with Instances on it, as for a machine that is gone for good. They are forgotten too.")
    var force = false
    @Option(help: "With --force: the Host's name again, instead of typing it.") var confirm: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let name = try Slug(slug)
      if force, !act.isRehearsal {
        try Console.confirm(
          name.text, given: confirm,
          "AW forgets '\(name)' and its Instances. What of them is on the machine stays there.")
      }
      let query = [("force", force ? "true" : nil)]
      guard try await act.send(.delete, "/hosts/\(name)", query: query) != nil else { return }
      if output.json { return try Console.json(JSONValue.object(["removed": .string(name.text)])) }
      Console.line("'\(name)' is forgotten.")
    }
  }
}
