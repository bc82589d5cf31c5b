import ArgumentParser
import Basics
import Client
import Onboarding

struct BaselineCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "baseline", abstract: "The OpenClaw settings that Orgs have at least, and exceptions from them.",
    subcommands: [List.self, Show.self, Diff.self, Except.self, Approve.self, Withdraw.self])

  /// A value as somebody types it: JSON where it is JSON, else the text itself.
  static func value(_ text: String) -> JSONValue { (try? JSONValue(parsing: text)) ?? .string(text) }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the baselines.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let views = try await context.client.send(.get, "/baselines", as: Items<BaselineView>.self).items
      if output.json { return try Console.json(views) }
      for view in views {
        Console.line("\(view.reference)  \(view.digest)")
        Console.line("  \(view.summary)")
      }
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show a baseline, or the policy.jsonc that it compiles to.")

    @Argument(help: "strict, strict@1, or its whole name.") var baseline: String
    @Flag(help: "OpenClaw's policy.jsonc for it, and nothing else.") var policy = false
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let path = "/baselines/\(try BaselineCommands.segment(baseline))"
      let view = try await context.client.send(.get, path, as: BaselineView.self)
      if policy { return Console.line(view.policy.indented) }
      if output.json { return try Console.json(view) }
      Console.line("\(view.reference)  \(view.digest)")
      Console.line("  \(view.summary)")
      for (key, value) in view.settings.sorted(by: { $0.key < $1.key }) {
        Console.line("  \(key) = \(value.canonical)")
      }
    }
  }

  struct Diff: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Show what differs: from one baseline to another, or with --org from what an Org has.")

    @Argument(help: "The baseline to look at.") var to: String
    @Option(help: "The baseline to compare it with.") var from = "standard"
    @Option(help: "The Org whose own baseline it is compared with.") var org: Slug?
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let changes: [BaselineChange]
      if let org {
        changes = try await context.client.send(
          .get, "/orgs/\(org)/onboarding/baseline", query: [("to", to)], as: Items<BaselineChange>.self
        ).items
      } else {
        let (from, to) = (try BaselineCommands.segment(from), try BaselineCommands.segment(to))
        changes = try await context.client.send(
          .get, "/baselines/\(from)/diff/\(to)", as: Items<BaselineChange>.self
        ).items
      }
      if output.json { return try Console.json(changes) }
      if changes.isEmpty { Console.line("Nothing differs.") }
      for change in changes { Console.line(change.words) }
    }
  }

  /// Which exception.
  struct Place: ParsableArguments {
    @Argument(help: "The Org.") var org: Slug
    @Argument(help: "The key, such as tools.exec.security.") var key: String

    var path: String { "/orgs/\(org)/onboarding/exceptions" }
    func path(_ verb: String) throws -> String { path + "/\(try BaselineCommands.segment(key))/\(verb)" }
  }

  struct Except: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Ask for a value that is weaker than the baseline's, for a time. Another operator has to approve it.")

    @OptionGroup var place: Place
    @Argument(help: "The value: JSON, or a word.") var value: String
    @Option(help: "Who answers for it.") var owner: String
    @Option(help: "Why it has to be.") var reason: String
    @Option(help: "When it ends, such as 2027-01-31T00:00:00Z; at most 90 days from now.") var until: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = OnboardingService.ExceptionRequest(
        key: place.key, value: BaselineCommands.value(value), owner: owner, reason: reason,
        until: try Typed.time(until))
      guard let answer = try await act.send(.post, place.path, body: body) else { return }
      if output.json { return try Console.json(answer) }
      Console.line("The exception for \(place.key) is asked for. It counts once another operator approved it:")
      Console.line("  aw baseline approve \(place.org) \(place.key)")
    }
  }

  struct Approve: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Approve an exception that another operator asked for.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, place.path("approve")) { _ in
        "Approved. It reaches the Instance with 'aw org onboard \(place.org) --provision'."
      }
    }
  }

  struct Withdraw: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Take an exception back.")

    @OptionGroup var place: Place
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.post, place.path("withdraw")) { _ in
        "Taken back. It leaves the Instance with 'aw org onboard \(place.org) --provision'."
      }
    }
  }

  /// A name as one segment of a path: `aw-baseline/strict` is `strict`.
  private static func segment(_ text: String) throws -> String {
    let short = text.hasPrefix("aw-baseline/") ? String(text.dropFirst("aw-baseline/".count)) : text
    guard short.wholeMatch(of: /[A-Za-z0-9@:._-]+/) != nil else {
      throw AWError(.usage, "\(text.quoted) is no name of that kind.", next: "See 'aw baseline list'.")
    }
    return short
  }
}
