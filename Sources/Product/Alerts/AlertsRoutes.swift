import Access
import Basics
import Events
import Evidence
import Logging
import Web

/// The API of alerts, of who is told, and of what was told.
public struct AlertsRoutes: Sendable {
  let service: AlertsService
  let reader: AlertsReader
  let seats = EventSeats()
  let logger: Logger

  public init(service: AlertsService, reader: AlertsReader, logger: Logger) {
    self.service = service
    self.reader = reader
    self.logger = logger
  }

  /// The topic of live pages.
  public static let topic = "alerts"

  public var routes: [Route] { alerts + endpoints + alertRoutes + silences + deliveries + events + pageRoutes }

  // MARK: - Alerts

  enum Wanted: String, CaseIterable, Sendable { case open, resolved, all }

  private var alerts: [Route] {
    [
      .read(
        "/api/v1/alerts", "The alerts, newest first: the open ones unless others are asked for.",
        schema: .listing(
          of: AlertView.schema,
          query: [.init("state", "Which: open, resolved or all.", JSONSchema.oneOf(Wanted.allCases.map(\.rawValue)))])
      ) { request in
        let wanted = try request.listing()
        let open: Bool? =
          switch try request.word("state") ?? Wanted.open {
          case .open: true
          case .resolved: false
          case .all: nil
          }
        let views = try await reader.alerts(open: open, before: try before(wanted.after), limit: wanted.readLimit)
        return try .listing(Listing(views, for: wanted) { [String($0.openedAt.millisecondsSince1970), $0.id.text] })
      },
      .read("/api/v1/alerts/{alert}", "One alert.", schema: RouteSchema(response: AlertView.schema)) { request in
        try .json(encoding: try await reader.alert(try request.id("alert")))
      },
    ]
  }

  func before(_ cursor: Cursor?) throws -> (at: Timestamp, id: String)? {
    guard let cursor else { return nil }
    guard cursor.keys.count == 2, let at = Int64(cursor.keys[0]) else {
      throw AWError(.usage, "The cursor is not one that this API gave out.", next: "Begin again without one.")
    }
    return (Timestamp(millisecondsSince1970: at), cursor.keys[1])
  }

  // MARK: - Endpoints

  /// What goes into `POST /alert-endpoints`. The secret goes to the vault and never comes out of the API again.
  struct EndpointBody: Codable, Sendable {
    let name: Slug
    let kind: EndpointKind
    let target: String?
    let settings: JSONValue?
    let allowsPrivate: [String]?
    let secret: String?
  }
  private struct SecretBody: Codable { let secret: String }
  private struct EnableBody: Codable { let enabled: Bool }

  private var endpoints: [Route] {
    [
      .read(
        "/api/v1/alert-endpoints", "Where notifications go.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: EndpointView.schema)]))
      ) { _ in .json(["items": try JSONValue(encoding: try await reader.endpoints())]) },
      .act(
        .post, "/api/v1/alert-endpoints", "Adds an endpoint, after a look at what it says.", .alertManage,
        .endpointSaved,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "name": JSONSchema.slug, "kind": JSONSchema.oneOf(EndpointKind.allCases.map(\.rawValue)),
              "target": JSONSchema.text, "settings": ["type": "object"],
              "allowsPrivate": JSONSchema.array(of: JSONSchema.text), "secret": JSONSchema.text,
            ], optional: ["target", "settings", "allowsPrivate", "secret"]),
          response: EndpointMadeView.schema, status: 201)
      ) { try await addEndpoint($0) },
      .act(
        .post, "/api/v1/alert-endpoints/{endpoint}/secret",
        "Gives it another secret. The one before stays valid beside it until the next change.", .alertManage,
        .endpointSaved,
        schema: RouteSchema(
          request: JSONSchema.object(["secret": JSONSchema.text]), response: EndpointView.schema, status: 202)
      ) { request in
        let (name, dryRun) = (try request.slug("endpoint"), try request.dryRun)
        let secret = Secret(try request.decode(SecretBody.self).secret)
        let endpoint = try await service.rotate(name, secret: secret, as: try request.actor, dryRun: dryRun)
        if dryRun {
          return try plan(.endpointSaved, "endpoint \(name)", "Sign with the new secret and the one before.")
        }
        return try .accepted(EndpointView(endpoint), at: "/api/v1/alert-endpoints/\(name)")
      },
      .act(
        .post, "/api/v1/alert-endpoints/{endpoint}/enable", "Switches it on or off.", .alertManage, .endpointSaved,
        schema: RouteSchema(
          request: JSONSchema.object(["enabled": JSONSchema.bool]), response: EndpointView.schema, status: 202)
      ) { request in
        let (name, dryRun) = (try request.slug("endpoint"), try request.dryRun)
        let enabled = try request.decode(EnableBody.self).enabled
        let endpoint = try await service.enable(name, enabled, as: try request.actor, dryRun: dryRun)
        if dryRun {
          let step = enabled ? "Send to \(name) again." : "Send nothing to \(name); give up what waits for it."
          return try plan(.endpointSaved, "endpoint \(name)", step)
        }
        return try .accepted(EndpointView(endpoint), at: "/api/v1/alert-endpoints/\(name)")
      },
      .act(
        .post, "/api/v1/alert-endpoints/{endpoint}/test", "Sends something harmless.", .alertManage, .endpointTested,
        schema: RouteSchema(response: DeliveryView.schema, status: 202)
      ) { request in
        let (name, dryRun) = (try request.slug("endpoint"), try request.dryRun)
        let id = try await service.test(name, as: try request.actor, dryRun: dryRun)
        if dryRun { return try plan(.endpointTested, "endpoint \(name)", "Send a notification that nothing is wrong.") }
        return try .accepted(try await reader.delivery(id), at: "/api/v1/deliveries/\(id)")
      },
      .act(
        .delete, "/api/v1/alert-endpoints/{endpoint}", "Removes it with its secrets.", .alertManage, .endpointRemoved,
        schema: RouteSchema(response: nil, status: 204)
      ) { request in
        let (name, dryRun) = (try request.slug("endpoint"), try request.dryRun)
        try await service.remove(name, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return .noContent }
        return try plan(
          .endpointRemoved, "endpoint \(name)", "Forget \(name) and its secrets; give up what waits for it.")
      },
    ]
  }

  private func addEndpoint(_ request: WebRequest) async throws -> WebResponse {
    let (body, dryRun) = (try request.decode(EndpointBody.self), try request.dryRun)
    let wanted = AlertsService.EndpointRequest(
      name: body.name, kind: body.kind, target: body.target, settings: body.settings,
      allowsPrivate: body.allowsPrivate)
    let (endpoint, made) = try await service.add(
      wanted, secret: body.secret.map { Secret($0) }, as: try request.actor, dryRun: dryRun)
    if dryRun { return try plan(.endpointSaved, "endpoint \(body.name)", "Record the \(body.kind.rawValue) endpoint.") }
    let view = EndpointMadeView(endpoint: EndpointView(endpoint), secret: made?.withText { $0 })
    var response = try WebResponse.created(view, at: "/api/v1/alert-endpoints/\(body.name)")
    response.holdsSecret = made != nil
    return response
  }

  func plan(_ kind: EvidenceKind, _ subject: String, _ step: String) throws -> WebResponse {
    try .plan(Plan(act: kind.id, subject: subject, steps: [step]))
  }
}
