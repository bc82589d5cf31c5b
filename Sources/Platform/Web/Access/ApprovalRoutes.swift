import Access
import Basics
import Evidence

/// Approvals and emergencies. Access has no HTTP, so their API and page are here.
public struct ApprovalRoutes: Sendable {
  let service: ApprovalService
  /// The topic at which an open page reads itself anew.
  let topic: String

  public init(service: ApprovalService, topic: String) { (self.service, self.topic) = (service, topic) }

  private struct NoteBody: Codable { let note: String? }
  private struct ReviewBody: Codable { let note: String }
  private struct OpenBody: Codable {
    let reason: String
    let minutes: Int
  }
  private struct Items<Item: Codable>: Codable { let items: [Item] }

  private static let role = JSONSchema.object([
    "name": JSONSchema.slug, "people": JSONSchema.array(of: JSONSchema.slug),
  ])
  private static let rule = JSONSchema.object([
    "kind": JSONSchema.text, "roles": JSONSchema.array(of: role), "minutes": JSONSchema.integer,
    "separateExecutor": JSONSchema.bool,
  ])
  private static let view = JSONSchema.object([
    "approval": JSONSchema.any, "state": JSONSchema.oneOf(ApprovalState.allCases.map(\.rawValue)),
    "missing": JSONSchema.array(of: JSONSchema.slug),
  ])
  private static let emergency = JSONSchema.object(
    [
      "id": JSONSchema.id, "account": JSONSchema.slug, "reason": JSONSchema.text, "openedAt": JSONSchema.time,
      "until": JSONSchema.time, "acts": JSONSchema.array(of: JSONSchema.text), "reviewedAt": JSONSchema.time,
      "reviewer": JSONSchema.slug, "note": JSONSchema.text,
    ], optional: ["reviewedAt", "reviewer", "note"])

  private static func items(of item: JSONValue) -> RouteSchema {
    RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: item)]))
  }

  public var routes: [Route] { rules + requests + emergencies + pageRoutes }

  private var rules: [Route] {
    [
      .read("/api/v1/approval-rules", "Which acts need other people.", schema: Self.items(of: Self.rule)) { _ in
        try .json(encoding: Items(items: try await service.rules()))
      },
      .act(
        .post, "/api/v1/approval-rules", "Makes acts of a kind need the approval of other people.", .approvalManage,
        .approvalRuleSet, schema: RouteSchema(request: Self.rule, response: Self.rule, status: 201)
      ) { request in
        let (rule, dryRun) = (try request.decode(ApprovalRule.self), try request.dryRun)
        try await service.set(rule, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return try .created(rule, at: "/api/v1/approval-rules") }
        let roles = rule.roles.map(\.name.text).joined(separator: " and ")
        return try .plan(
          Plan(
            act: EvidenceKind.approvalRuleSet.id, subject: "rule \(rule.kind)",
            steps: ["From then on \(rule.kind) needs the approval of \(roles), each time."]))
      },
      .act(
        .delete, "/api/v1/approval-rules/{kind}", "Takes a rule away.", .approvalManage, .approvalRuleRemoved,
        schema: RouteSchema(response: nil, status: 204)
      ) { request in
        let (kind, dryRun) = (try request.text("kind"), try request.dryRun)
        try await service.removeRule(kind, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return .noContent }
        return try .plan(
          Plan(
            act: EvidenceKind.approvalRuleRemoved.id, subject: "rule \(kind)",
            steps: ["From then on \(kind) needs nobody else."]))
      },
    ]
  }

  private var requests: [Route] {
    [
      .read("/api/v1/approvals", "The newest requests for approval.", schema: Self.items(of: Self.view)) { _ in
        try .json(encoding: Items(items: try await service.list()))
      },
      .read(
        "/api/v1/approvals/{id}", "What is to be approved, and who has said what.",
        schema: RouteSchema(response: Self.view)
      ) { request in try .json(encoding: try await service.show(try request.id("id"))) },
      answer("approve", "Approves exactly the act of a request.", .approvalGiven, approves: true),
      answer("refuse", "Refuses a request, for good.", .approvalRefused, approves: false),
    ]
  }

  private func answer(_ verb: String, _ summary: String, _ kind: EvidenceKind, approves: Bool) -> Route {
    .act(
      .post, "/api/v1/approvals/{id}/\(verb)", summary, .approvalGive, kind,
      schema: RouteSchema(
        request: JSONSchema.object(["note": JSONSchema.text], optional: ["note"]), response: Self.view, status: 201)
    ) { request in
      let dryRun = try request.dryRun
      let view = try await service.answer(
        try request.id("id"), approves: approves, note: try request.decode(NoteBody.self).note,
        as: try request.actor, dryRun: dryRun)
      guard dryRun else { return try .created(view, at: "/api/v1/approvals/\(view.approval.id)") }
      return try .plan(
        Plan(
          act: kind.id, subject: "approval \(view.approval.id)", steps: ["It is then: \(view.state.rawValue)."]))
    }
  }

  private var emergencies: [Route] {
    [
      .read("/api/v1/emergencies", "The newest emergencies.", schema: Self.items(of: Self.emergency)) { _ in
        try .json(encoding: Items(items: try await service.emergencies()))
      },
      .act(
        .post, "/api/v1/emergencies", "Lets whoever asks do alone, for a while, what needs two people.",
        .emergencyOpen, .emergencyOpened,
        schema: RouteSchema(
          request: JSONSchema.object(["reason": JSONSchema.text, "minutes": JSONSchema.integer]),
          response: Self.emergency, status: 201)
      ) { request in
        let (body, dryRun) = (try request.decode(OpenBody.self), try request.dryRun)
        let emergency = try await service.open(
          reason: body.reason, minutes: body.minutes, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return try .created(emergency, at: "/api/v1/emergencies") }
        return try .plan(
          Plan(
            act: EvidenceKind.emergencyOpened.id, subject: "emergency of \(emergency.account)",
            steps: [
              "'\(emergency.account)' may do alone what needs two people, until \(emergency.until).",
              "Tell everybody who is told of events.", "Leave a task on the board: another person reviews it.",
            ]))
      },
      .act(
        .post, "/api/v1/emergencies/{id}/review", "Another person reviews an emergency, which ends it.",
        .approvalGive, .emergencyReviewed,
        schema: RouteSchema(
          request: JSONSchema.object(["note": JSONSchema.text]), response: Self.emergency, status: 201)
      ) { request in
        let dryRun = try request.dryRun
        let emergency = try await service.review(
          try request.id("id"), note: try request.decode(ReviewBody.self).note, as: try request.actor,
          dryRun: dryRun)
        guard dryRun else { return try .created(emergency, at: "/api/v1/emergencies") }
        return try .plan(
          Plan(
            act: EvidenceKind.emergencyReviewed.id, subject: "emergency \(emergency.id)",
            steps: ["It counts as reviewed, and its task leaves the board."]))
      },
    ]
  }
}
