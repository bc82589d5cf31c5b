import Basics

/// How often AW may ask a vendor from one address, so that it never comes near a ban: pure decisions.
///
/// Every control plane behind one address shares what the vendor grants it. AW takes a hundredth of what is published,
/// or less, because the customers' own Instances leave by the same address.
struct BanBudget: Equatable, Sendable {
  enum Counts: Equatable, Sendable {
    /// Only questions that were not let in. A corrupted copy always is one.
    case refusals
    case questions
  }

  let counts: Counts
  let most: Int
  let window: Duration

  enum Decision: Equatable, Sendable {
    case ask
    /// Nothing is asked before this moment.
    case skip(until: Timestamp)
  }

  /// - Parameter spent: when the questions that count were asked.
  func decide(_ spent: [Timestamp], at now: Timestamp) -> Decision {
    let counted = spent.filter { now.since($0) < window }.sorted()
    guard counted.count >= most else { return .ask }
    return .skip(until: counted[counted.count - most].advanced(by: window))
  }

  /// Whether a question that was answered stays counted.
  func keeps(_ reading: VendorCheck.Reading) -> Bool {
    switch (counts, reading) {
    case (.questions, _), (.refusals, .refused), (.refusals, .unclear): true
    case (.refusals, .accepted): false
    }
  }

  /// What is said of a question that was not asked.
  func reason(until: Timestamp) -> String {
    let what = counts == .refusals ? "refusals" : "questions"
    return "not asked before \(until): \(most) \(what) in \(window.words) is as many as AW spends at this vendor"
  }
}
