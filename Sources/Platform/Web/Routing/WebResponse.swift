import Basics
import HTTPTypes

/// What a handler answers.
public struct WebResponse: Sendable {
  public enum Body: Sendable {
    case none
    case bytes([UInt8], type: String)
    case page(Page)
    case live(LiveSubscription)
  }

  public var status: HTTPResponse.Status
  public var headers: HTTPFields = [:]
  public var body: Body
  /// True when the body holds a secret that is shown once: the answer is then not kept for its idempotency key.
  public var holdsSecret = false

  public init(status: HTTPResponse.Status = .ok, body: Body = .none) {
    self.status = status
    self.body = body
  }

  public static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> WebResponse {
    WebResponse(status: status, body: .bytes(Array(value.canonical.utf8), type: "application/json"))
  }

  public static func json(encoding value: some Encodable, status: HTTPResponse.Status = .ok) throws -> WebResponse {
    .json(try JSONValue(encoding: value), status: status)
  }

  /// Something was made: 201 with its address.
  public static func created(_ value: some Encodable, at path: String) throws -> WebResponse {
    var response = try WebResponse.json(encoding: value, status: .created)
    response.headers[.location] = path
    return response
  }

  /// Something takes time: 202 with the address to look at.
  public static func accepted(_ value: some Encodable, at path: String) throws -> WebResponse {
    var response = try WebResponse.json(encoding: value, status: .accepted)
    response.headers[.location] = path
    return response
  }

  /// A part of a listing: `{"items": […], "next": cursor or null}`.
  public static func listing<Item: Encodable & Sendable>(_ listing: Listing<Item>) throws -> WebResponse {
    .json([
      "items": .array(try listing.items.map { try JSONValue(encoding: $0) }),
      "next": listing.next.map { .string($0.text) } ?? .null,
    ])
  }

  public static func text(_ text: String, status: HTTPResponse.Status = .ok) -> WebResponse {
    WebResponse(status: status, body: .bytes(Array(text.utf8), type: "text/plain; charset=utf-8"))
  }

  public static func page(_ page: Page, status: HTTPResponse.Status = .ok) -> WebResponse {
    WebResponse(status: status, body: .page(page))
  }

  /// A page again, because of what is wrong with what was sent; without a problem it is any page.
  public static func page(_ page: Page, refusing problem: AWError?) -> WebResponse {
    .page(page, status: problem.map { HTTPResponse.Status(code: $0.code.httpStatus) } ?? .ok)
  }

  /// 303: the browser goes on with GET. The path must be one of this server's own.
  public static func redirect(to path: String) -> WebResponse {
    var response = WebResponse(status: .seeOther)
    response.headers[.location] = path
    return response
  }

  public static let noContent = WebResponse(status: .noContent)
}
