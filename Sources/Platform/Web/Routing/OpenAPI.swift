import Access
import Basics
import Evidence

/// Writes the OpenAPI 3.1 document from the routes.
enum OpenAPI {
  static func document(of routes: [Route]) -> JSONValue {
    var paths: [String: [String: JSONValue]] = [:]
    for route in routes {
      guard case .api(let schema) = route.audience else { continue }
      paths[route.path, default: [:]][route.method.rawValue.lowercased()] = operation(route, schema)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "AW", "version": "1",
        "description": "The control plane for people who run OpenClaw for other organisations.",
      ],
      "servers": [["url": "/"]],
      "paths": .object(paths.mapValues { .object($0) }),
      "components": [
        "schemas": ["Problem": Problem.schema, "Plan": Plan.schema],
        "securitySchemes": [
          "token": ["type": "http", "scheme": "bearer", "description": "An API token: aw_…"],
          "session": [
            "type": "apiKey", "in": "cookie", "name": "__Host-aw",
            "description": "A browser's session; writers also need the header x-aw-csrf.",
          ],
        ],
      ],
    ]
  }

  private static func operation(_ route: Route, _ schema: RouteSchema) -> JSONValue {
    var operation: [String: JSONValue] = [
      "operationId": .string(operationID(route)), "summary": .string(route.summary),
      "responses": responses(route, schema), "security": security(route.allowed),
    ]
    let parameters = parameters(route, schema)
    if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
    if let request = schema.request {
      operation["requestBody"] = ["required": true, "content": ["application/json": ["schema": request]]]
    }
    if case .permission(let permission) = route.allowed { operation["x-aw-permission"] = .string(permission.rawValue) }
    if case .writes(let kind) = route.effect { operation["x-aw-evidence"] = .string(kind.id) }
    return .object(operation)
  }

  private static func responses(_ route: Route, _ schema: RouteSchema) -> JSONValue {
    var answers: [String: JSONValue] = [:]
    if route.canRehearse {
      answers["200"] = [
        "description": "A rehearsal: what would be done. Nothing was changed.",
        "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Plan"]]],
      ]
    }
    var success: [String: JSONValue] = ["description": "Done."]
    if let response = schema.response { success["content"] = ["application/json": ["schema": response]] }
    let problem: JSONValue = [
      "description": "It failed: see `code` and `next`.",
      "content": ["application/problem+json": ["schema": ["$ref": "#/components/schemas/Problem"]]],
    ]
    answers[String(schema.status)] = .object(success)
    answers["default"] = problem
    return .object(answers)
  }

  private static func security(_ allowed: Route.Guard) -> JSONValue {
    switch allowed {
    case .anyone: []
    case .signedIn, .permission: [["token": []], ["session": []]]
    }
  }

  private static func parameters(_ route: Route, _ schema: RouteSchema) -> [JSONValue] {
    var parameters: [JSONValue] = route.parameterNames.map { name in
      ["name": .string(name), "in": "path", "required": true, "schema": JSONSchema.text]
    }
    parameters += schema.query.map { query in
      [
        "name": .string(query.name), "in": "query", "required": false, "description": .string(query.summary),
        "schema": query.schema,
      ]
    }
    if route.canRehearse {
      parameters.append([
        "name": "dryRun", "in": "query", "required": false,
        "description": "Say what would be done, and change nothing.", "schema": JSONSchema.bool,
      ])
    }
    if route.method == .post, route.effect.isWriter {
      parameters.append([
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Repeat a request with the same key, and it is carried out once.", "schema": JSONSchema.text,
      ])
    }
    return parameters
  }

  /// `POST /api/v1/orgs/{org}/suspend` is `post_orgs_org_suspend`.
  static func operationID(_ route: Route) -> String {
    let parts = route.path.split(separator: "/").dropFirst(2).map { $0.filter { $0 != "{" && $0 != "}" } }
    let words = [route.method.rawValue.lowercased()] + parts.map { $0.replacing(/[^A-Za-z0-9]/, with: "_") }
    return words.joined(separator: "_")
  }
}
