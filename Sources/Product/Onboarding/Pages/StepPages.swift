import Access
import Basics
import Fleet
import Link
import Web

/// The steps of an onboarding that somebody fills in. A refused form comes back as it was filled in; when somebody else
/// changed the record meanwhile, both edits are on the page.
extension OnboardingPages {
  enum Step: String, CaseIterable {
    case contact
    case instance
    case surfaces

    var title: String {
      switch self {
      case .contact: "Who speaks for the Org"
      case .instance: "The Instance"
      case .surfaces: "Models and channels"
      }
    }

    /// Of the page, so that nobody who has many open takes one Org for another.
    func heading(_ org: Slug) -> String {
      switch self {
      case .contact: "Who speaks for \(org)"
      case .instance: "The Instance of \(org)"
      case .surfaces: "Models and channels of \(org)"
      }
    }

    /// Where the wizard goes on.
    func next(_ org: Slug) -> String {
      switch self {
      case .contact: "/orgs/\(org)/onboarding/instance"
      case .instance: "/orgs/\(org)/onboarding/surfaces"
      case .surfaces: "/orgs/\(org)"
      }
    }
  }

  var stepRoutes: [Route] {
    Step.allCases.flatMap { step -> [Route] in
      [
        .page("/orgs/{org}/onboarding/\(step.rawValue)", "The form: \(step.title).", .orgOnboard) { request in
          try await stepPage(step, request)
        },
        .form("/orgs/{org}/onboarding/\(step.rawValue)", "Says: \(step.title).", .orgOnboard, .onboardingSaved) {
          try await save(step, $0)
        },
      ]
    }
  }

  private func save(_ step: Step, _ request: WebRequest) async throws -> WebResponse {
    let (org, form) = (try request.slug("org"), try request.form())
    do {
      var wanted = try asked(step, form)
      wanted.version = Int(form.optional("version") ?? "")
      _ = try await service.save(wanted, org: org, as: try request.actor)
      return .redirect(to: step.next(org))
    } catch let problem as AWError where problem.code != .forbidden {
      return try await stepPage(step, request, form: form, problem: problem)
    }
  }

  private func asked(_ step: Step, _ form: FormFields) throws -> OnboardingService.SaveRequest {
    switch step {
    case .contact:
      return .init(contact: .init(name: form.optional("name") ?? "", email: form.optional("email") ?? ""))
    case .instance:
      guard let runtime = RuntimeKind(rawValue: try form.text("runtime")) else {
        throw AWError(.usage, "There is no such runtime.", next: "Choose 'process' or 'docker'.")
      }
      return .init(
        instance: .init(
          slug: try Slug(form.text("slug")), runtime: runtime, image: form.filled("image"),
          host: try form.filled("host").map { try Slug($0) }))
    case .surfaces: return .init(surfaces: chosen(form))
    }
  }

  private func chosen(_ form: FormFields) -> [String] {
    surfaces.map(\.name).filter { form.optional("surface:" + $0) == "yes" }
  }

  // MARK: - The page

  private func stepPage(
    _ step: Step, _ request: WebRequest, form: FormFields? = nil, problem: AWError? = nil
  ) async throws -> WebResponse {
    let org = try await reader.org(try request.slug("org"))
    let view = try await view(of: org.slug)
    let saved = saved(view)
    let entered = form.map { form in
      Dictionary(uniqueKeysWithValues: saved.keys.map { ($0, form.optional($0) ?? "") })
    }
    let shown = entered ?? saved
    let hosts = try await reader.hosts(after: nil, limit: 1_000)
    let path = "/orgs/\(org.slug)/onboarding/\(step.rawValue)"
    let steps = WizardStep.all(of: org.slug, view)
    var values = try Self.head(org.slug, view, try await names(view), here: path)
    values.merge(shown.filter { !$0.key.hasPrefix("surface:") }.mapValues { .string($0) }) { $1 }
    values.merge([
      "isContact": .bool(step == .contact), "isInstance": .bool(step == .instance),
      "isSurfaces": .bool(step == .surfaces), "step": .string(step.rawValue), "stepTitle": .string(step.title),
      "stepNumber": .string(String((steps.firstIndex { $0.path == path } ?? 0) + 1)),
      "stepCount": .string(String(steps.count)),
      "isDocker": .bool(shown["runtime"] == RuntimeKind.docker.rawValue),
      "hosts": .array(
        hosts.filter { ($0.connected && $0.state == .active) || $0.slug.text == shown["host"] }.map {
          ["slug": .string($0.slug.text), "chosen": .bool($0.slug.text == shown["host"])]
        }),
      "surfaces": .array(
        surfaces.map {
          [
            "name": .string($0.name), "title": .string($0.title),
            "chosen": .bool(shown["surface:" + $0.name] == "yes"),
          ]
        }),
      "remarks": .array(remarks.map { .string($0) }), "problem": Self.show(problem), "conflict": .null,
    ]) { $1 }
    if problem?.code == .conflict, let entered {
      values["conflict"] = .array(differences(step, entered, saved))
      values["isConflict"] = true
    }
    return .page(
      Page(step.heading(org.slug), template: "onboarding/step", values: .object(values)), refusing: problem)
  }

  /// The fields of all steps, as the record has them.
  private func saved(_ view: OnboardingView?) -> [String: String] {
    let place = view?.instance
    var fields = [
      "name": view?.contact?.name ?? "", "email": view?.contact?.email ?? "", "slug": place?.slug.text ?? "",
      "runtime": place?.runtime.rawValue ?? "", "image": place?.image ?? "", "host": place?.host?.text ?? "",
    ]
    for surface in surfaces {
      fields["surface:" + surface.name] = view?.surfaces.contains(surface.name) == true ? "yes" : ""
    }
    return fields
  }

  /// Both edits of each field, side by side.
  private func differences(_ step: Step, _ entered: [String: String], _ saved: [String: String]) -> [JSONValue] {
    let fields: [(name: String, title: String)] =
      switch step {
      case .contact: [("name", "Name"), ("email", "E-mail address")]
      case .instance: [("slug", "Name"), ("runtime", "Runtime"), ("image", "Image"), ("host", "Host")]
      case .surfaces: surfaces.map { ("surface:" + $0.name, $0.title) }
      }
    return fields.map { field in
      let (mine, theirs) = (entered[field.name] ?? "", saved[field.name] ?? "")
      func words(_ text: String) -> JSONValue {
        .string(text.isEmpty ? (step == .surfaces ? "no" : "nothing") : text)
      }
      return [
        "title": .string(field.title), "mine": words(mine), "theirs": words(theirs), "differs": .bool(mine != theirs),
      ]
    }
  }
}
