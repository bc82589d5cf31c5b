import ArgumentParser
import Basics
import Client
import Fleet

/// Which Instances are wanted. All that is given must hold.
struct BoardOptions: ParsableArguments {
  @Option(help: "Only of this Org.") var org: String?
  @Option(help: "Only on this Host.") var host: String?
  @Option(help: "Only with this status: current, stale, unreachable, degraded or unknown.") var status: String?
  @Option(name: .customLong("openclaw"), help: "Only with this version of OpenClaw.") var openClaw: String?
  @Option(help: "Only what is broken at this link of the chain, such as readyz.") var cause: String?
  @Option(name: .customLong("name"), help: "Only those whose name begins so.") var prefix: String?
  @OptionGroup var page: PageOptions

  var query: [(String, String?)] {
    [
      ("org", org), ("host", host), ("status", status), ("version", openClaw), ("cause", cause), ("name", prefix),
    ]
  }

  /// Reads them page by page.
  ///
  /// - Returns: them, and where the next answer goes on; nil when these are all.
  func read(_ client: APIClient, sort: String) async throws -> (items: [InstanceView], next: String?) {
    return try await client.some(
      "/instances", query: query + [("sort", sort)], as: InstanceView.self, max: try page.max, after: page.after)
  }
}

/// Which part of a listing is wanted.
struct PageOptions: ParsableArguments {
  @Option(help: "How many at most.") var limit: Int?
  @Option(help: "Go on after an earlier answer: what it named.") var after: String?

  var max: Int { get throws { try max(unlessSaid: .max) } }

  func max(unlessSaid usual: Int) throws -> Int {
    guard limit.map({ $0 > 0 }) ?? true else {
      throw AWError(.usage, "A limit of \(limit ?? 0) shows nothing.", next: "Give a whole number above 0.")
    }
    return limit ?? usual
  }

  /// Says how to go on, beside the answer.
  static func tell(_ next: String?) {
    if let next { Console.complain("There are more: --after \(next)") }
  }
}
