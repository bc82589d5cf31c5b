import Access
import Basics
import Evidence
import Link
import Web

/// The pages of Hosts.
extension FleetRoutes {
  var hostPages: [Route] {
    [
      .page("/hosts", "The Hosts.") { try await hostsPage($0) },
      .form("/hosts", "Invites a machine.", .hostEnrol, .hostInvited) { request in
        let slug = try Slug(try request.form().text("slug"))
        let invitation = try await service.inviteHost(slug, as: try request.actor)
        return try await hostsPage(request, invited: invitationView(invitation))
      },
      .page("/hosts/{host}", "One Host.") { try await hostPage($0) },
      .form("/hosts/{host}/drain", "Closes a Host for new Instances.", .hostDrain, .hostDrained) { request in
        let (slug, form) = (try request.slug("host"), try request.form())
        _ = try await service.drainHost(slug, form.optional("draining") == "yes", as: try request.actor)
        return .redirect(to: "/hosts/\(slug)")
      },
      .form("/hosts/{host}/remove", "Forgets a Host.", .hostRemove, .hostRemoved) { request in
        let (slug, form) = (try request.slug("host"), try request.form())
        try form.confirmed(slug.text)
        _ = try await service.removeHost(
          slug, force: form.optional("force") == "yes", as: try request.actor)
        return .redirect(to: "/hosts")
      },
    ]
  }

  private func hostsPage(_ request: WebRequest, invited: InvitationView? = nil) async throws -> WebResponse {
    let wanted = try request.listing()
    let page = Listing(
      try await reader.hosts(after: wanted.after?.keys.first, limit: wanted.readLimit), for: wanted
    ) { [$0.slug.text] }
    let hosts = page.items
    let nodes = try await reader.nodes()
    let values: JSONValue = [
      // One that is alone needs no table.
      "nodes": .array(nodes.count > 1 ? nodes.map(Self.row) : []), "hasNodes": .bool(nodes.count > 1),
      "hosts": .array(hosts.map(Self.row)), "hasHosts": .bool(!hosts.isEmpty),
      "next": .string(page.next.map { "/hosts?limit=\(wanted.limit)&cursor=\($0.text)" } ?? ""),
      "first": .string(wanted.after == nil ? "" : "/hosts?limit=\(wanted.limit)"),
      "invited": invited.map {
        [
          "slug": .string($0.host.slug.text), "text": .string($0.line), "until": .string($0.expiresAt.description),
        ]
      } ?? .null,
      "mayInvite": .bool(request.caller?.role == .owner),
    ]
    // A page that shows a line once must not read itself anew and lose it.
    var response = WebResponse.page(
      Page("Hosts", template: "fleet/hosts", values: values, live: invited == nil ? FleetTopics.hosts : nil))
    response.holdsSecret = invited != nil
    return response
  }

  private static func row(_ node: NodeView) -> JSONValue {
    let status: Status = node.state == "up" ? .current : node.state == "left" ? .unknown : .unreachable
    return [
      "name": .string(node.name), "state": .string(node.state), "class": .string(status.rawValue),
      "isThis": .bool(node.isThis), "hasFleet": .bool(node.hasFleet), "gateway": .string(node.gateway),
      "hosts": .integer(Int64(node.hosts)), "links": .integer(Int64(node.links)),
    ]
  }

  private static func row(_ host: HostView) -> JSONValue {
    let since = host.connected ? host.connectedAt : host.disconnectedAt
    return [
      "slug": .string(host.slug.text), "link": .string(linkWords(host)), "class": .string(look(host)),
      "at": .string((since ?? host.createdAt).description), "machine": .string(host.machine ?? ""),
      "runtimes": .string(host.offers),
      "instances": .integer(Int64(host.instances)), "isDraining": .bool(host.state == .draining),
    ]
  }

  private static func linkWords(_ host: HostView) -> String {
    if host.state == .invited { return "invited" }
    if host.connected { return "linked" }
    return host.disconnectedAt == nil ? "never linked" : "no link"
  }

  private static func look(_ host: HostView) -> String {
    if host.state == .invited { return Status.unknown.rawValue }
    return (host.connected ? Status.current : Status.unreachable).rawValue
  }

  static let lossesShown = 20
  /// Instances on a Host's page, the worst of them; the board has all.
  static let placedShown = 50

  private static func row(_ loss: LossView) -> JSONValue {
    [
      "class": .string(loss.lossClass.rawValue), "explanation": .string(loss.explanation),
      "side": .string(loss.side.rawValue), "at": .string(loss.at.description),
      "outage": .string(loss.outageMilliseconds.map { Duration.milliseconds($0).words } ?? "no link yet"),
      "calledFirst": .string(loss.calledFirst?.rawValue ?? ""), "detail": .string(loss.seen.detail),
    ]
  }

  private func hostPage(_ request: WebRequest) async throws -> WebResponse {
    let slug = try request.slug("host")
    let host = try await reader.host(slug)
    let board = try await reader.page(
      of: try await reader.rows(), BoardFilter(host: slug), sort: .worst, limit: Self.placedShown, after: nil)
    var values = Self.row(host).objectValue ?? [:]
    values["program"] = .string(host.program ?? "")
    values["lastLoss"] = .string(host.lastLoss ?? "")
    values["id"] = .string(host.id.text)
    values["offers"] = .array(
      host.runtimes.map { runtime in
        [
          "kind": .string(runtime.kind.rawValue), "detail": .string(runtime.detail),
          "class": .string((runtime.available ? Status.current : Status.unknown).rawValue),
          "says": .string(runtime.available ? "available" : "not available"),
        ]
      })
    let history = try await reader.lossHistory(of: slug, try request.word("window") ?? .week)
    values.merge(try Self.history(history, of: slug)) { _, new in new }
    let losses = try await reader.losses(host: slug, lossClass: nil, before: nil, limit: Self.lossesShown)
    values["losses"] = .array(losses.map(Self.row))
    values["hasLosses"] = .bool(!losses.isEmpty)
    values["placed"] = .array(board.items.map { Self.row($0) })
    values["hasPlaced"] = .bool(!board.items.isEmpty)
    values["hasMore"] = .bool(board.next != nil)
    values["mayAct"] = .bool(request.caller?.role == .owner)
    values["mayDrain"] = .bool(host.state == .active)
    values["confirm"] = .string(slug.text)
    return .page(
      Page(
        slug.text, template: "fleet/host", values: .object(values),
        drawings: [
          "wide": LossPlot.draw(history, size: .wide, id: try Slug("losses-wide")),
          "narrow": LossPlot.draw(history, size: .narrow, id: try Slug("losses-narrow")),
        ], live: FleetTopics.hosts))
  }

  /// What its plot says, in words.
  private static func history(_ view: LossHistoryView, of slug: Slug) throws -> [String: JSONValue] {
    [
      "window": .string(view.window.words), "truncated": .bool(view.truncated),
      "hasHistory": .bool(!view.classes.isEmpty),
      "windows": .array(
        LossWindow.allCases.map { window in
          [
            "words": .string(window.words), "isChosen": .bool(window == view.window),
            "to": .string("/hosts/\(slug)?window=\(window.rawValue)"),
          ]
        }),
      "classes": .array(
        view.classes.map { one in
          [
            "class": .string(one.lossClass.rawValue), "count": .integer(Int64(one.losses.count)),
            "outage": .string(Duration.milliseconds(one.outageMilliseconds).words), "side": .string(one.side.rawValue),
          ]
        }),
    ]
  }
}
