import Basics
import OpenClaw
import Web

/// A baseline as the API shows it.
public struct BaselineView: Codable, Sendable {
  public let name: String
  public let version: Int
  public let reference: String
  public let digest: String
  public let summary: String
  public let settings: [String: JSONValue]
  /// OpenClaw's own `policy.jsonc` for the same.
  public let policy: JSONValue

  init(_ baseline: Baseline) {
    (name, version, reference) = (baseline.name, baseline.version, baseline.reference)
    (digest, summary, settings) = (baseline.digest, baseline.summary, baseline.settings)
    policy = PolicyFile.make(baseline.settings)
  }

  static let settingsSchema: JSONValue = ["type": "object", "additionalProperties": JSONSchema.any]
  static let schema = JSONSchema.object([
    "name": JSONSchema.text, "version": JSONSchema.integer, "reference": JSONSchema.text, "digest": JSONSchema.text,
    "summary": JSONSchema.text, "settings": settingsSchema, "policy": JSONSchema.any,
  ])
}

extension BaselineChange {
  static let schema = JSONSchema.object([
    "key": JSONSchema.text, "from": JSONSchema.any, "to": JSONSchema.any,
    "verdict": JSONSchema.oneOf(Strictness.Verdict.allCases.map(\.rawValue)),
  ])
}

/// What an Org has: the baseline, what is stricter, what is excepted, and what that comes to now.
public struct HardeningView: Codable, Sendable, Equatable {
  public struct Exception: Codable, Sendable, Equatable {
    public let key: String
    public let value: JSONValue
    public let owner: String
    public let reason: String
    public let until: Timestamp
    public let status: BaselineException.Status
    public let askedBy: String
    public let approvedBy: String?
  }

  public let reference: String
  public let digest: String
  public let overlay: [String: JSONValue]
  public let exceptions: [Exception]
  /// By dotted path; empty when this release does not know the baseline.
  public let settings: [String: JSONValue]

  init(_ choice: BaselineChoice, at now: Timestamp) {
    (reference, digest, overlay) = (choice.reference, choice.digest, choice.overlay)
    exceptions = choice.exceptions.map {
      Exception(
        key: $0.key, value: $0.value, owner: $0.owner, reason: $0.reason, until: $0.until, status: $0.status(at: now),
        askedBy: $0.askedBy, approvedBy: $0.approvedBy)
    }
    settings = choice.settings(at: now) ?? [:]
  }

  static let schema = JSONSchema.object([
    "reference": JSONSchema.text, "digest": JSONSchema.text, "overlay": BaselineView.settingsSchema,
    "exceptions": JSONSchema.array(
      of: JSONSchema.object(
        [
          "key": JSONSchema.text, "value": JSONSchema.any, "owner": JSONSchema.text, "reason": JSONSchema.text,
          "until": JSONSchema.time, "status": JSONSchema.oneOf(BaselineException.Status.allCases.map(\.rawValue)),
          "askedBy": JSONSchema.text, "approvedBy": JSONSchema.text,
        ], optional: ["approvedBy"])), "settings": BaselineView.settingsSchema,
  ])
}
