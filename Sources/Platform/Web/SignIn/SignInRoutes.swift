import Access
import Basics
import Evidence
import HTTPTypes
import Hummingbird

/// Signing in and out, and the own password. Access has no HTTP, so its pages are here.
struct SignInRoutes: Sendable {
  let authenticator: Authenticator
  let access: AccessService
  let limits: AccessLimits

  private static let isTheProof = Route.Guard.anyone(because: "Signing in is how one becomes somebody.")
  private static let isOwn = Route.Guard.signedIn(because: "It is about the caller's own account.")

  var routes: [Route] {
    [
      page("/sign-in", "The form to sign in.") { try await signInPage($0) },
      form("/sign-in", "Signs in with name and password.", SignInRoutes.isTheProof, .operatorSignedIn) {
        try await signIn($0)
      },
      page("/sign-in/link", "Where a one-time link leads; looking at it does not use it up.") { _ in
        .page(Page("Use a one-time link", template: "link"))
      },
      form("/sign-in/link", "Uses a one-time link.", SignInRoutes.isTheProof, .operatorSignedIn) {
        try await useLink($0)
      },
      form(
        "/sign-in/password", "Sets the first password with a link.", SignInRoutes.isTheProof, .passwordSet
      ) { try await setFirstPassword($0) },
      form("/sign-out", "Ends the session.", SignInRoutes.isOwn, .sessionEnded) { try await signOut($0) },
      page("/account/password", "The form for a new password.", SignInRoutes.isOwn) {
        try await passwordPage($0, problem: nil)
      },
      form("/account/password", "Sets a new password.", SignInRoutes.isOwn, .passwordSet) {
        try await changePassword($0)
      },
    ]
  }

  private func page(
    _ path: String, _ summary: String, _ allowed: Route.Guard = isTheProof, handler: @escaping Route.Handler
  ) -> Route {
    Route(.get, path, summary, allowed: allowed, effect: .reads, audience: .page, handler: handler)
  }

  private func form(
    _ path: String, _ summary: String, _ allowed: Route.Guard, _ kind: EvidenceKind, handler: @escaping Route.Handler
  ) -> Route {
    Route(
      .post, path, summary, allowed: allowed, effect: .writes(kind), audience: .form,
      bodyBytesMax: WebLimits.formBytesMax, handler: handler)
  }

  // MARK: - Name and password

  private func signInPage(_ request: WebRequest) async throws -> WebResponse {
    let next = SafePath.local(request.query("next")) ?? home
    if request.caller != nil { return .redirect(to: next) }
    return signInPage(next: next, name: "", problem: nil)
  }

  private func signInPage(next: String, name: String, problem: AWError?) -> WebResponse {
    let values: JSONValue = ["next": .string(next), "name": .string(name), "problem": SignInRoutes.show(problem)]
    return .page(
      Page("Sign in", template: "sign-in", values: values), status: problem.map { Problem($0).status } ?? .ok)
  }

  private func signIn(_ request: WebRequest) async throws -> WebResponse {
    let form = try request.form()
    let next = SafePath.local(form.optional("next")) ?? home
    let name = form.optional("name") ?? ""
    do {
      let opened = try await access.signIn(
        name: name, password: Secret(form.optional("password") ?? ""), address: request.address,
        client: client(request))
      return redirect(to: next, with: opened)
    } catch let error as AWError where SignInRoutes.isForTheForm(error) {
      return signInPage(next: next, name: name, problem: error)
    }
  }

  // MARK: - One-time links

  private func useLink(_ request: WebRequest) async throws -> WebResponse {
    let code = try request.form().secret("code")
    do {
      let invitee = try await access.invitee(link: code)
      return firstPasswordPage(name: invitee.name, code: code, problem: nil)
    } catch let error as AWError where error.code == .linkInvalid {
      // It is no invitation; it may be a link to sign in.
    }
    do {
      let opened = try await access.signIn(link: code, client: client(request))
      return redirect(to: opened.operator.hasPassword ? home : "/account/password", with: opened)
    } catch let error as AWError where SignInRoutes.isForTheForm(error) {
      let page = Page("Use a one-time link", template: "link", values: ["problem": SignInRoutes.show(error)])
      return .page(page, status: Problem(error).status)
    }
  }

  private func setFirstPassword(_ request: WebRequest) async throws -> WebResponse {
    let form = try request.form()
    let (code, password) = (try form.secret("code"), Secret(form.optional("password") ?? ""))
    let name = try await access.invitee(link: code).name
    do {
      try SignInRoutes.checkRepeat(form)
      try await access.setPassword(password, link: code)
    } catch let error as AWError where SignInRoutes.isForTheForm(error) {
      return firstPasswordPage(name: name, code: code, problem: error)
    }
    let opened = try await access.signIn(
      name: name.text, password: password, address: request.address, client: client(request))
    return redirect(to: home, with: opened)
  }

  private func firstPasswordPage(name: Slug, code: Secret, problem: AWError?) -> WebResponse {
    // The code goes back to the browser that sent it, in a page that is not stored.
    let values: JSONValue = code.withText { code in
      ["name": .string(name.text), "code": .string(code), "problem": SignInRoutes.show(problem)]
    }
    var response = WebResponse.page(
      Page("Set your password", template: "first-password", values: values),
      status: problem.map { Problem($0).status } ?? .ok)
    response.holdsSecret = true
    return response
  }

  // MARK: - The own account

  private func signOut(_ request: WebRequest) async throws -> WebResponse {
    guard let caller = request.caller, case .session(let id, _) = caller.credential,
      case .operator(let owner) = caller.actor
    else { throw WebErrors.usage("Only a browser can sign out. Revoke an API token instead.") }
    try await access.endSession(id, of: owner)
    var response = WebResponse.redirect(to: "/sign-in")
    response.headers[.setCookie] = authenticator.noCookie.description
    return response
  }

  private func passwordPage(_ request: WebRequest, problem: AWError?) async throws -> WebResponse {
    let signedIn = try await access.authenticate(session: try session(request))
    let values: JSONValue = [
      "hasPassword": .bool(signedIn.operator.hasPassword), "name": .string(signedIn.operator.name.text),
      "problem": SignInRoutes.show(problem),
    ]
    return .page(
      Page("Your password", template: "account-password", values: values),
      status: problem.map { Problem($0).status } ?? .ok)
  }

  private func changePassword(_ request: WebRequest) async throws -> WebResponse {
    let form = try request.form()
    do {
      try SignInRoutes.checkRepeat(form)
      try await access.changePassword(
        to: Secret(form.optional("password") ?? ""), current: form.optional("current").map { Secret($0) },
        session: try session(request))
    } catch let error as AWError where SignInRoutes.isForTheForm(error) {
      return try await passwordPage(request, problem: error)
    }
    return .redirect(to: home)
  }

  // MARK: - Parts

  private var home: String { authenticator.configuration.homePath }

  private func client(_ request: WebRequest) -> String { request.headers[.userAgent] ?? "unknown" }

  private func session(_ request: WebRequest) throws -> Secret {
    guard let secret = authenticator.session(in: request.headers) else { throw WebErrors.unauthenticated }
    return secret
  }

  private func redirect(to path: String, with opened: NewSession) -> WebResponse {
    var response = WebResponse.redirect(to: path)
    let cookie = authenticator.cookie(for: opened.secret, lifetime: limits.sessionAbsolute)
    response.headers[.setCookie] = cookie.description
    response.holdsSecret = true
    return response
  }

  private static func checkRepeat(_ form: FormFields) throws {
    guard form.optional("password") == form.optional("repeat") else {
      throw AWError(.passwordWeak, "The two passwords are not the same.", next: "Type the same password twice.")
    }
  }

  /// What the person can put right in the form itself.
  private static func isForTheForm(_ error: AWError) -> Bool {
    [.unauthenticated, .rateLimited, .passwordWeak, .linkInvalid].contains(error.code)
  }

  private static func show(_ problem: AWError?) -> JSONValue {
    guard let problem else { return .null }
    return ["detail": .string(problem.message), "next": .string(problem.next), "code": .string(problem.code.id)]
  }
}
