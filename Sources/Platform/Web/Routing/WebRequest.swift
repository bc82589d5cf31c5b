import Access
import Basics
import Foundation
import HTTPTypes
import Logging

/// Who sent a request, proven.
public struct Caller: Sendable, Hashable {
  public enum Credential: Sendable, Hashable {
    /// A browser: its session, and the text that its forms must carry.
    case session(SessionID, csrf: String)
    case token
  }

  public let actor: Actor
  /// The name to show: of the operator, or of the token.
  public let name: String
  public let role: OperatorRole
  public let credential: Credential

  public init(actor: Actor, name: String, role: OperatorRole, credential: Credential) {
    self.actor = actor
    self.name = name
    self.role = role
    self.credential = credential
  }

  /// Whoever has the control plane's machine: the caller over its unix socket.
  public static let local = Caller(actor: .system("local"), name: "local", role: .owner, credential: .token)

  /// Nil for programs.
  public var csrf: String? { if case .session(_, let csrf) = credential { csrf } else { nil } }
}

/// A request that has passed authentication, the guard of its route, and the limit of its body.
public struct WebRequest: Sendable {
  public let method: Route.Method
  /// Without the query.
  public let path: String
  public let headers: HTTPFields
  /// Nil only on routes that anyone may use.
  public let caller: Caller?
  public let body: [UInt8]
  /// Where it came from: an IP address, or `unknown`.
  public let address: String
  /// Stands in the log and in the answer.
  public let requestID: String
  public let logger: Logger
  private let query: [String: String]
  private let parameters: [String: String]

  public init(
    method: Route.Method, path: String, query: [String: String] = [:], parameters: [String: String] = [:],
    headers: HTTPFields = [:], caller: Caller? = nil, body: [UInt8] = [], address: String = "unknown",
    requestID: String, logger: Logger
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.parameters = parameters
    self.headers = headers
    self.caller = caller
    self.body = body
    self.address = address
    self.requestID = requestID
    self.logger = logger
  }

  /// Who acts.
  ///
  /// - Throws: `unauthenticated` when nobody is signed in, which only happens on routes that anyone may use.
  public var actor: Actor {
    get throws {
      guard let caller else { throw WebErrors.unauthenticated }
      return caller.actor
    }
  }

  /// The key with which a client repeats a request safely; nil when it sent none.
  public var idempotencyKey: String? { headers[.idempotencyKey] }

  /// What tells it apart from another request, but for the body.
  var identity: JSONValue {
    [
      "method": .string(method.rawValue), "path": .string(path), "query": .object(query.mapValues { .string($0) }),
    ]
  }

  // MARK: - The path

  /// A part of the path, as text.
  public func text(_ parameter: String) throws -> String {
    guard let text = parameters[parameter], !text.isEmpty else {
      throw AWError(
        .internalFailure, "The route \(path.quoted) has no part \(parameter.quoted).",
        next: "This is a defect in AW: report it with the log of the control plane.")
    }
    return text
  }

  /// A part of the path that is an identifier.
  ///
  /// - Throws: `notFound`: what has no identifier is not there.
  public func id<Kind>(_ parameter: String, _ kind: Kind.Type = Kind.self) throws -> ID<Kind> {
    let text = try text(parameter)
    guard let id = ID<Kind>(text) else { throw WebErrors.notFound("There is nothing with the id \(text.quoted).") }
    return id
  }

  /// A part of the path that is a slug.
  ///
  /// - Throws: `notFound`: what has no slug is not there.
  public func slug(_ parameter: String) throws -> Slug {
    let text = try text(parameter)
    do {
      return try Slug(text)
    } catch {
      throw WebErrors.notFound("There is nothing with the name \(text.quoted).")
    }
  }

  // MARK: - The query

  /// A value of the query; nil when it is missing or empty.
  public func query(_ name: String) -> String? { query[name].flatMap { $0.isEmpty ? nil : $0 } }

  /// A flag of the query: `1`, `true` or empty is yes.
  ///
  /// - Throws: `usage` for another value.
  public func flag(_ name: String) throws -> Bool {
    switch query[name] {
    case nil, "0", "false": return false
    case "", "1", "true": return true
    case .some(let other):
      throw WebErrors.usage("The value \(other.quoted) of \(name.quoted) is neither true nor false.")
    }
  }

  /// Whether a writer is only to say what it would do: `dryRun` of the query.
  public var dryRun: Bool { get throws { try flag("dryRun") } }

  /// A whole number of the query; nil when it is missing.
  public func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let text = query(name) else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw AWError(
        .usage, "The value \(text.quoted) of \(name.quoted) cannot be used.",
        next: "Give a whole number from \(range.lowerBound) to \(range.upperBound).")
    }
    return value
  }

  /// A word of the query out of a closed list; nil when it is missing.
  ///
  /// - Throws: `usage` with the words that there are.
  public func word<Word: RawRepresentable<String> & CaseIterable>(_ name: String) throws -> Word? {
    guard let text = query(name) else { return nil }
    guard let word = Word(rawValue: text) else {
      throw AWError(
        .usage, "There is no \(name) \(text.quoted).",
        next: "Use one of: \(Word.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return word
  }

  /// Which part of a listing is wanted: `limit` and `cursor`.
  public func listing() throws -> ListingRequest {
    let limit = try integer("limit", in: 1...WebLimits.pageItemsMax) ?? WebLimits.pageItemsDefault
    guard let text = query("cursor") else { return ListingRequest(limit: limit, after: nil) }
    guard let cursor = Cursor(text) else {
      throw WebErrors.usage("The cursor is not one that this API gave out.")
    }
    return ListingRequest(limit: limit, after: cursor)
  }

  // MARK: - The body

  /// The body as JSON.
  ///
  /// - Throws: `usage` when it is none.
  public func json() throws -> JSONValue {
    guard !body.isEmpty else { throw WebErrors.usage("The request has no body, but this route needs a JSON document.") }
    if let type = headers[.contentType], !WebRequest.isJSON(type) {
      throw WebErrors.usage("The body has the content type \(type.quoted), not application/json.")
    }
    do {
      return try JSONValue(parsing: body)
    } catch {
      throw WebErrors.usage("The body is not a JSON document.", cause: error)
    }
  }

  /// The body as a value.
  ///
  /// - Throws: `usage` with the member that is missing or wrong; the `AWError` of a value that checks itself.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    let json = try json()
    do {
      return try json.decode(type)
    } catch let error as AWError {
      throw error
    } catch let error as DecodingError {
      throw WebErrors.usage(WebErrors.explain(error), cause: error)
    }
  }

  /// The fields of a form that was sent off.
  public func form() throws -> FormFields {
    guard let type = headers[.contentType], type.lowercased().hasPrefix("application/x-www-form-urlencoded") else {
      throw WebErrors.usage("The body is not a form.")
    }
    return FormFields(parsing: body)
  }

  private static func isJSON(_ type: String) -> Bool {
    let name = type.split(separator: ";").first.map { $0.trimmingCharacters(in: .whitespaces).lowercased() } ?? ""
    return name == "application/json" || name.hasSuffix("+json")
  }
}

/// The fields of `application/x-www-form-urlencoded` text; the first of a name counts.
public struct FormFields: Sendable {
  private let fields: [String: String]

  /// Broken escapes stay as they are.
  public init(parsing bytes: [UInt8]) {
    var fields: [String: String] = [:]
    for pair in String(decoding: bytes, as: UTF8.self).split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = parts.first.map(FormFields.decode), fields[name] == nil else { continue }
      fields[name] = parts.count > 1 ? FormFields.decode(parts[1]) : ""
    }
    self.fields = fields
  }

  /// All pairs, as for a query.
  var all: [String: String] { fields }

  /// Nil when it is missing.
  public func optional(_ name: String) -> String? { fields[name] }

  /// Nil when it is missing or empty, as a field that a person left out is.
  public func filled(_ name: String) -> String? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }

  /// - Throws: `usage` when it is missing or empty.
  public func text(_ name: String) throws -> String {
    guard let text = filled(name) else { throw WebErrors.usage("The field \(name.quoted) is empty.") }
    return text
  }

  /// A secret that somebody typed.
  public func secret(_ name: String) throws -> Secret { Secret(try text(name)) }

  /// The name that a person had to type before something is destroyed, in the field `confirm`.
  ///
  /// - Throws: `confirmationMissing` when it is another.
  public func confirmed(_ expected: String) throws {
    guard fields["confirm"]?.trimmingCharacters(in: .whitespaces) == expected else {
      throw AWError(
        .confirmationMissing, "The name that was typed is not \(expected.quoted), so nothing was done.",
        next: "Go back and type the name exactly.")
    }
  }

  private static func decode(_ text: Substring) -> String {
    let spaced = text.replacing("+", with: " ")
    return spaced.removingPercentEncoding ?? String(spaced)
  }
}
