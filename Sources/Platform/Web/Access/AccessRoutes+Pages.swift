import Access
import Basics
import Evidence

/// The console's page of operators and tokens.
extension AccessRoutes {
  var pageRoutes: [Route] {
    [
      .page("/access", "Operators and API tokens.") { try await show($0) },
      .form("/access/operators", "Invites somebody.", .operatorInvite, .operatorInvited) { request in
        let form = try request.form()
        let link = try await access.invite(
          try Slug(form.text("name")), role: try role(form), as: try request.actor)
        let shown: JSONValue = [
          "what": .string("Give this link to \(link.operator.name). It works once."),
          "text": .string(SignInAddress.link(link.secret, publicURL: publicURL)),
          "until": .string(link.expiresAt.description),
        ]
        return try await show(request, once: shown)
      },
      .form("/access/operators/{name}/suspend", "Ends an operator's access.", .operatorInvite, .operatorSuspended) {
        request in
        let name = try request.slug("name")
        try request.form().confirmed(name.text)
        try await suspend(name, as: try request.actor)
        return .redirect(to: "/access")
      },
      .form("/access/tokens", "Makes an API token.", .tokenManage, .tokenMade) { request in
        let form = try request.form()
        let made = try await access.makeToken(
          try Slug(form.text("name")), role: try role(form), lifetime: Self.lifetime(days: Self.tokenDays),
          as: try request.actor)
        let shown: JSONValue = made.secret.withText { secret in
          [
            "what": "Keep this token now: it is not shown again.", "text": .string(secret),
            "until": .string(made.token.expiresAt.description),
          ]
        }
        return try await show(request, once: shown)
      },
      .form("/access/tokens/{id}/revoke", "Revokes an API token.", .tokenManage, .tokenRevoked) { request in
        try await access.revokeToken(try request.id("id"), as: try request.actor)
        return .redirect(to: "/access")
      },
    ]
  }

  private func role(_ form: FormFields) throws -> OperatorRole {
    guard let role = OperatorRole(rawValue: try form.text("role")) else {
      throw WebErrors.usage("The role is none that there is.")
    }
    return role
  }

  private func show(_ request: WebRequest, once: JSONValue? = nil) async throws -> WebResponse {
    let actor = try request.actor
    let people = try await access.operators(as: actor)
    // Whoever is AW itself (the local socket) has no tokens to manage.
    let tokens: [APIToken] = if case .operator = actor { try await access.tokens(as: actor) } else { [] }
    let isOwner = request.caller?.role == .owner
    let values: JSONValue = [
      "operators": .array(
        people.map { person in
          let mayEnd = isOwner && person.state != .suspended && person.name.text != request.caller?.name
          return [
            "name": .string(person.name.text), "role": .string(person.role.rawValue),
            "state": .string(person.state.rawValue), "at": .string(person.createdAt.description),
            "mayEnd": .bool(mayEnd), "confirm": .string(person.name.text),
          ]
        }),
      "tokens": .array(
        tokens.map { token in
          [
            "id": .string(token.id.text), "name": .string(token.name.text), "role": .string(token.role.rawValue),
            "at": .string(token.usedAt?.description ?? ""), "expires": .string(token.expiresAt.description),
            "live": .bool(!token.isRevoked),
          ]
        }),
      "hasTokens": .bool(!tokens.isEmpty), "once": once ?? .null, "mayInvite": .bool(isOwner),
      "days": .integer(Int64(Self.tokenDays)),
    ]
    var response = WebResponse.page(Page("Access", template: "access", values: values))
    response.holdsSecret = once != nil
    return response
  }
}
