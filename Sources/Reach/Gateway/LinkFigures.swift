import Basics
import Link
import NIOConcurrencyHelpers

/// The links in numbers, as `/metrics` shows them. What is counted begins at zero with the process.
public struct LinkFigures: Sendable {
  /// How a dial that got as far as its first word ended.
  public enum Registration: String, Sendable, CaseIterable {
    case registered, refused
    /// With an epoch that was not newer than the one known.
    case stale
  }

  /// What a stream goes to.
  public enum StreamKind: String, Sendable, CaseIterable {
    case runtime, openclaw

    init(_ target: LinkTarget) { self = if case .openClaw = target { .openclaw } else { .runtime } }
  }

  /// What is counted as it happens.
  struct Counts: Sendable {
    var registrations: [Registration: Int64] = [:]
    var suspicions: Int64 = 0
    var superseded: Int64 = 0
    var streamFailures: [TargetFailure: Int64] = [:]
    var shed: Int64 = 0
    /// How long connections took to end that were to be let go, since somebody asked.
    var drains: [Duration] = []
  }

  /// Connections now, by slot; and how many of them are suspect.
  public let connections: [Int: Int]
  public let suspect: Int
  /// And how many have a path that works much worse than it did.
  public let degraded: Int
  /// Connections that Hosts mean to keep and do not have, of those that have had a link to this process.
  public let missing: Int
  /// Streams now.
  public let streams: [StreamKind: Int]
  /// The newest round trip of each connection, shortest first.
  public let roundTrips: [Duration]
  public let registrations: [Registration: Int64]
  public let suspicions: Int64
  public let superseded: Int64
  public let streamFailures: [TargetFailure: Int64]
  /// Streams that were given up because their far ends were too slow, and the bytes that wait to be read or sent now.
  public let shed: Int64
  public let bufferedBytes: Int
  /// How long the AW Gateway's own certificate lasts still.
  public let certificateLeft: Duration
  /// How long the certificates still last that the connections were made with: the least; nil without a connection.
  public let hostCertificateLeft: Duration?
  /// See `BufferBudget.stalled`.
  public let stalled: Duration
}

extension AWGateway {
  /// How the dials ended that got as far as their first word. Cheap, however many links there are.
  public var registrations: [LinkFigures.Registration: Int64] { shared.withLockedValue { $0.counts.registrations } }

  public var figures: LinkFigures {
    let (counts, table, sessions) = shared.withLockedValue { ($0.counts, $0.table, Array($0.sessions.values)) }
    let standing = table.standing
    var streams: [LinkFigures.StreamKind: Int] = [:]
    for session in sessions { streams.merge(session.carried) { $0 + $1 } }
    return LinkFigures(
      connections: standing.slots, suspect: standing.suspect, degraded: standing.degraded, missing: standing.missing,
      streams: streams,
      roundTrips: sessions.compactMap(\.roundTrip).sorted(), registrations: counts.registrations,
      suspicions: counts.suspicions, superseded: counts.superseded, streamFailures: counts.streamFailures,
      shed: counts.shed, bufferedBytes: caps.whole.held,
      certificateLeft: presented.withLockedValue { $0.identity.notAfter }.since(clock.now),
      hostCertificateLeft: sessions.map(\.shown.notAfter).min().map { $0.since(clock.now) },
      stalled: caps.whole.stalled)
  }

  /// How long each of the connections took to end that were let go since this was last asked.
  public func takeDrains() -> [Duration] {
    shared.withLockedValue { shared in
      defer { shared.counts.drains = [] }
      return shared.counts.drains
    }
  }

  func count(_ change: (inout LinkFigures.Counts) -> Void) { shared.withLockedValue { change(&$0.counts) } }

  /// Takes in what happens on a routed connection.
  func note(_ event: Session.Event, of connection: String, on host: HostID) {
    shared.withLockedValue { shared in
      switch event {
      case .suspect(let suspect):
        shared.table.mark(connection, of: host, suspect: suspect)
        if suspect { shared.counts.suspicions += 1 }
      case .refused(let failure): shared.counts.streamFailures[failure, default: 0] += 1
      case .shed: shared.counts.shed += 1
      }
    }
  }
}
