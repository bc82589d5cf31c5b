import Access
import Basics
import Evidence

/// One thing that can be asked for over HTTP. A room contributes values of this; everything that is true of a route
/// (who may, what is recorded, what goes in and out) is said here once, and the server, the OpenAPI document and the
/// tests read it from here.
public struct Route: Sendable {
  public enum Method: String, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
  }

  /// Who may.
  public enum Guard: Sendable, Hashable {
    /// Everybody, for the reason given.
    case anyone(because: String)
    /// Whoever is signed in or has a token, for the reason given.
    case signedIn(because: String)
    case permission(Permission)
  }

  /// What it changes.
  public enum Effect: Sendable, Hashable {
    case reads
    /// Changes state, and leaves evidence of this kind.
    case writes(EvidenceKind)
    /// Changes something of which no evidence is kept, for the reason given.
    case writesUnrecorded(because: String)

    public var isWriter: Bool { self != .reads }
  }

  /// Who it speaks to.
  public enum Audience: Sendable {
    /// Programs: JSON in and out, as described.
    case api(RouteSchema)
    /// People: an HTML page.
    case page
    /// People: a form of a page that is sent off.
    case form
    /// Machinery: probes, metrics, assets, streams.
    case plain
  }

  public typealias Handler = @Sendable (WebRequest) async throws -> WebResponse

  public let method: Method
  /// The pattern: `/api/v1/orgs/{org}`.
  public let path: String
  /// One line, for the OpenAPI document.
  public let summary: String
  public let allowed: Guard
  public let effect: Effect
  public let audience: Audience
  /// The most bytes that its request body may have.
  public let bodyBytesMax: Int
  public let handler: Handler

  public init(
    _ method: Method, _ path: String, _ summary: String, allowed: Guard, effect: Effect, audience: Audience,
    bodyBytesMax: Int = WebLimits.bodyBytesMax, handler: @escaping Handler
  ) {
    self.method = method
    self.path = path
    self.summary = summary
    self.allowed = allowed
    self.effect = effect
    self.audience = audience
    self.bodyBytesMax = bodyBytesMax
    self.handler = handler
  }

  /// A route of the API that reads.
  public static func read(
    _ path: String, _ summary: String, _ permission: Permission = .read, schema: RouteSchema,
    handler: @escaping Handler
  ) -> Route {
    Route(
      .get, path, summary, allowed: .permission(permission), effect: .reads, audience: .api(schema), handler: handler)
  }

  /// A route of the API that carries out an act.
  public static func act(
    _ method: Method, _ path: String, _ summary: String, _ permission: Permission, _ kind: EvidenceKind,
    schema: RouteSchema, bodyBytesMax: Int = WebLimits.bodyBytesMax, handler: @escaping Handler
  ) -> Route {
    Route(
      method, path, summary, allowed: .permission(permission), effect: .writes(kind), audience: .api(schema),
      bodyBytesMax: bodyBytesMax, handler: handler)
  }

  /// A page for people.
  public static func page(
    _ path: String, _ summary: String, _ permission: Permission = .read, handler: @escaping Handler
  ) -> Route {
    Route(.get, path, summary, allowed: .permission(permission), effect: .reads, audience: .page, handler: handler)
  }

  /// A form of a page that carries out an act. Answer with `WebResponse.redirect`.
  public static func form(
    _ path: String, _ summary: String, _ permission: Permission, _ kind: EvidenceKind, handler: @escaping Handler
  ) -> Route {
    Route(
      .post, path, summary, allowed: .permission(permission), effect: .writes(kind), audience: .form,
      bodyBytesMax: WebLimits.formBytesMax, handler: handler)
  }

  /// The names in braces of the path, in order.
  public var parameterNames: [String] {
    path.matches(of: /\{([A-Za-z][A-Za-z0-9]*)\}/).map { String($0.output.1) }
  }

  /// Whether `dryRun` makes it say what it would do: every act of the API, unless its success is 200 itself.
  var canRehearse: Bool {
    guard case .api(let schema) = audience, case .writes = effect else { return false }
    return schema.status != 200
  }

  var isAPI: Bool { if case .api = audience { true } else { false } }
  var isForPeople: Bool {
    switch audience {
    case .page, .form: true
    case .api, .plain: false
    }
  }
}

/// What goes into and comes out of a route of the API, as JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1).
public struct RouteSchema: Sendable {
  public struct Query: Sendable {
    public let name: String
    public let summary: String
    public let schema: JSONValue

    public init(_ name: String, _ summary: String, _ schema: JSONValue = JSONSchema.text) {
      self.name = name
      self.summary = summary
      self.schema = schema
    }
  }

  /// Nil when it takes no body.
  public let request: JSONValue?
  /// Nil when a success has no body (204).
  public let response: JSONValue?
  /// The HTTP status of a success.
  public let status: Int
  public let query: [Query]

  public init(request: JSONValue? = nil, response: JSONValue?, status: Int = 200, query: [Query] = []) {
    self.request = request
    self.response = response
    self.status = status
    self.query = query
  }

  /// A listing: `items` and `next`, with `limit` and `cursor` in the query.
  public static func listing(of item: JSONValue, query: [Query] = []) -> RouteSchema {
    let limit = JSONValue.object([
      "type": "integer", "minimum": 1, "maximum": .integer(Int64(WebLimits.pageItemsMax)),
      "default": .integer(Int64(WebLimits.pageItemsDefault)),
    ])
    return RouteSchema(
      response: JSONSchema.object(["items": JSONSchema.array(of: item), "next": JSONSchema.orNull(JSONSchema.text)]),
      query: query + [
        Query("limit", "How many items at most.", limit),
        Query("cursor", "The `next` of the answer before."),
      ])
  }
}

/// Short ways to write JSON Schema.
public enum JSONSchema {
  public static let text: JSONValue = ["type": "string"]
  public static let integer: JSONValue = ["type": "integer"]
  public static let number: JSONValue = ["type": "number"]
  public static let bool: JSONValue = ["type": "boolean"]
  public static let time: JSONValue = ["type": "string", "format": "date-time"]
  public static let id: JSONValue = ["type": "string", "format": "uuid"]
  public static let slug: JSONValue = [
    "type": "string", "pattern": "^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$",
  ]
  /// Any JSON value.
  public static let any: JSONValue = .object([:])

  public static func oneOf(_ values: [String]) -> JSONValue {
    ["type": "string", "enum": .array(values.map { .string($0) })]
  }

  public static func array(of item: JSONValue) -> JSONValue { ["type": "array", "items": item] }

  public static func orNull(_ schema: JSONValue) -> JSONValue { ["anyOf": .array([schema, ["type": "null"]])] }

  /// An object whose members are all there, but for those in `optional`.
  public static func object(_ members: [String: JSONValue], optional: Set<String> = []) -> JSONValue {
    let required = members.keys.filter { !optional.contains($0) }.sorted().map { JSONValue.string($0) }
    return ["type": "object", "properties": .object(members), "required": .array(required)]
  }
}
