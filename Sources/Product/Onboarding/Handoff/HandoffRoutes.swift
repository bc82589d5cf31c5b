import Access
import Basics
import Evidence
import Web

/// The handoff of an Org as the API shows it.
public struct HandoffView: Codable, Sendable {
  /// The newest document; of an earlier desired state when its digest is another.
  public let mark: HandoffMark?
  /// Of the desired state as it is now.
  public let desired: String
  public let lines: [HandoffLine]
  public let duties: [HandoffDuty]

  static let schema = JSONSchema.object(
    [
      "mark": JSONSchema.object(
        [
          "document": JSONSchema.text, "desired": JSONSchema.text, "exportedBy": JSONSchema.text,
          "exportedAt": JSONSchema.time, "completedBy": JSONSchema.text, "completedAt": JSONSchema.time,
        ], optional: ["completedBy", "completedAt"]), "desired": JSONSchema.text,
      "lines": JSONSchema.array(
        of: JSONSchema.object(
          [
            "id": JSONSchema.text, "title": JSONSchema.text,
            "answer": JSONSchema.oneOf(HandoffLine.Answer.allCases.map(\.rawValue)), "seen": JSONSchema.any,
            "evidence": JSONSchema.text, "by": roleSchema, "statement": JSONSchema.text, "reason": JSONSchema.text,
          ], optional: ["seen", "evidence", "by", "statement", "reason"])),
      "duties": JSONSchema.array(
        of: JSONSchema.object(
          ["what": JSONSchema.text, "who": roleSchema, "due": JSONSchema.time], optional: ["due"])),
    ], optional: ["mark"])

  private static let roleSchema = JSONSchema.oneOf(HandoffRole.allCases.map(\.rawValue))
}

/// The API of handoffs.
public struct HandoffRoutes: Sendable {
  let service: OnboardingService

  public init(service: OnboardingService) { self.service = service }

  private static let envelopeSchema = JSONSchema.object([
    "payloadType": JSONSchema.text, "payload": JSONSchema.text,
    "signatures": JSONSchema.array(of: JSONSchema.object(["keyid": JSONSchema.text, "sig": JSONSchema.text])),
  ])
  private static let answersSchema: JSONValue = ["type": "object", "additionalProperties": JSONSchema.text]

  public var routes: [Route] {
    [
      .read(
        "/api/v1/orgs/{org}/handoff", "The checklist of an Org's handoff, and what stays to be done.",
        schema: RouteSchema(response: HandoffView.schema)
      ) { request in try .json(encoding: try await service.handoff(org: try request.slug("org"))) },
      .act(
        .post, "/api/v1/orgs/{org}/handoff", "Makes the document that the operator and the Org's contact sign.",
        .orgOnboard, .handoffExported,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "attested": Self.answersSchema, "notApplicable": Self.answersSchema, "operatorName": JSONSchema.text,
              "operatorKey": JSONSchema.text, "contactKey": JSONSchema.text,
            ], optional: ["attested", "notApplicable"]), response: Self.envelopeSchema, status: 201)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let wanted = try request.decode(OnboardingService.HandoffRequest.self)
        let envelope = try await service.exportHandoff(wanted, org: org, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return try .created(envelope, at: "/api/v1/orgs/\(org)/handoff") }
        let lines = try HandoffVerification.report(envelope).handoff.lines
        return try plan(
          org, .handoffExported, lines.map { "\($0.title): \($0.answer.rawValue)." } + ["Make the document of it."])
      },
      .act(
        .post, "/api/v1/orgs/{org}/handoff/complete", "Takes the document back, signed by both.", .orgOnboard,
        .handoffCompleted,
        schema: RouteSchema(request: Self.envelopeSchema, response: HandoffView.schema, status: 202)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let envelope = try request.decode(Envelope.self)
        let view = try await service.completeHandoff(envelope, org: org, as: try request.actor, dryRun: dryRun)
        if dryRun { return try plan(org, .handoffCompleted, ["Record that both have signed it."]) }
        return try .accepted(view, at: "/api/v1/orgs/\(org)/handoff")
      },
    ]
  }

  private func plan(_ org: Slug, _ kind: EvidenceKind, _ steps: [String]) throws -> WebResponse {
    try .plan(Plan(act: kind.id, subject: "handoff of \(org)", steps: steps))
  }
}
