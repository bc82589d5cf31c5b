import Basics
import Foundation

/// Every route of the server, checked as a whole.
public struct RouteTable: Sendable {
  public let routes: [Route]

  /// - Throws: `internalFailure` with everything that is wrong: see `problems`.
  public init(_ routes: [Route]) throws {
    let problems = RouteTable.problems(in: routes)
    guard problems.isEmpty else {
      throw AWError(
        .internalFailure, "The table of routes is wrong: \(problems.joined(separator: "; ")).",
        next: "This is a defect in AW: report it.")
    }
    self.routes = routes
  }

  /// What is wrong with routes: a pure function, so that a test can walk the table.
  ///
  /// Two routes for one address; a path that is not one; a reader that is not GET, a writer that is; an API route
  /// outside `/api/v1` or without summary; a writer of the API without permission; a reason that says nothing.
  public static func problems(in routes: [Route]) -> [String] {
    var problems: [String] = []
    var seen: Set<String> = []
    for route in routes {
      let name = "\(route.method.rawValue) \(route.path)"
      func complain(_ what: String) { problems.append("\(name) \(what)") }
      // Parameters of other names are the same address.
      let shape = "\(route.method.rawValue) " + route.path.replacing(/\{[^}]*\}/, with: "{}")
      if !seen.insert(shape).inserted { complain("is there twice") }
      if route.path.wholeMatch(of: /\/|(\/([A-Za-z0-9._-]+|\{[A-Za-z][A-Za-z0-9]*\}))+/) == nil {
        complain("has a path that is not one")
      }
      if Set(route.parameterNames).count != route.parameterNames.count { complain("has two parts of one name") }
      if route.summary.isEmpty { complain("has no summary") }
      if route.effect.isWriter == (route.method == .get) { complain("has a method that does not fit its effect") }
      if route.isAPI != route.path.hasPrefix("/api/v1/") { complain("is not where its audience looks") }
      problems += unexplained(route).map { "\(name) \($0)" }
    }
    return problems
  }

  private static func unexplained(_ route: Route) -> [String] {
    var problems: [String] = []
    switch route.allowed {
    case .anyone(let reason), .signedIn(let reason):
      if reason.isEmpty { problems.append("does not say why it needs no permission") }
      if route.isAPI, route.effect.isWriter { problems.append("changes something without a permission") }
    case .permission: break
    }
    if case .writesUnrecorded(let reason) = route.effect, reason.isEmpty {
      problems.append("does not say why it leaves no evidence")
    }
    if case .api(let schema) = route.audience {
      if schema.response == nil, schema.status != 204 { problems.append("does not describe its answer") }
      if schema.request != nil, route.method == .get { problems.append("reads a body with GET") }
    }
    return problems
  }

  /// The routes of the API.
  public var api: [Route] { routes.filter(\.isAPI) }

  /// The OpenAPI 3.1 document of the API.
  public var openAPI: JSONValue { OpenAPI.document(of: api) }
}
