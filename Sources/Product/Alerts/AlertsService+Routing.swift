import Access
import Basics
import Evidence
import Foundation
import Store

/// The acts on routes, silences and dead deliveries.
extension AlertsService {
  // MARK: - Routes

  public struct RouteRequest: Codable, Sendable {
    public var name: Slug
    public var endpoints: [Slug]
    public var matchers: Matchers?
    public var pace: AlertRoute.Pace?
    /// Where it stands among the routes, from 1; nil puts it last.
    public var position: Int?
    public var goesOn: Bool?

    public init(
      name: Slug, endpoints: [Slug], matchers: Matchers? = nil, pace: AlertRoute.Pace? = nil, position: Int? = nil,
      goesOn: Bool? = nil
    ) {
      self.name = name
      self.endpoints = endpoints
      self.matchers = matchers
      self.pace = pace
      self.position = position
      self.goesOn = goesOn
    }
  }

  /// Makes a route, or changes the one of that name.
  ///
  /// - Throws: `usage` for matchers or times that cannot be used, `notFound` for an endpoint that is not there.
  public func save(_ request: RouteRequest, as actor: Actor, dryRun: Bool = false) async throws -> AlertRoute {
    let matchers = request.matchers ?? Matchers()
    let pace = request.pace ?? .init()
    try matchers.check()
    try pace.check()
    guard !request.endpoints.isEmpty else {
      throw AWError(.usage, "The route sends to no endpoint.", next: "Name one: 'aw alert endpoint list'.")
    }
    let act = Act(
      .alertManage, kind: .alertRouteSaved,
      details: [
        "route": .string(request.name.text), "matchers": .string(matchers.words),
        "endpoints": .array(request.endpoints.map { .string($0.text) }),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      for name in request.endpoints where try AlertsRecords.endpoint(name, in: tx) == nil {
        throw AWError(.notFound, "There is no endpoint '\(name)'.", next: "See 'aw alert endpoint list'.")
      }
      var routes = try AlertsRecords.routes(in: tx)
      let known = routes.firstIndex { $0.name == request.name }.map { routes.remove(at: $0) }
      guard known != nil || routes.count < AlertLimits.routesMax else {
        throw Self.tooMany("routes", AlertLimits.routesMax)
      }
      let place = min(max(1, request.position ?? known?.position ?? routes.count + 1), routes.count + 1)
      let route = AlertRoute(
        id: known?.id ?? .make(at: context.at), name: request.name, position: place, matchers: matchers,
        endpoints: request.endpoints, pace: pace, goesOn: request.goesOn ?? false)
      routes.insert(route, at: place - 1)
      for (index, var one) in routes.enumerated() {
        one.position = index + 1
        try AlertsRecords.save(one, in: tx)
      }
      context.subject = EvidenceSubject(type: "alert-route", id: route.id.text, slug: route.name.text)
      context.afterCommit { changed() }
      return route
    }
  }

  public func removeRoute(_ name: Slug, as actor: Actor, dryRun: Bool = false) async throws {
    let act = Act(.alertManage, kind: .alertRouteRemoved, details: ["route": .string(name.text)])
    try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard let route = try AlertsRecords.routes(in: tx).first(where: { $0.name == name }) else {
        throw AWError(.notFound, "There is no route '\(name)'.", next: "See 'aw alert route list'.")
      }
      try AlertsRecords.delete(route.id, in: tx)
      context.subject = EvidenceSubject(type: "alert-route", id: route.id.text, slug: name.text)
      context.afterCommit { changed() }
    }
  }

  // MARK: - Silences

  public struct SilenceRequest: Codable, Sendable {
    public var sort: Silence.Sort?
    public var matchers: Matchers?
    /// Nil begins now.
    public var startsAt: Timestamp?
    /// Nil is refused: a silence that nobody ends hides what happens next.
    public var endsAt: Timestamp?
    public var reason: String

    public init(
      sort: Silence.Sort? = nil, matchers: Matchers? = nil, startsAt: Timestamp? = nil, endsAt: Timestamp?,
      reason: String
    ) {
      self.sort = sort
      self.matchers = matchers
      self.startsAt = startsAt
      self.endsAt = endsAt
      self.reason = reason
    }
  }

  /// - Throws: `silenceWithoutEnd`; `usage` for an end before the beginning, one too far away, or no reason.
  public func silence(_ request: SilenceRequest, as actor: Actor, dryRun: Bool = false) async throws -> Silence {
    let matchers = request.matchers ?? Matchers()
    try matchers.check()
    guard let endsAt = request.endsAt else {
      throw AWError(
        .silenceWithoutEnd, "A silence needs an end: without one nobody would hear of what happens next.",
        next: "Give a duration such as --for 2h, or a time with --until.")
    }
    let reason = request.reason.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !reason.isEmpty, reason.count <= AlertLimits.reasonCharactersMax else {
      throw AWError(
        .usage, "A silence needs a reason of up to \(AlertLimits.reasonCharactersMax) characters.",
        next: "Say why, for whoever looks at it next.")
    }
    let sort = request.sort ?? .silence
    let act = Act(
      .alertSilence, kind: .silenceMade,
      details: [
        "sort": .string(sort.rawValue), "matchers": .string(matchers.words), "until": .string(endsAt.description),
        "reason": .string(reason),
      ])
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      let startsAt = request.startsAt ?? context.at
      guard endsAt > max(startsAt, context.at), endsAt.since(startsAt) <= AlertLimits.silenceMax else {
        throw AWError(
          .usage, "A silence from \(startsAt) to \(endsAt) cannot be made.",
          next: "Its end must lie ahead, and after its beginning by \(AlertLimits.silenceMax.words) at most.")
      }
      let silence = Silence(
        id: .make(at: context.at), sort: sort, matchers: matchers, startsAt: startsAt, endsAt: endsAt, reason: reason,
        by: actor.text)
      try AlertsRecords.save(silence, in: tx)
      context.subject = EvidenceSubject(type: "silence", id: silence.id.text)
      for (name, value) in try silence.story { context.record(name, value) }
      context.afterCommit { changed() }
      return silence
    }
  }

  /// Ends a silence now. What is still open is told within its route's interval.
  public func endSilence(_ id: SilenceID, as actor: Actor, dryRun: Bool = false) async throws -> Silence {
    let act = Act(.alertSilence, kind: .silenceEnded, subject: EvidenceSubject(type: "silence", id: id.text))
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard var silence = try AlertsRecords.silence(id, in: tx), silence.endsAt > context.at else {
        throw AWError(.notFound, "There is no silence \(id) to end.", next: "See 'aw alert silence list'.")
      }
      silence.startsAt = min(silence.startsAt, context.at)
      silence.endsAt = context.at
      for (name, value) in try silence.story { context.record(name, value) }
      try AlertsRecords.save(silence, in: tx)
      context.afterCommit { changed() }
      return silence
    }
  }

  // MARK: - Deliveries

  /// Tries a dead delivery again, from the beginning of the schedule.
  public func replay(_ id: DeliveryID, as actor: Actor, dryRun: Bool = false) async throws -> Delivery {
    let act = Act(.alertManage, kind: .deliveryReplayed, subject: EvidenceSubject(type: "delivery", id: id.text))
    return try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard var delivery = try DeliveryRecords.find(id, in: tx) else {
        throw AWError(.notFound, "There is no delivery \(id).", next: "See 'aw alert dead-letters list'.")
      }
      try delivery.replay(at: context.at)
      try DeliveryRecords.save(delivery, in: tx)
      context.afterCommit { changed() }
      return delivery
    }
  }
}
