import Access
import Basics
import Evidence
import Fleet
import Web
import Work

/// The API of rotations.
public struct RotationRoutes: Sendable {
  let service: RotationService

  public init(service: RotationService) { self.service = service }

  /// What goes into `POST …/rotate`.
  private struct Body: Codable {
    let `class`: String?
    let value: String?
    let vault: String?
    let key: String?
    let settings: [String: String]?
    let otherAccount: Bool?
  }

  public var routes: [Route] {
    [
      .act(
        .post, "/api/v1/orgs/{org}/credentials/{surface}/rotate",
        "Lets another value take the place of the one that counts, step by step.", .credentialManage,
        .credentialRotated,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "class": CredentialView.classSchema, "value": JSONSchema.text, "vault": JSONSchema.text,
              "key": JSONSchema.text, "settings": CredentialView.settingsSchema, "otherAccount": JSONSchema.bool,
            ], optional: ["class", "value", "vault", "key", "settings", "otherAccount"]),
          response: FleetSchemas.operation,
          status: 202)
      ) { try await rotate($0) },
      .act(
        .post, "/api/v1/orgs/{org}/credentials/{surface}/retire",
        "Forgets earlier versions, once the vendor refuses them.", .credentialManage, .credentialRetired,
        schema: RouteSchema(
          response: JSONSchema.object(["retired": JSONSchema.array(of: JSONSchema.integer)]), status: 202)
      ) { try await retire($0) },
    ]
  }

  private func rotate(_ request: WebRequest) async throws -> WebResponse {
    let (org, surface) = (try request.slug("org"), try CredentialSurface(named: try request.text("surface")))
    let body = try request.decode(Body.self)
    let wanted = RotationService.Request(
      surface: surface.rawValue, class: body.class, vault: body.vault, key: body.key, settings: body.settings,
      otherAccount: body.otherAccount)
    let (operation, radius) = try await service.rotate(
      wanted, value: body.value.map { Secret($0) }, org: org, as: try request.actor, dryRun: try request.dryRun)
    guard try request.dryRun else {
      return try .accepted(OperationView(operation), at: "/api/v1/operations/\(operation.id)")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.credentialRotated.id, subject: "\(surface.title) of \(org)", steps: radius.sentences))
  }

  private func retire(_ request: WebRequest) async throws -> WebResponse {
    let (org, surface) = (try request.slug("org"), try CredentialSurface(named: try request.text("surface")))
    let versions = try await service.retire(surface, org: org, as: try request.actor, dryRun: try request.dryRun)
    guard try request.dryRun else {
      return try .accepted(["retired": versions], at: "/api/v1/orgs/\(org)/credentials/\(surface.rawValue)")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.credentialRetired.id, subject: "\(surface.title) of \(org)",
        steps: versions.map { "Ask the vendor whether version \($0) is refused; if so, forget it and its value." }))
  }
}
