import Basics
import Link

/// Which connection of each Host is routed, and what a newcomer changes: fencing by epoch, as a value.
///
/// | the Host has | a Hello with | answer |
/// |---|---|---|
/// | no connection in the slot | an epoch above the last one seen | route it |
/// | an older epoch | a newer epoch | unroute the old one first, route the new one, close the old as superseded |
/// | the same or a newer epoch | an older epoch | refuse, telling the epoch known |
struct SessionTable: Sendable {
  struct Entry: Sendable, Equatable {
    let connection: String
    let epoch: Int64
    var suspect = false
  }

  struct Key: Hashable, Sendable {
    let host: HostID
    let slot: Int
  }

  enum Admission: Sendable, Equatable {
    case routed(superseded: String?)
    case stale(known: Int64)
  }

  private(set) var entries: [Key: Entry] = [:]
  /// The highest epoch seen of each slot, kept after the connection is gone.
  private var epochs: [Key: Int64] = [:]

  mutating func admit(_ host: HostID, slot: Int, epoch: Int64, connection: String) -> Admission {
    let key = Key(host: host, slot: slot)
    if let known = epochs[key], epoch <= known { return .stale(known: known) }
    let old = entries[key]
    epochs[key] = epoch
    entries[key] = Entry(connection: connection, epoch: epoch)
    return .routed(superseded: old?.connection)
  }

  /// Forgets a connection; one that was superseded is no longer there and changes nothing.
  ///
  /// - Returns: whether the Host lost its routed connection by this.
  mutating func remove(_ host: HostID, connection: String) -> Bool {
    guard let key = key(of: connection, host) else { return false }
    entries[key] = nil
    return true
  }

  mutating func mark(_ connection: String, of host: HostID, suspect: Bool) {
    guard let key = key(of: connection, host) else { return }
    entries[key]?.suspect = suspect
  }

  /// The connection that new streams of this Host go to: one that is not suspect, if there is one.
  func route(_ host: HostID) -> String? {
    let candidates = entries.filter { $0.key.host == host }.sorted { $0.key.slot < $1.key.slot }
    return (candidates.first { !$0.value.suspect } ?? candidates.first)?.value.connection
  }

  func connections(of host: HostID) -> [String] {
    entries.filter { $0.key.host == host }.map(\.value.connection)
  }

  private func key(of connection: String, _ host: HostID) -> Key? {
    entries.first { $0.key.host == host && $0.value.connection == connection }?.key
  }
}
