import Access
import Basics
import Evidence
import Web

/// The API of baselines, and of an Org's exceptions from its own.
public struct BaselineRoutes: Sendable {
  let service: OnboardingService

  public init(service: OnboardingService) { self.service = service }

  private static func items(_ schema: JSONValue) -> JSONValue {
    JSONSchema.object(["items": JSONSchema.array(of: schema)])
  }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/baselines", "The baselines that an Org can have, every version.",
        schema: RouteSchema(response: Self.items(BaselineView.schema))
      ) { _ in .json(["items": try JSONValue(encoding: Baseline.all.map(BaselineView.init))]) },
      .read(
        "/api/v1/baselines/{baseline}", "One baseline, with the policy.jsonc that it compiles to.",
        schema: RouteSchema(response: BaselineView.schema)
      ) { try .json(encoding: BaselineView(try Baseline.named(try $0.text("baseline")))) },
      .read(
        "/api/v1/baselines/{baseline}/diff/{other}", "What differs from one baseline to another.",
        schema: RouteSchema(response: Self.items(BaselineChange.schema))
      ) { request in
        let (from, to) = (
          try Baseline.named(try request.text("baseline")), try Baseline.named(try request.text("other"))
        )
        return .json(["items": try JSONValue(encoding: BaselineChange.between(from.settings, to.settings))])
      },
      .read(
        "/api/v1/orgs/{org}/onboarding/baseline",
        "What another baseline would change for an Org, before it is chosen.",
        schema: RouteSchema(
          response: Self.items(BaselineChange.schema), query: [.init("to", "The baseline to look at.")])
      ) { request in
        let changes = try await service.changes(
          of: .init(baseline: request.query("to")), org: try request.slug("org"))
        return .json(["items": try JSONValue(encoding: changes)])
      },
      .act(
        .post, "/api/v1/orgs/{org}/onboarding/exceptions",
        "Asks for a value that is weaker than the baseline's, for a time.", .orgOnboard, .baselineExceptionAsked,
        schema: RouteSchema(
          request: JSONSchema.object([
            "key": JSONSchema.text, "value": JSONSchema.any, "owner": JSONSchema.text, "reason": JSONSchema.text,
            "until": JSONSchema.time,
          ]), response: OnboardingView.schema, status: 201)
      ) { request in
        let (org, dryRun) = (try request.slug("org"), try request.dryRun)
        let wanted = try request.decode(OnboardingService.ExceptionRequest.self)
        let view = try await service.askException(wanted, org: org, as: try request.actor, dryRun: dryRun)
        if dryRun {
          return try plan(view, .baselineExceptionAsked, "Ask for the exception; another operator has to approve it.")
        }
        return try .created(view, at: "/api/v1/orgs/\(org)/onboarding")
      },
      exception(
        "approve", "Approves an exception that another operator asked for.", .baselineExceptionApproved,
        "Approve the exception."
      ) { try await service.approveException($0, org: $1, as: $2, dryRun: $3) },
      exception(
        "withdraw", "Takes an exception back.", .baselineExceptionWithdrawn,
        "Take the exception back. The Instance is degraded until it is started anew, without it."
      ) { try await service.withdrawException($0, org: $1, as: $2, dryRun: $3) },
    ]
  }

  private func exception(
    _ verb: String, _ summary: String, _ kind: EvidenceKind, _ step: String,
    _ act: @escaping @Sendable (String, Slug, Actor, Bool) async throws -> OnboardingView
  ) -> Route {
    .act(
      .post, "/api/v1/orgs/{org}/onboarding/exceptions/{key}/\(verb)", summary, .orgOnboard, kind,
      schema: RouteSchema(response: OnboardingView.schema, status: 202)
    ) { request in
      let (org, dryRun) = (try request.slug("org"), try request.dryRun)
      let view = try await act(try request.text("key"), org, try request.actor, dryRun)
      if dryRun { return try plan(view, kind, step) }
      return try .accepted(view, at: "/api/v1/orgs/\(org)/onboarding")
    }
  }

  private func plan(_ view: OnboardingView, _ kind: EvidenceKind, _ step: String) throws -> WebResponse {
    try .plan(
      Plan(
        act: kind.id, subject: "baseline of \(view.org)", steps: [step, "Its state is then '\(view.state.rawValue)'."]))
  }
}
