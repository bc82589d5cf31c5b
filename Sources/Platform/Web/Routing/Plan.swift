import Basics

/// What a writer would do: the answer to a rehearsal (`dryRun`). Nothing was changed.
public struct Plan: Codable, Sendable, Equatable {
  /// Always true: tells the answer from that of the act itself.
  public let dryRun: Bool
  /// The evidence kind that the act would leave.
  public let act: String
  /// What it would be about, as a person names it: `instance acme-main`.
  public let subject: String
  /// What would happen, in order, one sentence each.
  public let steps: [String]

  public init(act: String, subject: String, steps: [String]) {
    dryRun = true
    self.act = act
    self.subject = subject
    self.steps = steps
  }

  static let schema = JSONSchema.object([
    "dryRun": JSONSchema.bool, "act": JSONSchema.text, "subject": JSONSchema.text,
    "steps": JSONSchema.array(of: JSONSchema.text),
  ])
}

extension WebResponse {
  public static func plan(_ plan: Plan) throws -> WebResponse { try .json(encoding: plan) }
}
