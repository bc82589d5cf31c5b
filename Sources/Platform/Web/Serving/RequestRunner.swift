import Access
import Basics
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Store

/// Carries one request through: who, may they, is it meant, how large, was it answered before, handler, answer.
struct RequestRunner: Sendable {
  let authenticator: Authenticator
  let acts: Acts
  let store: Store
  let pages: PageLibrary
  let idempotency: IdempotencyStore
  let clock: WallClock

  func respond(_ route: Route, _ request: Request, _ context: WebContext) async throws -> Response {
    let proof = try await proof(for: route, request, context)
    do {
      return try await respond(route, request, context, proof)
    } catch {
      throw FailedForCaller(caller: proof?.caller, underlying: error)
    }
  }

  /// Tells the page of an error whose it is.
  struct FailedForCaller: Error {
    let caller: Caller?
    let underlying: any Error
  }

  private func respond(
    _ route: Route, _ request: Request, _ context: WebContext, _ proof: Authenticator.Proof?
  ) async throws -> Response {
    let query = FormFields(parsing: Array((request.uri.query ?? "").utf8)).all
    try await check(route, proof?.caller, isRehearsal: query["dryRun"] != nil)
    let address = authenticator.address(of: request, peer: context.peer)
    if route.effect.isWriter, proof == nil || proof?.session != nil { try authenticator.checkOrigin(request) }
    let body = try await collect(request, max: route.bodyBytesMax)
    if route.effect.isWriter, let session = proof?.session {
      let isForm = request.headers[.contentType]?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true
      try authenticator.checkCSRF(request, form: isForm ? FormFields(parsing: body) : nil, session: session)
    }
    let webRequest = WebRequest(
      method: route.method, path: request.uri.path,
      query: query,
      parameters: parameters(route, context), headers: request.headers, caller: proof?.caller, body: body,
      address: address, requestID: context.requestID, logger: context.logger)
    let response = try await Approvals.$named.withValue(try approval(named: request)) {
      try await answer(route, webRequest)
    }
    return try render(response, webRequest, request)
  }

  // MARK: - Who and whether

  /// - Throws: `usage` for what is no identifier, which must not count as none.
  private func approval(named request: Request) throws -> ApprovalID? {
    try request.headers[.approval].map { text in
      guard let id = ApprovalID(text) else { throw WebErrors.usage("\(text.quoted) names no approval.") }
      return id
    }
  }

  /// On a route for everybody a session that has ended counts as none, so that people can sign in again.
  private func proof(
    for route: Route, _ request: Request, _ context: WebContext
  ) async throws -> Authenticator.Proof? {
    guard case .anyone = route.allowed else {
      return try await authenticator.proof(of: request, isLocal: context.isLocal)
    }
    do {
      return try await authenticator.proof(of: request, isLocal: context.isLocal)
    } catch let error as AWError where error.code == .unauthenticated {
      return nil
    }
  }

  private func check(_ route: Route, _ caller: Caller?, isRehearsal: Bool) async throws {
    switch route.allowed {
    case .anyone: return
    case .signedIn:
      guard caller != nil else { throw WebErrors.unauthenticated }
    case .permission(let permission):
      guard let caller else { throw WebErrors.unauthenticated }
      let acts = acts
      do {
        // A writer is checked again inside the transaction of its act.
        try await store.read { tx in try acts.authorise(permission, as: caller.actor, in: tx) }
      } catch let refusal as AWError where refusal.code == .forbidden {
        if case .writes(let kind) = route.effect, !isRehearsal {
          // The refusal of an act is evidence, so it is refused where that is recorded.
          try await acts.perform(Act(permission, kind: kind), as: caller.actor) { _, _ in throw refusal }
        }
        throw refusal
      }
    }
  }

  private func collect(_ request: Request, max: Int) async throws -> [UInt8] {
    if let text = request.headers[.contentLength], let length = Int(text), length > max {
      throw WebErrors.tooLarge(max: max)
    }
    // A stream of events watches the body to see the client leave, so a request without one is left alone.
    guard request.method != .get, request.method != .head else { return [] }
    var bytes: [UInt8] = []
    for try await part in request.body {
      guard bytes.count + part.readableBytes <= max else { throw WebErrors.tooLarge(max: max) }
      bytes.append(contentsOf: part.readableBytesView)
    }
    return bytes
  }

  private func parameters(_ route: Route, _ context: WebContext) -> [String: String] {
    var parameters: [String: String] = [:]
    for name in route.parameterNames {
      guard let raw = context.parameters.get(name) else { continue }
      parameters[name] = raw.removingPercentEncoding ?? raw
    }
    return parameters
  }

  // MARK: - The answer

  private func answer(_ route: Route, _ request: WebRequest) async throws -> WebResponse {
    guard route.method == .post, route.effect.isWriter, let key = request.idempotencyKey, let caller = request.caller
    else { return try await route.handler(request) }
    let ticket = try IdempotencyTicket(key: key, actor: caller.actor, request: request)
    switch try await idempotency.begin(ticket, at: clock.now) {
    case .replay(let response): return response
    case .carryOut: break
    }
    let response: WebResponse
    do {
      response = try await route.handler(request)
    } catch {
      // An act that fails has changed nothing, so the same key may try again.
      try await idempotency.abandon(ticket)
      throw error
    }
    do {
      try await idempotency.finish(ticket, with: response)
    } catch {
      // The act is done, so its answer goes out. The key stays claimed, which keeps a repetition away for a while.
      request.logger.error("The answer for an idempotency key was not kept", metadata: ["error": "\(error)"])
    }
    return response
  }

  private func render(_ response: WebResponse, _ webRequest: WebRequest, _ request: Request) throws -> Response {
    var headers = response.headers
    switch response.body {
    case .none:
      return Response(status: response.status, headers: headers)
    case .bytes(let bytes, let type):
      headers[.contentType] = type
      return Response(status: response.status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    case .page(let page):
      let html = try pages.render(page, for: webRequest.caller, path: webRequest.path, at: clock.now)
      headers[.contentType] = "text/html; charset=utf-8"
      return Response(status: response.status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html)))
    case .live(let subscription):
      headers[.contentType] = "text/event-stream"
      headers[.cacheControl] = "no-store"
      // Tells nginx not to collect the stream.
      headers[.accelBuffering] = "no"
      return Response(status: response.status, headers: headers, body: stream(subscription, request))
    }
  }

  /// Ends when the feed ends it, the client leaves (cancellation) or the server shuts down.
  private func stream(_ subscription: LiveSubscription, _ request: Request) -> ResponseBody {
    ResponseBody { writer in
      try await request.body.consumeWithCancellationOnInboundClose { _ in
        for await event in subscription.events.cancelOnGracefulShutdown() {
          try await writer.write(ByteBuffer(string: event.text))
        }
      }
      try await writer.finish(nil)
    }
  }
}
