import Basics
import Link

public enum LossKind {}
public typealias LossID = ID<LossKind>

/// One loss of a Host's link: what was seen from both ends, and the class that follows.
public struct Loss: Sendable, Equatable {
  public let id: LossID
  public let host: HostID
  public let at: Timestamp
  /// What the AW Gateway saw.
  public let seen: LossEvidence
  /// What the Connector told when it was back; nil until then.
  public private(set) var account: PeerAccount?
  public private(set) var verdict: LossVerdict
  /// What it was called before the Connector told; nil when that changed nothing.
  public private(set) var calledFirst: LossClass?
  /// When a link of the Host was up again.
  public private(set) var recoveredAt: Timestamp?

  /// - Parameter idleDeaths: after how much silence this Host's earlier links died, in milliseconds.
  init(id: LossID, host: HostID, seen: LossEvidence, idleDeaths: [Int64]) {
    self.id = id
    self.host = host
    at = seen.at
    self.seen = seen
    verdict = LossClassifier.classify(seen, idleDeaths: idleDeaths)
  }

  init(
    id: LossID, host: HostID, seen: LossEvidence, account: PeerAccount?, verdict: LossVerdict,
    calledFirst: LossClass?, recoveredAt: Timestamp?
  ) {
    self.id = id
    self.host = host
    at = seen.at
    self.seen = seen
    self.account = account
    self.verdict = verdict
    self.calledFirst = calledFirst
    self.recoveredAt = recoveredAt
  }

  /// Takes in what the Connector tells, once.
  ///
  /// - Returns: whether the class is another one now.
  mutating func recover(_ account: PeerAccount, at now: Timestamp) -> Bool {
    guard recoveredAt == nil else { return false }
    recoveredAt = now
    self.account = account
    let again = LossClassifier.classify(seen, account: account)
    // An account that decides nothing must not undo what else decided, such as the Host's history.
    guard again.rule == .account, again.lossClass != verdict.lossClass else { return false }
    calledFirst = verdict.lossClass
    verdict = again
    return true
  }
}
