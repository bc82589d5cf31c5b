import Alerts
import ArgumentParser
import Basics
import Client
import Events

struct AlertCommands: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alert", abstract: "Alerts, who is told of them, and what was told.",
    subcommands: [
      List.self, Show.self, AlertEndpointCommands.self, AlertRouteCommands.self, AlertSilenceCommands.self,
      Deliveries.self, DeadLetters.self,
    ])

  struct List: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "List alerts, newest first: the open ones.")

    @Option(help: "open, resolved or all.") var state = "open"
    @Option(help: "How many.") var limit = 100
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let alerts = try await context.client.all(
        "/alerts", query: [("state", state)], as: AlertView.self, max: limit)
      if output.json { return try Console.json(alerts) }
      if alerts.isEmpty { return Console.line(state == "open" ? "No open alert." : "No alert.") }
      Console.table(
        ["SEVERITY", "OPENED", "ENDED", "ORG", "WHAT", "ID"],
        alerts.map { alert in
          [
            alert.severity.rawValue, Console.age(alert.openedAt), alert.resolvedAt.map { Console.age($0) } ?? "open",
            alert.org ?? "-", alert.title + (alert.mutedBy == nil ? "" : " (muted)"), alert.id.text,
          ]
        })
    }
  }

  struct Show: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "Show one alert.")

    @Argument(help: "Its id.") var id: String
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      guard let id = AlertID(id) else {
        throw AWError(.usage, "\(id.quoted) is no id of an alert.", next: "Copy one from 'aw alert list'.")
      }
      let alert = try await context.client.send(.get, "/alerts/\(id)", as: AlertView.self)
      if output.json { return try Console.json(alert) }
      Console.line("\(alert.severity.rawValue): \(alert.title)")
      Console.line("  \(alert.type), \(alert.subject), Org \(alert.org ?? "-")")
      let end = alert.resolvedAt.map { "over since \($0)" } ?? "open"
      Console.line("  Opened \(alert.openedAt), \(end)\(alert.mutedBy.map { ", muted by \($0)" } ?? "").")
      if let runbook = alert.runbook { Console.line("  What to do: docs/runbooks/\(runbook).md") }
      Console.line(alert.data.indented)
    }
  }

  struct Deliveries: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(abstract: "What was told or waits to be, newest first.")

    @Option(help: "Only to this endpoint.") var endpoint: String?
    @Option(help: "Only those that are waiting, delivered or dead.") var state: String?
    @Option(help: "How many.") var limit = 50
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let deliveries = try await context.client.all(
        "/deliveries", query: [("endpoint", endpoint), ("state", state)], as: DeliveryView.self, max: limit)
      try AlertCommands.show(deliveries, json: output.json, nothing: "No delivery.")
    }
  }

  struct DeadLetters: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "dead-letters", abstract: "Deliveries that were given up.", subcommands: [List.self, Replay.self])

    struct List: AsyncParsableCommand, JSONAnswering {
      static let configuration = CommandConfiguration(abstract: "List deliveries that were given up.")

      @OptionGroup var context: ContextOptions
      @OptionGroup var output: OutputOptions

      func run() async throws {
        let dead = try await context.client.all(
          "/deliveries", query: [("state", "dead")], as: DeliveryView.self, max: 1_000)
        try AlertCommands.show(dead, json: output.json, nothing: "Nothing was given up.")
      }
    }

    struct Replay: AsyncParsableCommand, JSONAnswering {
      static let configuration = CommandConfiguration(abstract: "Try one again, with the same id.")

      @Argument(help: "The delivery's id.") var id: String
      @OptionGroup var act: ActOptions
      var output: OutputOptions { act.output }

      func run() async throws {
        guard let id = DeliveryID(id) else {
          throw AWError(
            .usage, "\(id.quoted) is no id of a delivery.", next: "Copy one from 'aw alert dead-letters list'.")
        }
        try await act.tell(.post, "/deliveries/\(id)/replay") { _ in
          "It is tried again. Watch it: aw alert deliveries"
        }
      }
    }
  }

  static func show(_ deliveries: [DeliveryView], json: Bool, nothing: String) throws {
    if json { return try Console.json(deliveries) }
    if deliveries.isEmpty { return Console.line(nothing) }
    Console.table(
      ["STATE", "SINCE", "ENDPOINT", "TRIES", "LAST", "WHAT", "ID"],
      deliveries.map { delivery in
        let more = delivery.titles.count > 1 ? " (+\(delivery.titles.count - 1))" : ""
        return [
          delivery.state.rawValue, Console.age(delivery.createdAt), delivery.endpoint,
          String(delivery.attempts.count), delivery.attempts.last.map { String($0.detail.prefix(40)) } ?? "-",
          (delivery.titles.first ?? "") + more, delivery.id.text,
        ]
      })
  }
}

/// Options that say which alerts are meant.
struct MatcherOptions: ParsableArguments {
  @Option(help: "Only of this Org.") var org: Slug?
  @Option(name: .customLong("type"), help: "Only of this event type; may be given several times.")
  var types: [String] = []
  @Option(help: "Only info, warning or critical, and worse.") var severity: EventSeverity?
  @Option(help: "Only whose subject begins with this, such as host/<id>.") var subject: String?

  var matchers: Matchers { Matchers(org: org, types: types, severity: severity, subject: subject) }
}

extension EventSeverity: ExpressibleByArgument {}
extension EndpointKind: ExpressibleByArgument {}
