import Basics
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// Who is believed on the links, and how that changes while they carry requests.
extension AWGateway {
  /// The authorities in use.
  public var authorities: Authorities { presented.withLockedValue { $0.authorities } }

  /// Puts these authorities to use: new connections are shown a fresh certificate of the one that signs, and every
  /// Connector is told what to trust. Connections that were made with a certificate of an authority that is not among
  /// them end; those of another one than signs now are made anew, each before the old one ends. Safe to repeat.
  public func present(_ authorities: Authorities) throws {
    let fresh = try Presented(authorities, clock)
    presented.withLockedValue { $0 = fresh }
    logger.info(
      "the AW Gateway shows a new certificate",
      metadata: ["notAfter": "\(fresh.identity.notAfter)", "authority": "\(authorities.fingerprint)"])
    align(shared.withLockedValue { Array($0.sessions.values) })
  }

  /// The Hosts with a connection that was made with a certificate of another authority than this one.
  public func hosts(notShowing authority: String) -> Set<HostID> {
    let sessions = shared.withLockedValue { Array($0.sessions.values) }
    return Set(sessions.lazy.filter { $0.shown.issuer != authority }.map(\.host))
  }

  /// What one connection of a Host told is so for all of them.
  func note(_ report: TrustReport, of host: HostID) {
    let sessions = shared.withLockedValue { shared in
      shared.table.connections(of: host).compactMap { shared.sessions[$0] }
    }
    for session in sessions { session.note(trust: report) }
    align(sessions)
  }

  /// Does what these connections need to be as the authorities in use want them.
  func align(_ sessions: [Session]) {
    let authorities = authorities
    for session in sessions {
      switch authorities.step(for: session.trust, shown: session.shown.issuer) {
      case .settled: break
      case .order: session.tell(.trust(authorities.order), logger: logger)
      case .refresh: session.refresh(spread: spread, logger: logger)
      case .end:
        session.note(.revoked, "its certificate is of an authority that was retired")
        session.channel.close(promise: nil)
      }
    }
  }

  /// Asks for another connection in the place of each that is too old.
  func refreshAged(at now: ContinuousClock.Instant) {
    let spread = spread
    for session in shared.withLockedValue({ Array($0.sessions.values) }) where session.isAged(at: now) {
      session.refresh(spread: spread, logger: logger)
    }
  }

  /// How long the Connectors spread over what all of them are to do.
  var spread: Duration {
    Reconnect.spread(over: shared.withLockedValue { $0.sessions.count }, min: configuration.reconnectSpread)
  }
}
