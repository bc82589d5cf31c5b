import Access
import Basics
import Hummingbird
import HTTPTypes

/// Finds out who sends a request, and whether a browser means what it sends.
struct Authenticator: Sendable {
  let access: AccessService
  let configuration: WebConfiguration

  /// A caller, with the secret that proved it.
  struct Proof: Sendable {
    let caller: Caller
    /// Nil for programs.
    let session: Secret?
  }

  /// Nil when the request carries nothing to prove anything with.
  ///
  /// - Throws: `unauthenticated` for a token or session that is not valid.
  func proof(of request: Request, isLocal: Bool) async throws -> Proof? {
    if let header = request.headers[.authorization] {
      return Proof(caller: try await caller(authorization: header), session: nil)
    }
    if isLocal { return Proof(caller: .local, session: nil) }
    guard let secret = session(in: request.headers) else { return nil }
    let signedIn = try await access.authenticate(session: secret)
    let caller = Caller(
      actor: signedIn.actor, name: signedIn.operator.name.text, role: signedIn.operator.role,
      credential: .session(signedIn.session.id, csrf: access.csrfToken(session: secret)))
    return Proof(caller: caller, session: secret)
  }

  private func caller(authorization header: String) async throws -> Caller {
    let parts = header.split(separator: " ", maxSplits: 1).map(String.init)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else {
      throw AWError(
        .unauthenticated, "The Authorization header is not of the form `Bearer aw_…`.",
        next: "Send an API token like this.")
    }
    let holder = try await access.authenticate(token: Secret(parts[1]))
    return Caller(actor: holder.actor, name: holder.token.name.text, role: holder.role, credential: .token)
  }

  /// The secret of the session cookie.
  func session(in headers: HTTPFields) -> Secret? {
    let cookies = Cookies(from: headers[values: .cookie])
    guard let value = cookies[configuration.cookieName]?.value, !value.isEmpty else { return nil }
    return Secret(value)
  }

  // MARK: - Against forged requests

  /// Refuses a form that a page of another site sent off. Browsers name the origin; programs do not.
  func checkOrigin(_ request: Request) throws {
    if let site = request.headers[.fetchSite], site != "same-origin", site != "none" { throw WebErrors.crossSite }
    guard let origin = request.headers[.origin] else { return }
    guard let host = request.head.authority else { return }
    let expected = (configuration.usesHTTPS ? "https://" : "http://") + host
    guard origin.lowercased() == expected.lowercased() else { throw WebErrors.crossSite }
  }

  /// Refuses what changes something for a browser without the text that only our pages know.
  func checkCSRF(_ request: Request, form: FormFields?, session: Secret) throws {
    guard let token = request.headers[.csrf] ?? form?.optional("csrf") else { throw WebErrors.csrf }
    try access.checkCSRF(token, session: session)
  }

  // MARK: - Cookies

  func cookie(for session: Secret, lifetime: Duration) -> Cookie {
    session.withText { cookie($0, maxAge: Int(lifetime.seconds)) }
  }

  var noCookie: Cookie { cookie("", maxAge: 0) }

  private func cookie(_ value: String, maxAge: Int) -> Cookie {
    Cookie(
      name: configuration.cookieName, value: value, maxAge: maxAge, path: "/", secure: configuration.usesHTTPS,
      httpOnly: true, sameSite: .strict)
  }

  // MARK: - Addresses

  /// The client's address: the key of rate limits.
  func address(of request: Request, peer: String?) -> String {
    let forwarded = configuration.isBehindProxy ? request.headers[.forwardedFor]?.split(separator: ",").last : nil
    return ClientAddress.key(forwarded.map { $0.filter { !$0.isWhitespace } } ?? peer)
  }
}
