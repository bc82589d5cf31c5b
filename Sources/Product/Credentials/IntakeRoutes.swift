import Access
import Basics
import Evidence
import Web

/// The API of one-time links, and the pages that seal values.
public struct IntakeRoutes: Sendable {
  let service: IntakeService
  /// What the links begin with.
  let publicURL: String

  public init(service: IntakeService, publicURL: String) {
    self.service = service
    self.publicURL = publicURL
  }

  public var routes: [Route] { api + operatorPages + customerPages }

  public static func pages() throws -> RoomPages {
    RoomPages(templates: try AssetFiles.templates(of: "Credentials"))
  }

  private struct AskBody: Codable {
    let `class`: String?
    let from: String?
    let purpose: String?
    let hours: Int?
  }

  private var api: [Route] {
    [
      .read(
        "/api/v1/orgs/{org}/credential-links", "The newest one-time links by which customers give credentials.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: IntakeLinkView.schema)]))
      ) { request in
        let org = try request.slug("org")
        return .json(["items": try JSONValue(encoding: try await links(of: org))])
      },
      .act(
        .post, "/api/v1/orgs/{org}/credentials/{surface}/request",
        "Makes a one-time link by which a customer gives the credential. It is shown once.", .credentialManage,
        .credentialRequested,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "class": CredentialView.classSchema, "from": JSONSchema.text, "purpose": JSONSchema.text,
              "hours": JSONSchema.integer,
            ], optional: ["class", "from", "purpose", "hours"]), response: IntakeRequestedView.schema, status: 201)
      ) { try await ask($0) },
      .act(
        .post, "/api/v1/orgs/{org}/credentials/{surface}/unfreeze",
        "Lets a credential be relied on again whose one-time link was used twice.", .credentialManage,
        .credentialUnfrozen, schema: RouteSchema(response: CredentialView.schema, status: 202)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let surface = try CredentialSurface(named: try request.text("surface"))
        let standing = try await service.unfreeze(surface, org: org, as: try request.actor, dryRun: dryRun)
        guard dryRun else {
          return try .accepted(
            CredentialView(standing, org: org), at: "/api/v1/orgs/\(org)/credentials/\(surface.rawValue)")
        }
        return try .plan(
          Plan(
            act: EvidenceKind.credentialUnfrozen.id, subject: "\(surface.title) of \(org)",
            steps: ["Lift the freeze of version \(standing.credential.version)."]))
      }, sealingKey,
    ]
  }

  func links(of org: Slug) async throws -> [IntakeLinkView] {
    let now = service.credentials.clock.now
    return try await service.links(of: org).map { IntakeLinkView($0, org: org, at: now) }
  }

  private func ask(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let body = try request.decode(AskBody.self)
    let wanted = IntakeService.Ask(
      surface: try request.text("surface"), class: body.class, from: body.from, purpose: body.purpose,
      hours: body.hours)
    let (link, secret) = try await service.request(
      wanted, org: org, as: try request.actor, named: request.caller?.name ?? "", dryRun: dryRun)
    if dryRun {
      return try .plan(
        Plan(
          act: EvidenceKind.credentialRequested.id, subject: "\(link.surface.title) of \(org)",
          steps: [
            "End an open link for the same credential.", "Make one that works once, until \(link.expiresAt).",
          ]))
    }
    let view = IntakeRequestedView(
      link: IntakeLinkView(link, org: org, at: link.askedAt), url: address(of: secret))
    var response = try WebResponse.created(view, at: "/api/v1/orgs/\(org)/credential-links")
    response.holdsSecret = true
    return response
  }

  func address(of secret: Secret) -> String { secret.withText { "\(publicURL)/intake#\($0)" } }
}
