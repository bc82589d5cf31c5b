import Access
import Basics
import HTTPTypes
import Logging

/// The routes that belong to no room: probes, metrics, assets, live updates, the description of the API.
struct ServerRoutes: Sendable {
  let configuration: WebConfiguration
  let assets: AssetFiles
  let feed: LiveFeed
  let metrics: PrometheusRegistry
  let readiness: [ReadinessPart]

  var routes: [Route] { [health, ready, exposition, asset, live, session] }

  private var health: Route {
    Route(
      .get, "/healthz", "Whether the process answers.",
      allowed: .anyone(because: "Supervisors probe it, and it says nothing else."), effect: .reads, audience: .plain
    ) { _ in .text("ok\n") }
  }

  private var ready: Route {
    let readiness = readiness
    return Route(
      .get, "/readyz", "Whether every part that requests need works.",
      allowed: .anyone(because: "Load balancers probe it; it gives names of parts and codes only."), effect: .reads,
      audience: .plain
    ) { request in
      var parts: [JSONValue] = []
      var isReady = true
      for part in readiness {
        do {
          try await part.check()
          parts.append(["name": .string(part.name), "ready": true])
        } catch {
          let problem = AWError.wrapping(error, doing: "Checking \(part.name)")
          request.logger.warning("Not ready", metadata: ["part": "\(part.name)", "error": "\(problem.chain)"])
          isReady = false
          parts.append(["name": .string(part.name), "ready": false, "code": .string(problem.code.id)])
        }
      }
      return .json(["ready": .bool(isReady), "parts": .array(parts)], status: isReady ? .ok : .serviceUnavailable)
    }
  }

  private var exposition: Route {
    let metrics = metrics
    let allowed: Route.Guard =
      configuration.metricsArePublic
      ? .anyone(because: "The operator of the deployment configured it so.") : .permission(.read)
    return Route(.get, "/metrics", "Metrics as Prometheus text.", allowed: allowed, effect: .reads, audience: .plain) {
      _ in
      let text = metrics.exposition()
      return WebResponse(body: .bytes(Array(text.utf8), type: "text/plain; version=0.0.4; charset=utf-8"))
    }
  }

  private var asset: Route {
    let assets = assets
    return Route(
      .get, "/assets/{hash}/{name}", "A file of the console.",
      allowed: .anyone(because: "The sign-in page needs them, and they are the same in every deployment."),
      effect: .reads, audience: .plain
    ) { request in
      let (name, hash) = (try request.text("name"), try request.text("hash"))
      guard let asset = assets.assets[name], asset.hash == hash else { throw WebErrors.notFound() }
      var response = WebResponse(body: .bytes(asset.bytes, type: asset.type))
      response.headers[.cacheControl] = "public, max-age=31536000, immutable"
      return response
    }
  }

  private var live: Route {
    let feed = feed
    return Route(
      .get, "/live", "Server-sent events: what changed, for open pages.",
      allowed: .permission(.read), effect: .reads, audience: .plain
    ) { request in
      let topics = (request.query("topics") ?? "").split(separator: ",").map(String.init)
      return WebResponse(body: .live(try feed.subscribe(to: Set(topics))))
    }
  }

  private var session: Route {
    let schema = JSONSchema.object(
      [
        "name": JSONSchema.text, "role": JSONSchema.oneOf(OperatorRole.allCases.map(\.rawValue)),
        "actor": JSONSchema.text, "csrf": JSONSchema.text,
      ], optional: ["csrf"])
    return Route(
      .get, "/api/v1/session", "Who is asking.",
      allowed: .signedIn(because: "It tells the caller what the caller is."), effect: .reads,
      audience: .api(RouteSchema(response: schema))
    ) { request in
      guard let caller = request.caller else { throw WebErrors.unauthenticated }
      var answer: [String: JSONValue] = [
        "name": .string(caller.name), "role": .string(caller.role.rawValue), "actor": .string(caller.actor.text),
      ]
      if let csrf = caller.csrf { answer["csrf"] = .string(csrf) }
      return .json(.object(answer))
    }
  }

  /// The routes and the one that describes them, itself included.
  static func describing(_ routes: [Route]) -> [Route] {
    let document = OpenAPI.document(of: routes + [description(.null)])
    return routes + [description(document)]
  }

  private static func description(_ document: JSONValue) -> Route {
    Route(
      .get, "/api/v1/openapi.json", "The description of this API, as OpenAPI 3.1.",
      allowed: .anyone(because: "It is the same in every deployment of this release."), effect: .reads,
      audience: .api(RouteSchema(response: ["type": "object"]))
    ) { _ in .json(document) }
  }
}
