import Basics
import Evidence
import Link
import Store
import TestSupport
import Testing

@testable import Fleet

@Suite("The timeline of an Instance")
struct TimelineTests {
  static func record(
    _ kind: EvidenceKind, _ data: JSONValue, loss: Loss? = nil
  ) async throws -> TimelineItem? {
    try await TestStores.with(.sqlite, migrations: EvidenceLog.migrations) { store in
      let log = EvidenceLog()
      let record = try await store.write { tx in
        let index = try log.append(
          EvidenceEntry(kind: kind, at: StatusTests.at(0), actor: "system/watchdog", data: data), in: tx)
        return try log.record(at: index, in: tx)
      }
      return try TimelineItem(#require(record), loss: loss, operation: nil)
    }
  }

  @Test("a transition tells from, to, why, the cause, and the chain as it was then")
  func transition() async throws {
    let walk = StatusTests.walk(60, failing: .hello)
    let chain = try StatusTests.evidence(StatusTests.walk(0), walk).chain
    let data: JSONValue = [
      "from": "current", "to": "unreachable", "reason": "Nothing answers.", "link": "hello", "chain": chain,
    ]
    let item = try #require(try await Self.record(.instanceStatusChanged, data))
    #expect(item.sort == .status && item.from == .current && item.to == .unreachable)
    #expect(item.title == "Its status went from current to unreachable." && item.reason == "Nothing answers.")
    #expect(item.cause == .hello && item.index == 0 && item.actor == "system/watchdog")
    let seen = try #require(item.chain)
    #expect(seen.map(\.link) == ChainLink.allCases.filter { $0 != .turn })
    #expect(seen.first { $0.link == .hello }?.code == "test.failed")
    #expect(seen.first { $0.link == .health }?.behindFailure == true)
  }

  @Test("an entry that an earlier AW wrote has no chain, and is told all the same")
  func withoutChain() async throws {
    let item = try #require(
      try await Self.record(.instanceStatusChanged, ["from": "unknown", "to": "current", "reason": "Fine."]))
    #expect(item.chain == nil && item.to == .current)
  }

  @Test("a loss is called what is known of it now")
  func loss() async throws {
    let seen = LossEvidence(observer: .gateway, phase: .established, at: StatusTests.at(0), detail: "gone")
    let loss = Loss(
      id: .make(at: StatusTests.at(0)), host: .make(at: StatusTests.at(0)), seen: seen, account: nil,
      verdict: LossVerdict(.connectorCrash, by: .account), calledFirst: .unknown, recoveredAt: StatusTests.at(7))
    let item = try #require(
      try await Self.record(.hostDisconnected, ["loss": .string(loss.id.text), "class": "unknown"], loss: loss))
    #expect(item.sort == .link && item.loss?.lossClass == .connectorCrash && item.loss?.outageMilliseconds == 7_000)
  }

  @Test(
    "a disruption of a Host or of a release says how much of what was lost",
    arguments: [
      (EvidenceKind.scopeDisruptionBegan, "host/7", "5 of 6 Instances on its Host were lost at once"),
      (.scopeDisruptionBegan, "release/2026.6.9", "5 of 6 Instances of OpenClaw 2026.6.9 were lost at once"),
      (.scopeDisruptionEnded, "host/7", "Most Instances on its Host are back."),
      (.scopeDisruptionEnded, "release/2026.6.9", "Most Instances of OpenClaw 2026.6.9 are back."),
    ])
  func disruption(kind: EvidenceKind, scope: String, says: String) async throws {
    let item = try #require(try await Self.record(kind, ["scope": .string(scope), "lost": 5, "instances": 6]))
    #expect(item.sort == .disruption && item.title.hasPrefix(says), "\(item.title)")
  }

  @Test("every kind that is asked for is told; others are not")
  func kinds() async throws {
    for kind in TimelineItem.ofInstance + TimelineItem.ofHost + TimelineItem.ofWatchdog {
      let item = try await Self.record(kind, ["to": "current", "from": "stale"])
      #expect(item != nil, "\(kind)")
    }
    #expect(try await Self.record(.instanceChecked, [:]) == nil)
  }
}
