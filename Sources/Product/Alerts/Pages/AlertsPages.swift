import Access
import Basics
import Events
import Evidence
import Web

/// The console of alerts.
extension AlertsRoutes {
  /// Its entry of the navigation, and its templates.
  public static func pages() throws -> RoomPages {
    RoomPages(
      navigation: [.init("Alerts", path: "/alerts", key: "l")], templates: try AssetFiles.templates(of: "Alerts"))
  }

  static let resolvedShown = 30
  static let openShown = 200
  static let deliveriesShown = 50

  var pageRoutes: [Route] {
    [
      .page("/alerts", "The open alerts, and the newest that are over.") { try await alertsPage($0) },
      .page("/alerts/routing", "Endpoints and routes.") { try await routingPage($0) },
      .page("/alerts/silences", "Silences and maintenance windows.") { try await silencesPage($0) },
      .page("/alerts/deliveries", "What was told.") { try await deliveriesPage($0) },
      .form("/alerts/silences", "Makes a silence.", .alertSilence, .silenceMade) { request in
        let form = try request.form()
        guard let hours = Int(try form.text("hours")), hours > 0 else {
          throw AWError(.usage, "The hours are no whole number above zero.", next: "Go back and correct them.")
        }
        let wanted = AlertsService.SilenceRequest(
          sort: form.optional("sort") == Silence.Sort.maintenance.rawValue ? .maintenance : .silence,
          matchers: Matchers(
            org: try form.filled("org").map { try Slug($0) }, subject: form.filled("subject")),
          endsAt: reader.clock.now.advanced(by: .seconds(Int64(hours) * 3_600)), reason: try form.text("reason"))
        _ = try await service.silence(wanted, as: try request.actor)
        return .redirect(to: "/alerts/silences")
      },
      .form("/alerts/silences/{silence}/end", "Ends a silence.", .alertSilence, .silenceEnded) { request in
        _ = try await service.endSilence(try request.id("silence"), as: try request.actor)
        return .redirect(to: "/alerts/silences")
      },
      .form("/alerts/endpoints/{endpoint}/test", "Sends something harmless.", .alertManage, .endpointTested) {
        request in
        _ = try await service.test(try request.slug("endpoint"), as: try request.actor)
        return .redirect(to: "/alerts/deliveries")
      },
      .form("/alerts/endpoints/{endpoint}/enable", "Switches an endpoint on or off.", .alertManage, .endpointSaved) {
        request in
        let form = try request.form()
        _ = try await service.enable(
          try request.slug("endpoint"), form.optional("enabled") == "yes", as: try request.actor)
        return .redirect(to: "/alerts/routing")
      },
      .form("/alerts/deliveries/{delivery}/replay", "Tries a dead delivery again.", .alertManage, .deliveryReplayed) {
        request in
        _ = try await service.replay(try request.id("delivery"), as: try request.actor)
        return .redirect(to: "/alerts/deliveries")
      },
    ]
  }

  /// The pages of this room, and which of them is shown.
  private static func tabs(_ here: String) -> JSONValue {
    let all = [
      ("Alerts", "/alerts"), ("Silences", "/alerts/silences"), ("Endpoints and routes", "/alerts/routing"),
      ("Deliveries", "/alerts/deliveries"),
    ]
    return .array(
      all.map { title, path in ["title": .string(title), "to": .string(path), "isHere": .bool(path == here)] })
  }

  /// `2026-11-26 17:00 UTC`, as people write it.
  private static func words(_ at: Timestamp) -> String {
    String(at.description.prefix(16)).replacing("T", with: " ") + " UTC"
  }

  private func alertsPage(_ request: WebRequest) async throws -> WebResponse {
    let open = try await reader.alerts(open: true, limit: Self.openShown)
    let over = try await reader.alerts(open: false, limit: Self.resolvedShown)
    let counts = try await reader.counts()
    let routes = try await reader.routes()
    let values: JSONValue = [
      "open": .array(open.sorted { $0.severity.rank > $1.severity.rank }.map(Self.row)),
      "hasOpen": .bool(!open.isEmpty),
      "over": .array(over.map(Self.row)), "hasOver": .bool(!over.isEmpty),
      "isCut": .bool(counts.open > open.count), "count": .integer(Int64(counts.open)),
      "dead": .integer(Int64(counts.dead)), "hasDead": .bool(counts.dead > 0), "noRoutes": .bool(routes.isEmpty),
      "tabs": Self.tabs("/alerts"),
    ]
    return .page(Page("Alerts", template: "alerts/alerts", values: values, live: Self.topic))
  }

  private static func row(_ alert: AlertView) -> JSONValue {
    [
      "severity": .string(alert.severity.rawValue), "class": .string(look(alert.severity)),
      "title": .string(alert.title), "org": .string(alert.org ?? ""), "at": .string(alert.openedAt.description),
      "resolved": .string(alert.resolvedAt?.description ?? ""),
      "lasted": .string(alert.resolvedAt.map { $0.since(alert.openedAt).words } ?? ""),
      "page": .string(alert.page ?? ""), "type": .string(alert.type),
      "muted": .string(alert.mutedBy.map { $0.hasPrefix("silence/") ? "silenced" : "part of a larger alert" } ?? ""),
    ]
  }

  /// Colours of statuses, which the words only need help from.
  private static func look(_ severity: EventSeverity) -> String {
    switch severity {
    case .critical: "unreachable"
    case .warning: "degraded"
    case .info: "unknown"
    }
  }

  private func routingPage(_ request: WebRequest) async throws -> WebResponse {
    let endpoints = try await reader.endpoints()
    let routes = try await reader.routes()
    let values: JSONValue = [
      "endpoints": .array(
        endpoints.map { endpoint in
          [
            "name": .string(endpoint.name.text), "kind": .string(endpoint.kind.rawValue),
            "target": .string(endpoint.target), "isOn": .bool(endpoint.enabled),
            "secrets": .string(Self.count(endpoint.secrets)),
          ]
        }),
      "hasEndpoints": .bool(!endpoints.isEmpty),
      "routes": .array(
        routes.map { route in
          [
            "position": .integer(Int64(route.position)), "name": .string(route.name.text),
            "words": .string(route.matchers.words),
            "endpoints": .string(route.endpoints.map(\.text).joined(separator: ", ")),
            "pace": .string(
              "after \(route.pace.wait.words), then each \(route.pace.interval.words); "
                + "again after \(route.pace.repeats.words)"),
            "goesOn": .bool(route.goesOn),
          ]
        }),
      "hasRoutes": .bool(!routes.isEmpty), "mayAct": .bool(request.caller?.role == .owner),
      "tabs": Self.tabs("/alerts/routing"),
    ]
    return .page(Page("Endpoints and routes", template: "alerts/routing", values: values, live: Self.topic))
  }

  private static func count(_ secrets: Int) -> String {
    switch secrets {
    case 0: "none"
    case 1: "one, in the vault"
    default: "\(secrets), in the vault: the newest signs first"
    }
  }

  private func silencesPage(_ request: WebRequest) async throws -> WebResponse {
    let silences = try await reader.silences()
    let values: JSONValue = [
      "silences": .array(
        silences.map { silence in
          [
            "id": .string(silence.id.text), "sort": .string(silence.sort.rawValue),
            "state": .string(silence.state.rawValue), "words": .string(silence.words),
            "from": .string(silence.startsAt.description), "until": .string(silence.endsAt.description),
            "fromWords": .string(Self.words(silence.startsAt)), "untilWords": .string(Self.words(silence.endsAt)),
            "reason": .string(silence.reason), "by": .string(silence.by), "mayEnd": .bool(silence.state != .over),
          ]
        }),
      "hasSilences": .bool(!silences.isEmpty), "mayAct": .bool(request.caller?.role == .owner),
      "tabs": Self.tabs("/alerts/silences"),
    ]
    return .page(Page("Silences", template: "alerts/silences", values: values, live: Self.topic))
  }

  private func deliveriesPage(_ request: WebRequest) async throws -> WebResponse {
    let state: Delivery.State? = try request.word("state")
    let deliveries = try await reader.deliveries(endpoint: nil, state: state, limit: Self.deliveriesShown)
    let values: JSONValue = [
      "deliveries": .array(deliveries.map(Self.row)), "hasDeliveries": .bool(!deliveries.isEmpty),
      "onlyDead": .bool(state == .dead), "mayAct": .bool(request.caller?.role == .owner),
      "tabs": Self.tabs("/alerts/deliveries"),
    ]
    return .page(Page("Deliveries", template: "alerts/deliveries", values: values, live: Self.topic))
  }

  private static func row(_ delivery: DeliveryView) -> JSONValue {
    [
      "id": .string(delivery.id.text), "endpoint": .string(delivery.endpoint), "group": .string(delivery.group),
      "state": .string(delivery.state.rawValue), "at": .string(delivery.createdAt.description),
      "class": .string(delivery.state == .delivered ? "current" : delivery.state == .dead ? "unreachable" : "stale"),
      "titles": .array(delivery.titles.prefix(5).map { .string($0) }),
      "more": .string(delivery.titles.count > 5 ? "and \(delivery.titles.count - 5) more" : ""),
      "next": .string(delivery.nextAt?.description ?? ""),
      "nextWords": .string(delivery.nextAt.map(Self.words) ?? ""), "isDead": .bool(delivery.state == .dead),
      "tries": .integer(Int64(delivery.attempts.count)),
      "attempts": .array(
        delivery.attempts.suffix(20).map { attempt in
          [
            "number": .integer(Int64(attempt.number)), "when": .string(attempt.at.description),
            "whenWords": .string(Self.words(attempt.at)),
            "outcome": .string(attempt.outcome), "detail": .string(attempt.detail),
            "took": .string("\(attempt.milliseconds) ms"),
          ]
        }),
    ]
  }
}
