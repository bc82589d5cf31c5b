import Basics
import Deployment
import Client
import Fleet
import Foundation
import Link
import Testing

@testable import Gateway

@Suite("A path that has become worse, as operators see it", .timeLimit(.minutes(3)))
struct DegradedPathTests {
  @Test("the Host's Instances are degraded with that cause, and never unreachable; it stands in the list of losses")
  func instance() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      try await scene.until { $0.status.status == .current }
      let host = try await scene.client.send(.get, "/hosts/host-1", as: HostView.self)
      let gateway = scene.control.gateway
      let session = try gateway.session(of: host.id)
      func feed(_ milliseconds: Int, _ times: Int) {
        let sample = PathSample(roundTrip: .milliseconds(milliseconds), sent: 4, sentAgain: 0)
        for _ in 0..<times { gateway.take(sample, nil, of: session) }
      }
      feed(20, PathPolicy().normalsMin)
      feed(2_000, PathPolicy().run)
      let seen = try await scene.until { $0.status.status != .current }
      #expect(seen.status.status == .degraded)
      #expect(seen.chain.contains { $0.outcome == "degraded" && $0.code == "link.path-degraded" })
      let losses = try await scene.client.all("/losses", query: [("class", "path_degraded")], as: LossView.self)
      #expect(losses.count == 1 && losses[0].recoveredAt == nil && losses[0].rule == .signal)
      feed(20, PathPolicy().run)
      try await scene.until { $0.status.status == .current }
      let mended = try await scene.client.all("/losses", query: [("class", "path_degraded")], as: LossView.self)
      #expect(mended.count == 1 && mended[0].recoveredAt != nil)
    }
  }
}
