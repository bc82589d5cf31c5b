import Access
import Basics
import Evidence
import Link
import Web
import Work

/// The API of Orgs, Hosts, Instances and their operations.
public struct FleetRoutes: Sendable {
  let service: FleetService
  let reader: FleetReader
  /// As it is now: it names the authority that signs.
  let line: @Sendable () -> EnrolmentLine
  let rehearsed = RehearsedPaths()

  public init(service: FleetService, reader: FleetReader, line: @escaping @Sendable () -> EnrolmentLine) {
    self.service = service
    self.reader = reader
    self.line = line
  }

  public var routes: [Route] {
    orgs + hosts + losses + instances + history + paths + operations + nodes + pageRoutes
  }

  // MARK: - Orgs

  private var orgs: [Route] {
    [
      .read(
        "/api/v1/orgs", "The Orgs, by name.",
        schema: .listing(of: FleetSchemas.org, query: [.init("name", "Whose name begins so.")])
      ) { request in
        let wanted = try request.listing()
        let read = try await reader.orgs(
          after: wanted.after?.keys.first, name: request.query("name")?.lowercased() ?? "", limit: wanted.readLimit)
        return try .listing(Listing(read, for: wanted) { [$0.slug.text] })
      },
      .read("/api/v1/orgs/{org}", "One Org.", schema: RouteSchema(response: FleetSchemas.org)) { request in
        try .json(encoding: try await reader.org(try request.slug("org")))
      },
      .act(
        .post, "/api/v1/orgs", "Creates an Org. Only synthetic ones are allowed.", .orgCreate, .orgCreated,
        schema: RouteSchema(request: FleetSchemas.orgRequest, response: FleetSchemas.org, status: 201)
      ) { try await createOrg($0) },
    ]
  }

  private func createOrg(_ request: WebRequest) async throws -> WebResponse {
    let (wanted, dryRun) = (try request.decode(FleetService.OrgRequest.self), try request.dryRun)
    let org = try await service.createOrg(wanted, as: try request.actor, dryRun: dryRun)
    if dryRun {
      let step = "Record the \(org.sort.rawValue) Org \(org.slug) (\(org.name))."
      return try .plan(Plan(act: EvidenceKind.orgCreated.id, subject: "Org \(org.slug)", steps: [step]))
    }
    return try .created(OrgView(org, instances: 0), at: "/api/v1/orgs/\(org.slug)")
  }

  // MARK: - Hosts

  private struct HostRequest: Codable { let slug: Slug }
  private struct DrainRequest: Codable { let draining: Bool }

  private var hosts: [Route] {
    [
      .read("/api/v1/hosts", "The Hosts, by name.", schema: .listing(of: FleetSchemas.host)) { request in
        let wanted = try request.listing()
        let read = try await reader.hosts(after: wanted.after?.keys.first, limit: wanted.readLimit)
        return try .listing(Listing(read, for: wanted) { [$0.slug.text] })
      },
      .read("/api/v1/hosts/{host}", "One Host.", schema: RouteSchema(response: FleetSchemas.host)) { request in
        try .json(encoding: try await reader.host(try request.slug("host")))
      },
      .act(
        .post, "/api/v1/hosts", "Invites a machine: answers the line that makes it a Host, shown once.", .hostEnrol,
        .hostInvited,
        schema: RouteSchema(
          request: JSONSchema.object(["slug": JSONSchema.slug]), response: FleetSchemas.invitation, status: 201)
      ) { try await inviteHost($0) },
      .act(
        .post, "/api/v1/hosts/{host}/drain", "Closes a Host for new Instances, or opens it again.", .hostDrain,
        .hostDrained,
        schema: RouteSchema(
          request: JSONSchema.object(["draining": JSONSchema.bool]), response: FleetSchemas.host, status: 202)
      ) { try await drainHost($0) },
      .act(
        .delete, "/api/v1/hosts/{host}", "Forgets a Host and ends its links.", .hostRemove, .hostRemoved,
        schema: RouteSchema(
          response: nil, status: 204,
          query: [.init("force", "Also with Instances on it; they are forgotten too.", JSONSchema.bool)])
      ) { try await removeHost($0) },
    ]
  }

  private func inviteHost(_ request: WebRequest) async throws -> WebResponse {
    let (wanted, dryRun) = (try request.decode(HostRequest.self), try request.dryRun)
    let invitation = try await service.inviteHost(wanted.slug, as: try request.actor, dryRun: dryRun)
    if dryRun {
      return try .plan(
        Plan(
          act: EvidenceKind.hostInvited.id, subject: "Host \(wanted.slug)",
          steps: [
            "Record the Host \(wanted.slug) as invited.",
            "Show a line, once, that makes a machine this Host within 15 minutes.",
          ]))
    }
    return try shownOnce(invitation)
  }

  private func shownOnce(_ invitation: FleetService.Invitation) throws -> WebResponse {
    let view = invitationView(invitation)
    var response = try WebResponse.created(view, at: "/api/v1/hosts/\(invitation.host.slug)")
    response.holdsSecret = true
    return response
  }

  func invitationView(_ invitation: FleetService.Invitation) -> InvitationView {
    InvitationView(
      host: HostView(invitation.host, connections: 0, instances: 0),
      line: line().text(invitation.token, replacing: invitation.replaces).withText { $0 },
      expiresAt: invitation.expiresAt
    )
  }

  private func drainHost(_ request: WebRequest) async throws -> WebResponse {
    let (slug, dryRun) = (try request.slug("host"), try request.dryRun)
    let draining = try request.decode(DrainRequest.self).draining
    _ = try await service.drainHost(slug, draining, as: try request.actor, dryRun: dryRun)
    if dryRun {
      let step =
        draining ? "Place no new Instances on \(slug). What runs there goes on." : "Place Instances on it again."
      let kind: EvidenceKind = draining ? .hostDrained : .hostReopened
      return try .plan(Plan(act: kind.id, subject: "Host \(slug)", steps: [step]))
    }
    return try .accepted(try await reader.host(slug), at: "/api/v1/hosts/\(slug)")
  }

  private func removeHost(_ request: WebRequest) async throws -> WebResponse {
    let (slug, dryRun) = (try request.slug("host"), try request.dryRun)
    let removal = try await service.removeHost(
      slug, force: try request.flag("force"), as: try request.actor, dryRun: dryRun)
    guard dryRun else { return .noContent }
    let steps = removal.abandoned.map { "Forget the Instance \($0). What of it is on the machine stays there." }
    return try .plan(
      Plan(
        act: EvidenceKind.hostRemoved.id, subject: "Host \(slug)",
        steps: steps + ["End the links of \(slug) and refuse its certificate."]))
  }
}
