import Basics

/// The class of a loss, with the rule that decided.
public struct LossVerdict: Codable, Sendable, Equatable {
  public let lossClass: LossClass
  /// Which kind of evidence decided, for whoever doubts it.
  public let rule: Rule

  /// In the order in which they are asked.
  public enum Rule: String, Codable, Sendable {
    case signal, restart, account, massLoss, phase, socket, silence, none
  }

  public init(_ lossClass: LossClass, by rule: Rule) {
    self.lossClass = lossClass
    self.rule = rule
  }
}

/// Derives the class of a loss from what was seen: a pure function.
///
/// Rules, the first that fits decides: an explicit signal; the observer's own crash; what the Connector tells
/// afterwards; many links lost at once; how far the connection had come; silence and what the kernel says; the
/// socket's end. The account comes early because it is about the same loss from the other end, and tells what no
/// single end can know.
public enum LossClassifier {
  /// This share of the links, and more than two of them, lost within ten seconds is one loss of many.
  static let massShare = 0.55
  static let massMin = 3
  /// An observer that stood still for this long has to doubt itself.
  static let stallMax = 1_000
  /// A Connector that stood still for this long was stopped, whatever the network did.
  static let suspendedMin = 3_000
  /// A path that swallows both ways ends what both ends hear within a round trip; one that swallows one way lets the
  /// other end's next ping through, five seconds later.
  static let heardApartMax: Int64 = 2_000
  /// Deaths after about the same idle time, this often, are somebody's timer.
  static let idleDeathsMin = 3
  static let idleTolerance = 0.2

  /// - Parameters:
  ///   - account: nil until the Connector is back.
  ///   - idleDeaths: after how many milliseconds of silence this Host's earlier links died.
  public static func classify(
    _ seen: LossEvidence, account: PeerAccount? = nil, idleDeaths: [Int64] = []
  ) -> LossVerdict {
    if let signal = seen.signal { return LossVerdict(of(signal), by: .signal) }
    if seen.observerRestarted { return LossVerdict(.gatewayCrash, by: .restart) }
    if let account, let told = told(seen, account) { return LossVerdict(told, by: .account) }
    if isMass(seen) {
      return LossVerdict(seen.stallMilliseconds > stallMax ? .gatewayOverload : .networkUnreachable, by: .massLoss)
    }
    if let phase = early(seen) { return LossVerdict(phase, by: .phase) }
    if let silent = silent(seen, idleDeaths) { return LossVerdict(silent, by: .silence) }
    if let end = ended(seen) { return LossVerdict(end, by: .socket) }
    return LossVerdict(.unknown, by: .none)
  }

  private static func of(_ signal: LossEvidence.Signal) -> LossClass {
    switch signal {
    case .drain: .gracefulDrain
    case .unregister: .connectorShutdown
    case .superseded: .superseded
    case .revoked: .authRejected
    case .protocolViolation, .goAway: .protocolError
    case .shed: .backpressureShed
    case .pathDegraded: .pathDegraded
    }
  }

  private static func isMass(_ seen: LossEvidence) -> Bool {
    seen.observer == .gateway && seen.lostTogether >= massMin
      && Double(seen.lostTogether) >= massShare * Double(seen.linksBefore)
  }

  /// What the other end's account decides; nil when it adds nothing.
  private static func told(_ seen: LossEvidence, _ account: PeerAccount) -> LossClass? {
    guard account.sameKernel else { return .hostReboot }
    guard account.sameConnector else { return .connectorCrash }
    guard let theirs = account.seen, seen.phase == .established else { return nil }
    if theirs.stallMilliseconds >= Int64(suspendedMin) { return .hostSuspended }
    switch (seen.silentMilliseconds != nil, theirs.silentMilliseconds != nil, theirs.socket) {
    case (_, _, .unreachable): return .networkUnreachable
    // An end's pings were acknowledged, so small packets passed both ways: what is larger was swallowed, and what came
    // behind it could not be read.
    case (true, true, _) where allAcknowledged(seen) || allAcknowledged(theirs): return .networkBlackhole
    // Both heard nothing in the end. When one went on hearing the other for a while, only one way was swallowed.
    case (true, true, _):
      return heardLonger(seen, theirs) || onlyOneHeard(seen, theirs) ? .asymmetric : .networkBlackhole
    case (true, _, .timedOut): return .networkBlackhole
    // Bytes that nobody acknowledged, with pings answered until then: what is larger than they was swallowed.
    case (false, false, .timedOut): return .networkBlackhole
    case (false, false, _) where seen.socket == .timedOut: return .networkBlackhole
    // The far end gave up because this end stood still.
    case (false, true, _) where seen.stallMilliseconds >= Int64(suspendedMin): return .gatewayOverload
    // The same, seen by the end that gave up first, or by the one that waited for an answer then.
    case (true, false, .closed) where passedPings(seen) || allAcknowledged(theirs),
      (true, false, .reset) where passedPings(seen) || allAcknowledged(theirs):
      return .networkBlackhole
    case (false, true, _) where passedPings(theirs) || allAcknowledged(seen): return .networkBlackhole
    // One end went on hearing the other until that one gave up.
    case (true, false, .closed), (true, false, .reset), (false, true, _): return .asymmetric
    // Neither process ended, and neither sent what both saw.
    case (false, false, .reset), (false, false, .closed): return .networkReset
    default: return nil
    }
  }

  /// Whether one end's kernel still heard the other while nothing new could be read: what it sent again arrived, and
  /// the acknowledgements did not get back.
  private static func onlyOneHeard(_ seen: LossEvidence, _ theirs: LossEvidence) -> Bool {
    guard let here = seen.tcp?.heardSincePing, let there = theirs.tcp?.heardSincePing else { return false }
    return (here > 0) != (there > 0)
  }

  /// Whether the far kernel acknowledged what was sent last, or was heard after it: what is small came through.
  private static func passedPings(_ seen: LossEvidence) -> Bool {
    allAcknowledged(seen) || (seen.tcp?.heardSincePing ?? 0) > 0
  }

  /// Whether the far kernel acknowledged all that this end had sent while it waited for an answer: small packets passed
  /// both ways, because the ping arrived and its acknowledgement came back.
  private static func allAcknowledged(_ seen: LossEvidence) -> Bool { seen.tcp?.isAllAcknowledged == true }

  /// Whether one end went on reading for longer than an exchange of pings takes. Each end counts from the
  /// registration, so that the clocks of the two machines do not matter.
  private static func heardLonger(_ seen: LossEvidence, _ theirs: LossEvidence) -> Bool {
    guard let here = seen.silentMilliseconds, let there = theirs.silentMilliseconds else { return false }
    return abs((seen.livedMilliseconds - here) - (theirs.livedMilliseconds - there)) > heardApartMax
  }

  /// Losses of a connection that never was.
  private static func early(_ seen: LossEvidence) -> LossClass? {
    switch seen.phase {
    case .established: return nil
    case .resolving: return .dnsFailure
    case .connecting:
      if let proxy = seen.proxy { return refused(by: proxy) }
      switch seen.socket {
      case .refused, .reset: return .connectRefused
      case .unreachable: return .networkUnreachable
      default: return .connectTimeout
      }
    case .handshake:
      if isSkewed(seen) || seen.tls == .notYetValid { return .clockSkew }
      return .tlsFailed
    case .registration:
      if isSkewed(seen) || seen.refusal == ErrorCode.linkClockSkew.id { return .clockSkew }
      if seen.refusal == ErrorCode.linkRefused.id { return .protocolError }
      return seen.refusal == nil ? .gatewayOverload : .authRejected
    }
  }

  private static func refused(by proxy: LossEvidence.ProxyFailure) -> LossClass {
    switch proxy {
    case .credentials: .authRejected
    case .forbidden, .other: .connectRefused
    case .noWay, .silent: .connectTimeout
    }
  }

  private static func isSkewed(_ seen: LossEvidence) -> Bool {
    guard let skew = seen.clockSkewMilliseconds else { return false }
    return abs(skew) > LinkLimits.clockSkewMax.milliseconds
  }

  private static func silent(_ seen: LossEvidence, _ idleDeaths: [Int64]) -> LossClass? {
    guard let silence = seen.silentMilliseconds else { return nil }
    if isTimer(silence, idleDeaths) { return .natIdleExpiry }
    guard let tcp = seen.tcp else { return .networkBlackhole }
    // The far kernel acknowledged everything, its program answered nothing: it stands still.
    return tcp.isAllAcknowledged ? .hostSuspended : .networkBlackhole
  }

  /// Whether deaths come after the same idle time again and again.
  private static func isTimer(_ silence: Int64, _ earlier: [Int64]) -> Bool {
    let alike = earlier.suffix(idleDeathsMin).filter {
      abs(Double($0 - silence)) <= idleTolerance * Double(silence)
    }
    // Shorter than this the pings themselves decide when it dies.
    return silence > 30_000 && alike.count >= idleDeathsMin
  }

  private static func ended(_ seen: LossEvidence) -> LossClass? {
    switch (seen.observer, seen.socket) {
    case (_, .timedOut): .networkBlackhole
    case (_, .unreachable): .networkUnreachable
    // Until the Connector is back and tells, a crash is what a close without a word looks like.
    case (.gateway, .closed), (.gateway, .reset): .connectorCrash
    case (.connector, .closed), (.connector, .reset): .gatewayCrash
    case (_, .refused), (_, nil): nil
    }
  }
}
