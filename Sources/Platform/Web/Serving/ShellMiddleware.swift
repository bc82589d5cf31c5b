import Basics
import CoreMetrics
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Around every request: its id, security headers, metrics, and errors as what the reader understands.
struct ShellMiddleware: RouterMiddleware {
  let pages: PageLibrary
  let configuration: WebConfiguration
  let metrics: any MetricsFactory
  let clock: WallClock
  let uptime = ContinuousClock()

  func handle(
    _ request: Request, context: WebContext, next: @concurrent (Request, WebContext) async throws -> Response
  ) async throws -> Response {
    let start = uptime.now
    var response: Response
    do {
      response = try await next(request, context)
    } catch let failed as RequestRunner.FailedForCaller {
      response = answer(to: explain(failed.underlying), for: failed.caller, request, context)
    } catch {
      response = answer(to: explain(error), for: nil, request, context)
    }
    protect(&response)
    response.headers[.requestID] = context.requestID
    count(request, response, context, uptime.now - start)
    return response
  }

  // MARK: - Errors

  private func explain(_ error: any Error) -> AWError {
    if let error = error as? AWError { return error }
    guard let error = error as? any HTTPResponseError else {
      return AWError.wrapping(error, doing: "Answering the request")
    }
    switch error.status {
    case .notFound: return WebErrors.notFound()
    case .contentTooLarge:
      return AWError(.tooLarge, "The body of the request is too large.", next: "Send less at a time.")
    default: return AWError(.usage, "The request cannot be understood.", next: "Check it.", cause: error)
    }
  }

  private func answer(
    to error: AWError, for caller: Caller?, _ request: Request, _ context: WebContext
  ) -> Response {
    if error.code.httpStatus >= 500 {
      context.logger.error(
        "A request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error.chain)"])
    } else {
      context.logger.debug(
        "A request was refused", metadata: ["path": "\(request.uri.path)", "error": "\(error.chain)"])
    }
    guard wantsPage(request) else { return Problem(error).response }
    if error.code == .unauthenticated, request.method == .get {
      let path = FormText.encode(SafePath.local(request.uri.string) ?? configuration.homePath)
      return Response(status: .seeOther, headers: [.location: "/sign-in?next=\(path)"])
    }
    do {
      let problem = Problem(error)
      let page = Page(problem.title, template: "error", values: problem.json)
      let html = try pages.render(page, for: caller, path: request.uri.path, at: clock.now)
      return Response(
        status: problem.status, headers: [.contentType: "text/html; charset=utf-8"],
        body: .init(byteBuffer: ByteBuffer(string: html)))
    } catch {
      context.logger.error("The page of an error failed", metadata: ["error": "\(error)"])
      return Problem(AWError.wrapping(error, doing: "Showing an error")).response
    }
  }

  /// Browsers ask for HTML; the API never answers with it.
  private func wantsPage(_ request: Request) -> Bool {
    !request.uri.path.hasPrefix("/api/") && request.headers[.accept]?.contains("text/html") == true
  }

  // MARK: - Headers

  private func protect(_ response: inout Response) {
    let policy =
      "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    response.headers[.contentSecurityPolicy] = policy
    response.headers[.xContentTypeOptions] = "nosniff"
    // Not `no-referrer`: browsers would then send forms with the origin `null`, and every form would look forged.
    response.headers[.referrerPolicy] = "same-origin"
    response.headers[.frameOptions] = "DENY"
    response.headers[.openerPolicy] = "same-origin"
    response.headers[.permissionsPolicy] = "camera=(), geolocation=(), microphone=()"
    if configuration.usesHTTPS { response.headers[.strictTransportSecurity] = "max-age=31536000" }
    if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
  }

  private func count(_ request: Request, _ response: Response, _ context: WebContext, _ took: Duration) {
    // The pattern, not the path, so that the number of series is bounded; the method likewise.
    let method = Route.Method(rawValue: request.method.rawValue)?.rawValue ?? "other"
    let route = context.endpointPath ?? "none"
    Counter(
      label: "aw_http_requests",
      dimensions: [("method", method), ("route", route), ("status", String(response.status.code))], factory: metrics
    ).increment()
    Timer(
      label: "aw_http_request_duration_seconds", dimensions: [("method", method), ("route", route)], factory: metrics
    ).recordNanoseconds(took.components.seconds * 1_000_000_000 + took.components.attoseconds / 1_000_000_000)
  }
}
