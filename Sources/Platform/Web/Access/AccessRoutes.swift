import Access
import Basics
import Evidence

/// Operators and API tokens. Access has no HTTP, so its API and pages are here.
public struct AccessRoutes: Sendable {
  let access: AccessService
  /// What the links begin with.
  let publicURL: String

  public init(access: AccessService, publicURL: String) {
    self.access = access
    self.publicURL = publicURL
  }

  static let tokenDays = 90

  static func lifetime(days: Int) -> Duration { .seconds(Int64(days) * 86_400) }

  public var routes: [Route] { operators + tokens + pageRoutes }

  public var pages: RoomPages {
    RoomPages(navigation: [.init("Access", path: "/access", key: "a")], templates: [:])
  }

  // MARK: - Operators

  private var operators: [Route] {
    [
      .read("/api/v1/operators", "The operators.", schema: .listing(of: OperatorView.schema)) { request in
        let people = try await access.operators(as: try request.actor)
        let wanted = try request.listing()
        let after = wanted.after?.keys.first ?? ""
        let part = people.filter { $0.name.text > after }.prefix(wanted.readLimit).map { OperatorView($0) }
        return try .listing(Listing(part, for: wanted) { [$0.name.text] })
      },
      .act(
        .post, "/api/v1/operators", "Invites somebody: answers a one-time link, shown once.", .operatorInvite,
        .operatorInvited,
        schema: RouteSchema(
          request: JSONSchema.object([
            "name": JSONSchema.slug, "role": JSONSchema.oneOf(OperatorRole.allCases.map(\.rawValue)),
          ]),
          response: LinkView.schema, status: 201)
      ) { request in try await invite(request) },
      .act(
        .post, "/api/v1/operators/{name}/suspend", "Ends an operator's access for good.", .operatorInvite,
        .operatorSuspended, schema: RouteSchema(response: nil, status: 204)
      ) { request in try await suspend(request) },
      .act(
        .post, "/api/v1/operators/{name}/sign-in-link",
        "A sign-in link for an owner. Only over the control plane's own socket.", .operatorInvite, .signInLinkMade,
        schema: RouteSchema(response: LinkView.schema, status: 201)
      ) { request in try await signInLink(request) },
    ]
  }

  struct Invitation: Codable, Sendable {
    let name: Slug
    let role: OperatorRole
  }

  private func invite(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.decode(Invitation.self)
    let dryRun = try request.dryRun
    let link = try await access.invite(wanted.name, role: wanted.role, as: try request.actor, dryRun: dryRun)
    if dryRun {
      return try .plan(
        Plan(
          act: EvidenceKind.operatorInvited.id, subject: "operator \(wanted.name)",
          steps: ["Invite \(wanted.name) with the role \(wanted.role.rawValue).", "Show a one-time link, once."]))
    }
    return try shownOnce(LinkView(link, publicURL: publicURL), at: "/api/v1/operators/\(wanted.name)")
  }

  private func suspend(_ request: WebRequest) async throws -> WebResponse {
    let (name, dryRun) = (try request.slug("name"), try request.dryRun)
    try await suspend(name, as: try request.actor, dryRun: dryRun)
    guard dryRun else { return .noContent }
    return try .plan(
      Plan(
        act: EvidenceKind.operatorSuspended.id, subject: "operator \(name)",
        steps: ["End every session, token and link of \(name), for good."]))
  }

  func suspend(_ name: Slug, as actor: Actor, dryRun: Bool = false) async throws {
    guard let person = try await access.operators(as: actor).first(where: { $0.name == name }) else {
      throw WebErrors.notFound("There is no operator with the name \(name.text.quoted).")
    }
    try await access.suspend(person.id, as: actor, dryRun: dryRun)
  }

  private func signInLink(_ request: WebRequest) async throws -> WebResponse {
    let (name, dryRun) = (try request.slug("name"), try request.dryRun)
    guard case .system(let reason) = try request.actor else {
      throw AWError(
        .forbidden, "A sign-in link is made only on the control plane's own machine.",
        next: "Run 'aw operator sign-in-link \(name)' there, or invite the person: 'aw operator invite'.")
    }
    let link = try await access.signInLink(for: name, reason: reason, dryRun: dryRun)
    if dryRun {
      return try .plan(
        Plan(
          act: EvidenceKind.signInLinkMade.id, subject: "operator \(name)",
          steps: ["Show a one-time sign-in link for \(name), once. Older links of \(name) end."]))
    }
    return try shownOnce(LinkView(link, publicURL: publicURL), at: "/api/v1/operators/\(name)")
  }

  private func shownOnce(_ value: some Encodable, at path: String) throws -> WebResponse {
    var response = try WebResponse.created(value, at: path)
    response.holdsSecret = true
    return response
  }

  // MARK: - Tokens

  struct TokenRequest: Codable, Sendable {
    let name: Slug
    let role: OperatorRole
    let days: Int?
  }

  private var tokens: [Route] {
    [
      .read(
        "/api/v1/tokens", "The API tokens that the caller may manage, newest first.", .tokenManage,
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: TokenView.schema)]))
      ) { request in
        let tokens = try await access.tokens(as: try request.actor).map { TokenView($0) }
        return .json(["items": try JSONValue(encoding: tokens)])
      },
      .act(
        .post, "/api/v1/tokens", "Makes an API token; its secret is shown once.", .tokenManage, .tokenMade,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "name": JSONSchema.slug, "role": JSONSchema.oneOf(OperatorRole.allCases.map(\.rawValue)),
              "days": JSONSchema.integer,
            ], optional: ["days"]),
          response: JSONSchema.object(["token": TokenView.schema, "secret": JSONSchema.text]), status: 201)
      ) { request in try await makeToken(request) },
      .act(
        .delete, "/api/v1/tokens/{id}", "Revokes an API token.", .tokenManage, .tokenRevoked,
        schema: RouteSchema(response: nil, status: 204)
      ) { request in
        let (id, dryRun) = (try request.id("id", APIToken.self), try request.dryRun)
        try await access.revokeToken(id, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return .noContent }
        return try .plan(
          Plan(act: EvidenceKind.tokenRevoked.id, subject: "token \(id)", steps: ["Refuse the token from now on."]))
      },
    ]
  }

  private func makeToken(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.decode(TokenRequest.self)
    let days = wanted.days ?? Self.tokenDays
    let dryRun = try request.dryRun
    let made = try await access.makeToken(
      wanted.name, role: wanted.role, lifetime: Self.lifetime(days: days), as: try request.actor, dryRun: dryRun)
    if dryRun {
      return try .plan(
        Plan(
          act: EvidenceKind.tokenMade.id, subject: "token \(wanted.name)",
          steps: ["Make a token with the role \(wanted.role.rawValue) for \(days) days.", "Show its secret, once."]))
    }
    let value: JSONValue = [
      "token": try JSONValue(encoding: TokenView(made.token)), "secret": .string(made.secret.withText { $0 }),
    ]
    return try shownOnce(value, at: "/api/v1/tokens/\(made.token.id)")
  }
}
