import Access
import Basics
import Evidence
import Fleet
import Web
import Work

/// The API of onboardings.
public struct OnboardingRoutes: Sendable {
  let service: OnboardingService

  public init(service: OnboardingService) { self.service = service }

  private struct HoldBody: Codable { let reason: String }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/orgs/{org}/onboarding", "The onboarding of an Org: its state, what is missing, who acts next.",
        schema: RouteSchema(response: OnboardingView.schema)
      ) { request in try .json(encoding: try await service.view(org: try request.slug("org"))) },
      .act(
        .post, "/api/v1/orgs/{org}/onboarding", "Begins the onboarding of an Org, or changes it.", .orgOnboard,
        .onboardingSaved,
        schema: RouteSchema(
          request: JSONSchema.object(
            [
              "contact": OnboardingView.contactSchema, "instance": OnboardingView.instanceSchema,
              "surfaces": JSONSchema.array(of: JSONSchema.text), "baseline": JSONSchema.text,
              "overlay": BaselineView.settingsSchema, "version": JSONSchema.integer,
            ], optional: ["contact", "instance", "surfaces", "baseline", "overlay", "version"]),
          response: OnboardingView.schema, status: 201)
      ) { try await save($0) },
      .act(
        .post, "/api/v1/orgs/{org}/onboarding/hold", "Keeps it from going on, until it is released.", .orgOnboard,
        .onboardingHeld,
        schema: RouteSchema(
          request: JSONSchema.object(["reason": JSONSchema.text]), response: OnboardingView.schema, status: 202)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let reason = try request.decode(HoldBody.self).reason
        let view = try await service.hold(reason, org: org, as: try request.actor, dryRun: dryRun)
        return try answer(view, .onboardingHeld, "Hold it, so that nothing is provisioned. What runs goes on.", dryRun)
      },
      .act(
        .post, "/api/v1/orgs/{org}/onboarding/release", "Lets it go on.", .orgOnboard, .onboardingReleased,
        schema: RouteSchema(response: OnboardingView.schema, status: 202)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let view = try await service.release(org: org, as: try request.actor, dryRun: dryRun)
        return try answer(view, .onboardingReleased, "Release it.", dryRun)
      },
      .act(
        .post, "/api/v1/orgs/{org}/onboarding/provision",
        "Provisions the Instance, whose last step is the first run; or makes the first run anew.", .instanceCreate,
        .instanceRequested, schema: RouteSchema(response: OnboardingRequestedView.schema, status: 202)
      ) { try await provision($0) },
    ]
  }

  private func save(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let wanted = try request.decode(OnboardingService.SaveRequest.self)
    let view = try await service.save(wanted, org: org, as: try request.actor, dryRun: dryRun)
    if dryRun {
      let choosesBaseline = wanted.baseline != nil || wanted.overlay != nil
      let changes = choosesBaseline ? try await service.changes(of: wanted, org: org).map(\.words) : []
      return try plan(view, .onboardingSaved, "Write it down, as version \(view.version).", changes)
    }
    return try .created(view, at: "/api/v1/orgs/\(org)/onboarding")
  }

  private func provision(_ request: WebRequest) async throws -> WebResponse {
    let (org, dryRun) = (try request.slug("org"), try request.dryRun)
    let (view, operation) = try await service.provision(org: org, as: try request.actor, dryRun: dryRun)
    let shown = OperationView(operation)
    guard dryRun else {
      return try .accepted(
        OnboardingRequestedView(onboarding: view, operation: shown), at: "/api/v1/operations/\(operation.id)")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.instanceRequested.id, subject: "onboarding of \(org)", steps: shown.steps.map(\.title)))
  }

  private func answer(
    _ view: OnboardingView, _ kind: EvidenceKind, _ step: String, _ dryRun: Bool
  ) throws -> WebResponse {
    if dryRun { return try plan(view, kind, step) }
    return try .accepted(view, at: "/api/v1/orgs/\(view.org)/onboarding")
  }

  private func plan(
    _ view: OnboardingView, _ kind: EvidenceKind, _ step: String, _ details: [String] = []
  ) throws -> WebResponse {
    try .plan(
      Plan(
        act: kind.id, subject: "onboarding of \(view.org)",
        steps: [step] + details + ["Its state is then '\(view.state.rawValue)'."]))
  }
}
