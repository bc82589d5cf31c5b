import Basics
import OpenClaw

/// The baseline that an Org has, with what is stricter for it, and what is excepted for a time.
public struct BaselineChoice: Sendable, Equatable, Codable {
  public let name: String
  public let version: Int
  public let digest: String
  /// Values that are as strict as the baseline's, or stricter.
  public var overlay: [String: JSONValue] = [:]
  /// One per key at most.
  public var exceptions: [BaselineException] = []

  init(_ baseline: Baseline) { (name, version, digest) = (baseline.name, baseline.version, baseline.digest) }

  public var reference: String { "\(name)@\(version)" }

  /// The baseline itself; nil when this release has none of that content.
  var baseline: Baseline? { Baseline.all.first { $0.name == name && $0.digest == digest } }

  /// What the Instance's configuration has to say at a time: the baseline, what is stricter, and the exceptions that
  /// were approved and have not ended.
  ///
  /// - Returns: nil when this release does not know the baseline.
  func settings(at now: Timestamp) -> [String: JSONValue]? {
    guard let baseline else { return nil }
    let live = exceptions.filter { $0.status(at: now) == .approved }
    return baseline.settings.merging(overlay) { $1 }
      .merging(live.map { ($0.key, $0.value) }) { $1 }
  }

  /// The overlay as it may be kept.
  ///
  /// - Throws: `baselineKeyUnknown`, `usage` for a value that the key cannot have, `baselineWeaker`.
  static func checked(_ overlay: [String: JSONValue], over baseline: Baseline, org: Slug) throws -> [String: JSONValue]
  {
    var kept: [String: JSONValue] = [:]
    for (path, value) in overlay.sorted(by: { $0.key < $1.key }) {
      let key = try governed(path, value)
      let floor = baseline.settings[path] ?? .null
      guard key.order.verdict(of: value, against: floor).isAtLeastAsStrict else {
        throw AWError(
          .baselineWeaker,
          "\(path) = \(value.canonical) is not as strict as \(floor.canonical), which \(baseline.reference) asks for.",
          next: "Give a stricter value, or ask for an exception: 'aw baseline except \(org) \(path) VALUE'.")
      }
      kept[path] = key.order.normal(value)
    }
    return kept
  }

  /// - Throws: `baselineKeyUnknown`, `usage`.
  static func governed(_ path: String, _ value: JSONValue) throws -> GovernedKey {
    guard let key = GovernedKey.named(path) else {
      throw AWError(
        .baselineKeyUnknown, "No baseline decides \(path.quoted).",
        next: "Use a key that 'aw baseline show strict' lists.")
    }
    guard key.order.accepts(value) else {
      throw AWError(
        .usage, "\(path) cannot have that value.", next: "Give \(key.order.words).")
    }
    return key
  }
}

/// A value that is weaker than the baseline's, for a time, with somebody who answers for it.
public struct BaselineException: Sendable, Equatable, Codable {
  public enum Status: String, Codable, Sendable, CaseIterable {
    /// Somebody else has to approve it.
    case asked
    case approved
    /// Its time is over, whether it was approved or not.
    case expired
  }

  public let key: String
  public let value: JSONValue
  /// Who answers for it at the Org or the operator.
  public let owner: String
  public let reason: String
  public let until: Timestamp
  /// Actors, as in the evidence.
  public let askedBy: String
  public let askedAt: Timestamp
  public var approvedBy: String?
  public var approvedAt: Timestamp?

  static let daysMax = 90

  func status(at now: Timestamp) -> Status {
    if now >= until { return .expired }
    return approvedBy == nil ? .asked : .approved
  }

  func requirement(of org: Slug, at now: Timestamp) -> Requirement {
    let title = "The exception from the baseline: \(key) = \(value.canonical), until \(until.toTheMinute)"
    let id = "exception:\(key)"
    switch status(at: now) {
    case .approved: return Requirement(id: id, kind: .exception, title: title, status: .valid, problem: nil)
    case .asked:
      return Requirement(
        id: id, kind: .exception, title: title, status: .present,
        problem: .init(
          code: .baselineUnapproved, "Nobody has approved the exception for \(key).", who: .operator,
          next: "Another operator than who asked: 'aw baseline approve \(org) \(key)'."))
    case .expired:
      return Requirement(
        id: id, kind: .exception, title: title, status: .expired,
        problem: .init(
          code: .baselineExceptionExpired, "The exception for \(key) ended at \(until).", who: .operator,
          next: "Take it back, 'aw baseline withdraw \(org) \(key)', then provision; or ask for it anew."))
    }
  }
}
