import ArgumentParser
import Basics
import Client
import Fleet
import Link
import Work

extension InstanceCommands {
  struct Timeline: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "What happened to an Instance, newest first, each with its evidence.",
      discussion: "The newest 50 unless --limit says otherwise. --chain shows the checks behind each change of status.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @Flag(help: "With the chain of checks as it was then.") var chain = false
    @OptionGroup var page: PageOptions
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let (items, next) = try await context.client.some(
        "/instances/\(try Slug(slug))/timeline", as: TimelineItem.self, max: try page.max(unlessSaid: 50),
        after: page.after)
      if output.json { return try Console.json(items) }
      if items.isEmpty { return Console.line("Nothing is recorded of it yet.") }
      for item in items { show(item) }
      PageOptions.tell(next)
    }

    private func show(_ item: TimelineItem) {
      Console.line("\(item.at)  \(item.title)  [evidence \(item.index)]")
      if let reason = item.reason { Console.line("    \(reason)") }
      if let cause = item.cause { Console.line("    Broken at: \(cause.title)") }
      if let loss = item.loss {
        let outage = loss.outageMilliseconds.map { "back after \(Duration.milliseconds($0).words)" } ?? "no link yet"
        Console.line("    \(loss.lossClass.rawValue) (\(loss.side.rawValue)), \(outage): aw loss show \(loss.id)")
      }
      if let failure = item.operation?.failure { Console.line("    \(failure.message) [\(failure.code)]") }
      guard chain else { return }
      for check in item.chain ?? [] {
        let outcome = check.behindFailure ? "not looked at since" : check.outcome
        let why = check.message.map { ": \($0)" } ?? ""
        Console.line("    - \(check.title): \(outcome), \(check.durationMilliseconds) ms, \(check.at)\(why)")
      }
    }
  }

  struct Latency: AsyncParsableCommand, JSONAnswering {
    static let configuration = CommandConfiguration(
      abstract: "How long the checks of an Instance took, and how it was meanwhile.",
      discussion: "Of 24h and 7d each point stands for 5 and 30 minutes. --json has every point.")

    @Argument(help: ArgumentHelp("The Instance's name.", valueName: "instance")) var slug: String
    @Option(help: "How far back: 1h, 24h or 7d.") var window: LatencyWindow = .hour
    @OptionGroup var context: ContextOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let view = try await context.client.send(
        .get, "/instances/\(try Slug(slug))/latency", query: [("window", window.rawValue)], as: LatencyView.self)
      if output.json { return try Console.json(view) }
      for span in view.statuses {
        Console.line(
          "\(span.from)  \(Console.coloured(span.status))\(span.flapping ? ", flapping" : "") "
            + "for \(span.to.since(span.from).words)")
      }
      if view.phases.isEmpty { return Console.line("No check of the last \(window.words) is kept.") }
      Console.table(
        ["LINK", "CHECKS", "FAILED", "LEAST MS", "MEDIAN MS", "MOST MS", "NEWEST MS"], view.phases.map(row))
    }

    private func row(_ phase: LatencyView.Phase) -> [String] {
      let medians = phase.points.compactMap(\.medianMilliseconds).sorted()
      func words(_ value: Int64?) -> String { value.map { "\($0)" } ?? "-" }
      return [
        (phase.part == nil ? "" : "  ") + phase.title, String(phase.points.map(\.checks).reduce(0, +)),
        String(phase.points.map(\.failed).reduce(0, +)), words(phase.points.compactMap(\.minMilliseconds).min()),
        words(medians.isEmpty ? nil : medians[(medians.count - 1) / 2]),
        words(phase.points.compactMap(\.maxMilliseconds).max()), words(phase.points.last?.medianMilliseconds),
      ]
    }
  }
}

extension LatencyWindow: ExpressibleByArgument {}
