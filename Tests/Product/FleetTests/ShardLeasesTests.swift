import Basics
import Link
import Testing

@testable import Fleet

@Suite("Leases of shards, as a value")
struct ShardLeasesTests {
  static let at = Timestamp(millisecondsSince1970: 1_700_000_000_000)
  let ids: [NodeID] = (0..<3).map { _ in .make(at: ShardLeasesTests.at) }
  let host = HostID.make(at: ShardLeasesTests.at)
  var shard: Shard { .host(host) }

  func roll(_ beats: [Int64?], linked: [Int] = [], holder: (node: Int, token: Int64)? = nil, busy: Bool = false)
    -> NodeRoll
  {
    var roll = NodeRoll()
    for (index, beat) in beats.enumerated() {
      guard let beat else { continue }
      roll.nodes[ids[index]] = .init(
        id: ids[index], name: "n\(index)", run: "r\(index)", beat: beat, state: .up, gateway: "")
    }
    roll.shards = [shard: holder.map { .init(node: ids[$0.node], run: "r\($0.node)", token: $0.token) }]
    for index in linked { roll.links[host, default: [:]][ids[index]] = 1 }
    if busy { roll.busy = [shard] }
    return roll
  }

  /// The machine in a box, so that expectations can look.
  final class Looker {
    private var leases: ShardLeases
    init(_ leases: ShardLeases) { self.leases = leases }
    func look(_ roll: NodeRoll, at now: Duration) -> ShardLeases.Decision { leases.look(roll, at: now) }
  }

  func leases(_ index: Int) -> Looker { Looker(ShardLeases(me: ids[index], run: "r\(index)")) }
  func wanted(_ among: [Int]) -> Int {
    let node = ShardLeases.preferred(shard, among: Set(among.map { ids[$0] }))
    return among.first { ids[$0] == node } ?? -1
  }

  @Test("what nobody holds falls to one node, and all agree which")
  func vacant() {
    let takers = (0..<3).filter { index in
      let leases = self.leases(index)
      return !leases.look(roll([1, 1, 1]), at: .zero).takes.isEmpty
    }
    #expect(takers == [wanted([0, 1, 2])])
  }

  @Test("a node with a link comes before one without, whoever is preferred otherwise")
  func links() {
    let other = [0, 1].first { $0 != wanted([0, 1]) } ?? 0
    let (with, without) = (leases(other), leases(wanted([0, 1])))
    #expect(with.look(roll([1, 1], linked: [other]), at: .zero).takes.map(\.reason) == [.vacant])
    #expect(without.look(roll([1, 1], linked: [other]), at: .zero).takes.isEmpty)
  }

  @Test("what an earlier process of the same node held is its own at once")
  func restart() {
    let leases = Looker(ShardLeases(me: ids[0], run: "new"))
    var roll = roll([1, 1], linked: [1], holder: (0, 7))
    roll.nodes[ids[0]] = .init(id: ids[0], name: "n0", run: "new", beat: 2, state: .up, gateway: "")
    #expect(leases.look(roll, at: .zero).takes.map(\.reason) == [.vacant])
  }

  @Test("a lease is over when its holder was not seen to renew for ten seconds, by the looker's own clock")
  func lapse() throws {
    let leases = self.leases(1)
    for second in 0..<10 {
      #expect(leases.look(roll([5, Int64(second)], holder: (0, 7)), at: .seconds(second)) == .init())
    }
    let decision = leases.look(roll([5, 10], holder: (0, 7)), at: .seconds(10))
    let take = try #require(decision.takes.first)
    #expect(take.reason == .lapsed && take.beat == 5 && take.holder?.token == 7)
    #expect(decision.lost.map(\.id) == [ids[0]])
    // One renewal, however late, and it lives.
    #expect(leases.look(roll([6, 11], holder: (0, 7)), at: .seconds(11)) == .init())
  }

  @Test("a holder that has left is followed at once, one that was put away too")
  func gone() {
    for (state, reason) in [(NodeRoll.Node.State.left, ShardLeases.Reason.left), (.lost, .lapsed)] {
      let leases = self.leases(1)
      var roll = roll([5, 1], holder: (0, 7))
      roll.nodes[ids[0]] = .init(id: ids[0], name: "n0", run: "r0", beat: 5, state: state, gateway: "")
      #expect(leases.look(roll, at: .zero).takes.map(\.reason) == [reason])
    }
  }

  @Test("a holder without a link keeps a Host for four seconds when another has one, and for ever when nobody has")
  func apart() {
    let leases = self.leases(1)
    for second in 0..<4 {
      #expect(leases.look(roll([Int64(second), 1], linked: [1], holder: (0, 7)), at: .seconds(second)).takes.isEmpty)
    }
    let takes = leases.look(roll([4, 1], linked: [1], holder: (0, 7)), at: .seconds(4)).takes
    #expect(takes.map(\.reason) == [.link])
    let other = self.leases(1)
    for second in 0..<50 {
      let alone = roll([Int64(second), 1], holder: (0, 7), busy: true)
      #expect(other.look(alone, at: .seconds(second)).takes.isEmpty)
    }
  }

  @Test("shares are evened out after a minute, and not while an operation is under way")
  func balance() {
    let mine = wanted([0, 1])
    let theirs = 1 - mine
    let leases = self.leases(mine)
    for second in 0..<60 {
      let quiet = roll([Int64(second), Int64(second)], linked: [0, 1], holder: (theirs, 7))
      #expect(leases.look(quiet, at: .seconds(second)).takes.isEmpty)
    }
    #expect(
      leases.look(roll([60, 60], linked: [0, 1], holder: (theirs, 7), busy: true), at: .seconds(60)).takes.isEmpty)
    let takes = leases.look(roll([61, 61], linked: [0, 1], holder: (theirs, 7)), at: .seconds(61)).takes
    #expect(takes.map(\.reason) == [.balance])
  }

  @Test("one who was put away, or whose place another process took, takes nothing")
  func dead() {
    let leases = self.leases(0)
    var lost = roll([1])
    lost.nodes[ids[0]] = .init(id: ids[0], name: "n0", run: "r0", beat: 1, state: .lost, gateway: "")
    #expect(leases.look(lost, at: .zero).takes.isEmpty)
    lost.nodes[ids[0]] = .init(id: ids[0], name: "n0", run: "another", beat: 1, state: .up, gateway: "")
    #expect(leases.look(lost, at: .zero).takes.isEmpty)
  }
}
