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
        schema: .listing(of: FleetSchemas.instance, query: Self.filters + [Self.sort])
      ) { try await list($0) },
      .read(
        "/api/v1/instances/{instance}", "One Instance.", schema: RouteSchema(response: FleetSchemas.instance)
      ) { request in try .json(encoding: try await reader.instance(try request.slug("instance"))) },
      .read(
        "/api/v1/fleet", "The fleet, or the part of it that the filters take, in a few numbers.",
        schema: RouteSchema(response: FleetSchemas.summary, query: Self.filters)
      ) { request in try .json(encoding: try await reader.summary(try Self.filter(request))) },
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

  static let filters: [RouteSchema.Query] = [
    .init("org", "Of this Org."), .init("host", "On this Host."),
    .init("status", "With this status.", JSONSchema.oneOf(Status.allCases.map(\.rawValue))),
    .init("version", "With this version of OpenClaw."),
    .init("cause", "Broken at this link of the chain.", JSONSchema.oneOf(ChainLink.allCases.map(\.rawValue))),
    .init("name", "Whose name begins so."),
  ]

  private static let sort = RouteSchema.Query(
    "sort", "`slug`, or `worst` first.", JSONSchema.oneOf(BoardSort.allCases.map(\.rawValue)))

  private func operate(_ plan: InstancePlan, _ summary: String) -> Route {
    .act(
      .post, "/api/v1/instances/{instance}/\(plan.verb)", summary, plan.permission, plan.evidenceKind,
      schema: RouteSchema(response: FleetSchemas.requested, status: 202)
    ) { request in try await operate(plan, try request.slug("instance"), request) }
  }

  static func filter(_ request: WebRequest) throws -> BoardFilter {
    BoardFilter(
      org: try request.query("org").map { try Slug($0) }, host: try request.query("host").map { try Slug($0) },
      status: try request.word("status"), version: request.query("version"), cause: try request.word("cause"),
      name: request.query("name")?.lowercased())
  }

  private func list(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let page = try await reader.page(
      of: try await reader.rows(), try Self.filter(request), sort: try request.word("sort") ?? .slug,
      limit: wanted.limit, after: wanted.after)
    return try .listing(Listing(page.items, next: page.next))
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
