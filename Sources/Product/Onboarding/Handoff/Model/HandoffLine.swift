import Basics
import Crypto

/// Who answers for a part of a handoff, and signs it.
public enum HandoffRole: String, Codable, Sendable, CaseIterable {
  case `operator`
  case contact
}

/// One line of the checklist of a handoff.
public struct HandoffLine: Codable, Sendable, Equatable {
  public enum Answer: String, Codable, Sendable, CaseIterable {
    /// AW looked; `seen` is what it saw, and `evidence` the digest of that.
    case machineChecked = "machine-checked"
    /// A person says so, and signs the document that says it.
    case attested
    case notApplicable = "not-applicable"
    /// Nobody has answered it yet. No document with such a line is made.
    case open
  }

  public let id: String
  public let title: String
  public let answer: Answer
  public var seen: JSONValue?
  /// `sha256:…` over the canonical JSON of `seen`.
  public var evidence: String?
  /// Who attests it, or has to.
  public var by: HandoffRole?
  /// What that person says.
  public var statement: String?
  /// Why it does not apply.
  public var reason: String?

  static func checked(_ id: String, _ title: String, _ seen: JSONValue) -> HandoffLine {
    HandoffLine(id: id, title: title, answer: .machineChecked, seen: seen, evidence: digest(seen))
  }

  static func digest(_ value: JSONValue) -> String { "sha256:" + SHA256.hex(Array(value.canonical.utf8)) }

  /// Whether everything that its answer needs is there, and nothing else.
  var isWhole: Bool {
    switch answer {
    case .machineChecked:
      seen.map { Self.digest($0) == evidence } == true && by == nil && statement == nil && reason == nil
    case .attested: by != nil && statement?.isEmpty == false && seen == nil && evidence == nil && reason == nil
    case .notApplicable: reason?.isEmpty == false && seen == nil && evidence == nil && by == nil && statement == nil
    case .open: false
    }
  }
}

/// What AW cannot see, so that a person has to answer for it.
public enum HandoffQuestion: String, Codable, Sendable, CaseIterable {
  case channelAccounts = "channel-accounts"
  case linkedDevices = "linked-devices"
  case dataAndBackups = "data-and-backups"
  case operatorAccess = "operator-access"
  case contacts

  public var title: String {
    switch self {
    case .channelAccounts: "The accounts behind the models and channels belong to the Org"
    case .linkedDevices: "Devices that are linked to the Org's accounts were looked through"
    case .dataAndBackups: "Where the Instance's data lies, and what is backed up, was said"
    case .operatorAccess: "Who of the operator can reach the Instance was said"
    case .contacts: "Both sides know whom to call"
    }
  }

  public var by: HandoffRole {
    switch self {
    case .channelAccounts, .linkedDevices, .contacts: .contact
    case .dataAndBackups, .operatorAccess: .operator
    }
  }

  /// - Parameters:
  ///   - statements: what was attested, by question.
  ///   - reasons: what does not apply, and why.
  func line(_ statements: [String: String], _ reasons: [String: String]) -> HandoffLine {
    if let reason = reasons[rawValue] {
      return HandoffLine(id: rawValue, title: title, answer: .notApplicable, reason: reason)
    }
    if let statement = statements[rawValue] {
      return HandoffLine(id: rawValue, title: title, answer: .attested, by: by, statement: statement)
    }
    return HandoffLine(id: rawValue, title: title, answer: .open, by: by)
  }
}

/// Something that stays to be done after a handoff.
public struct HandoffDuty: Codable, Sendable, Equatable {
  public let what: String
  public let who: HandoffRole
  /// Nil for what has no date.
  public let due: Timestamp?
}
