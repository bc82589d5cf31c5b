import Access
import Basics
import Evidence
import Web

/// The API of gates: what opens the classes of credentials that are closed.
public struct GatesRoutes: Sendable {
  let service: CredentialsService

  public init(service: CredentialsService) { self.service = service }

  private struct RevokeBody: Codable { let reason: String }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/gates", "The newest gates, newest first.",
        schema: RouteSchema(
          response: JSONSchema.object(["items": JSONSchema.array(of: GateView.schema)]),
          query: [.init("org", "Only those of this Org.", JSONSchema.slug)])
      ) { request in
        let org = try request.query("org").map { try Slug($0) }
        return .json(["items": try JSONValue(encoding: try await service.gates(of: org).map { try GateView($0) })])
      },
      .read("/api/v1/gates/{gate}", "One gate.", schema: RouteSchema(response: GateView.schema)) { request in
        try .json(encoding: try GateView(try await service.gate(try request.id("gate"))))
      },
      .act(
        .post, "/api/v1/gates", "Asks for a gate. It opens nothing before an approver has signed it.",
        .gateManage, .gateRequested,
        schema: RouteSchema(
          request: JSONSchema.object([
            "org": JSONSchema.slug, "surfaces": JSONSchema.array(of: CredentialView.surfaceSchema),
            "class": JSONSchema.oneOf(GatedClass.allCases.map(\.rawValue)), "until": JSONSchema.time,
            "reason": JSONSchema.text,
          ]), response: GateView.schema, status: 201)
      ) { try await ask($0) },
      .act(
        .post, "/api/v1/gates/{gate}/envelope", "Takes the envelope that an approver signed.", .gateManage,
        .gateSubmitted,
        schema: RouteSchema(request: GateView.envelopeSchema, response: GateView.schema, status: 202)
      ) { try await submit($0) },
      .act(
        .post, "/api/v1/gates/{gate}/revoke", "Closes a gate for good.", .gateManage, .gateRevoked,
        schema: RouteSchema(
          request: JSONSchema.object(["reason": JSONSchema.text]), response: GateView.schema, status: 202)
      ) { try await revoke($0) },
    ]
  }

  private func ask(_ request: WebRequest) async throws -> WebResponse {
    let wish = try request.decode(CredentialsService.GateWish.self)
    let view = try GateView(try await service.requestGate(wish, as: try request.actor, dryRun: try request.dryRun))
    guard try request.dryRun else { return try .created(view, at: "/api/v1/gates/\(view.id)") }
    return try plan(
      .gateRequested, view,
      ["Record the request, with its digest.", "Open nothing before an approver has signed it."])
  }

  private func submit(_ request: WebRequest) async throws -> WebResponse {
    let id: GateID = try request.id("gate")
    let standing = try await service.submitGate(
      try request.decode(), of: id, as: try request.actor, dryRun: try request.dryRun)
    return try answer(
      .gateSubmitted, GateView(standing), request, ["Keep the envelope.", "Open the gate until \(standing.until)."])
  }

  private func revoke(_ request: WebRequest) async throws -> WebResponse {
    let id: GateID = try request.id("gate")
    let standing = try await service.revokeGate(
      id, reason: try request.decode(RevokeBody.self).reason, as: try request.actor, dryRun: try request.dryRun)
    return try answer(
      .gateRevoked, GateView(standing), request,
      ["Close the gate for good.", "Use no credential that was set under it from now on."])
  }

  private func answer(
    _ kind: EvidenceKind, _ view: GateView, _ request: WebRequest, _ steps: [String]
  ) throws -> WebResponse {
    guard try request.dryRun else { return try .accepted(view, at: "/api/v1/gates/\(view.id)") }
    return try plan(kind, view, steps)
  }

  private func plan(_ kind: EvidenceKind, _ view: GateView, _ steps: [String]) throws -> WebResponse {
    let surfaces = view.request.surfaces.map(\.title).joined(separator: ", ")
    return try .plan(
      Plan(
        act: kind.id, subject: "\(view.request.class.rawValue) credentials of \(view.org): \(surfaces)", steps: steps))
  }
}

extension GateStanding {
  fileprivate var until: Timestamp { record.request.until }
}
