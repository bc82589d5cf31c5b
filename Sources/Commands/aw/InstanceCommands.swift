import ArgumentParser
import Basics
import Client
import Fleet
import Link
import Web
import Work

struct InstanceCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "instance", abstract: "OpenClaw Gateways. Each serves one Org, and only that one.",
    subcommands: [
      Create.self, List.self, Show.self, Timeline.self, Latency.self, Logs.self, Stop.self, Start.self, Restart.self,
      Remove.self,
    ])

  struct Create: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Provision an Instance and verify it with a real model turn.",
      discussion: "It is 'verified' when the whole chain was seen to work. When a step fails, what was made is undone.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @Option(help: "The Org that it serves.") var org: String
    @Option(help: "process, or docker for a hardened container.") var runtime: RuntimeKind = .process
    @Option(help: "The image of the docker runtime, best by digest.") var image: String?
    @Option(help: "The Host; without it the linked one with the fewest Instances.") var host: String?
    @Option(help: "The loopback port on the Host; without it a free one.") var port: Int?
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = FleetRoutes.InstanceBody(
        org: try Slug(org), slug: try Slug(slug), runtime: runtime, image: image,
        host: try host.map { try Slug($0) }, port: port)
      guard let answer = try await act.send(.post, "/instances", body: body) else { return }
      try await waiting.follow(answer, act) { _ in "'\(slug)' is verified." }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the Instances.")

    @OptionGroup var which: BoardOptions
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let (instances, next) = try await which.read(try context.client, sort: "slug")
      if output.json { return try Console.json(instances) }
      if instances.isEmpty { return Console.line("No Instance. Create one: aw instance create NAME --org ORG") }
      Console.table(
        ["INSTANCE", "ORG", "HOST", "RUNTIME", "ASKED FOR", "OPENCLAW", "STATUS"],
        instances.map { view in
          [
            view.slug.text, view.org.text, view.host.text, view.runtime.rawValue, view.state.words,
            view.version ?? "-", Console.coloured(view.status.status),
          ]
        })
      PageOptions.tell(next)
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show one Instance with its chain and operation.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(.get, "/instances/\(try Slug(slug))", as: InstanceView.self)
      if output.json { return try Console.json(view) }
      InstanceLines.show(view)
    }
  }

  struct Logs: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Print the last lines of an Instance's output, its secrets blotted out.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @Option(help: "How many lines.") var lines = 100
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(
        .get, "/instances/\(try Slug(slug))/logs", query: [("lines", String(lines))])
      if output.json { return try Console.json(answer) }
      for line in answer["lines"]?.arrayValue ?? [] { Console.line(line.stringValue ?? "") }
    }
  }

  struct Stop: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Stop an Instance. It stays stopped.")
    @OptionGroup var on: OperateOptions
    var output: OutputOptions { on.act.output }

    func run() async throws { try await on.ask("stop") { "'\($0)' is stopped." } }
  }

  struct Start: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Start an Instance and verify it.")
    @OptionGroup var on: OperateOptions
    var output: OutputOptions { on.act.output }

    func run() async throws { try await on.ask("start") { "'\($0)' runs and is verified." } }
  }

  struct Restart: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Stop an Instance, start it again and verify it.")
    @OptionGroup var on: OperateOptions
    var output: OutputOptions { on.act.output }

    func run() async throws { try await on.ask("restart") { "'\($0)' runs again and is verified." } }
  }

  struct Remove: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      commandName: "rm", abstract: "Remove an Instance. Its data stays on the Host, and you are told where.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @Flag(help: "Delete its data too, for good.") var purge = false
    @Option(help: "With --purge: the Instance's name again, instead of typing it.") var confirm: String?
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let name = try Slug(slug)
      if purge, !act.isRehearsal {
        try Console.confirm(name.text, given: confirm, "The data of '\(name)' is deleted for good.")
      }
      let query = [("purge", purge ? "true" : nil), ("confirm", purge ? name.text : nil)]
      guard let answer = try await act.send(.delete, "/instances/\(name)", query: query) else { return }
      try await waiting.follow(answer, act) { operation in
        let kept = operation.steps.first { $0.name == InstanceStep.remove.rawValue }?.detail["dataDirectory"]?
          .stringValue
        return "'\(name)' is removed." + (kept.map { " Its data stays on the Host: \($0)" } ?? "")
      }
    }
  }
}

/// What verbs that ask for an operation on an Instance have in common.
struct OperateOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
  @OptionGroup var waiting: WaitingOptions
  @OptionGroup var act: ActOptions

  func ask(_ verb: String, done: @escaping @Sendable (String) -> String) async throws {
    let name = try Slug(slug)
    guard let answer = try await act.send(.post, "/instances/\(name)/\(verb)") else { return }
    try await waiting.follow(answer, act) { _ in done(name.text) }
  }
}

struct WaitingOptions: ParsableArguments {
  @Flag(name: .customLong("no-wait"), help: "Do not wait for the operation; it goes on by itself.") var noWait = false

  static let pollEvery = Duration.milliseconds(200)

  /// Shows the operation of an answer until it has ended.
  ///
  /// - Throws: the operation's own failure.
  func follow(
    _ answer: JSONValue, _ act: ActOptions, done: (OperationView) -> String
  ) async throws {
    let (client, json) = (try act.context.client, act.output.json)
    let requested = try answer.decode(RequestedView.self)
    if noWait {
      if json { return try Console.json(answer) }
      return Console.line("Operation \(requested.operation.id) has begun: aw instance show \(requested.instance.slug)")
    }
    let operation = try await Self.ended(requested.operation, client, json: json)
    if let failure = operation.failure { throw failure.error }
    if json { return try Console.json(operation) }
    Console.line(done(operation))
  }

  /// Shows an operation until it has ended.
  static func ended(_ operation: OperationView, _ client: APIClient, json: Bool) async throws -> OperationView {
    var (operation, lines) = (operation, ProgressLines())
    while true {
      if !json { lines.show(operation) }
      if operation.isFinished { return operation }
      try await Task.sleep(for: pollEvery)
      operation = try await client.send(.get, "/operations/\(operation.id)", as: OperationView.self)
    }
  }
}
