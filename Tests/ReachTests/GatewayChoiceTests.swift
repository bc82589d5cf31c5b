import Basics
import Foundation
import Link
import NIOCore
import Testing

@testable import Connector
@testable import Gateway

@Suite("Which AW Gateway each connection goes to")
struct GatewayChoiceTests {
  static func endpoint(_ name: String) -> GatewayEndpoint { .init(address: name, port: 1) }
  static func address(_ name: String) -> GatewayAddress { .init(node: "node-\(name)", address: name, port: 1) }
  let enrolled = GatewayChoiceTests.endpoint("a")
  let now = ContinuousClock.now

  @Test("with one control plane both connections go there and stay")
  func single() {
    var choice = GatewayChoice(given: [], told: [Self.address("a")])
    for slot in 0..<2 {
      #expect(choice.endpoint(of: slot, moves: slot, enrolled: enrolled, at: now) == enrolled)
      choice.registered(slot, at: enrolled, node: "node-a")
    }
    #expect(!choice.isMisplaced(0, enrolled: enrolled, at: now) && !choice.isMisplaced(1, enrolled: enrolled, at: now))
    #expect(choice.tells(0) && !choice.tells(1))
  }

  @Test("one that comes gets the second connection; the first stays, and both tell their own")
  func second() {
    var choice = GatewayChoice(given: [], told: [])
    for slot in 0..<2 { choice.registered(slot, at: enrolled, node: "node-a") }
    let isNews = choice.learn([Self.address("a"), Self.address("b")])
    #expect(isNews)
    #expect(!choice.isMisplaced(0, enrolled: enrolled, at: now) && choice.isMisplaced(1, enrolled: enrolled, at: now))
    choice.unregistered(1)
    #expect(choice.endpoint(of: 1, moves: 7, enrolled: enrolled, at: now) == Self.endpoint("b"))
    choice.registered(1, at: Self.endpoint("b"), node: "node-b")
    #expect(!choice.isMisplaced(1, enrolled: enrolled, at: now))
    #expect(choice.tells(0) && choice.tells(1))
  }

  @Test("one that is gone leaves both to the other, and has its own again when it is told of anew")
  func goneAndBack() {
    var choice = GatewayChoice(given: [], told: [Self.address("a"), Self.address("b")])
    choice.registered(1, at: Self.endpoint("b"), node: "node-b")
    #expect(choice.endpoint(of: 0, moves: 0, enrolled: enrolled, at: now) == enrolled)
    choice.failed(enrolled, at: now)
    #expect(choice.endpoint(of: 0, moves: 1, enrolled: enrolled, at: now) == Self.endpoint("b"))
    choice.registered(0, at: Self.endpoint("b"), node: "node-b")
    var news = [choice.learn([Self.address("b")])]
    #expect(!choice.isMisplaced(1, enrolled: enrolled, at: now))
    news.append(choice.learn([Self.address("a"), Self.address("b")]))
    #expect(choice.isMisplaced(1, enrolled: enrolled, at: now))
    news.append(choice.learn([Self.address("a"), Self.address("b")]))
    #expect(news == [true, true, false])
  }

  @Test("two addresses of one control plane are found out by dialling, and then left as they are")
  func twins() {
    let given = [Self.endpoint("x"), Self.endpoint("y")]
    var choice = GatewayChoice(given: given, told: [])
    choice.registered(0, at: given[0], node: "node-a")
    #expect(choice.endpoint(of: 1, moves: 0, enrolled: enrolled, at: now) == given[1])
    choice.registered(1, at: given[1], node: "node-a")
    #expect(!choice.isMisplaced(1, enrolled: enrolled, at: now))
  }

  @Test("when every dial fails each address has its turn")
  func allFail() {
    let given = [Self.endpoint("x"), Self.endpoint("y")]
    var choice = GatewayChoice(given: given, told: [])
    for endpoint in given { choice.failed(endpoint, at: now) }
    #expect((0..<4).map { choice.endpoint(of: 0, moves: $0, enrolled: enrolled, at: now) } == given + given)
    // Later they count as any other.
    let later = now + GatewayChoice.avoidFor
    choice.failed(given[0], at: later)
    #expect(choice.endpoint(of: 0, moves: 0, enrolled: enrolled, at: later) == given[1])
  }

  @Test("one whose dial failed is moved to again once that is a while ago, and each further failure doubles the while")
  func again() {
    var choice = GatewayChoice(given: [], told: [Self.address("a"), Self.address("b")])
    for slot in 0..<2 { choice.registered(slot, at: enrolled, node: "node-a") }
    var at = now
    for minutes in [0.5, 1, 2, 4, 8, 16, 30, 30] {
      choice.failed(Self.endpoint("b"), at: at)
      let back = at + .seconds(minutes * 60)
      #expect(!choice.isMisplaced(1, enrolled: enrolled, at: back - .seconds(1)), "\(minutes)")
      #expect(choice.isMisplaced(1, enrolled: enrolled, at: back), "\(minutes)")
      at = back
    }
    choice.registered(1, at: Self.endpoint("b"), node: "node-b")
    choice.registered(1, at: enrolled, node: "node-a")
    choice.failed(Self.endpoint("b"), at: at)
    #expect(choice.isMisplaced(1, enrolled: enrolled, at: at + GatewayChoice.avoidFor))
  }

  @Test("connections at other control planes count: a Host with one here and one there lacks nothing")
  func elsewhere() {
    var table = SessionTable()
    let host = HostID.make(at: Timestamp(.now))
    _ = table.admit(host, slot: 0, epoch: 1, connection: "c", wanted: 2, at: now)
    #expect(table.shortage(of: host) == .init(up: 1, wanted: 2, since: now))
    table.note(elsewhere: [host: 1], at: now + .seconds(1))
    #expect(table.shortage(of: host) == nil)
    // Since when it lacks one is counted from the loss there.
    table.note(elsewhere: [:], at: now + .seconds(9))
    #expect(table.shortage(of: host) == .init(up: 1, wanted: 2, since: now + .seconds(9)))
  }
}
