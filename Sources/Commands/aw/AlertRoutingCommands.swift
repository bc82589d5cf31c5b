import Alerts
import ArgumentParser
import Basics
import Client
import Foundation

struct AlertEndpointCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "endpoint", abstract: "Where notifications go.",
    subcommands: [Add.self, List.self, Rotate.self, Test.self, Enable.self, Disable.self, Remove.self])

  struct Add: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Add an endpoint.",
      discussion: """
        Kinds: webhook (CloudEvents, signed), alertmanager, pagerduty, slack, email, command. What each needs is in \
        docs/endpoints.md. A secret is read from a file or a descriptor, never from the command line; a webhook \
        without one gets a signing secret made, shown once.
        """)

    @Argument(help: "Its name.") var name: Slug
    @Option(help: "webhook, alertmanager, pagerduty, slack, email or command.") var kind: EndpointKind
    @Option(help: "A URL, smtp://host:port, or the absolute path of a command.") var target: String?
    @Option(name: .customLong("set"), help: "A setting of the kind, NAME=VALUE or NAME=JSON; may be repeated.")
    var settings: [String] = []
    @Option(help: "A private address range that it may be in, such as 10.20.0.0/16; may be repeated.")
    var allowPrivate: [String] = []
    @Option(help: "A file that holds its secret, or /dev/fd/N, or - for standard input.") var secretFile: String?
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    private struct Body: Encodable, Sendable {
      let name: Slug
      let kind: EndpointKind
      let target: String?
      let settings: JSONValue
      let allowsPrivate: [String]
      let secret: String?
    }

    func run() async throws {
      let secret = try secretFile.map { try AlertEndpointCommands.secret($0) }
      let body = Body(
        name: name, kind: kind, target: target, settings: .object(try Self.parse(settings)),
        allowsPrivate: allowPrivate, secret: secret?.withText { $0 })
      guard let answer = try await act.send(.post, "/alert-endpoints", body: body) else { return }
      if output.json { return try Console.json(answer) }
      Console.line("The endpoint '\(name)' is recorded. Try it: aw alert endpoint test \(name)")
      if let made = answer["secret"]?.stringValue {
        Console.line("Its signing secret, shown once: give it to the receiver.\n  \(made)")
      }
    }

    /// `NAME=VALUE`: what reads as JSON is JSON, everything else is text.
    static func parse(_ settings: [String]) throws -> [String: JSONValue] {
      var members: [String: JSONValue] = [:]
      for setting in settings {
        guard let equals = setting.firstIndex(of: "="), equals != setting.startIndex else {
          throw AWError(
            .usage, "\(setting.quoted) is not of the form NAME=VALUE.", next: "Write --set from=aw@example.com.")
        }
        let text = String(setting[setting.index(after: equals)...])
        members[String(setting[..<equals])] = (try? JSONValue(parsing: text)) ?? .string(text)
      }
      return members
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the endpoints.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/alert-endpoints", as: Items<EndpointView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty {
        return Console.line("No endpoint yet. Add one: aw alert endpoint add NAME --kind KIND")
      }
      Console.table(
        ["ENDPOINT", "KIND", "STATE", "SECRETS", "TARGET"],
        answer.items.map {
          [
            $0.name.text, $0.kind.rawValue, $0.enabled ? "on" : "off", String($0.secrets),
            $0.target.isEmpty ? "in the vault" : $0.target,
          ]
        })
    }
  }

  struct Rotate: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Give an endpoint another secret.",
      discussion: "The one before stays valid beside it until the next rotation, so that the receiver can change over.")

    @Argument(help: "The endpoint.") var name: Slug
    @Option(help: "A file that holds the secret, or /dev/fd/N, or - for standard input.") var secretFile: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = ["secret": try AlertEndpointCommands.secret(secretFile).withText { $0 }]
      try await act.tell(.post, "/alert-endpoints/\(name)/secret", body: body) { _ in
        "'\(name)' has a new secret. The one before stays beside it until the next rotation."
      }
    }
  }

  struct Test: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Send something harmless, and say how it ended.")

    @Argument(help: "The endpoint.") var name: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    /// As long as one try may take, and a little.
    static let patience = Duration.seconds(25)

    func run() async throws {
      guard let answer = try await act.send(.post, "/alert-endpoints/\(name)/test") else { return }
      var delivery = try answer.decode(DeliveryView.self)
      let end = ContinuousClock.now + Self.patience
      while delivery.attempts.isEmpty, ContinuousClock.now < end {
        try await Task.sleep(for: .milliseconds(250))
        delivery = try await act.context.client.send(.get, "/deliveries/\(delivery.id)", as: DeliveryView.self)
      }
      if output.json { try Console.json(delivery) }
      guard let attempt = delivery.attempts.last else {
        throw AWError(
          .operationDeadline, "The test was not sent within \(Self.patience.words).", next: "See 'aw alert deliveries'."
        )
      }
      guard delivery.state == .delivered else {
        throw AWError(
          .deliveryFailed, "The test did not arrive: \(attempt.detail).",
          next: "Correct the endpoint or its receiver; 'aw alert deliveries' shows every try.")
      }
      if !output.json { Console.line("It arrived: \(attempt.detail), \(attempt.milliseconds) ms.") }
    }
  }

  struct Enable: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Switch an endpoint on again.")
    @Argument(help: "The endpoint.") var name: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }
    func run() async throws { try await AlertEndpointCommands.enable(name, true, act) }
  }

  struct Disable: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Switch an endpoint off; what waits for it is given up.")
    @Argument(help: "The endpoint.") var name: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }
    func run() async throws { try await AlertEndpointCommands.enable(name, false, act) }
  }

  struct Remove: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove an endpoint with its secrets.")
    @Argument(help: "The endpoint.") var name: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.delete, "/alert-endpoints/\(name)") { _ in "The endpoint '\(name)' is gone." }
    }
  }

  private static func enable(_ name: Slug, _ enabled: Bool, _ act: ActOptions) async throws {
    guard let answer = try await act.send(.post, "/alert-endpoints/\(name)/enable", body: ["enabled": enabled]) else {
      return
    }
    if act.output.json { return try Console.json(answer) }
    Console.line("'\(name)' is switched \(enabled ? "on" : "off").")
  }

  static func secret(_ path: String) throws -> Secret { try SecretFile.read(path) }
}

/// An answer that holds everything there is.
struct Items<Item: Codable & Sendable>: Codable, Sendable { let items: [Item] }

struct AlertRouteCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "route", abstract: "Who is told of which alerts.", subcommands: [Set.self, List.self, Remove.self])

  struct Set: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "Make a route, or change the one of that name.",
      discussion: "Without --org, --type, --severity and --subject it takes every alert.")

    @Argument(help: "Its name.") var name: Slug
    @Option(name: .customLong("endpoint"), help: "Who is told; may be given several times.") var endpoints: [Slug]
    @OptionGroup var matching: MatcherOptions
    @Option(help: "Its place among the routes, from 1; without it a new one is last.") var position: Int?
    @Flag(help: "Ask the routes after this one too.") var goOn = false
    @Option(help: "Seconds that the first alert of a group waits for others.") var wait = AlertRoute.Pace().waitSeconds
    @Option(help: "Seconds between two notifications of a group.") var interval = AlertRoute.Pace().intervalSeconds
    @Option(name: .customLong("repeat"), help: "Seconds until what is still open is told again.")
    var again = AlertRoute.Pace().repeatSeconds
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let body = AlertsService.RouteRequest(
        name: name, endpoints: endpoints, matchers: matching.matchers,
        pace: .init(waitSeconds: wait, intervalSeconds: interval, repeatSeconds: again), position: position,
        goesOn: goOn)
      try await act.tell(.post, "/alert-routes", body: body) { _ in
        "The route '\(name)' tells \(endpoints.map(\.text).joined(separator: ", ")) of \(matching.matchers.words)."
      }
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List the routes, in the order in which they are asked.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/alert-routes", as: Items<AlertRoute>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty {
        return Console.line("No route: nobody is told. Make one: aw alert route set NAME --endpoint E")
      }
      Console.table(
        ["#", "ROUTE", "TELLS", "TAKES", "WAIT", "INTERVAL", "REPEAT", "THEN"],
        answer.items.map { route in
          [
            String(route.position), route.name.text, route.endpoints.map(\.text).joined(separator: ","),
            route.matchers.words, "\(route.pace.waitSeconds) s", "\(route.pace.intervalSeconds) s",
            "\(route.pace.repeatSeconds) s", route.goesOn ? "goes on" : "stops",
          ]
        })
    }
  }

  struct Remove: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove a route.")
    @Argument(help: "The route.") var name: Slug
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      try await act.tell(.delete, "/alert-routes/\(name)") { _ in "The route '\(name)' is gone." }
    }
  }
}

struct AlertSilenceCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "silence", abstract: "Keep some alerts from being told, until an end.",
    subcommands: [Add.self, List.self, End.self])

  struct Add: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Silence alerts. They are still opened and shown.")

    @OptionGroup var matching: MatcherOptions
    @Option(name: .customLong("for"), help: "For how long: 30m, 2h, 1d.") var length: String?
    @Option(help: "Until when, such as 2026-12-01T06:00:00Z.") var until: String?
    @Option(help: "From when; without it from now.") var from: String?
    @Option(help: "Why.") var reason: String
    @Flag(help: "A maintenance window: work that was announced.") var maintenance = false
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      let startsAt = try from.map { try Typed.time($0) }
      let endsAt =
        try until.map { try Typed.time($0) }
        ?? length.map { (startsAt ?? Timestamp(Date())).advanced(by: try Self.duration($0)) }
      let body = AlertsService.SilenceRequest(
        sort: maintenance ? .maintenance : .silence, matchers: matching.matchers, startsAt: startsAt, endsAt: endsAt,
        reason: reason)
      guard let answer = try await act.send(.post, "/silences", body: body) else { return }
      if output.json { return try Console.json(answer) }
      let silence = try answer.decode(SilenceView.self)
      Console.line(
        "Nobody is told of \(silence.words) until \(silence.endsAt). End it: aw alert silence end \(silence.id)")
    }

    /// `90s`, `30m`, `2h`, `1d`.
    static func duration(_ text: String) throws -> Duration {
      let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
      guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
        (1...100_000).contains(count)
      else { throw AWError(.usage, "\(text.quoted) is no length of time.", next: "Write it like 30m, 2h or 1d.") }
      return .seconds(count * unit)
    }
  }

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List silences and maintenance windows.")

    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let answer = try await context.client.send(.get, "/silences", as: Items<SilenceView>.self)
      if output.json { return try Console.json(answer.items) }
      if answer.items.isEmpty { return Console.line("No silence.") }
      Console.table(
        ["STATE", "KIND", "FROM", "UNTIL", "OF WHAT", "WHY", "ID"],
        answer.items.map {
          [
            $0.state.rawValue, $0.sort.rawValue, $0.startsAt.description, $0.endsAt.description, $0.words, $0.reason,
            $0.id.text,
          ]
        })
    }
  }

  struct End: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "End a silence now.")
    @Argument(help: "Its id.") var id: String
    @OptionGroup var act: ActOptions
    var output: OutputOptions { act.output }

    func run() async throws {
      guard let id = SilenceID(id) else {
        throw AWError(.usage, "\(id.quoted) is no id of a silence.", next: "Copy one from 'aw alert silence list'.")
      }
      try await act.tell(.post, "/silences/\(id)/end") { _ in
        "It is over. What is still open is told within the interval of its route."
      }
    }
  }
}
