import Basics
import HTTPTypes

/// The texts of this room's own refusals: one place.
enum WebErrors {
  static var unauthenticated: AWError {
    AWError(
      .unauthenticated, "Nobody is signed in.",
      next: "Sign in, or send an API token as `Authorization: Bearer aw_…`.")
  }

  static var csrf: AWError {
    AWError(
      .csrf, "The request did not prove that it comes from a page of this console.",
      next: "Load the page again and repeat. Programs use an API token instead of the cookie.")
  }

  static var crossSite: AWError {
    AWError(
      .csrf, "The form was sent by another web site.",
      next: "Open the console in the address bar of the browser and repeat there.")
  }

  static func notFound(_ what: String = "There is nothing at this address.") -> AWError {
    AWError(.notFound, what, next: "Check the address. It may have been removed.")
  }

  static func usage(_ what: String, cause: (any Error)? = nil) -> AWError {
    AWError(.usage, what, next: "Compare the request with /api/v1/openapi.json.", cause: cause)
  }

  static func tooLarge(max: Int) -> AWError {
    AWError(.tooLarge, "The body of the request has more than \(max) bytes.", next: "Send less at a time.")
  }

  static var keyMismatch: AWError {
    AWError(
      .idempotencyMismatch, "The idempotency key was used before for another request.",
      next: "Use a new key for a new request, and the same key only to repeat one.")
  }

  static var keyRunning: AWError {
    AWError(
      .conflict, "A request with the same idempotency key is being carried out at this moment.",
      next: "Wait some seconds, then repeat it with the same key to get its answer.")
  }

  static var keySpent: AWError {
    AWError(
      .conflict, "A request with the same idempotency key was carried out, and its answer is not shown a second time.",
      next: "Look at the present state. If the answer held a secret that was lost, revoke it and make a new one.")
  }

  static var keyMalformed: AWError {
    usage("The idempotency key has not 1 to \(WebLimits.idempotencyKeyCharactersMax) visible ASCII characters.")
  }

  static var tooManyListeners: AWError {
    AWError(
      .rateLimited, "Too many pages listen for live updates.", next: "Close pages that are not needed, then reload.")
  }

  /// Says which member of a document is wrong.
  static func explain(_ error: DecodingError) -> String {
    func at(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "The document" : "The member \(path.map(\.stringValue).joined(separator: ".").quoted)"
    }
    switch error {
    case .keyNotFound(let key, let context): return "\(at(context.codingPath + [key])) is missing."
    case .valueNotFound(_, let context): return "\(at(context.codingPath)) is null."
    case .typeMismatch(_, let context): return "\(at(context.codingPath)) has the wrong type."
    case .dataCorrupted(let context): return "\(at(context.codingPath)) has a value that cannot be used."
    @unknown default: return "The document has not the expected form."
    }
  }
}

extension HTTPField.Name {
  static func named(_ name: StaticString) -> HTTPField.Name {
    // Every name here is written in the code below and is a token, which is all that the initializer asks for.
    HTTPField.Name(String(describing: name)) ?? .via
  }

  static let idempotencyKey = named("idempotency-key")
  /// Names the approval of others that an act uses.
  static let approval = named("aw-approval")
  static let idempotencyReplayed = named("idempotency-replayed")
  /// What a listener had last, when it comes back (WHATWG HTML, section 9.2).
  public static let lastEventID = named("last-event-id")
  static let csrf = named("x-aw-csrf")
  static let requestID = named("x-request-id")
  static let accelBuffering = named("x-accel-buffering")
  static let forwardedFor = named("x-forwarded-for")
  static let fetchSite = named("sec-fetch-site")
  static let referrerPolicy = named("referrer-policy")
  static let frameOptions = named("x-frame-options")
  static let openerPolicy = named("cross-origin-opener-policy")
  static let permissionsPolicy = named("permissions-policy")
}
