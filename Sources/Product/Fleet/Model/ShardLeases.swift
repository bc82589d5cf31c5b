import Basics
import Link

public enum NodeKind {}
/// Names one control plane among those that share a database, for as long as its data directory lasts.
public typealias NodeID = ID<NodeKind>

/// What one control plane does at a time: a Host with its Instances and the operations on them, or what the fleet has
/// only once, such as the Watchdog's sign of life.
public struct Shard: Hashable, Sendable, Comparable {
  public let text: String

  public static let fleet = Shard("fleet")
  public static func host(_ id: HostID) -> Shard { Shard(id.text) }

  init(_ text: String) { self.text = text }

  /// Nil for what is no Host's.
  var host: HostID? { HostID(text) }

  public static func < (left: Shard, right: Shard) -> Bool { left.text < right.text }
}

/// Who shares a database, who holds which shard, and who has a link to which Host, as one reading of the database.
struct NodeRoll: Sendable, Equatable {
  struct Node: Sendable, Equatable {
    enum State: String, Sendable {
      case up
      /// It ended on purpose, and handed over what it held.
      case left
      /// It did not renew its lease.
      case lost
    }

    let id: NodeID
    let name: String
    /// Names one process of this node.
    let run: String
    /// Grows with every renewal of its lease.
    let beat: Int64
    let state: State
    /// Where its AW Gateway is reached.
    let gateway: String
  }

  /// Who holds a shard. The token is newer than that of every holder before, of any shard.
  struct Holder: Sendable, Equatable {
    let node: NodeID
    let run: String
    let token: Int64
  }

  var nodes: [NodeID: Node] = [:]
  /// Every shard that there is; nil for one that nobody ever held.
  var shards: [Shard: Holder?] = [:]
  /// By Host and node: how many connections.
  var links: [HostID: [NodeID: Int]] = [:]
  /// Those with an operation under way.
  var busy: Set<Shard> = []
}

/// What one control plane takes, as a value: leases without a common clock.
///
/// A node lives as long as others see it renew. How long ago that was is measured by whoever looks, on its own
/// monotonic clock, so clocks that differ change nothing. Whether a write counts is not decided by time at all: it
/// carries the token of the holder, and is refused in its own transaction when a newer token was given out.
///
/// | a shard's holder | who takes it |
/// |---|---|
/// | there is none, or it left, or is an earlier process of the same node | the preferred node, at once |
/// | was not seen to renew for `lasts` | the preferred node |
/// | lives and has no link to the Host, and another node has one, for `linkPatience` | the preferred one with a link |
/// | lives and is not the preferred node, for `settlesAfter` | the preferred node, when no operation is under way |
/// | lives | nobody |
///
/// The preferred node is, among those that live and have a link to the Host (among all that live, when none has), the
/// one with the greatest hash of shard and node: so shares are even, and a node that goes moves only what it held.
struct ShardLeases: Sendable {
  /// How often a node renews its lease and looks.
  static let every = Duration.seconds(2)
  /// A node that was not seen to renew for so long is lost: five renewals, and with a light check's interval before it
  /// and the first look after it still less than what makes evidence stale.
  static let lasts = Duration.seconds(10)
  /// Less than it takes until a missing link is held against an Instance.
  static let linkPatience = Duration.seconds(4)
  /// A node that comes, or a link that moves, is left alone for so long before shares are evened out.
  static let settlesAfter = Duration.seconds(60)
  /// The links of a node that left end within its drain; what is still recorded later was not.
  static let drainedAfter = Duration.seconds(60)
  /// Shards of one transaction.
  static let takesMax = 500

  enum Reason: String, Sendable, CaseIterable {
    /// Nobody held it, or this node did before it was started anew.
    case vacant
    case left
    case lapsed
    case link
    case balance
  }

  struct Take: Sendable, Equatable {
    let shard: Shard
    let reason: Reason
    /// What the taking depends on: it is void when the holder has changed.
    let holder: NodeRoll.Holder?
    /// The renewal after which its holder was not seen to renew again: void when there was another one.
    let beat: Int64?
  }

  struct Decision: Sendable, Equatable {
    var takes: [Take] = []
    /// Nodes whose lease is over.
    var lost: [NodeRoll.Node] = []
    /// Nodes that are gone and still have links in the database.
    var unlinked: [NodeID] = []
  }

  private struct Seen: Sendable {
    var run: String
    var beat: Int64
    var at: Duration
  }

  private struct Wish: Sendable {
    let node: NodeID
    let since: Duration
  }

  let me: NodeID
  let run: String
  private var seen: [NodeID: Seen] = [:]
  private var preferred: [Shard: Wish] = [:]
  /// Shards whose holder has no link while another node has: the token, and since when.
  private var apart: [Shard: (token: Int64, since: Duration)] = [:]

  init(me: NodeID, run: String) {
    self.me = me
    self.run = run
  }

  /// One look.
  ///
  /// - Parameter now: on this node's own monotonic clock, from any beginning.
  mutating func look(_ roll: NodeRoll, at now: Duration) -> Decision {
    note(roll, at: now)
    var decision = Decision()
    let live = roll.nodes.values.filter { isLive($0, at: now) }
    for node in roll.nodes.values where node.id != me {
      if node.state == .up, !isLive(node, at: now) { decision.lost.append(node) }
      let isGone = node.state == .lost || (node.state == .left && age(node.id, at: now) >= Self.drainedAfter)
      if isGone, roll.links.values.contains(where: { $0[node.id] != nil }) { decision.unlinked.append(node.id) }
    }
    let ids = Set(live.map(\.id))
    guard ids.contains(me) else { return decision }
    for (shard, holder) in roll.shards {
      guard decision.takes.count < Self.takesMax else { break }
      if let take = take(shard, holder, roll, live: ids, at: now) { decision.takes.append(take) }
    }
    return decision
  }

  private mutating func note(_ roll: NodeRoll, at now: Duration) {
    for node in roll.nodes.values where seen[node.id]?.beat != node.beat || seen[node.id]?.run != node.run {
      seen[node.id] = Seen(run: node.run, beat: node.beat, at: now)
    }
    seen = seen.filter { roll.nodes[$0.key] != nil }
    preferred = preferred.filter { roll.shards[$0.key] != nil }
    apart = apart.filter { roll.shards[$0.key] != nil }
  }

  private func age(_ id: NodeID, at now: Duration) -> Duration { now - (seen[id]?.at ?? now) }

  private func isLive(_ node: NodeRoll.Node, at now: Duration) -> Bool {
    guard node.state == .up else { return false }
    return node.id == me ? node.run == run : age(node.id, at: now) < Self.lasts
  }

  private mutating func take(
    _ shard: Shard, _ holder: NodeRoll.Holder?, _ roll: NodeRoll, live: Set<NodeID>, at now: Duration
  ) -> Take? {
    let linked = shard.host.map { Set((roll.links[$0] ?? [:]).keys).intersection(live) } ?? []
    guard let wanted = Self.preferred(shard, among: linked.isEmpty ? live : linked) else { return nil }
    if preferred[shard]?.node != wanted { preferred[shard] = Wish(node: wanted, since: now) }
    let mine = wanted == me
    guard let holder else { return mine ? Take(shard: shard, reason: .vacant, holder: nil, beat: nil) : nil }
    // What an earlier process of this node held is nobody else's as long as this one lives.
    if holder.node == me {
      return holder.run == run ? nil : Take(shard: shard, reason: .vacant, holder: holder, beat: nil)
    }
    guard live.contains(holder.node) else {
      guard mine else { return nil }
      let node = roll.nodes[holder.node]
      let lapsed = node?.state == .up
      return Take(
        shard: shard, reason: node?.state == .left ? .left : .lapsed, holder: holder, beat: lapsed ? node?.beat : nil)
    }
    guard linked.isEmpty || linked.contains(holder.node) else {
      if apart[shard]?.token != holder.token { apart[shard] = (holder.token, now) }
      guard mine, now - (apart[shard]?.since ?? now) >= Self.linkPatience else { return nil }
      return Take(shard: shard, reason: .link, holder: holder, beat: nil)
    }
    apart[shard] = nil
    guard mine, !roll.busy.contains(shard), now - (preferred[shard]?.since ?? now) >= Self.settlesAfter else {
      return nil
    }
    return Take(shard: shard, reason: .balance, holder: holder, beat: nil)
  }

  /// The node that a shard falls to: highest random weight.
  static func preferred(_ shard: Shard, among nodes: Set<NodeID>) -> NodeID? {
    nodes.count < 2 ? nodes.first : nodes.max { (weight(shard, $0), $0.text) < (weight(shard, $1), $1.text) }
  }

  private static func weight(_ shard: Shard, _ node: NodeID) -> UInt64 {
    WatchSchedule.hash(shard.text + "/" + node.text)
  }
}
