import Basics
import Foundation
import Testing

/// A network that swallows everything without a word, on several sites at once: half of them busy.
@Suite("A silent partition", .serialized, .enabled(if: Namespaces.arePossible))
struct PartitionTests {
  static let outage = Duration.seconds(FaultMatrixTests.isWhole ? 200 : 45)
  static let sites = FaultMatrixTests.isWhole ? 10 : 4
  static let noticedMax = Duration.seconds(10)
  static let backMedianMax = Duration.seconds(2)
  /// Full jitter over two seconds, a dial that had just begun, and a machine that runs late.
  static let backMax = Duration.seconds(10)

  struct Fall: Sendable {
    let load: Load
    var noticedByControl: Duration?
    var noticedByHost: Duration?
    /// From the heal until a new connection through the link is answered.
    var back: Duration?
    var requests = LoadReport()

    var line: String {
      func seconds(_ value: Duration?) -> String { value.map { String(format: "%.1f s", $0.seconds) } ?? "never" }
      return "\(load.rawValue): noticed \(seconds(noticedByControl)) / \(seconds(noticedByHost)), back after "
        + "\(seconds(back)); \(requests.good) answered, \(requests.failed) failed, \(requests.hung) hung"
    }
  }

  @Test("both ends notice within ten seconds, busy or idle, are back within two, and no request hangs")
  func partition() async throws {
    let falls = try await withThrowingTaskGroup(of: Fall.self) { group in
      for number in 0..<Self.sites {
        group.addTask {
          try await Site.with(forwards: true) {
            try await fall(on: $0, under: number.isMultiple(of: 2) ? .idle : .echo)
          }
        }
      }
      return try await group.reduce(into: [Fall]()) { $0.append($1) }
    }
    for fall in falls { Matrix.say(fall.line) }
    for fall in falls {
      let noticed = try [#require(fall.noticedByControl), #require(fall.noticedByHost)]
      #expect(noticed.allSatisfy { $0 <= Self.noticedMax + .milliseconds(500) }, "\(fall.line)")
      #expect(fall.requests.hung == 0, "\(fall.line)")
      #expect(try #require(fall.back) <= Self.backMax, "\(fall.line)")
    }
    let back = falls.compactMap(\.back).sorted()
    #expect(back[back.count / 2] <= Self.backMedianMax, "\(back)")
  }

  private func fall(on site: Site, under load: Load) async throws -> Fall {
    var fall = Fall(load: load)
    let runner = LoadRunner(load, site)
    try await Pace.wait(.seconds(5))
    let before = (try await site.connections(in: site.control), try await site.connections(in: site.host))
    let began = ContinuousClock.now
    try await Fault.dropBoth.inject(into: site)
    while ContinuousClock.now - began < Self.outage {
      let passed = ContinuousClock.now - began
      if fall.noticedByControl == nil, try await site.connections(in: site.control).isDisjoint(with: before.0) {
        fall.noticedByControl = passed
      }
      if fall.noticedByHost == nil, try await site.connections(in: site.host).isDisjoint(with: before.1) {
        fall.noticedByHost = passed
      }
      try await Pace.wait(.milliseconds(200))
    }
    try await Fault.dropBoth.heal(site)
    let healed = ContinuousClock.now
    fall.back = try await Pace.until(within: .seconds(60), since: healed) { await Probe.answers(site) }
    // Whatever was asked meanwhile has had its time.
    try await Pace.wait(.seconds(2))
    fall.requests = await runner.stop()
    return fall
  }
}

/// One request through the link, on a connection of its own.
enum Probe {
  static func answers(_ site: Site) async -> Bool {
    let words = "curl -s -m 2 --unix-socket \(site.folder)/forward http://instance/healthz"
    return (try? await Shell.run(words).output.contains("live")) ?? false
  }
}
