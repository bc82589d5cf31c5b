import Access
import Basics
import Evidence
import Link
import Web
import Work

/// The API of Instances and operations.
extension FleetRoutes {
  static let linesDefault = 100
  static let linesMax = 5_000

  /// What goes into `POST /instances`.
  public struct InstanceBody: Codable, Sendable {
    public var org: Slug
    public var slug: Slug
    public var runtime: RuntimeKind
    public var image: String?
    public var host: Slug?
    public var port: Int?

    public init(
      org: Slug, slug: Slug, runtime: RuntimeKind, image: String? = nil, host: Slug? = nil, port: Int? = nil
    ) {
      self.org = org
      self.slug = slug
      self.runtime = runtime
      self.image = image
      self.host = host
      self.port = port
    }

    var request: FleetService.InstanceRequest {
      .init(org: org, placement: .init(slug: slug, runtime: runtime, image: image, host: host), port: port)
    }
  }

  var instances: [Route] {
    [
      .read(
        "/api/v1/instances", "The Instances with status, chain and newest operation.",
        schema: .listing(of: FleetSchemas.instance, query: Self.filters)
      ) { try await list($0) },
      .read(
        "/api/v1/instances/{instance}", "One Instance.", schema: RouteSchema(response: FleetSchemas.instance)
      ) { request in try .json(encoding: try await reader.instance(try request.slug("instance"))) },
      .read("/api/v1/fleet", "The whole fleet in a few numbers.", schema: RouteSchema(response: FleetSchemas.summary)) {
        _ in try .json(encoding: try await reader.summary())
      },
      .read(
        "/api/v1/instances/{instance}/logs", "The last lines that it printed, without its secrets.", .instanceLogs,
        schema: RouteSchema(
          response: FleetSchemas.lines,
          query: [.init("lines", "How many, up to \(Self.linesMax).", JSONSchema.integer)])
      ) { request in
        let lines = try request.integer("lines", in: 1...Self.linesMax) ?? Self.linesDefault
        let printed = try await service.logs(
          of: try request.slug("instance"), lines: lines, as: try request.actor)
        return .json(["lines": .array(printed.map { .string($0) })])
      },
      .act(
        .post, "/api/v1/instances", "Asks for an Instance; an operation provisions it.", .instanceCreate,
        .instanceRequested,
        schema: RouteSchema(request: FleetSchemas.instanceRequest, response: FleetSchemas.requested, status: 202)
      ) { try await create($0) },
      operate(.start, "Starts it and verifies it."), operate(.stop, "Stops it."),
      operate(.restart, "Stops it, starts it and verifies it."),
      .act(
        .delete, "/api/v1/instances/{instance}", "Removes it. Its data stays on the Host unless `purge` is set.",
        .instanceRemove, .instanceRemovalRequested,
        schema: RouteSchema(
          response: FleetSchemas.requested, status: 202,
          query: [
            .init("purge", "The data goes too.", JSONSchema.bool),
            .init("confirm", "Its name again: asked for with `purge`."),
          ])
      ) { try await remove($0) },
    ]
  }

  var operations: [Route] {
    [
      .read(
        "/api/v1/operations/{operation}", "One operation, step by step.",
        schema: RouteSchema(response: FleetSchemas.operation)
      ) { request in try .json(encoding: try await reader.operation(try request.id("operation"))) }
    ]
  }

  private static let filters: [RouteSchema.Query] = [
    .init("org", "Of this Org."), .init("host", "On this Host."),
    .init("status", "With this status.", JSONSchema.oneOf(Status.allCases.map(\.rawValue))),
    .init("sort", "`slug`, or `worst` first.", JSONSchema.oneOf(["slug", "worst"])),
  ]

  private func operate(_ plan: InstancePlan, _ summary: String) -> Route {
    .act(
      .post, "/api/v1/instances/{instance}/\(plan.verb)", summary, plan.permission, plan.evidenceKind,
      schema: RouteSchema(response: FleetSchemas.requested, status: 202)
    ) { request in try await operate(plan, try request.slug("instance"), request) }
  }

  static func filter(_ request: WebRequest) throws -> FleetReader.Filter {
    var filter = FleetReader.Filter()
    filter.org = try request.query("org").map { try Slug($0) }
    filter.host = try request.query("host").map { try Slug($0) }
    filter.status = try request.word("status")
    return filter
  }

  private func list(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let worstFirst = try sort(request) == "worst"
    let key: (InstanceView) -> [String] = { view in
      // Severities have one digit, so that text sorts as they do; the worst comes first.
      worstFirst ? [String(9 - view.status.status.severity), view.slug.text] : [view.slug.text]
    }
    let board = try await reader.board(try Self.filter(request)).sorted { key($0).lexicographicallyPrecedes(key($1)) }
    let rest = board.drop { view in wanted.after.map { !$0.keys.lexicographicallyPrecedes(key(view)) } ?? false }
    return try .listing(Listing(Array(rest.prefix(wanted.readLimit)), for: wanted, keys: key))
  }

  private func sort(_ request: WebRequest) throws -> String {
    let sort = request.query("sort") ?? "slug"
    guard ["slug", "worst"].contains(sort) else {
      throw AWError(.usage, "There is no order \(sort.quoted).", next: "Use 'slug' or 'worst'.")
    }
    return sort
  }

  private func create(_ request: WebRequest) async throws -> WebResponse {
    let body = try request.decode(InstanceBody.self)
    let dryRun = try request.dryRun
    let (instance, operation) = try await service.createInstance(
      body.request, as: try request.actor, dryRun: dryRun)
    return try await answer(.provision, instance, operation, dryRun: dryRun)
  }

  private func operate(
    _ plan: InstancePlan, _ slug: Slug, purge: Bool = false, _ request: WebRequest
  ) async throws -> WebResponse {
    let dryRun = try request.dryRun
    let (instance, operation) = try await service.operate(
      plan, on: slug, purge: purge, as: try request.actor, dryRun: dryRun)
    return try await answer(plan, instance, operation, purge: purge, dryRun: dryRun)
  }

  private func remove(_ request: WebRequest) async throws -> WebResponse {
    let (slug, purge) = (try request.slug("instance"), try request.flag("purge"))
    let isConfirmed = try !purge || request.dryRun || request.query("confirm") == slug.text
    guard isConfirmed else {
      throw AWError(
        .confirmationMissing, "Purging deletes the data of '\(slug)' for good, so its name is asked for again.",
        next: "Repeat the request with confirm=\(slug).")
    }
    return try await operate(.remove, slug, purge: purge, request)
  }

  private func answer(
    _ plan: InstancePlan, _ instance: Instance, _ operation: WorkOperation, purge: Bool = false, dryRun: Bool
  ) async throws -> WebResponse {
    if dryRun {
      let host = try await reader.slug(of: instance.host)
      var steps = plan.steps.map { "\($0.title)." }
      switch plan {
      case .provision: steps.insert("Place it on the Host \(host), as a \(instance.runtime.rawValue).", at: 0)
      case .remove where purge: steps.append("Its data on \(host) is deleted for good.")
      case .remove: steps.append("Its data stays on \(host)\(instance.dataDirectory.map { ": \($0)" } ?? "").")
      case .start, .stop, .restart: break
      }
      return try .plan(Plan(act: plan.evidenceKind.id, subject: "Instance \(instance.slug)", steps: steps))
    }
    return try .accepted(
      RequestedView(instance: try await reader.view(instance), operation: OperationView(operation)),
      at: "/api/v1/operations/\(operation.id)")
  }
}
