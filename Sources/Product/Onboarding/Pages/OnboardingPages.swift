import Access
import Basics
import Evidence
import Fleet
import Link
import Web

/// The console of onboardings: all of them, an Org's page, and the steps that somebody fills in.
public struct OnboardingPages: Sendable {
  let service: OnboardingService
  let reader: FleetReader
  /// What can be asked for, with what people call it.
  let surfaces: [(name: String, title: String)]
  /// What has to be known of channels that cannot be asked for like that.
  let remarks: [String]
  /// What other rooms add to an Org's page, in this order.
  let sections: [OrgSection]

  public static let topic = "onboarding"

  public init(
    service: OnboardingService, reader: FleetReader, surfaces: [(name: String, title: String)],
    remarks: [String], sections: [OrgSection]
  ) {
    self.service = service
    self.reader = reader
    self.surfaces = surfaces
    self.remarks = remarks
    self.sections = sections
  }

  public static func pages() throws -> RoomPages {
    RoomPages(
      navigation: [.init("Onboarding", path: "/onboarding", key: "n")],
      templates: try AssetFiles.templates(of: "Onboarding"))
  }

  public var routes: [Route] {
    [
      .page("/onboarding", "How far each Org is.") { try await listPage($0) },
      .page("/orgs/{org}", "An Org: its onboarding, and everything that belongs to it.") { try await orgPage($0) },
      act("hold", "Keeps it from going on.", .orgOnboard, .onboardingHeld) { org, request in
        let reason = try request.form().optional("reason") ?? ""
        _ = try await service.hold(reason, org: org, as: try request.actor)
      },
      act("release", "Lets it go on.", .orgOnboard, .onboardingReleased) { org, request in
        _ = try await service.release(org: org, as: try request.actor)
      },
      act("provision", "Provisions the Instance, or makes the first run anew.", .instanceCreate, .instanceRequested) {
        org, request in
        _ = try await service.provision(org: org, as: try request.actor)
      },
    ] + stepRoutes
  }

  private func act(
    _ verb: String, _ summary: String, _ permission: Permission, _ kind: EvidenceKind,
    _ body: @escaping @Sendable (Slug, WebRequest) async throws -> Void
  ) -> Route {
    .form("/orgs/{org}/onboarding/\(verb)", summary, permission, kind) { request in
      let org = try request.slug("org")
      do {
        try await body(org, request)
      } catch let problem as AWError where problem.code != .forbidden {
        return try await orgPage(request, problem: problem, form: try request.form())
      }
      return .redirect(to: "/orgs/\(org)")
    }
  }

  /// Nil when nobody has begun.
  func view(of org: Slug) async throws -> OnboardingView? {
    do {
      return try await service.view(org: org)
    } catch let error as AWError where error.code == .onboardingUnknown {
      return nil
    }
  }

  /// Who did what a page of it names.
  func names(_ view: OnboardingView?) async throws -> ActorNames {
    try await ActorNames(of: [view?.begunBy, view?.changedBy, view?.hold?.by], in: service.store)
  }

  // MARK: - All of them

  private func listPage(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let page = Listing(
      try await reader.orgs(after: wanted.after?.keys.first, limit: wanted.readLimit), for: wanted
    ) { [$0.slug.text] }
    var rows: [JSONValue] = []
    for org in page.items {
      let view = try await view(of: org.slug)
      let next = NextAct.of(org.slug, view)
      rows.append([
        "slug": .string(org.slug.text), "title": .string(org.name), "state": .string(Self.words(view)),
        "look": .string(Self.look(view?.state)), "who": .string(next.who), "what": .string(next.what),
        "at": .string((view?.changedAt ?? view?.begunAt)?.description ?? ""),
      ])
    }
    let values: JSONValue = [
      "orgs": .array(rows), "hasOrgs": .bool(!rows.isEmpty),
      "first": .string(wanted.after == nil ? "" : "/onboarding?limit=\(wanted.limit)"),
      "next": .string(page.next.map { "/onboarding?limit=\(wanted.limit)&cursor=\($0.text)" } ?? ""),
    ]
    return .page(Page("Onboarding", template: "onboarding/list", values: values, live: Self.topic))
  }

  // MARK: - An Org

  private func orgPage(
    _ request: WebRequest, problem: AWError? = nil, form: FormFields? = nil
  ) async throws -> WebResponse {
    let org = try await reader.org(try request.slug("org"))
    let view = try await view(of: org.slug)
    var parts: [Page.Section] = []
    for section in sections {
      if let part = try await section(org, request) { parts.append(part) }
    }
    let names = try await names(view)
    var values = try Self.head(org.slug, view, names)
    let mayProvision = view.map { $0.hold == nil && Self.isReady($0) } ?? false
    values.merge([
      "name": .string(org.name), "sort": .string(org.sort.rawValue), "problem": Self.show(problem),
      "mayAct": .bool(request.caller?.role == .owner), "hasBegun": .bool(view != nil),
      "hold": view?.hold.map {
        [
          "reason": .string($0.reason), "at": .string($0.at.description), "by": .string(names.words(for: $0.by)),
        ]
      } ?? .null, "mayProvision": .bool(mayProvision),
      "reason": .string(form?.optional("reason") ?? ""),
      "again": .bool(view?.report != nil), "report": Self.report(view), "contact": Self.contact(view),
      "place": Self.place(view), "wanted": .string(wanted(view)), "begunBy": .string(names.words(for: view?.begunBy)),
      "begunAt": .string(view?.begunAt.description ?? ""),
    ]) { $1 }
    return .page(
      Page(
        org.slug.text, template: "onboarding/org", values: .object(values), sections: parts,
        // What was just refused stays where it is until somebody goes on.
        live: problem == nil ? Self.topic : nil), refusing: problem)
  }

  /// What every page of the wizard begins with: the state, what is missing, who has to act, and the steps.
  ///
  /// - Parameter here: the path of the step that the page is.
  static func head(
    _ org: Slug, _ view: OnboardingView?, _ names: ActorNames, here: String = ""
  ) throws -> [String: JSONValue] {
    let next = NextAct.of(org, view)
    let missing = (view?.requirements ?? []).filter { !$0.status.isMet }
    return [
      "org": .string(org.text), "state": .string(words(view)), "look": .string(look(view?.state)),
      "version": .string(String(view?.version ?? 0)),
      "changedBy": .string(names.words(for: view?.changedBy)),
      "at": .string((view?.changedAt ?? view?.begunAt)?.description ?? ""),
      "block": view?.block.map {
        [
          "message": .string($0.message), "code": .string($0.code), "who": .string($0.who.rawValue),
          "next": .string($0.next), "resumesTo": .string($0.resumesTo.rawValue),
        ]
      } ?? .null,
      "next": ["who": .string(next.who), "what": .string(next.what), "path": .string(next.path)],
      "missing": .array(
        missing.map {
          [
            "title": .string($0.title), "status": .string($0.status.rawValue), "id": .string($0.id),
            "who": .string($0.problem?.who.rawValue ?? ""), "message": .string($0.problem?.message ?? ""),
            "to": .string(NextAct.page(of: $0, org)),
            "command": .string([.baseline, .exception].contains($0.kind) ? $0.problem?.next ?? "" : ""),
          ]
        }), "isMissing": .bool(!missing.isEmpty),
      "steps": .array(
        WizardStep.all(of: org, view).enumerated().map { index, step in
          [
            "number": .string(String(index + 1)), "title": .string(step.title), "state": .string(step.state.rawValue),
            "path": .string(step.path), "here": .bool(step.path == here),
          ]
        }),
    ]
  }

  private static func words(_ view: OnboardingView?) -> String { view?.state.rawValue ?? "not begun" }

  /// Which look of a status a state has.
  private static func look(_ state: OnboardingState?) -> String {
    switch state {
    case nil, .draft: "unknown"
    case .credentialsPending, .validationPending, .readyToProvision, .provisioning: "stale"
    case .verified: "current"
    case .blocked: "unreachable"
    }
  }

  /// Whether asking to provision can succeed: nothing is missing, or what failed can be tried again.
  private static func isReady(_ view: OnboardingView) -> Bool {
    let state = view.block?.resumesTo ?? view.state
    return (state == .readyToProvision || state == .verified) && view.requirements.allSatisfy { $0.status.isMet }
      && view.state != .verified
  }

  private static func report(_ view: OnboardingView?) -> JSONValue {
    guard let view, let report = view.report else { return .null }
    return [
      "passed": .bool(report.passed), "at": .string(report.at.description), "operation": .string(report.operation),
      "isStale": .bool(report.digest != view.digest), "digest": .string(report.digest),
      "checks": .array(
        report.checks.map {
          ["link": .string($0.link), "outcome": .string($0.outcome), "isGood": .bool($0.outcome == "passed")]
        }),
      "channels": .array(
        (report.channels ?? []).map {
          ["channel": .string($0.channel), "isOn": .bool($0.isOn), "why": .string($0.reason ?? "")]
        }),
    ]
  }

  private static func contact(_ view: OnboardingView?) -> JSONValue {
    view?.contact.map { ["name": .string($0.name), "email": .string($0.email)] } ?? .null
  }

  /// What people call the surfaces that were asked for.
  private func wanted(_ view: OnboardingView?) -> String {
    surfaces.filter { view?.surfaces.contains($0.name) == true }.map(\.title).joined(separator: ", ")
  }

  private static func place(_ view: OnboardingView?) -> JSONValue {
    guard let place = view?.instance else { return .null }
    let rest = [place.image, place.host.map { "on \($0)" }].compactMap { $0 }
    return .string(([place.slug.text, place.runtime.rawValue] + rest).joined(separator: ", "))
  }

  static func show(_ problem: AWError?) -> JSONValue {
    guard let problem else { return .null }
    return ["detail": .string(problem.message), "next": .string(problem.next), "code": .string(problem.code.id)]
  }
}
