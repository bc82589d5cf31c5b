import Basics
import Link
import Testing

@testable import Gateway

@Suite("Fencing by epoch")
struct SessionTableTests {
  let host = HostID.make(at: Timestamp(millisecondsSince1970: 0))

  @Test("a newer epoch unroutes the older session")
  func newer() {
    var table = SessionTable()
    #expect(table.admit(host, slot: 0, epoch: 1, connection: "a") == .routed(superseded: nil))
    #expect(table.admit(host, slot: 0, epoch: 2, connection: "b") == .routed(superseded: "a"))
    #expect(table.route(host) == "b")
  }

  @Test("an older or equal epoch is refused, even when the newer connection is gone")
  func older() {
    var table = SessionTable()
    _ = table.admit(host, slot: 0, epoch: 5, connection: "a")
    #expect(table.admit(host, slot: 0, epoch: 5, connection: "b") == .stale(known: 5))
    let wasRouted = table.remove(host, connection: "a")
    #expect(wasRouted)
    #expect(table.admit(host, slot: 0, epoch: 4, connection: "c") == .stale(known: 5))
    #expect(table.route(host) == nil)
  }

  @Test("the end of a superseded connection leaves the newer one routed")
  func superseded() {
    var table = SessionTable()
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a")
    _ = table.admit(host, slot: 0, epoch: 2, connection: "b")
    let wasRouted = table.remove(host, connection: "a")
    #expect(!wasRouted)
    #expect(table.route(host) == "b")
  }

  @Test("a new stream goes to the healthy connection with the fewest streams; a suspect one comes last")
  func routing() {
    var table = SessionTable()
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a", wanted: 2)
    _ = table.admit(host, slot: 1, epoch: 1, connection: "b", wanted: 2)
    #expect(table.route(host) == "a")
    #expect(table.route(host) { ["a": 3, "b": 2][$0] } == "b")
    table.mark("b", of: host, suspect: true)
    #expect(table.route(host) { ["a": 3, "b": 2][$0] } == "a")
    table.mark("a", of: host, suspect: true)
    #expect(table.route(host) { ["a": 3, "b": 2][$0] } == "b")
    // One that takes no streams is none, suspect or not.
    #expect(table.route(host) { ["a": 3][$0] } == "a")
    #expect(table.route(host) { _ in nil } == nil)
  }

  @Test("each slot is fenced by itself, and other Hosts are not touched")
  func slots() {
    var table = SessionTable()
    let other = HostID.make(at: Timestamp(millisecondsSince1970: 1))
    _ = table.admit(host, slot: 0, epoch: 7, connection: "a")
    #expect(table.admit(host, slot: 1, epoch: 3, connection: "b") == .routed(superseded: nil))
    #expect(table.admit(other, slot: 0, epoch: 1, connection: "c") == .routed(superseded: nil))
    #expect(table.admit(host, slot: 1, epoch: 4, connection: "d") == .routed(superseded: "b"))
    #expect(Set(table.connections(of: host)) == ["a", "d"])
    #expect(table.linked == 2)
    let hadTwo = table.remove(host, connection: "a")
    #expect(hadTwo && table.linked == 2 && table.route(host) == "d")
    let hadOne = table.remove(host, connection: "d")
    #expect(hadOne && table.linked == 1 && table.route(host) == nil && table.route(other) == "c")
  }

  @Test("a connection whose Connector leaves gets nothing new, and still counts as lost when it ends")
  func leaving() {
    var table = SessionTable()
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a")
    table.unroute("a", of: host)
    #expect(table.route(host) == nil && table.routed(host) == 0 && table.connections(of: host) == ["a"])
    let wasThere = table.remove(host, connection: "a")
    #expect(wasThere)
  }

  @Test("a missing connection is told with its time, and a Host without any is not short but gone")
  func shortage() {
    var table = SessionTable()
    let began = ContinuousClock.now
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a", wanted: 2, at: began)
    #expect(table.shortage(of: host) == .init(up: 1, wanted: 2, since: began))
    _ = table.admit(host, slot: 1, epoch: 2, connection: "b", wanted: 2, at: began.advanced(by: .seconds(2)))
    #expect(table.shortage(of: host) == nil)
    let lost = began.advanced(by: .seconds(9))
    _ = table.remove(host, connection: "b", at: lost)
    #expect(table.shortage(of: host) == .init(up: 1, wanted: 2, since: lost))
    _ = table.remove(host, connection: "a", at: lost.advanced(by: .seconds(1)))
    #expect(table.shortage(of: host) == nil)
    _ = table.admit(host, slot: 0, epoch: 3, connection: "c", wanted: 1, at: lost)
    #expect(table.shortage(of: host) == nil)
  }

  @Test("a Host that was revoked while it was let in is not routed")
  func revoked() {
    var table = SessionTable()
    let before = table.revocations(of: host)
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a", revocations: before)
    #expect(table.revoke(host) == ["a"])
    #expect(table.admit(host, slot: 1, epoch: 1, connection: "b", revocations: before) == .revoked)
    #expect(table.route(host) == "a")
    let now = table.revocations(of: host)
    #expect(table.admit(host, slot: 1, epoch: 1, connection: "b", revocations: now) == .routed(superseded: nil))
  }

  @Test("losses together are counted by Host, whatever the connections of each")
  func together() {
    var shared = AWGateway.Shared()
    let hosts = (0..<4).map { HostID.make(at: Timestamp(millisecondsSince1970: $0)) }
    for host in hosts {
      for slot in 0..<2 {
        _ = shared.table.admit(host, slot: slot, epoch: 1, connection: "\(host) \(slot)", wanted: 2)
      }
    }
    let now = ContinuousClock.now
    for host in hosts.prefix(2) {
      for slot in 0..<2 {
        _ = shared.table.remove(host, connection: "\(host) \(slot)")
        let lost = shared.lost(host, at: now)
        #expect(lost == (host == hosts[0] ? 1 : 2, 4))
      }
    }
    let later = shared.lost(hosts[2], at: now.advanced(by: .seconds(11)))
    #expect(later == (1, 2))
  }
}
