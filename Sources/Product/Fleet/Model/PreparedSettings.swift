import Basics
import OpenClaw

/// What an Instance was prepared with, held against what its Org has now: a pure decision.
///
/// A baseline that was chosen since, and an exception that ended, count for an Instance when it is prepared again. Till
/// then it shows that it has less than it should. What is stricter than it has to be is no finding.
enum PreparedSettings {
  /// - Parameters:
  ///   - prepared: governed settings, by dotted path, as they were.
  ///   - wanted: as they are now.
  /// - Returns: nil when none is weaker than it should be.
  static func departure(_ prepared: [String: JSONValue], from wanted: [String: JSONValue], of slug: Slug) -> AWError? {
    let weaker = wanted.filter { path, value in
      guard let key = GovernedKey.named(path) else { return false }
      return !key.order.verdict(of: prepared[path] ?? .null, against: value).isAtLeastAsStrict
    }
    guard !weaker.isEmpty else { return nil }
    let words = weaker.keys.sorted().map { path in
      "\(path) (\(prepared[path]?.canonical ?? "not set"), now \(weaker[path]?.canonical ?? ""))"
    }
    return AWError(
      .gatewayDrifted,
      "It was prepared with less than its Org's baseline asks for now: \(words.joined(separator: ", ")).",
      next: "Prepare it anew: 'aw instance restart \(slug)'.")
  }
}
