import Fleet
import Link
import Testing

/// What was recorded of a loss, taken to the classifier again.
enum Replay {
  /// The verdict that follows from what both ends told. Without the history of a Host, which is not part of a loss.
  static func verdict(_ loss: LossView) -> LossVerdict {
    let first = LossClassifier.classify(loss.seen)
    guard let account = loss.account else { return first }
    let again = LossClassifier.classify(loss.seen, account: account)
    return again.rule == .account && again.lossClass != first.lossClass ? again : first
  }

  static func expectSame(_ loss: LossView, _ location: SourceLocation = #_sourceLocation) {
    let verdict = verdict(loss)
    #expect(verdict.lossClass == loss.lossClass, "\(loss)", sourceLocation: location)
    #expect(verdict.rule == loss.rule, "\(loss)", sourceLocation: location)
  }
}
