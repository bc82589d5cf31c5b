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

  @Test("streams go to a connection that is not suspect, if there is one")
  func suspect() {
    var table = SessionTable()
    _ = table.admit(host, slot: 0, epoch: 1, connection: "a")
    _ = table.admit(host, slot: 1, epoch: 1, connection: "b")
    table.mark("a", of: host, suspect: true)
    #expect(table.route(host) == "b")
    table.mark("b", of: host, suspect: true)
    #expect(table.route(host) == "a")
  }
}
