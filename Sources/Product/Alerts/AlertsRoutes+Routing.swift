import Access
import Basics
import Events
import Evidence
import Web

/// The API of routes, silences and deliveries.
extension AlertsRoutes {
  var alertRoutes: [Route] {
    [
      .read(
        "/api/v1/alert-routes", "Who is told of what, in the order in which they are asked.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: AlertRoute.schema)]))
      ) { _ in .json(["items": try JSONValue(encoding: try await reader.routes())]) },
      .act(
        .post, "/api/v1/alert-routes", "Makes a route, or changes the one of that name.", .alertManage,
        .alertRouteSaved,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "name": JSONSchema.slug, "endpoints": JSONSchema.array(of: JSONSchema.slug),
              "matchers": Matchers.schema, "pace": AlertRoute.paceSchema, "position": JSONSchema.integer,
              "goesOn": JSONSchema.bool,
            ], optional: ["matchers", "pace", "position", "goesOn"]), response: AlertRoute.schema, status: 201)
      ) { request in
        let (wanted, dryRun) = (try request.decode(AlertsService.RouteRequest.self), try request.dryRun)
        let route = try await service.save(wanted, as: try request.actor, dryRun: dryRun)
        if dryRun {
          let names = route.endpoints.map(\.text).joined(separator: ", ")
          let step = "As number \(route.position), tell \(names) of \(route.matchers.words)."
          return try plan(.alertRouteSaved, "route \(route.name)", step)
        }
        return try .created(route, at: "/api/v1/alert-routes/\(route.name)")
      },
      .act(
        .delete, "/api/v1/alert-routes/{route}", "Removes a route.", .alertManage, .alertRouteRemoved,
        schema: RouteSchema(response: nil, status: 204)
      ) { request in
        let (name, dryRun) = (try request.slug("route"), try request.dryRun)
        try await service.removeRoute(name, as: try request.actor, dryRun: dryRun)
        guard dryRun else { return .noContent }
        let step = "Tell nobody by \(name) any more, not even of the end of what it told of."
        return try plan(.alertRouteRemoved, "route \(name)", step)
      },
    ]
  }

  var silences: [Route] {
    [
      .read(
        "/api/v1/silences", "The silences and maintenance windows that are not over, or ended within a day.",
        schema: RouteSchema(response: JSONSchema.object(["items": JSONSchema.array(of: SilenceView.schema)]))
      ) { _ in .json(["items": try JSONValue(encoding: try await reader.silences())]) },
      .act(
        .post, "/api/v1/silences", "Keeps some alerts from being told, until its end.", .alertSilence, .silenceMade,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "sort": JSONSchema.oneOf(Silence.Sort.allCases.map(\.rawValue)), "matchers": Matchers.schema,
              "startsAt": JSONSchema.time, "endsAt": JSONSchema.time, "reason": JSONSchema.text,
            ], optional: ["sort", "matchers", "startsAt"]), response: SilenceView.schema, status: 201)
      ) { request in
        let (wanted, dryRun) = (try request.decode(AlertsService.SilenceRequest.self), try request.dryRun)
        let silence = try await service.silence(wanted, as: try request.actor, dryRun: dryRun)
        if dryRun {
          let step =
            "Tell nobody of \(silence.matchers.words) until \(silence.endsAt). Alerts are still opened and shown."
          return try plan(.silenceMade, silence.sort.rawValue, step)
        }
        return try .created(SilenceView(silence, at: reader.clock.now), at: "/api/v1/silences/\(silence.id)")
      },
      .act(
        .post, "/api/v1/silences/{silence}/end", "Ends a silence now.", .alertSilence, .silenceEnded,
        schema: RouteSchema(response: SilenceView.schema, status: 202)
      ) { request in
        let (id, dryRun) = (try request.id("silence", SilenceTag.self), try request.dryRun)
        let silence = try await service.endSilence(id, as: try request.actor, dryRun: dryRun)
        if dryRun { return try plan(.silenceEnded, "silence \(id)", "Tell of \(silence.matchers.words) again.") }
        return try .accepted(SilenceView(silence, at: reader.clock.now), at: "/api/v1/silences/\(id)")
      },
    ]
  }

  var deliveries: [Route] {
    [
      .read(
        "/api/v1/deliveries", "What was told, or waits to be, newest first, with every try.",
        schema: .listing(
          of: DeliveryView.schema,
          query: [
            .init("endpoint", "To this endpoint."),
            .init(
              "state", "In this state; the dead letters are dead.",
              JSONSchema.oneOf(Delivery.State.allCases.map(\.rawValue))),
          ])
      ) { request in
        let wanted = try request.listing()
        let views = try await reader.deliveries(
          endpoint: try request.query("endpoint").map { try Slug($0) }, state: try request.word("state"),
          before: try before(wanted.after), limit: wanted.readLimit)
        return try .listing(Listing(views, for: wanted) { [String($0.createdAt.millisecondsSince1970), $0.id.text] })
      },
      .read("/api/v1/deliveries/{delivery}", "One delivery.", schema: RouteSchema(response: DeliveryView.schema)) {
        request in try .json(encoding: try await reader.delivery(try request.id("delivery")))
      },
      .act(
        .post, "/api/v1/deliveries/{delivery}/replay", "Tries a dead delivery again.", .alertManage,
        .deliveryReplayed, schema: RouteSchema(response: DeliveryView.schema, status: 202)
      ) { request in
        let (id, dryRun) = (try request.id("delivery", DeliveryTag.self), try request.dryRun)
        _ = try await service.replay(id, as: try request.actor, dryRun: dryRun)
        if dryRun { return try plan(.deliveryReplayed, "delivery \(id)", "Send it again, with the same id.") }
        return try .accepted(try await reader.delivery(id), at: "/api/v1/deliveries/\(id)")
      },
    ]
  }
}
