import Basics
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// An error as a problem document (RFC 9457). The cause stays in the log.
struct Problem: Sendable {
  let code: ErrorCode
  let detail: String
  let next: String

  init(_ error: AWError) {
    code = error.code
    detail = error.message
    next = error.next
  }

  var status: HTTPResponse.Status { HTTPResponse.Status(code: code.httpStatus) }

  /// The same for every problem of a kind, as the RFC asks.
  var title: String {
    switch code.httpStatus {
    case 400, 422: "The request cannot be carried out as it is"
    case 401: "Not signed in"
    case 403: "Not allowed"
    case 404: "Not found"
    case 409: "In conflict with the present state"
    case 410: "No longer valid"
    case 413: "Too large"
    case 429: "Too many attempts"
    case 507: "The disk is full"
    case 502, 503, 504: "Not available at this moment"
    default: "AW failed"
    }
  }

  var json: JSONValue {
    [
      "type": .string("urn:aw:error:" + code.id), "title": .string(title), "detail": .string(detail),
      "status": .integer(Int64(code.httpStatus)), "code": .string(code.id), "next": .string(next),
    ]
  }

  var response: Response {
    var headers: HTTPFields = [.contentType: "application/problem+json"]
    if code == .unauthenticated { headers[.wwwAuthenticate] = "Bearer" }
    return Response(
      status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: json.canonical)))
  }

  static let schema = JSONSchema.object([
    "type": JSONSchema.text, "title": JSONSchema.text, "detail": JSONSchema.text, "status": JSONSchema.integer,
    "code": JSONSchema.text, "next": JSONSchema.text,
  ])
}

/// Paths that a browser may be sent to.
enum SafePath {
  /// The text when it is a path of this very server, else nil: nothing that leads to another site.
  static func local(_ text: String?) -> String? {
    guard let text, text.hasPrefix("/"), !text.hasPrefix("//"), text.utf8.count <= 2_048,
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") })
    else { return nil }
    return text
  }
}

/// Text in a query.
public enum FormText {
  private static let plain = CharacterSet(
    charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")

  public static func encode(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: plain) ?? "" }
}
