import Basics
import Link

/// Which connections of each Host are routed, and what a newcomer changes: fencing by epoch, as a value.
///
/// | the Host has in the slot | a Hello with | answer |
/// |---|---|---|
/// | no connection | an epoch above the last one seen | route it |
/// | an older epoch | a newer epoch | unroute the old one first, route the new one, close the old as superseded |
/// | the same or a newer epoch | an older epoch | refuse, telling the epoch known |
struct SessionTable: Sendable {
  struct Entry: Sendable, Equatable {
    let connection: String
    let epoch: Int64
    /// Its pings stay unanswered.
    var suspect = false
    /// Its path is much worse than it was.
    var degraded = false
    /// Its Connector leaves: what is under way ends, nothing new begins.
    var leaving = false

    /// The higher, the less a new stream is to go there.
    var rank: Int { (suspect ? 2 : 0) + (degraded ? 1 : 0) }
  }

  enum Admission: Sendable, Equatable {
    case routed(superseded: String?)
    case stale(known: Int64)
    /// The Host was let in and lost the right to a link meanwhile.
    case revoked
  }

  /// Fewer connections than the Connector means to keep.
  struct Shortage: Sendable, Equatable {
    let up: Int
    let wanted: Int
    let since: ContinuousClock.Instant
  }

  /// The connections of one Host. It stays when they are gone, because epochs do.
  private struct Links: Sendable {
    var entries: [Int: Entry] = [:]
    /// The highest epoch seen of each slot.
    var epochs: [Int: Int64] = [:]
    /// How many connections the Connector means to keep, and since when there are fewer.
    var wanted = 1
    var shortSince: ContinuousClock.Instant?
    /// How many it has to other control planes.
    var elsewhere = 0
    /// How often the Host's right to a link was taken away.
    var revocations = 0

    var routed: Int { entries.values.count { !$0.leaving } }

    func slot(of connection: String) -> Int? { entries.first { $0.value.connection == connection }?.key }

    mutating func noteShortage(at now: ContinuousClock.Instant) {
      shortSince = routed + elsewhere < wanted ? shortSince ?? now : nil
    }
  }

  private var hosts: [HostID: Links] = [:]
  /// How many Hosts have a connection.
  private(set) var linked = 0

  /// - Parameters:
  ///   - wanted: how many connections the Connector means to keep.
  ///   - revocations: what `revocations(of:)` said before the Host was asked about; a newer one refuses it.
  mutating func admit(
    _ host: HostID, slot: Int, epoch: Int64, connection: String, wanted: Int = 1, revocations: Int = 0,
    at now: ContinuousClock.Instant = .now
  ) -> Admission {
    var links = hosts[host] ?? Links()
    guard links.revocations == revocations else { return .revoked }
    if let known = links.epochs[slot], epoch <= known { return .stale(known: known) }
    let old = links.entries[slot]
    if links.entries.isEmpty { linked += 1 }
    links.epochs[slot] = epoch
    links.entries[slot] = Entry(connection: connection, epoch: epoch)
    links.wanted = wanted
    links.noteShortage(at: now)
    hosts[host] = links
    return .routed(superseded: old?.connection)
  }

  /// Forgets a connection; one that was superseded is no longer there and changes nothing.
  ///
  /// - Returns: whether the Host lost a connection by this.
  mutating func remove(_ host: HostID, connection: String, at now: ContinuousClock.Instant = .now) -> Bool {
    guard var links = hosts[host], let slot = links.slot(of: connection) else { return false }
    links.entries[slot] = nil
    links.noteShortage(at: now)
    hosts[host] = links
    if links.entries.isEmpty { linked -= 1 }
    return true
  }

  mutating func mark(_ connection: String, of host: HostID, suspect: Bool) {
    guard let slot = hosts[host]?.slot(of: connection) else { return }
    hosts[host]?.entries[slot]?.suspect = suspect
  }

  mutating func mark(_ connection: String, of host: HostID, degraded: Bool) {
    guard let slot = hosts[host]?.slot(of: connection) else { return }
    hosts[host]?.entries[slot]?.degraded = degraded
  }

  /// Its Connector leaves: no new stream goes to this connection.
  mutating func unroute(_ connection: String, of host: HostID) {
    guard let slot = hosts[host]?.slot(of: connection) else { return }
    hosts[host]?.entries[slot]?.leaving = true
  }

  /// The connection that a new stream of this Host goes to: of those that are not suspect, if there is one, of those
  /// whose path is not degraded, if there is one, that with the fewest streams; the lowest slot where that is equal.
  ///
  /// - Parameter streams: how many streams a connection carries; nil for one that takes none.
  func route(_ host: HostID, streams: (String) -> Int? = { _ in 0 }) -> String? {
    let candidates = (hosts[host]?.entries ?? [:]).compactMap { slot, entry in
      entry.leaving ? nil : streams(entry.connection).map { (slot: slot, entry: entry, streams: $0) }
    }
    return candidates.min { one, other in
      (one.entry.rank, one.streams, one.slot) < (other.entry.rank, other.streams, other.slot)
    }?.entry.connection
  }

  /// The routed connections by slot, how many of them are suspect and have a degraded path, and how many are missing.
  var standing: (slots: [Int: Int], suspect: Int, degraded: Int, missing: Int) {
    var (slots, suspect, degraded, missing) = ([Int: Int](), 0, 0, 0)
    for links in hosts.values {
      missing += max(0, links.wanted - links.routed)
      for (slot, entry) in links.entries where !entry.leaving {
        slots[slot, default: 0] += 1
        if entry.suspect { suspect += 1 }
        if entry.degraded { degraded += 1 }
      }
    }
    return (slots, suspect, degraded, missing)
  }

  var linkedHosts: Set<HostID> { Set(hosts.lazy.filter { $0.value.routed > 0 }.map(\.key)) }

  /// How many connections of each Host that has any take new streams.
  var connectionCounts: [HostID: Int] { hosts.mapValues(\.routed).filter { $0.value > 0 } }

  /// Takes note of how many connections Hosts have to other control planes.
  mutating func note(elsewhere: [HostID: Int], at now: ContinuousClock.Instant = .now) {
    for host in hosts.keys where hosts[host]?.elsewhere != elsewhere[host] ?? 0 {
      hosts[host]?.elsewhere = elsewhere[host] ?? 0
      hosts[host]?.noteShortage(at: now)
    }
  }

  /// How many connections of the Host take new streams.
  func routed(_ host: HostID) -> Int { hosts[host]?.routed ?? 0 }

  func connections(of host: HostID) -> [String] { (hosts[host]?.entries.values).map { $0.map(\.connection) } ?? [] }

  /// What the Host lacks; nil when it has every connection that its Connector means to keep, or none at all.
  func shortage(of host: HostID) -> Shortage? {
    guard let links = hosts[host], links.routed > 0, let since = links.shortSince else { return nil }
    return Shortage(up: links.routed + links.elsewhere, wanted: links.wanted, since: since)
  }

  func revocations(of host: HostID) -> Int { hosts[host]?.revocations ?? 0 }

  /// Takes the right to a link from a Host, also from a connection that is about to be admitted.
  ///
  /// - Returns: the connections to close.
  mutating func revoke(_ host: HostID) -> [String] {
    hosts[host, default: Links()].revocations += 1
    hosts[host]?.wanted = 0
    return connections(of: host)
  }
}
