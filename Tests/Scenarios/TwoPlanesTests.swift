import Basics
import Client
import Fleet
import Foundation
import Link
import TestSupport
import Testing
import Web
import Work

@Suite(
  "Two control planes share a fleet", .serialized, .timeLimit(.minutes(10)),
  .enabled(if: TestEngine.available.contains(.postgres)))
struct TwoPlanesTests {
  static let slugs = ["acme-0", "acme-1"]

  @Test("the one that holds the fleet is killed, then stopped: the other takes over, and no Instance is blamed for it")
  func takeovers() async throws {
    try await TwoPlanes.with { planes in
      try await set(up: planes)

      // Killed: its lease runs out, and everything is the other one's.
      try await planes.killPlane(0)
      let killedAt = Timestamp(Date())
      try await planes.until(0, by: 1) { $0.state == "lost" }
      try await planes.until(1, by: 1) { $0.hosts == 2 && $0.hasFleet }
      for slug in Self.slugs {
        let seen = try await planes.until(slug, by: 1) { ($0.status.evidenceAt ?? killedAt) > killedAt }
        #expect(seen.status.status == .current, "\(seen.status)")
      }
      try await planes.linked(to: ["plane-b"])
      let takes = try await planes.evidence("node.took-over", by: 1)
      #expect(takes.contains { $0.data["reason"] == "lapsed" && $0.data["from"] == "plane-a" }, "\(takes)")
      #expect(try await planes.evidence("node.lost", by: 1).count == 1)

      // What it asks for now, the other one carries out, and a new Host has somebody who watches it.
      #expect(try await operate("restart", planes, by: 1).state == .succeeded)

      // It comes back: the Hosts give it a connection again, and it can be asked.
      try await planes.start(0)
      try await planes.linked(to: ["plane-a", "plane-b"])
      #expect(try await operate("restart", planes, by: 0).state == .succeeded)
      for slug in Self.slugs { _ = try await planes.until(slug, by: 0) { $0.status.status == .current } }

      // Stopped for longer than its lease, and woken: what it held is not its own any more.
      await planes.signal(1, SIGSTOP)
      try await planes.until(1, by: 0) { $0.state == "lost" }
      try await planes.until(0, by: 0) { $0.hosts == 2 && $0.hasFleet }
      await planes.signal(1, SIGCONT)
      try await planes.until(1, by: 0) { $0.state == "up" && $0.hosts == 0 }
      try await planes.linked(to: ["plane-a", "plane-b"])
      let wokenAt = Timestamp(Date())
      for slug in Self.slugs {
        let seen = try await planes.until(slug, by: 0) { ($0.status.evidenceAt ?? wokenAt) > wokenAt }
        #expect(seen.status.status == .current, "\(seen.status)")
        // Both say the same.
        #expect(try await planes.until(slug, by: 1) { _ in true }.status.status == .current)
      }

      // Leaves on purpose: the other one does not wait for the lease.
      try await planes.end(0)
      try await planes.until(0, by: 1) { $0.state == "left" }
      try await planes.until(1, by: 1) { $0.hosts == 2 && $0.hasFleet }

      try await proven(planes)
    }
  }

  private func set(up planes: TwoPlanes) async throws {
    try await planes.start(0)
    let client = try await planes.client(0)
    _ = try await client.send(.post, "/orgs", body: ["slug": "acme"])
    for index in 0..<2 {
      try await planes.connect("host-\(index)", to: 0)
      while try await !client.send(.get, "/hosts/host-\(index)", as: HostView.self).connected { await Task.yield() }
      let body = FleetRoutes.InstanceBody(
        org: try Slug("acme"), slug: try Slug(Self.slugs[index]), runtime: .process, host: try Slug("host-\(index)"))
      let asked = try await client.send(.post, "/instances", body: body, as: RequestedView.self).operation
      #expect(try await ended(asked, client).state == .succeeded)
    }
    for slug in Self.slugs { _ = try await planes.until(slug, by: 0) { $0.status.status == .current } }
    try await planes.start(1)
    try await planes.linked(to: ["plane-a", "plane-b"])
    try await planes.until(1, by: 0) { $0.state == "up" && $0.links == 2 && $0.hosts == 0 }
    try await planes.until(0, by: 1) { $0.hosts == 2 && $0.hasFleet }
  }

  private func operate(_ verb: String, _ planes: TwoPlanes, by index: Int) async throws -> OperationView {
    let client = try await planes.client(index)
    let asked = try await client.send(.post, "/instances/\(Self.slugs[0])/\(verb)", as: RequestedView.self).operation
    return try await ended(asked, client)
  }

  private func ended(_ operation: OperationView, _ client: APIClient) async throws -> OperationView {
    var operation = operation
    while !operation.isFinished {
      operation = try await client.send(.get, "/operations/\(operation.id)", as: OperationView.self)
    }
    return operation
  }

  /// No Instance was told of, everything that opened was resolved, each step was done once, and the evidence verifies.
  private func proven(_ planes: TwoPlanes) async throws {
    let events = try await planes.events()
    let told = events.filter { $0["type"] == "aw.instance.status-changed" || $0["type"] == "aw.fleet.disruption" }
    #expect(told.allSatisfy { $0["condition"]?["isOpen"] != true }, "\(told)")
    #expect(!events.contains { $0["type"] == "aw.host.connection-lost" && $0["condition"]?["isOpen"] == true })
    var open: [String: Int] = [:]
    for event in events {
      guard let key = event["condition"]?["key"]?.stringValue else { continue }
      open[key, default: 0] = event["condition"]?["isOpen"] == true ? open[key, default: 0] + 1 : 0
      #expect(open[key, default: 0] <= 1, "\(key) was opened twice")
    }
    #expect(open.values.allSatisfy { $0 == 0 }, "\(open)")
    let changes = try await planes.evidence("instance.status-changed", by: 1)
    #expect(!changes.contains { ["unreachable", "stale"].contains($0.data["to"]?.stringValue) }, "\(changes)")
    let ended = try await planes.evidence("operation.ended", by: 1).compactMap(\.act)
    #expect(Set(ended).count == ended.count)
    let all = try await planes.client(1).all("/evidence", as: EvidenceView.self)
    #expect(all.filter { $0.data["_dropped"] != nil }.map(\.kind) == [], "add the fields to EvidenceProfiles")
    for name in TwoPlanes.names {
      let verified = try await Programs.run(["evidence", "verify", planes.folder + "/" + name + "/evidence"])
      #expect(verified.code == 0, "\(verified)")
    }
  }
}
