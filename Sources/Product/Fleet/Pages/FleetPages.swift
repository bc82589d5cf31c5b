import Access
import Basics
import Evidence
import HTTPTypes
import Link
import Web
import Work

/// The topics at which open pages read themselves anew.
public enum FleetTopics {
  public static let fleet = "fleet"
  public static let hosts = "hosts"
  public static func instance(_ id: InstanceID) -> String { "instance-\(id)" }

  /// Which pages a change concerns.
  public static func topics(of change: FleetChange) -> [String] {
    switch change {
    case .orgs: [fleet]
    case .hosts: [hosts, fleet]
    case .path(let id): [fleet, instance(id)]
    case .instances(let id): [fleet] + (id.map { [instance($0)] } ?? [])
    }
  }
}

/// The console of the fleet.
extension FleetRoutes {
  /// Its entries of the navigation, and its templates.
  public static func pages() throws -> RoomPages {
    RoomPages(
      navigation: [
        .init("Fleet", path: "/", key: "f", covers: ["/instances/"]), .init("Hosts", path: "/hosts", key: "h"),
        .init("Orgs", path: "/orgs", key: "o"),
      ],
      templates: try AssetFiles.templates(of: "Fleet"))
  }

  var pageRoutes: [Route] { fleetPages + instancePages + pathPages + timelinePages + hostPages + orgPages }

  private var fleetPages: [Route] {
    [
      .page("/", "The fleet, worst first.") { try await boardPage($0) },
      .page("/instances/new", "The form for a new Instance.", .instanceCreate) { _ in try await newPage() },
      .form("/instances", "Asks for an Instance.", .instanceCreate, .instanceRequested) { try await createForm($0) },
    ]
  }

  // MARK: - Rows

  /// An Instance as a row of a table.
  static func row(_ view: InstanceView) -> JSONValue {
    [
      "slug": .string(view.slug.text), "org": .string(view.org.text), "host": .string(view.host.text),
      "status": .string(view.status.status.rawValue), "reason": .string(view.status.reason),
      "at": .string(view.status.evidenceAt?.description ?? ""), "version": .string(view.version ?? ""),
      "flapping": .bool(view.status.flapping), "since": .string(view.status.since?.description ?? ""),
      "doing": .string(view.operation.flatMap { $0.isFinished ? nil : doing($0) } ?? ""),
    ]
  }

  /// What a running operation does now.
  static func doing(_ operation: OperationView) -> String {
    let step = operation.steps.first { $0.state == .running }?.title ?? "about to begin"
    return operation.state == .undoing ? "undoing what was begun" : step
  }

  // MARK: - New Instance

  /// Orgs to choose from; with more, their name is typed.
  static let orgsOfferedMax = 100

  private func newPage(_ form: FormFields? = nil, problem: AWError? = nil) async throws -> WebResponse {
    let orgs = try await reader.orgs(after: nil, limit: Self.orgsOfferedMax + 1)
    let hosts = try await reader.hosts(after: nil, limit: 1_000)
    func chosen(_ name: String, _ value: String) -> JSONValue { .bool(form?.optional(name) == value) }
    let values: JSONValue = [
      "orgs": .array(orgs.map { ["slug": .string($0.slug.text), "chosen": chosen("org", $0.slug.text)] }),
      "hasOrgs": .bool(!orgs.isEmpty), "manyOrgs": .bool(orgs.count > Self.orgsOfferedMax),
      "org": .string(form?.optional("org") ?? ""), "back": "/instances/new",
      "orgsTitle": .string(orgs.isEmpty ? "First, an Org" : "Another Org"),
      "hosts": .array(
        hosts.filter { $0.connected && $0.state == .active }.map {
          ["slug": .string($0.slug.text), "chosen": chosen("host", $0.slug.text)]
        }),
      "slug": .string(form?.optional("slug") ?? ""), "image": .string(form?.optional("image") ?? ""),
      "isDocker": .bool(form?.optional("runtime") == RuntimeKind.docker.rawValue),
      "problem": problem.map { ["detail": .string($0.message), "next": .string($0.next)] } ?? .null,
    ]
    let page = Page("New Instance", template: "fleet/new-instance", values: values)
    return .page(page, status: problem.map { .init(code: $0.code.httpStatus) } ?? .ok)
  }

  private func createForm(_ request: WebRequest) async throws -> WebResponse {
    let form = try request.form()
    do {
      guard let runtime = RuntimeKind(rawValue: try form.text("runtime")) else {
        throw AWError(.usage, "There is no such runtime.", next: "Choose 'process' or 'docker'.")
      }
      let body = InstanceBody(
        org: try Slug(form.text("org")), slug: try Slug(form.text("slug")), runtime: runtime,
        image: form.filled("image"), host: try form.filled("host").map { try Slug($0) })
      let (instance, _) = try await service.createInstance(body.request, as: try request.actor)
      return .redirect(to: "/instances/\(instance.slug)")
    } catch let problem as AWError where problem.code != .forbidden {
      return try await newPage(form, problem: problem)
    }
  }
}
