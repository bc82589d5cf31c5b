import ArgumentParser
import Basics
import Client
import Fleet
import Foundation
import Link
import Work

struct StatusCommand: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "How every Instance is doing, worst first.",
    discussion: "Exit code 3 when an Instance is unreachable, degraded or unknown.")

  @Argument(help: "Only this Instance, with its chain.") var slug: String?
  @OptionGroup var which: BoardOptions
  @OptionGroup var context: ContextOptions
  @OptionGroup var output: OutputOptions

  private struct Answer: Codable {
    let summary: FleetSummary
    let instances: [InstanceView]
  }

  func run() async throws {
    let client = try context.client
    let summary = try await client.send(.get, "/fleet", query: slug == nil ? which.query : [], as: FleetSummary.self)
    let (instances, next): ([InstanceView], String?) =
      if let slug {
        ([try await client.send(.get, "/instances/\(try Slug(slug))", as: InstanceView.self)], nil)
      } else {
        try await which.read(client, sort: "worst")
      }
    if output.json {
      try Console.json(Answer(summary: summary, instances: instances))
    } else if slug != nil {
      instances.forEach { InstanceLines.show($0, now: summary.now) }
    } else {
      show(summary, instances)
      PageOptions.tell(next)
    }
    if instances.contains(where: { Self.isBad($0.status.status) }) { throw ExitCode(3) }
  }

  private static func isBad(_ status: Status) -> Bool {
    switch status {
    case .unreachable, .degraded, .unknown: true
    case .current, .stale: false
    }
  }

  private func show(_ summary: FleetSummary, _ instances: [InstanceView]) {
    let counts = Status.allCases.sorted { $0.severity > $1.severity }.compactMap { status -> String? in
      guard let count = summary.statuses[status.rawValue], count > 0 else { return nil }
      return "\(count) \(status.rawValue)"
    }
    let instanceWords = counts.isEmpty ? "No Instance" : "Instances: " + counts.joined(separator: ", ")
    Console.line("\(instanceWords). Hosts: \(summary.hostsConnected) of \(summary.hosts) linked.")
    if let doubt = summary.doubt { Console.line("The Watchdog doubts itself. \(doubt)") }
    for view in instances {
      let name = view.slug.text.column(24)
      Console.line("  \(name) \(InstanceLines.status(view, now: summary.now)). \(view.status.reason)")
    }
  }
}

/// One Instance on a screen.
enum InstanceLines {
  /// `current, evidence 3 s ago`.
  static func status(_ view: InstanceView, now: Timestamp) -> String {
    let age = view.status.evidenceAt.map { "evidence \(Console.age($0, now: now))" } ?? "no evidence"
    return "\(Console.coloured(view.status.status)), \(age)"
  }

  static func show(_ view: InstanceView, now: Timestamp = Timestamp(Date())) {
    Console.line("\(view.slug)  \(status(view, now: now))")
    Console.line("  \(view.status.reason)")
    Console.line(
      "  Org \(view.org), Host \(view.host), \(view.runtime.rawValue)"
        + (view.version.map { ", OpenClaw \($0)" } ?? "") + (view.port.map { ", port \($0)" } ?? "")
        + ", \(view.state.words)")
    if !view.chain.isEmpty { Console.line("  Chain:") }
    for check in view.chain {
      let title = check.title.column(18)
      let outcome = check.behindFailure ? "not looked at since" : check.outcome
      let what = check.message.map { "  \($0)" } ?? ""
      Console.line(
        "    \(title) \(outcome), \(Console.age(check.at, now: now)), \(check.durationMilliseconds) ms\(what)")
      if let next = check.next, !check.behindFailure { Console.line("      → \(next)") }
    }
    Console.line("  What was done to it: aw evidence list --subject \(view.id)")
    guard let operation = view.operation else { return }
    Console.line(
      "  Operation \(operation.kind): \(operation.state.rawValue), \(Console.age(operation.updatedAt, now: now))")
    if let failure = operation.failure { Console.line("    \(failure.message) \(failure.next) [\(failure.code)]") }
  }
}
