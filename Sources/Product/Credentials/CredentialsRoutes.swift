import Access
import Basics
import Evidence
import Web

/// The API of credentials. Values go in and never come out: no answer has a member for one.
public struct CredentialsRoutes: Sendable {
  let service: CredentialsService

  public init(service: CredentialsService) { self.service = service }

  /// What goes into `POST …/credentials`.
  private struct SetBody: Codable {
    let surface: String
    let `class`: String?
    let value: String?
    let vault: String?
    let key: String?
    let settings: [String: String]?
    let replacing: Int?
  }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/orgs/{org}/credentials", "What is known of the credentials of an Org.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: CredentialView.schema)]))
      ) { request in
        let org = try request.slug("org")
        let views = try await service.standings(org: org).map { CredentialView($0, org: org) }
        return .json(["items": try JSONValue(encoding: views)])
      },
      .read(
        "/api/v1/credentials/orphans",
        "Values that lie where AW puts them in its vaults, and that no record names: by name, never a value.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: OrphanView.schema)]))
      ) { _ in .json(["items": try JSONValue(encoding: try await service.orphans())]) },
      .read(
        "/api/v1/orgs/{org}/credentials/{surface}", "What is known of one credential.",
        schema: RouteSchema(response: CredentialView.schema)
      ) { request in
        let (org, surface) = (try request.slug("org"), try CredentialSurface(named: try request.text("surface")))
        return try .json(encoding: CredentialView(try await service.standing(surface, org: org), org: org))
      },
      .act(
        .post, "/api/v1/orgs/{org}/credentials",
        "Sets a credential: a value that is put into a vault, or the key of one that a vault holds.",
        .credentialManage, .credentialSet,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "surface": CredentialView.surfaceSchema, "class": CredentialView.classSchema, "value": JSONSchema.text,
              "vault": JSONSchema.text, "key": JSONSchema.text, "settings": CredentialView.settingsSchema,
              "replacing": JSONSchema.integer,
            ], optional: ["class", "value", "vault", "key", "settings", "replacing"]), response: CredentialView.schema,
          status: 201)
      ) { try await set($0) },
      .act(
        .post, "/api/v1/orgs/{org}/credentials/{surface}/validate",
        "Asks the vendor whether it works, and whether a corrupted copy does not.", .credentialManage,
        .credentialValidated, schema: RouteSchema(response: CredentialView.schema, status: 202)
      ) { try await validate($0) },
      .act(
        .delete, "/api/v1/orgs/{org}/credentials/{surface}",
        "Forgets a credential, and removes the value if AW put it into its vault.", .credentialManage,
        .credentialRemoved, schema: RouteSchema(response: nil, status: 204)
      ) { try await remove($0) },
    ]
  }

  private func set(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let body = try request.decode(SetBody.self)
    let wanted = CredentialsService.SetRequest(
      surface: body.surface, class: body.class, vault: body.vault, key: body.key, settings: body.settings,
      replacing: body.replacing)
    let credential = try await service.set(
      wanted, value: body.value.map { Secret($0) }, org: org, as: try request.actor, dryRun: dryRun)
    guard dryRun else {
      return try .created(
        CredentialView(try await service.standing(credential.surface, org: org), org: org),
        at: "/api/v1/orgs/\(org)/credentials/\(credential.surface.rawValue)")
    }
    let first =
      credential.place.isOwn
      ? "Put the value into the vault \(credential.place.vault), at a name of its own."
      : "Read the value at \(credential.place.key) of the vault \(credential.place.vault), and leave it there."
    return try .plan(
      Plan(
        act: EvidenceKind.credentialSet.id, subject: "\(credential.surface.title) of \(org)",
        steps: [first, "Record it as version \(credential.version), \(credential.fingerprint)."]))
  }

  private func validate(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let surface = try CredentialSurface(named: try request.text("surface"))
    let standing = try await service.validate(surface, org: org, as: try request.actor, dryRun: dryRun)
    guard dryRun else {
      return try .accepted(
        CredentialView(standing, org: org), at: "/api/v1/orgs/\(org)/credentials/\(surface.rawValue)")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.credentialValidated.id, subject: "\(surface.title) of \(org)",
        steps: [
          "Read version \(standing.credential.version) from the vault \(standing.credential.place.vault).",
          "Ask the simulated vendor whether it works and whose it is.", "Ask whether a corrupted copy is refused.",
        ]))
  }

  private func remove(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let surface = try CredentialSurface(named: try request.text("surface"))
    let credential = try await service.remove(surface, org: org, as: try request.actor, dryRun: dryRun)
    guard dryRun else { return .noContent }
    let value =
      credential.place.isOwn
      ? "Remove its value from the vault \(credential.place.vault)."
      : "Leave its value in the vault \(credential.place.vault): AW did not put it there."
    return try .plan(
      Plan(
        act: EvidenceKind.credentialRemoved.id, subject: "\(surface.title) of \(org)",
        steps: ["Forget version \(credential.version).", value]))
  }
}
