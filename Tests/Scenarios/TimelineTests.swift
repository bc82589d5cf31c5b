import Basics
import Client
import Deployment
import Evidence
import Fleet
import Foundation
import Store
import Testing

@Suite("The timeline of an Instance, whole", .serialized, .timeLimit(.minutes(3)))
struct TimelineTests {
  @Test("it tells of silences of its Org and of what its Host lost, and not of those of others, however many they are")
  func others() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      let host = try await scene.control.reader.host(Slug(Scene.host))
      let now = WallClock.system.now
      let until = now.advanced(by: .seconds(3_600))
      for (org, reason) in [("acme", "Ours."), ("beta", "Theirs.")] {
        let body: JSONValue = [
          "sort": "maintenance", "matchers": ["org": .string(org)], "endsAt": .string(until.description),
          "reason": .string(reason),
        ]
        _ = try await scene.client.send(.post, "/silences", body: body)
      }
      let own = "host/\(host.id)"
      try await scene.control.store.write { tx in
        // More than one look into the log can hold lie between what is its own and now.
        for scope in [own] + Array(repeating: "host/another", count: EvidenceLog.listMax + 1) {
          try EvidenceLog().append(
            EvidenceEntry(
              kind: .scopeDisruptionBegan, at: now, actor: "system/watchdog",
              data: ["scope": .string(scope), "lost": 5, "instances": 6]), in: tx)
        }
      }
      let items = try await scene.client.all("/instances/acme-main/timeline", as: TimelineItem.self)
      #expect(items.filter { $0.sort == .silence }.map(\.reason) == ["Ours."])
      #expect(items.filter { $0.sort == .disruption }.map(\.title).count == 1)
      #expect(items.map(\.index) == items.map(\.index).sorted(by: >))
      let newest = try await scene.client.send(
        .get, "/instances/acme-main/timeline", query: [("limit", "1")])
      #expect(newest["items"]?[0]?["sort"] == "disruption" && newest["next"]?.stringValue != nil)
    }
  }
}
