import Basics
import Link
import Logging
import NIOConcurrencyHelpers

/// Paths that work and have become much worse: see `PathWatch`.
extension AWGateway {
  /// Measures every connection. What the connections of one Host carry counts together: they share what is narrow.
  func lookAtPaths() {
    let sessions = shared.withLockedValue { Array($0.sessions.values) }
    var bytes: [HostID: Int] = [:]
    for session in sessions { bytes[session.host, default: 0] += session.bytesOfPath }
    for session in sessions {
      let beside = (bytes[session.host] ?? 0) - session.bytesOfPath
      session.lookAtPath(bytesBeside: beside) { [weak self, weak session] sample, tcp in
        if let self, let session { self.take(sample, tcp, of: session) }
      }
    }
  }

  func take(_ sample: PathSample, _ tcp: LossEvidence.TCP?, of session: Session) {
    guard let slot = session.slot else { return }
    let verdict = shared.withLockedValue { shared -> PathWatch.Verdict? in
      // One that was superseded says nothing of the path of the next one.
      guard shared.table.connections(of: session.host).contains(session.connection) else { return nil }
      let verdict = shared.paths[session.host, default: [:]][slot, default: PathWatch()].take(sample)
      switch verdict {
      case .degraded: shared.table.mark(session.connection, of: session.host, degraded: true)
      case .recovered: shared.table.mark(session.connection, of: session.host, degraded: false)
      case nil: break
      }
      return verdict
    }
    switch verdict {
    case .degraded(let fault):
      var seen = session.evidence(at: clock.now)
      (seen.signal, seen.detail, seen.tcp) = (.pathDegraded, fault.words, tcp)
      logger.notice(
        "a path is degraded", metadata: ["host": "\(session.host)", "slot": "\(slot)", "detail": "\(fault.words)"])
      Task { [seen] in await delegate.degraded(session.host, seen) }
    case .recovered:
      logger.notice("a path is as before", metadata: ["host": "\(session.host)", "slot": "\(slot)"])
      Task { await delegate.mended(session.host, slot: slot) }
    case nil: break
    }
  }

  /// What the link of a Host that works is short of; nil when of nothing.
  public func shortcoming(of host: HostID) -> AWError? { shortage(of: host) ?? degradation(of: host) }

  /// What is wrong with the paths of a Host that work; nil when nothing is.
  public func degradation(of host: HostID) -> AWError? {
    let paths = shared.withLockedValue { $0.paths[host] ?? [:] }
    let faults = paths.sorted { $0.key < $1.key }.compactMap { slot, path in
      path.fault.map { "connection \(slot): \($0.words)" }
    }
    guard !faults.isEmpty else { return nil }
    return AWError(
      .linkPathDegraded, "The path to the Host works, but much worse than it did; \(faults.joined(separator: "; ")).",
      next: "Look for what is new on the way: another route, a full line, a bad cable. New requests take the other "
        + "connection where that is better.")
  }
}
